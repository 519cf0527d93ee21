"""What values are allowed."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from pipeline.settings.errors import UserError
from pipeline.settings.project import names_in
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Config, Variant
from pipeline.settings.study import load_variant
from pipeline.settings.user_code import TARGET

CODINGS = ("zero_one", "plus_minus")
CELLS = ("lstm", "gru", "bidirectional")


def check(config: Config) -> None:
    """Raise a `UserError` that names the first value out of its range, and the range."""
    for name, value, fits, allowed in _ranges(config):
        if not fits:
            raise UserError(f"{name} is {value}: it must be {allowed}.")


def _ranges(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield (parameter, value, whether it is allowed, what is allowed) for every rule."""
    data, train, names = config.data, config.train, ", ".join(names_in("variant"))
    for name, number in _counts(config):
        yield name, number, number >= 1, "a whole number of at least 1"
    yield "data.time_steps", data.time_steps, data.time_steps >= 2, "at least 2"
    yield "data.key_coding", data.key_coding, data.key_coding in CODINGS, " or ".join(CODINGS)
    drawing = {"data.seed": data.seed, "explain.seed": config.explain.seed, "compare.seed": config.compare.seed}
    for name, seed in drawing.items():
        yield name, seed, 0 <= seed < 2**32, "0 to 4294967295"
    share, rate = data.validation_share, train.learning_rate
    yield "data.validation_share", share, 0 < share < 1, "above 0 and below 1"
    yield "train.learning_rate", rate, isfinite(rate) and rate > 0, "a number above 0"
    most = f"at most data.samples, {data.samples}"
    yield "train.batch_size", train.batch_size, train.batch_size <= data.samples, most
    leaves = f"a share that leaves a batch of {train.batch_size} to train on and one sample held out"
    enough = data.train_samples >= train.batch_size and data.validation_samples >= 1
    yield "data.validation_share", f"{share} of {data.samples} samples", enough, leaves
    yield "compare.confidence", config.compare.confidence, 0 < config.compare.confidence < 1, "above 0 and below 1"
    for name in ("accuracy", "r2", "entropy", "mass"):
        limit = getattr(config.compare.thresholds, name)
        yield f"compare.thresholds.{name}", limit, 0 <= limit <= 1, "0 to 1"
    lift = config.compare.thresholds.lift
    yield "compare.thresholds.lift", lift, isfinite(lift) and lift >= 1, "a number of at least 1"
    for name, seeds in (("seeds", config.seeds), ("controls.seeds", config.controls.seeds)):
        distinct = len(set(seeds)) == len(seeds) > 0 and all(0 <= seed < 2**32 for seed in seeds)
        yield name, seeds, distinct, "one or more different whole numbers from 0 to 4294967295"
    null = config.controls.null_key_samples
    enough = round(null * share) >= 1 and null - round(null * share) >= train.batch_size
    yield "controls.null_key_samples", null, enough, f"enough for {leaves.removeprefix('a share that leaves ')}"
    known = len(set(config.variants)) == len(config.variants) > 0 and set(config.variants) <= set(names_in("variant"))
    yield "variants", config.variants, known, f"one or more of {names}, each once"
    kind, target = config.task.get("kind"), config.task.get(TARGET)
    yield "task.kind", kind, kind in (CLASSIFICATION, REGRESSION), f"{CLASSIFICATION} or {REGRESSION}"
    yield from _targets("task", target, config.packages)
    yield "model.cell", config.model.cell, config.model.cell in CELLS, ", ".join(CELLS)
    for variant in [config.variant] if config.variant else []:
        yield from _variant(variant, config.packages)
    for name in config.variants:
        yield from _variant(load_variant(name), config.packages)


def _variant(variant: Variant, packages: list[str]) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield the rules of a file of conf/variant/."""
    placement, sharing, attention = variant.placement, variant.sharing, variant.attention
    yield "variant.placement", placement, placement in ("before", "after"), "before or after"
    if attention is None:
        yield "variant.sharing", sharing, sharing in ("shared", "unshared"), "shared or unshared"
    else:
        yield "variant.sharing", sharing, sharing is None, "left out beside variant.attention"
        yield from _targets("variant.attention", attention.get(TARGET), packages)
    yield "variant.reader", variant.reader, variant.reader in (None, "dense"), "left out, or dense"
    fits = variant.reader is None or placement == "before"
    yield "variant.placement", placement, fits, "before, where variant.reader is dense"


def _targets(where: str, target: Any, packages: list[str]) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield the rule that keeps a file from running code of any package."""
    allowed = isinstance(target, str) and target.split(".")[0] in packages
    named = f"a function or class of {', '.join(packages)} (or of what `packages` in conf/config.yaml adds)"
    yield f"{where}.{TARGET}", target, allowed, named


def _counts(config: Config) -> Iterator[tuple[str, int]]:
    """Yield the parameters that count something."""
    yield from ((f"data.{name}", getattr(config.data, name)) for name in ("samples", "time_steps", "input_dim"))
    yield from (
        (f"train.{name}", getattr(config.train, name)) for name in ("epochs", "batch_size", "log_every", "snapshots")
    )
    yield "model.lstm_units", config.model.lstm_units
    yield "probe.samples", config.probe.samples
    yield from ((f"explain.{name}", getattr(config.explain, name)) for name in ("integration_steps", "permutations"))
    yield from ((f"controls.{name}", getattr(config.controls, name)) for name in ("null_key_samples", "probe_samples"))
    yield "compare.resamples", config.compare.resamples
    if config.workers is not None:
        yield "workers", config.workers

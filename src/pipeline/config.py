"""What a run may be told: names, types and ranges of all values."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from omegaconf import MISSING, OmegaConf


class UserError(Exception):
    """A mistake that its one-sentence message lets the user mend."""


@dataclass(unsafe_hash=True)
class Data:
    """Section `data` of params.yaml; the meaning of each value stands there."""

    samples: int = MISSING
    validation_share: float = MISSING
    time_steps: int = MISSING
    input_dim: int = MISSING
    key_step: int = MISSING
    seed: int = MISSING

    @property
    def validation_samples(self) -> int:
        """Samples held out for validation."""
        return round(self.samples * self.validation_share)

    @property
    def train_samples(self) -> int:
        """Samples to train on."""
        return self.samples - self.validation_samples


@dataclass(unsafe_hash=True)
class Model:
    """Section `model` of params.yaml."""

    lstm_units: int = MISSING


@dataclass(unsafe_hash=True)
class Train:
    """Section `train` of params.yaml."""

    epochs: int = MISSING
    batch_size: int = MISSING
    learning_rate: float = MISSING
    log_every: int = MISSING


@dataclass(unsafe_hash=True)
class Probe:
    """Section `probe` of params.yaml."""

    samples: int = MISSING


@dataclass(unsafe_hash=True)
class Variant:
    """A file of conf/variant/: where the attention sits, and whether all features share one attention vector."""

    placement: str = MISSING
    sharing: str = MISSING
    name: str = ""


@dataclass(unsafe_hash=True)
class Tracking:
    """A file of conf/tracking/: where MLflow keeps the runs; no `uri`, no tracking."""

    uri: str | None = MISSING
    artifacts: str | None = MISSING
    experiment: str = MISSING


@dataclass
class Study:
    """What a result depends on: params.yaml and, in a stage that works on one, the variant."""

    variants: list[str] = MISSING
    seeds: list[int] = MISSING
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    probe: Probe = field(default_factory=Probe)
    variant: Variant | None = None

    def chosen_variant(self) -> Variant:
        """Return the variant of a stage that works on one; a `UserError` names those that exist."""
        if self.variant is None:
            raise UserError(f"This stage needs +variant=NAME, where NAME is one of: {', '.join(variant_names())}.")
        return self.variant


@dataclass
class Config(Study):
    """All values of a run."""

    tracking: Tracking = field(default_factory=Tracking)
    workers: int | None = MISSING
    port: int = MISSING


def _find_root() -> Path:
    """Return the project's root: PROJECT_ROOT, else the folder worked in or one above it, else this checkout."""
    if "PROJECT_ROOT" in os.environ:
        return Path(os.environ["PROJECT_ROOT"]).resolve()
    checkout = Path(__file__).resolve().parents[2]
    around = (Path.cwd(), *Path.cwd().parents)
    return next((p for p in around if (p / "dvc.yaml").is_file() and (p / "conf/config.yaml").is_file()), checkout)


ROOT = _find_root()


def variant_names() -> list[str]:
    """Return the names of all variants that have a file in conf/variant/."""
    return sorted(path.stem for path in (ROOT / "conf/variant").glob("*.yaml"))


def load_variant(name: str) -> Variant:
    """Return the variant as its file in conf/variant/ describes it."""
    loaded = OmegaConf.merge(Variant(name=name), OmegaConf.load(ROOT / "conf/variant" / f"{name}.yaml"))
    variant = OmegaConf.to_object(loaded)
    assert isinstance(variant, Variant)
    return variant


@cache
def params() -> Study:
    """Return the values of params.yaml as they stand in the file."""
    loaded = OmegaConf.to_object(OmegaConf.merge(Study, OmegaConf.load(ROOT / "params.yaml")))
    assert isinstance(loaded, Study)
    return loaded


def digest(values: Any) -> str:
    """Return a short hash of anything that JSON can hold: equal values, equal hash, whatever their order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def check(config: Config) -> None:
    """Raise a `UserError` that names the first value out of its range, and the range."""
    for name, value, fits, allowed in _ranges(config):
        if not fits:
            raise UserError(f"{name} is {value}: it must be {allowed}.")


def _ranges(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield (parameter, value, whether it is allowed, what is allowed) for every rule."""
    data, train, names = config.data, config.train, ", ".join(variant_names())
    for name, number in _counts(config):
        yield name, number, number >= 1, "a whole number of at least 1"
    yield "data.time_steps", data.time_steps, data.time_steps >= 2, "at least 2"
    yield "data.key_step", data.key_step, 0 <= data.key_step < data.time_steps, f"0 to {data.time_steps - 1}"
    yield "data.seed", data.seed, 0 <= data.seed < 2**32, "0 to 4294967295"
    share, rate = data.validation_share, train.learning_rate
    yield "data.validation_share", share, 0 < share < 1, "above 0 and below 1"
    yield "train.learning_rate", rate, isfinite(rate) and rate > 0, "a number above 0"
    most = f"at most data.samples, {data.samples}"
    yield "train.batch_size", train.batch_size, train.batch_size <= data.samples, most
    leaves = f"a share that leaves a batch of {train.batch_size} to train on and one sample held out"
    enough = data.train_samples >= train.batch_size and data.validation_samples >= 1
    yield "data.validation_share", f"{share} of {data.samples} samples", enough, leaves
    seeds = config.seeds
    distinct = len(set(seeds)) == len(seeds) > 0 and all(0 <= seed < 2**32 for seed in seeds)
    yield "seeds", seeds, distinct, "one or more different whole numbers from 0 to 4294967295"
    known = len(set(config.variants)) == len(config.variants) > 0 and set(config.variants) <= set(variant_names())
    yield "variants", config.variants, known, f"one or more of {names}, each once"
    for variant in [config.variant] if config.variant else []:
        yield "variant.placement", variant.placement, variant.placement in ("before", "after"), "before or after"
        yield "variant.sharing", variant.sharing, variant.sharing in ("shared", "unshared"), "shared or unshared"


def _counts(config: Config) -> Iterator[tuple[str, int]]:
    """Yield the parameters that count something."""
    yield from ((f"data.{name}", getattr(config.data, name)) for name in ("samples", "time_steps", "input_dim"))
    yield from ((f"train.{name}", getattr(config.train, name)) for name in ("epochs", "batch_size", "log_every"))
    yield "model.lstm_units", config.model.lstm_units
    yield "probe.samples", config.probe.samples
    if config.workers is not None:
        yield "workers", config.workers

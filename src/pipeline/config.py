"""What a run may be told: names, types and ranges of all values, and the command line. Only this module knows Hydra."""

import dataclasses
import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError


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


ConfigStore.instance().store(name="schema", node=Config)


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


def command(stage: Callable[[Config], None]) -> Callable[[], None]:
    """Turn a stage into a program: values from conf/, params.yaml and the command line, checked before it starts.

    A user's mistake ends it with one sentence on standard error and exit code 1, Ctrl-C with 130; with
    HYDRA_FULL_ERROR=1 set, a mistake shows its traceback.
    """

    @wraps(stage)
    def task(cfg: DictConfig) -> None:
        with _mistakes_explained():
            stage(_typed(cfg))

    def main() -> None:
        signal.signal(signal.SIGTERM, _terminate)
        os.environ["PROJECT_ROOT"] = str(ROOT)
        with _mistakes_explained():
            # Hydra prints errors in a form of its own unless told to raise them.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")(task)()

    return main


_TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def _mistakes_explained() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _stop("interrupted; what was finished before is as it was.", 130)
    except (UserError, HydraException, OmegaConfBaseException, YAMLError, OSError) as error:
        if _TRACEBACKS:
            raise
        _stop(explain(error), 1)


def _terminate(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop(sentence: str, code: int) -> NoReturn:
    mark = "\033[31merror:\033[0m" if sys.stderr.isatty() else "error:"
    print(mark, sentence, file=sys.stderr)
    raise SystemExit(code)


def _typed(cfg: DictConfig) -> Config:
    """Return the composed values as a checked `Config`."""
    _check_keys(cfg, Config)
    config = OmegaConf.to_object(cfg)
    assert isinstance(config, Config)
    if config.variant is not None:
        config.variant.name = HydraConfig.get().runtime.choices["variant"]
    check(config)
    return config


def _check_keys(cfg: DictConfig, schema: Any, prefix: str = "") -> None:
    """Raise a `UserError` for a key that no stage would read, or one without a value."""
    known = {f.name for f in dataclasses.fields(schema)}
    for key in map(str, cfg):
        if key not in known:
            raise UserError(_unknown(f"{prefix}{key}"))
        if OmegaConf.is_missing(cfg, key):
            raise UserError(f"{prefix}{key} has no value: give it one in params.yaml or on the command line.")
        if isinstance(cfg[key], DictConfig):
            _check_keys(cfg[key], OmegaConf.get_type(cfg, key), f"{prefix}{key}.")


def _fields(path: list[str]) -> dict[str, Any]:
    """Return name -> type of the values in a section, given by its path from the top."""
    schema: Any = Config
    for name in path:
        types = {f.name: f.type for f in dataclasses.fields(schema)}
        schema = Variant if name == "variant" else types.get(name)
        if not dataclasses.is_dataclass(schema):
            return {}
    return {f.name: f.type for f in dataclasses.fields(schema)}


def _unknown(key: str) -> str:
    *path, _ = key.split(".")
    has = f"{'.'.join(path)} has" if path else "there are"
    return f"{key} is not a parameter: {has} {', '.join(_fields(path))}."


_KINDS = {int: "a whole number", float: "a number", str: "a name", list[int]: "a list of whole numbers"}


def explain(error: Exception) -> str:
    """Return one sentence for an error of Hydra, OmegaConf, YAML or the file system."""
    text = str(error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error)
    key = re.search(r"full_key: ([\w.]+)", text)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group} is {name}: it must be one of {', '.join(error.options)}."
    if "No match in the defaults list" in text:
        return f"{text.splitlines()[0]} Write +variant=NAME, where NAME is one of: {', '.join(variant_names())}."
    if key and "Key '" in text:
        return _unknown(key[1])
    if key:
        *path, name = key[1].split(".")
        kind = _KINDS.get(_fields(path).get(name), "what params.yaml shows")
        reason = next(line for line in text.splitlines() if "raised while composing" not in line)
        return f"{key[1]}: {reason.rstrip('.')}; it must be {kind}."
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read as name=value: {text.splitlines()[0]}."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}."
    return " ".join(text.split())

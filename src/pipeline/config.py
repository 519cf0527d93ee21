"""What a run may be told: names and types of all values."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache
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
    key_coding: str = MISSING
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
    snapshots: int = MISSING


@dataclass(unsafe_hash=True)
class Probe:
    """Section `probe` of params.yaml."""

    samples: int = MISSING


@dataclass(unsafe_hash=True)
class Explain:
    """Section `explain` of params.yaml."""

    integration_steps: int = MISSING
    permutations: int = MISSING
    seed: int = MISSING


@dataclass
class Controls:
    """Section `controls` of params.yaml."""

    seeds: list[int] = MISSING
    null_key_samples: int = MISSING
    probe_samples: int = MISSING


@dataclass(unsafe_hash=True)
class Thresholds:
    """Section `compare.thresholds` of params.yaml."""

    accuracy: float = MISSING
    lift: float = MISSING
    entropy: float = MISSING
    mass: float = MISSING


@dataclass(unsafe_hash=True)
class Compare:
    """Section `compare` of params.yaml."""

    confidence: float = MISSING
    resamples: int = MISSING
    seed: int = MISSING
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(unsafe_hash=True)
class Variant:
    """A file of conf/variant/: where the attention sits, and whether all features share one attention vector.

    With `uniform`, attention is 1 / T at each step and is not trained: a control.
    """

    placement: str = MISSING
    sharing: str = MISSING
    uniform: bool = False
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
    explain: Explain = field(default_factory=Explain)
    controls: Controls = field(default_factory=Controls)
    compare: Compare = field(default_factory=Compare)
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

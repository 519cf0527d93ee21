"""What a run may be told: names and types of all values."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omegaconf import MISSING

from pipeline.settings.errors import UserError
from pipeline.settings.project import names_in

CLASSIFICATION, REGRESSION = "classification", "regression"  # kinds of tasks
Task = dict[str, Any]  # a file of conf/task/: `_target_`, the function that draws; `kind`; its options; and its `name`


class Shape(NamedTuple):
    """The shape of a sample."""

    time_steps: int
    input_dim: int


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
    def shape(self) -> Shape:
        """The shape of a sample: all that a model depends on."""
        return Shape(self.time_steps, self.input_dim)

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
    cell: str = MISSING


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
    r2: float = MISSING


@dataclass(unsafe_hash=True)
class Compare:
    """Section `compare` of params.yaml."""

    confidence: float = MISSING
    resamples: int = MISSING
    seed: int = MISSING
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(unsafe_hash=True)
class Variant:
    """A file of conf/variant/; `uniform` is a control's: the article's attention at 1 / T, not trained."""

    placement: str = MISSING
    sharing: str | None = None
    uniform: bool = False
    name: str = ""
    attention: dict[str, Any] | None = field(default=None, hash=False)
    reader: str | None = None


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
    task: Task = MISSING
    variant: Variant | None = None

    @property
    def score(self) -> str:
        """Return the name of what tells whether the task is learned."""
        return score_of(self.task)

    @property
    def regression(self) -> bool:
        """Return whether labels are numbers to come near to, not classes."""
        return self.score == "r2"

    def chosen_variant(self) -> Variant:
        """Return the variant of a stage that works on one; a `UserError` names those that exist."""
        if self.variant is None:
            known = ", ".join(names_in("variant"))
            raise UserError(f"This stage needs +variant=NAME, where NAME is one of: {known}.")
        return self.variant


@dataclass
class Config(Study):
    """All values of a run."""

    tracking: Tracking = field(default_factory=Tracking)
    packages: list[str] = MISSING
    workers: int | None = MISSING
    cluster: str | None = MISSING
    results: str | None = MISSING
    port: int = MISSING


def score_of(task: Task) -> str:
    """Return the name of what tells whether a task is learned: "accuracy", or "r2" of a regression."""
    return "r2" if task["kind"] == REGRESSION else "accuracy"

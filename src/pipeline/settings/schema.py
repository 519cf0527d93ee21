"""The settings of a run: names, types and bounds. params.yaml and conf/ explain what each one means."""

import dataclasses
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from annotated_types import Predicate
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from pipeline.settings.project import UserError, names_in

CLASSIFICATION, REGRESSION = "classification", "regression"  # kinds of tasks
T = TypeVar("T")
Task = dict[str, Any]  # a file of conf/task/: `_target_`, the function that draws; `kind`; its options; and its `name`

# Strict, because neither `true` nor `2.0` is a whole number. What a machine can hold is checked in `machine_limits`.
LONGEST = 10_000  # time steps, and features or units of a layer
EXPLAINED, LEAST = 2**20, 16  # numbers in the samples that are explained, at most; and samples, at least
Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
Size = Annotated[int, Field(strict=True, ge=1, le=LONGEST)]
Repetitions = Annotated[int, Field(strict=True, ge=1, le=10**6)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Limit = Annotated[float, Field(strict=True, ge=0, le=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Distinct = Annotated[
    list[T], Field(min_length=1, json_schema_extra={"uniqueItems": True}), Predicate(lambda x: len(set(x)) == len(x))
]
VariantName = Annotated[
    str,
    Field(json_schema_extra=lambda x: x.update(enum=names_in("variant"))),
    Predicate(lambda x: x in names_in("variant")),
]
# Names may be numbers; no number may be infinite or NaN.
SETTINGS = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)


class Shape(NamedTuple):
    """The shape of a sample."""

    time_steps: int
    input_dim: int


@dataclass(frozen=True, config=SETTINGS)
class Data:
    """Section `data` of params.yaml."""

    samples: Count
    validation_share: Share
    time_steps: Annotated[int, Field(strict=True, ge=2, le=LONGEST)]
    input_dim: Size
    key_step: Annotated[int, Field(strict=True, ge=0, lt=LONGEST)]
    key_coding: Literal["zero_one", "plus_minus"]
    seed: Seed
    per_seed: Annotated[bool, Field(strict=True)] = False

    @property
    def shape(self) -> Shape:
        """The shape of a sample, which is all that a model depends on."""
        return Shape(self.time_steps, self.input_dim)

    @property
    def explained_samples(self) -> int:
        """Samples for what takes hundreds of passes through a model, at most: fewer, the larger they are.

        This applies to explanations, predictions with other attention, and attention at points of the training.
        Attention itself takes one pass, and is read on all probe samples.
        """
        return max(LEAST, EXPLAINED // (self.time_steps * self.input_dim))

    @property
    def validation_samples(self) -> int:
        """Samples held out for validation."""
        return round(self.samples * self.validation_share)

    @property
    def train_samples(self) -> int:
        """Samples to train on."""
        return self.samples - self.validation_samples


@dataclass(frozen=True, config=SETTINGS)
class Model:
    """Section `model` of params.yaml."""

    lstm_units: Size | Annotated[tuple[Size, ...], Field(min_length=1, max_length=10)]
    cell: Literal["lstm", "gru", "bidirectional"]
    dropout: Share | None = None
    recurrent_dropout: Share | None = None

    @property
    def layers(self) -> tuple[int, ...]:
        """The units of each recurrent layer, the first one next to the input."""
        return self.lstm_units if isinstance(self.lstm_units, tuple) else (self.lstm_units,)


@dataclass(frozen=True, config=SETTINGS)
class Train:
    """Section `train` of params.yaml."""

    epochs: Repetitions
    batch_size: Count
    learning_rate: Annotated[float, Field(strict=True, gt=0, le=10)]
    log_every: Count
    snapshots: Count
    class_weights: Literal["balanced"] | None = None


@dataclass(frozen=True, config=SETTINGS)
class Probe:
    """Section `probe` of params.yaml."""

    samples: Count


@dataclass(frozen=True, config=SETTINGS)
class Explain:
    """Section `explain` of params.yaml."""

    integration_steps: Repetitions
    permutations: Repetitions
    readout_samples: Count
    tolerance: Limit
    seed: Seed
    target: str | None = None


@dataclass(frozen=True, config=SETTINGS)
class Controls:
    """Section `controls` of params.yaml."""

    seeds: Distinct[Seed]
    null_key_samples: Count
    probe_samples: Count


@dataclass(frozen=True, config=SETTINGS)
class Thresholds:
    """Section `compare.thresholds` of params.yaml."""

    balanced_accuracy: Limit
    r2: Limit
    skill: Limit
    entropy: Limit
    readout: Limit


@dataclass(frozen=True, config=SETTINGS)
class Compare:
    """Section `compare` of params.yaml."""

    confidence: Share
    resamples: Repetitions
    seed: Seed
    thresholds: Thresholds


@dataclass(frozen=True, config=SETTINGS)
class Variant:
    """A file of conf/variant/; `uniform`, set by a control, fixes the weights of the article's attention at 1 / T."""

    placement: Literal["before", "after"]
    sharing: Literal["shared", "unshared"] | None = None
    uniform: Annotated[bool, Field(strict=True)] = False
    name: str = ""
    attention: dict[str, Any] | None = dataclasses.field(default=None, hash=False)
    reader: Literal["dense"] | None = None


@dataclass(frozen=True, config=SETTINGS)
class Tracking:
    """A file of conf/tracking/: where MLflow stores the runs; without `uri`, nothing is tracked."""

    uri: str | None
    artifacts: str | None
    experiment: str


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Study:
    """What a result depends on: params.yaml and, in a stage that works on one, the variant."""

    variants: Distinct[VariantName]
    seeds: Distinct[Seed]
    data: Data
    model: Model
    train: Train
    probe: Probe
    explain: Explain
    controls: Controls
    compare: Compare
    task: Task
    variant: Variant | None = None

    @property
    def score(self) -> str:
        """The name of the score that decides whether the task is learned."""
        return score_of(self.task)

    @property
    def regression(self) -> bool:
        """Whether labels are numbers to predict, not classes."""
        return self.score == "r2"

    @property
    def padded(self) -> bool:
        """Whether sequences may be of different lengths: models then pass over padded steps."""
        return bool(self.task.get("padded", False))

    def chosen_variant(self) -> Variant:
        """Return the variant of a stage that works on one; if none was chosen, a `UserError` names those that exist."""
        if self.variant is None:
            known = ", ".join(names_in("variant"))
            raise UserError(f"This stage needs +variant=NAME, where NAME is one of: {known}.")
        return self.variant


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Config(Study):
    """All settings of a run."""

    tracking: Tracking
    packages: list[str]
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] | None
    cluster: str | None
    results: str | None
    port: Port
    browser: Annotated[bool, Field(strict=True)]
    run: str | None
    seed: Seed | None
    level: Literal["bytes", "digits", "verdicts", "conclusions"]
    digits: Annotated[int, Field(strict=True, ge=1, le=9)]
    against: str
    revision: str | None
    certificate: str
    samples: str | None


def score_of(task: Task) -> str:
    """Return the name of a task's score: "balanced_accuracy", or "r2" for a regression."""
    return "r2" if task["kind"] == REGRESSION else "balanced_accuracy"

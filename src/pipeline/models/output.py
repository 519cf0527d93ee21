"""What a model puts out: a probability, those of several classes, or a number; and all that follows from it.

The kinds are in `output_kinds`. Losses, predictions and scores ask an `Output`, so that nothing else has to know which
kind it is. Outputs are logits or numbers, as the model without its last activation gives them: (samples,), or (samples,
classes) for more than two classes.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.models.held_out_score import Predict, Scores
from pipeline.results.splits import Split

if TYPE_CHECKING:
    import tensorflow as tf

Array = NDArray[np.floating]
Values = NDArray[np.float64]


class Last(NamedTuple):
    """The last layer of a model: its number of units, and its activation; "linear" gives logits."""

    units: int = 1
    activation: str = "sigmoid"


PROBABILITY = Last()


class Goal(NamedTuple):
    """What a model is trained for: an output, and how much a sample of each class counts; None: all the same."""

    output: "Output"
    class_weights: tuple[float, ...] | None = None


class Output(ABC):
    """A kind of output: its last layer, and the number of `classes`, 0 for numbers."""

    @property
    def last(self) -> Last:
        """The last layer."""
        return PROBABILITY

    @property
    def classes(self) -> int:
        """The number of classes; 0 for numbers."""
        return 2

    @abstractmethod
    def losses(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the loss of each sample, (batch,), given labels (batch, 1) and the model's output (batch, units)."""

    @abstractmethod
    def batch_score(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the score of a batch in a training curve: accuracy or coefficient of determination."""

    @abstractmethod
    def held_out(self, predict: Predict, split: Split) -> tuple[float, Scores]:
        """Return loss and scores of a model on held-out samples."""

    @abstractmethod
    def prediction(self, output: Array) -> Values:
        """Return predictions, in the shape of the output: probabilities (for two classes, of label 1), or numbers."""

    @abstractmethod
    def score(self, predicted: Array, y: Array) -> float:
        """Return the score of predictions, balanced accuracy or coefficient of determination, given labels (samples,).

        NaN where all labels are the same.
        """

    @abstractmethod
    def change(self, before: Values, after: Values, y: Array) -> Values:
        """Return how far apart predictions are, (samples,): total variation, or SDs of the labels in a regression."""

    @abstractmethod
    def lost(self, before: Values, after: Values, y: Array) -> Values:
        """Return the probability that the class predicted before loses, (samples,); in a regression, the change."""

    def targets(self, y: Array) -> Values:
        """Return what a linear readout fits, (samples,) or (samples, classes)."""
        return y.astype(np.float64)

    def explained(self, output: Array, targets: NDArray[np.int64]) -> Array:
        """Return the number that explanations explain, (samples,), given the class of each sample that is meant."""
        del targets
        return output

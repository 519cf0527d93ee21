"""The kinds of output that a model can have: a probability of two classes, those of several, or a number."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from pipeline.models import held_out_score
from pipeline.models.held_out_score import Predict, Scores
from pipeline.models.output import Array, Goal, Last, Output, Values
from pipeline.results.splits import Split

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Binary(Output):
    """The probability of label 1, of the labels 0 and 1."""

    def losses(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return binary cross-entropy (nats)."""
        import keras

        return keras.losses.binary_crossentropy(y, p)

    def batch_score(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the accuracy."""
        import tensorflow as tf

        return tf.reduce_mean(tf.cast((p > 0.5) == (y > 0.5), tf.float32))

    def held_out(self, predict: Predict, split: Split) -> tuple[float, Scores]:
        """Return mean binary cross-entropy (nats), balanced accuracy and accuracy."""
        return held_out_score.classification(predict, split)

    def prediction(self, output: Array) -> Values:
        """Return the probability of label 1."""
        return np.asarray(expit(output.astype(np.float64)))

    def score(self, predicted: Array, y: Array) -> float:
        """Return the balanced accuracy at a threshold of 1/2, so that ignoring a rare label does not pass."""
        right = [float(((predicted[y == label] > 0.5) == label).sum()) for label in (0, 1)]
        return held_out_score.balanced(np.array(right), np.array([(y == label).sum() for label in (0, 1)]))

    def change(self, before: Values, after: Values, y: Array) -> Values:
        """Return the absolute difference of the probabilities, which is their total variation."""
        del y
        return np.abs(after - before)

    def lost(self, before: Values, after: Values, y: Array) -> Values:
        """Return the probability that the predicted label loses."""
        del y
        return np.asarray(np.where(before > 0.5, before - after, after - before))


TWO_CLASSES = Goal(Binary())


@dataclass(frozen=True)
class Classes(Output):
    """The probabilities of several classes, whose labels are 0, 1 and so on."""

    count: int

    @property
    def last(self) -> Last:
        """The last layer."""
        return Last(self.count, "softmax")

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.count

    def losses(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return cross-entropy (nats)."""
        import keras

        return keras.losses.sparse_categorical_crossentropy(y[:, 0], p)

    def batch_score(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the accuracy."""
        import tensorflow as tf

        right = tf.argmax(p, axis=1, output_type=tf.int32) == tf.cast(y[:, 0], tf.int32)
        return tf.reduce_mean(tf.cast(right, tf.float32))

    def held_out(self, predict: Predict, split: Split) -> tuple[float, Scores]:
        """Return mean cross-entropy (nats), balanced accuracy and accuracy."""
        return held_out_score.several_classes(predict, split, self.count)

    def prediction(self, output: Array) -> Values:
        """Return the probabilities of the classes."""
        return np.asarray(softmax(output.astype(np.float64), axis=-1))

    def score(self, predicted: Array, y: Array) -> float:
        """Return the balanced accuracy of the most likely class: the mean recall over the classes that occur."""
        found = predicted.argmax(axis=-1)
        right, samples = (np.array([(part == c).sum() for c in range(self.count)]) for part in (y[found == y], y))
        return held_out_score.balanced_over_occurring(right, samples)

    def change(self, before: Values, after: Values, y: Array) -> Values:
        """Return the total variation distance between the predicted distributions, in [0, 1]."""
        del y
        return np.asarray(np.abs(after - before).sum(axis=-1) / 2)

    def lost(self, before: Values, after: Values, y: Array) -> Values:
        """Return the probability that the most likely class loses."""
        del y
        rows, likely = np.arange(len(before)), before.argmax(axis=-1)
        return np.asarray(before[rows, likely] - after[rows, likely])

    def targets(self, y: Array) -> Values:
        """Return one-hot labels, (samples, classes)."""
        return np.asarray(np.eye(self.count)[y.astype(int)])

    def explained(self, output: Array, targets: NDArray[np.int64]) -> Array:
        """Return the log-odds of a class of each sample: for two classes, the logit of one of them."""
        rows, others = np.arange(len(output)), output.astype(np.float64)
        others[rows, targets] = -np.inf
        return np.asarray(output[rows, targets] - logsumexp(others, axis=1))


@dataclass(frozen=True)
class Number(Output):
    """A number to predict; `variance` is that of the training labels, for the training curve."""

    variance: float = 1.0

    @property
    def last(self) -> Last:
        """The last layer."""
        return Last(1, "linear")

    @property
    def classes(self) -> int:
        """None."""
        return 0

    def losses(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the squared error."""
        import keras

        return keras.losses.mean_squared_error(y, p)

    def batch_score(self, y: "tf.Tensor", p: "tf.Tensor") -> "tf.Tensor":
        """Return the coefficient of determination, given the variance of all labels."""
        import tensorflow as tf

        return 1 - tf.reduce_mean(self.losses(y, p)) / self.variance

    def held_out(self, predict: Predict, split: Split) -> tuple[float, Scores]:
        """Return mean squared error and coefficient of determination."""
        return held_out_score.regression(predict, split)

    def prediction(self, output: Array) -> Values:
        """Return the numbers."""
        return output.astype(np.float64)

    def score(self, predicted: Array, y: Array) -> float:
        """Return the coefficient of determination."""
        total = np.square(y - y.mean(dtype=np.float64), dtype=np.float64).sum() if len(y) else 0.0
        return float(1 - np.square(predicted - y, dtype=np.float64).sum() / total) if total else float("nan")

    def change(self, before: Values, after: Values, y: Array) -> Values:
        """Return the absolute difference in standard deviations of the labels."""
        return np.abs(after - before) / max(float(y.std(dtype=np.float64)), 1e-12)

    def lost(self, before: Values, after: Values, y: Array) -> Values:
        """Return the change."""
        return self.change(before, after, y)


def output_of(regression: bool, classes: tuple[str, ...], variance: float = 1.0) -> Output:
    """Return the output of a model, given the names of its classes (none: two, without names)."""
    if regression:
        return Number(variance)
    return Classes(len(classes)) if len(classes) > 2 else Binary()


def class_weights(y: Array, output: Output, chosen: str | None) -> tuple[float, ...] | None:
    """Return the weight of each class in the training loss, n / (classes · n of the class); None: all count the same.

    Args:
        y: the training labels, (samples,).
        output: what the model puts out.
        chosen: `train.class_weights`, "balanced" or None.
    """
    if chosen is None or not output.classes:
        return None
    counts = np.bincount(y.astype(int), minlength=output.classes)
    return tuple((len(y) / (output.classes * np.maximum(counts, 1))).tolist())

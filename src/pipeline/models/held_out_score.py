"""Loss and scores of a model on held-out samples."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.results.splits import Split

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Scores = dict[str, float]


def classification(predict: Predict, split: Split) -> tuple[float, Scores]:
    """Return the mean binary cross-entropy (nats), and balanced accuracy and accuracy at a threshold of 1/2."""
    loss, right, samples = 0.0, np.zeros(2), np.zeros(2)  # the last two for each label
    for part in split.stretches():
        x, y = (split.rows(name, part.start, part.stop) for name in ("x", "y"))
        p = predict(x)[:, 0].astype(np.float64)
        likelihood = np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1)  # Keras' loss has the same bound
        loss -= float(np.log(likelihood).sum())
        for label in (0, 1):
            own = y == label
            right[label] += ((p[own] > 0.5) == label).sum()
            samples[label] += own.sum()
    scores = {"balanced_accuracy": balanced(right, samples), "accuracy": float(right.sum() / samples.sum())}
    return loss / split.samples, scores


def regression(predict: Predict, split: Split) -> tuple[float, Scores]:
    """Return the mean squared error and the coefficient of determination over all samples."""
    residual, total, mean = 0.0, 0.0, float(split.rows("y").mean(dtype=np.float64))
    for part in split.stretches():
        x, y = (split.rows(name, part.start, part.stop) for name in ("x", "y"))
        residual += float(np.square(predict(x)[:, 0] - y, dtype=np.float64).sum())
        total += float(np.square(y - mean, dtype=np.float64).sum())
    return residual / split.samples, {"r2": 1 - residual / total if total else float("nan")}


def several_classes(predict: Predict, split: Split, classes: int) -> tuple[float, Scores]:
    """Return the mean cross-entropy (nats), and balanced accuracy and accuracy of the most likely class.

    Balanced accuracy is the mean recall over the classes that occur.
    """
    loss, right, samples = 0.0, np.zeros(classes), np.zeros(classes)
    for part in split.stretches():
        x, y = (split.rows(name, part.start, part.stop) for name in ("x", "y"))
        p, labels = predict(x).astype(np.float64), y.astype(int)
        loss -= float(np.log(np.clip(p[np.arange(len(p)), labels], 1e-7, 1)).sum())  # the bound of Keras' loss
        right += np.bincount(labels[p.argmax(axis=1) == labels], minlength=classes)
        samples += np.bincount(labels, minlength=classes)
    scores = {
        "balanced_accuracy": balanced_over_occurring(right, samples),
        "accuracy": float(right.sum() / samples.sum()),
    }
    return loss / split.samples, scores


def balanced_over_occurring(right: NDArray[np.floating], samples: NDArray[np.floating]) -> float:
    """Return the mean share of samples that are right over the classes that have any; NaN if fewer than two have."""
    occurring = samples > 0
    return float((right[occurring] / samples[occurring]).mean()) if occurring.sum() > 1 else float("nan")


def balanced(right: NDArray[np.floating], samples: NDArray[np.floating]) -> float:
    """Return the mean share of samples that are right over two labels; NaN if one of them does not occur."""
    return float((right / samples).mean()) if samples.all() else float("nan")

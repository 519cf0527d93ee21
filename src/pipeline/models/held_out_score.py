"""Loss and scores of a model on held-out samples."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.results.splits import CHUNK, Split

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Scores = dict[str, float]


def classification(predict: Predict, split: Split) -> tuple[float, Scores]:
    """Return the mean binary cross-entropy (nats), and balanced accuracy and accuracy at a threshold of 1/2."""
    loss, right, samples = 0.0, np.zeros(2), np.zeros(2)  # the last two for each label
    for start in range(0, split.samples, CHUNK):
        x, y = (split.rows(name, start, start + CHUNK) for name in ("x", "y"))
        p = predict(x)[:, 0].astype(np.float64)
        likelihood = np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1)  # Keras' loss has the same bound
        loss -= float(np.log(likelihood).sum())
        for label in (0, 1):
            own = y == label
            right[label] += ((p[own] > 0.5) == label).sum()
            samples[label] += own.sum()
    scores = {"balanced_accuracy": _balanced(right, samples), "accuracy": float(right.sum() / samples.sum())}
    return loss / split.samples, scores


def regression(predict: Predict, split: Split) -> tuple[float, Scores]:
    """Return the mean squared error and the coefficient of determination over all samples."""
    residual, total, mean = 0.0, 0.0, float(split.rows("y").mean(dtype=np.float64))
    for start in range(0, split.samples, CHUNK):
        x, y = (split.rows(name, start, start + CHUNK) for name in ("x", "y"))
        residual += float(np.square(predict(x)[:, 0] - y, dtype=np.float64).sum())
        total += float(np.square(y - mean, dtype=np.float64).sum())
    return residual / split.samples, {"r2": 1 - residual / total if total else float("nan")}


def score(predicted: NDArray[np.floating], y: NDArray[np.floating], regression: bool) -> float:
    """Return the balanced accuracy of predictions (samples,) at a threshold of 1/2, or R² in a regression.

    Balanced accuracy is the mean over the two labels of the share of their samples that is right, so that ignoring a
    rare label does not pass. NaN where all labels are the same.
    """
    if regression:
        total = np.square(y - y.mean(dtype=np.float64), dtype=np.float64).sum() if len(y) else 0.0
        return float(1 - np.square(predicted - y, dtype=np.float64).sum() / total) if total else float("nan")
    right = [float(((predicted[y == label] > 0.5) == label).sum()) for label in (0, 1)]
    return _balanced(np.array(right), np.array([(y == label).sum() for label in (0, 1)]))


def _balanced(right: NDArray[np.float64], samples: NDArray[np.floating]) -> float:
    return float((right / samples).mean()) if samples.all() else float("nan")

"""Loss and score of a model on held-out samples."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.results.splits import CHUNK, Split

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def classification(predict: Predict, split: Split) -> tuple[float, float]:
    """Return the mean binary cross-entropy (nats) and the accuracy at a threshold of 1/2 over all samples."""
    loss, right = 0.0, 0
    for start in range(0, split.samples, CHUNK):
        x, y = (split.rows(name, start, start + CHUNK) for name in ("x", "y"))
        p = predict(x)[:, 0].astype(np.float64)
        likelihood = np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1)  # Keras' loss has the same bound
        loss -= float(np.log(likelihood).sum())
        right += int(((p > 0.5) == (y == 1)).sum())
    return loss / split.samples, right / split.samples


def regression(predict: Predict, split: Split) -> tuple[float, float]:
    """Return the mean squared error and the coefficient of determination over all samples."""
    residual, total, mean = 0.0, 0.0, float(split.rows("y").mean(dtype=np.float64))
    for start in range(0, split.samples, CHUNK):
        x, y = (split.rows(name, start, start + CHUNK) for name in ("x", "y"))
        residual += float(np.square(predict(x)[:, 0] - y, dtype=np.float64).sum())
        total += float(np.square(y - mean, dtype=np.float64).sum())
    return residual / split.samples, 1 - residual / total if total else 0.0

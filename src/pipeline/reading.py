"""Read attention from a trained model."""

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.config import Study, UserError
from pipeline.results import AttendedSeed, Weights

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
TOLERANCE = 1e-5  # of the sum of a sample's weights, in float32


def attention(study: Study, weights: Weights, x: Array) -> Array:
    """Return attention weights on all samples, (samples, steps, features).

    Args:
        study: which model the weights belong to.
        weights: of the model, or only those that decide attention.
        x: (samples, steps, features).

    Raises:
        UserError: if the weights of a sample do not sum to 1 in each feature.
    """
    from pipeline import models

    functions = models.functions(study.data, study.model, study.chosen_variant())
    models.set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_sums(read, study.chosen_variant().name)
    return read


def check_sums(weights: NDArray[np.floating], whose: str) -> None:
    """Raise a `UserError` unless attention weights (samples, steps, features) sum to 1 over the steps."""
    sums = weights.sum(axis=1)
    wrong = ~(np.abs(sums - 1) <= TOLERANCE)  # written so that NaN is wrong, too
    if wrong.any():
        sample, feature = np.argwhere(wrong)[0]
        where = f"of sample {sample}, feature {feature} sum to {sums[sample, feature]:.6g}"
        raise UserError(f"{whose}: the attention weights {where}: they must sum to 1.")


def attended(weights: Array, mask: Mask, y: Array) -> AttendedSeed:
    """Return mean vector and measures of attention weights (samples, steps)."""
    vector = weights.mean(axis=0, dtype=np.float64)
    return AttendedSeed(vector, mask.mean(axis=0), metrics.summarize(weights, mask, y))

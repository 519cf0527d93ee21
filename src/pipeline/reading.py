"""Read attention from a trained model."""

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.config import Study
from pipeline.results import AttendedSeed, Weights
from pipeline.weights import check_sums

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


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

    functions = models.functions(study.data.shape, study.model, study.chosen_variant())
    models.set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_sums(read, study.chosen_variant().name)
    return read


def attended(weights: Array, mask: Mask, classes: Array | None) -> AttendedSeed:
    """Return mean vector and measures of attention weights (samples, steps); `classes` are labels 0 and 1, if any."""
    vector = weights.mean(axis=0, dtype=np.float64)
    return AttendedSeed(vector, mask.mean(axis=0), metrics.summarize(weights, mask, classes))

"""Sequences of different lengths in one array: what a padded step holds, and which steps are not padded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Valid = NDArray[np.bool_] | None  # which steps are not padded, (samples, steps); None: no step is
PADDING = -(2.0**60)  # in all features of a padded step: finite, exact as float32, and in no data of anybody's


def valid_steps(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which steps of samples (samples, steps, features) are not padded, (samples, steps)."""
    return np.asarray((x != np.float32(PADDING)).any(axis=2))


def some_valid(x: NDArray[Any]) -> Valid:
    """Return `valid_steps`, or None if no step is padded."""
    valid = valid_steps(x)
    return None if valid.all() else valid


def padded(x: NDArray[Any], valid: Valid, value: float = PADDING) -> NDArray[Any]:
    """Return samples (samples, steps, ...) with a value at all steps that are not valid; None: at no step."""
    if valid is None:
        return x
    return np.where(valid.reshape(*valid.shape, *(1,) * (x.ndim - 2)), x, np.asarray(value, x.dtype))

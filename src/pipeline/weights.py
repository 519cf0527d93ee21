"""What attention weights must be, whatever layer gives them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.config import UserError

TOLERANCE = 1e-5  # of the sum of a sample's weights, in float32


def check_sums(weights: NDArray[np.floating], whose: str) -> None:
    """Raise a `UserError` unless attention weights (samples, steps, features) are in [0, 1] and sum to 1 over steps."""
    sums = weights.sum(axis=1)
    wrong = ~(np.abs(sums - 1) <= TOLERANCE)  # written so that NaN is wrong, too
    if wrong.any():
        sample, feature = np.argwhere(wrong)[0]
        where = f"of sample {sample}, feature {feature} sum to {sums[sample, feature]:.6g}"
        raise UserError(f"{whose}: the attention weights {where}: they must sum to 1.")
    if weights.min() < 0:
        raise UserError(f"{whose}: an attention weight is {weights.min():.6g}: none may be negative.")

"""Masks in the user's files: which steps, or which features at which steps, determine the label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.results.padding import some_valid
from pipeline.settings.project import UserError


def checked(path: str, mask: NDArray[Any], x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return a mask of samples `x` (samples, steps, features), of steps (samples, steps) or of features like `x`.

    A `UserError` if it is of another shape, of other values than true and false, or tells nothing apart.
    """
    shape, valid = x.shape, some_valid(x)
    if mask.shape not in (shape, shape[:2]) or mask.dtype.kind not in "biuf":
        wanted = f"it must be {shape[:2]}, or {shape}, of true and false"
        raise UserError(f"task.path is {path}: mask is {mask.dtype} {mask.shape}: {wanted}.")
    soft = mask[~np.isin(mask, (0, 1))]
    if len(soft):
        raise UserError(
            f"task.path is {path}: mask holds {soft[0]:g}: it must be 0 or 1; save mask > 0.5, for example."
        )
    marked = np.asarray(mask.astype(bool))
    steps = of_steps(marked)
    if not steps.any():
        advice = "it must mark the key steps of some samples, or be left out"
        raise UserError(f"task.path is {path}: mask marks nothing: {advice}.")
    if valid is not None and (steps & ~valid).any():
        found = f"mask marks steps behind the ends of {(steps & ~valid).any(axis=1).sum()} samples"
        raise UserError(f"task.path is {path}: {found}: it must be false there.")
    if (marked if valid is None else marked[valid]).all():
        advice = "it must distinguish key steps from others, or be left out"
        raise UserError(f"task.path is {path}: mask marks every step: {advice}.")
    return marked


def of_steps(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of steps, (samples, steps): a step is marked if any of its features is."""
    return np.asarray(mask if mask.ndim == 2 else mask.any(axis=2))

"""Samples of different lengths: where each one in the user's file ends, and the padding behind it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.results.padding import PADDING, padded
from pipeline.settings.project import UserError
from pipeline.tasks.array_files import numbers

Array = NDArray[Any]
Lengths = NDArray[np.int64]
SHORTEST = 2  # steps: with one, attention has no choice
HINT = 0.1  # share of samples that end in zeros, from which that is pointed out


def marked(path: str, x: Array, lengths: Array | None) -> tuple[NDArray[np.float32], str]:
    """Return samples (samples, steps, features) with the padding after their ends, and a part of a sentence about it.

    A sample ends where all features are NaN in all steps from there on, or after as many steps as `lengths` (samples,)
    says; then all that follows must be 0 or NaN.

    Raises:
        UserError: if lengths do not fit, something follows, a sample has fewer than two steps, or another is NaN.
    """
    ends = _ends(x) if lengths is None else _checked(path, x, lengths)
    if ends.min() < SHORTEST:
        short = f"sample {ends.argmin()} has fewer than {SHORTEST} time steps"
        raise UserError(f"task.path is {path}: {short}: leave it out.")
    valid = np.arange(x.shape[1]) < ends[:, None]
    found = numbers(path, "x", padded(x, valid, 0))
    if (found == np.float32(PADDING)).any():
        raise UserError(f"task.path is {path}: x holds {PADDING:g}, which stands for padding: no value may be that.")
    shorter = int((ends < x.shape[1]).sum())
    said = f"{shorter} of {len(x)} samples end before the last step, the shortest after {ends.min()} steps"
    return np.asarray(padded(found, valid)), said if shorter else ""


def refuse(path: str, x: Array, lengths: str | None) -> None:
    """Raise a `UserError` that names `task.padded` if samples are of different lengths; `lengths` names the array."""
    if lengths is not None:
        why = f"as {lengths} in {path} gives the lengths of samples; or list it in task.ignore"
        raise UserError(f"task.padded is false: it must be true, {why}.")
    ends = _ends(x)
    shorter = int((ends < x.shape[1]).sum())
    within = np.arange(x.shape[1]) < ends[:, None]
    if shorter and ends.min() >= SHORTEST and np.isfinite(x[within]).all():  # else NaN is no padding
        why = f"if samples end where x is NaN from there on, as in {shorter} of {len(x)} samples of {path}"
        raise UserError(f"task.padded is false: it must be true {why}.")


def hint(x: NDArray[np.float32]) -> str:
    """Return a part of a sentence that points out many samples that end in zeros; nothing if that may be chance."""
    zero = (x == 0).all(axis=2)
    trailing = np.cumprod(zero[:, ::-1], axis=1)[:, ::-1] > 0
    share = float(trailing[:, -1].mean())
    if share < HINT or (zero & ~trailing).sum() > 0.01 * trailing.sum():
        return ""
    advice = "if that is padding, give the lengths in an array called lengths, and set task.padded=true"
    return f"{share:.0%} of the samples end in steps of zeros: {advice}"


def _ends(x: Array) -> Lengths:
    """Return after how many steps samples are NaN in all features, to the end."""
    if x.dtype.kind != "f":
        return np.full(len(x), x.shape[1])
    absent = np.asarray(np.isnan(x).all(axis=2))
    return np.asarray(x.shape[1] - np.cumprod(absent[:, ::-1], axis=1).sum(axis=1))


def _checked(path: str, x: Array, lengths: Array) -> Lengths:
    """Return valid lengths."""
    steps = x.shape[1]
    if lengths.shape != x.shape[:1] or lengths.dtype.kind not in "iuf":
        found = f"{lengths.dtype} {lengths.shape}"
        raise UserError(f"task.path is {path}: lengths are {found}: they must be whole numbers, {x.shape[:1]}.")
    bad = np.flatnonzero(~np.isin(lengths, np.arange(1, steps + 1)))
    if len(bad):
        found = f"the length of sample {bad[0]} is {lengths[bad[0]]:g}"
        raise UserError(f"task.path is {path}: {found}: it must be a whole number, 1 to {steps}.")
    ends = lengths.astype(np.int64)
    behind = np.arange(steps) >= ends[:, None]
    empty = np.isin(x, (0, np.nan)) if x.dtype.kind != "f" else (x == 0) | np.isnan(x)
    full = np.flatnonzero((behind & ~empty.all(axis=2)).any(axis=1))
    if len(full):
        found = f"x is not 0 behind the ends of {len(full)} samples (the first is sample {full[0]})"
        raise UserError(f"task.path is {path}: {found}: give their lengths, or set these numbers to 0.")
    return ends

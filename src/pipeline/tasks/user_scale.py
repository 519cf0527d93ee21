"""The scale of samples in the user's files: standardised by the training samples, where that helps to learn."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.padding import PADDING
from pipeline.results.splits import Split
from pipeline.tasks.array_files import listed

Standardise = Literal["auto", "always", "never"]
USUAL = (0.1, 10.0)  # a standard deviation in this range, and a mean no larger than that, ask for no other scale
LARGE = 1e6  # from here, a feature that never falls within a sample looks like a time
Array = NDArray[np.float32]


class Scale(NamedTuple):
    """What was subtracted from numbers, and what they were divided by: a value for each feature, or one for labels."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]

    def applied(self, values: Array) -> Array:
        """Return values (..., features) on this scale; padding stays as it is."""
        scaled = np.asarray((values - np.array(self.mean)) / np.array(self.sd))
        return np.where(values == np.float32(PADDING), PADDING, scaled).astype(np.float32)

    def undone(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return numbers on this scale, (samples,), as they were before."""
        return values * np.float64(self.sd[0]) + self.mean[0]


def scales_of(split: Split) -> dict[str, Scale]:
    """Return "x" or "y" -> the scale of the samples on disk, where it is not that of where they come from."""
    return {name: Scale(tuple(scale["mean"]), tuple(scale["sd"])) for name, scale in split.scale.items()}


def scale_of(values: Array, standardise: Standardise) -> Scale | None:
    """Return mean and standard deviation of each feature of the training samples (..., features), in float64.

    None if the values are to stay as they are: by "never", or by "auto" if the mean of each feature is in [-10, 10] and
    its standard deviation in [0.1, 10]. A feature that never changes is divided by 1, and asks for nothing.
    """
    if standardise == "never":
        return None
    axes = tuple(range(values.ndim - 1))
    mean, sd = values.mean(axis=axes, dtype=np.float64), values.std(axis=axes, dtype=np.float64)
    low, high = USUAL
    unusual = (sd > 0) & ((sd < low) | (sd > high) | (np.abs(mean) > high))
    if standardise == "auto" and not unusual.any():
        return None
    return Scale(tuple(mean.tolist()), tuple(np.where(sd > 0, sd, 1).tolist()))


def said(name: str, scale: Scale | None, standardise: Standardise) -> str:
    """Return a part of a sentence that says that numbers were standardised; nothing if they were not."""
    if scale is None:
        return ""
    each = [f"{mean:.3g} ± {sd:.3g}" for mean, sd in zip(scale.mean, scale.sd, strict=True)]
    rest = "" if standardise == "always" else "; task.standardise=never leaves it as it is"
    return f"{name} is standardised by its training samples, which are {listed(each)}{rest}"


def times(x: Array) -> list[int]:
    """Return the features of samples (samples, steps, features) that look like a time: large, and never falling."""
    rising = (np.diff(x, axis=1) >= 0).all(axis=(0, 1)) & (x[:, -1] > x[:, 0]).any(axis=0)
    return [int(feature) for feature in np.flatnonzero(rising & (np.abs(x).min(axis=(0, 1)) >= LARGE))]

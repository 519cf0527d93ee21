"""Tasks on the user's data: samples from a file, and the article's key planted in real sequences."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.results.splits import Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import Data
from pipeline.tasks import array_files
from pipeline.tasks.generators import Noise, plant


def samples_of_file(
    background: Generator, labels: Generator, samples: int, data: Data, *, path: str, first: int = 0
) -> Samples:
    """Return samples of a file in an order drawn from `data.seed`, so that each belongs to one split only.

    The file holds `x` (samples, steps, features), `y` (samples,) and optionally `mask` (samples, steps), true at the
    key steps. In Parquet these are columns, `x` of lists of lists. `first` is the position of the first sample in that
    order, which starts again at its end; `background` and `labels` are not used. A `UserError` if the file cannot be
    read, or its arrays do not fit.
    """
    del background, labels
    x, y, mask = _all_samples(path, data)
    if samples > len(x):
        least = "data.samples and probe.samples together, and controls.null_key_samples,"
        raise UserError(f"task.path is {path}: it has {len(x)} samples, not {samples}; {least} may be no more.")
    rows = default_rng(data.seed).permutation(len(x)).take(np.arange(first, first + samples), mode="wrap")
    return x[rows], y[rows], mask[rows]


def planted_in_series(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    path: str | None = None,
    feature: int | None = None,
    noise: Noise = 0.0,
) -> Samples:
    """Draw stretches of a long series, and plant the label in them as `planted_key` does.

    Each feature of the series is standardised to mean 0 and standard deviation 1; the first `data.input_dim` features
    are used. Stretches begin anywhere, and may overlap.

    Args:
        background: draws where stretches begin, and the noise.
        labels: draws the labels, both equally likely.
        samples: number of samples.
        data: the shape of the samples, the key step, and the coding of the key.
        path: of a file with the array `series` (length, features), in Parquet a column for each feature; None: a year
            of hourly temperatures in San Francisco and Seattle (2010), which the package vega_datasets ships.
        feature: the only feature that contains the key; None: all of them.
        noise: standard deviation of normal noise on the key.

    Raises:
        UserError: if the series cannot be read, or does not fit.
    """
    series, name = _series(path), path or "that of vega_datasets"
    for (parameter, value), most in zip(data.shape._asdict().items(), series.shape, strict=True):
        if value > most:
            advice = f"it must be at most {most}, as the series ({name}) has {series.shape}"
            raise UserError(f"data.{parameter} is {value}: {advice}.")
    starts = background.integers(0, len(series) - data.time_steps + 1, samples)
    x = series[starts[:, None] + np.arange(data.time_steps), : data.input_dim]
    return plant(x, background, labels, data, feature=feature, noise=noise)


def _all_samples(path: str, data: Data) -> Samples:
    """Return all samples of a file; a `UserError` if they do not fit."""
    arrays = array_files.read(path)
    if not {"x", "y"} <= arrays.keys():
        raise UserError(f"task.path is {path}: it holds {', '.join(arrays) or 'nothing'}; it must hold x and y.")
    x, y = _numbers(path, "x", arrays["x"]), _numbers(path, "y", arrays["y"])
    if x.ndim != 3 or not len(x):
        raise UserError(f"task.path is {path}: x is {x.shape}: it must be (samples, time steps, features).")
    for (name, wanted), found in zip(data.shape._asdict().items(), x.shape[1:], strict=True):
        if wanted != found:
            raise UserError(f"data.{name} is {wanted}: it must be {found}, as x in {path} is {x.shape}.")
    if y.shape != x.shape[:1]:
        raise UserError(f"task.path is {path}: y is {y.shape}: it must be {x.shape[:1]}, a label for each sample of x.")
    if (y == y[0]).all():
        raise UserError(f"task.path is {path}: y is {y[0]:g} in all samples: there is nothing to learn.")
    return x, y, _mask(path, arrays.get("mask"), x.shape[:2])


def _numbers(path: str, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiub":
        raise UserError(f"task.path is {path}: {name} is of type {array.dtype}: it must be of numbers.")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise UserError(f"task.path is {path}: {name} holds NaN or infinite values; none may, as float32.")
    return numbers


def _mask(path: str, mask: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a valid mask unchanged; without a mask, one that marks nothing."""
    if mask is None:
        return np.zeros(shape, bool)
    if mask.shape != shape or mask.dtype.kind not in "biu" or not np.isin(mask, (0, 1)).all():
        wanted = f"{shape}, of true and false"
        raise UserError(f"task.path is {path}: mask is {mask.dtype} {mask.shape}: it must be {wanted}.")
    unmarked = np.flatnonzero(~mask.any(axis=1))
    if len(unmarked):
        found, advice = f"{len(unmarked)} samples (sample {unmarked[0]})", "it must mark a step of each, or be left out"
        raise UserError(f"task.path is {path}: mask marks nothing in {found}: {advice}.")
    if mask.all():
        advice = "it must distinguish key steps from others, or be left out"
        raise UserError(f"task.path is {path}: mask marks every step: {advice}.")
    return mask.astype(bool)


def _series(path: str | None) -> NDArray[np.float32]:
    """Return a series (length, features), each feature with mean 0 and standard deviation 1."""
    if path is None:
        series = _shipped()
    else:
        arrays = array_files.read(path)
        found = arrays.get("series", np.stack(list(arrays.values()), axis=1) if path.endswith(".parquet") else None)
        if found is None:
            raise UserError(f"task.path is {path}: it holds {', '.join(arrays) or 'nothing'}; it must hold series.")
        series = _numbers(path, "series", found)
    if series.ndim != 2 or not len(series):
        raise UserError(f"task.path is {path}: series is {series.shape}: it must be (length, features).")
    spread = series.std(axis=0)
    if not spread.all():
        raise UserError(f"task.path is {path}: feature {spread.argmin()} is the same at all times: it must vary.")
    return np.asarray((series - series.mean(axis=0)) / spread)


@lru_cache(maxsize=1)
def _shipped() -> NDArray[np.float32]:
    try:
        from vega_datasets import local_data
    except ImportError:
        advice = "pip install 'attention-pipeline[series]', or name a file"
        raise UserError(f"task.path is null: that takes the package vega_datasets; {advice}.") from None
    frames = (local_data.sf_temps(), local_data.seattle_temps())
    return np.stack([frame["temp"].to_numpy(np.float32) for frame in frames], axis=1)

"""Tasks on the user's data: samples from a file, and the article's key planted in real sequences."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.results.splits import Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Data
from pipeline.tasks import array_files, user_labels
from pipeline.tasks.array_files import listed, numbers
from pipeline.tasks.generators import Noise, plant


def samples_of_file(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    path: str,
    kind: str = CLASSIFICATION,
    tell: bool = False,
    first: int = 0,
) -> Samples:
    """Return samples of a file in an order drawn from `data.seed`, so that each belongs to one split only.

    Args:
        background: not used.
        labels: not used.
        samples: number of samples.
        data: the shape of the samples, and the seed.
        path: of a file with the arrays (in Parquet, columns of lists) `x` (samples, steps, features), `y`, a label per
            sample, and optionally `mask` (samples, steps), true at the key steps.
        kind: "classification", whose two labels become 0 and 1, or "regression".
        tell: whether to print which label became which, before the first sample, if they are not 0 and 1.
        first: the position of the first sample in the order of samples, which starts again at its end.

    Raises:
        UserError: if the file cannot be read, or its arrays do not fit.
    """
    del background, labels
    every, said = _all_samples(path, array_files.changed(path), kind)
    for (name, wanted), found in zip(data.shape._asdict().items(), every[0].shape[1:], strict=True):
        if wanted != found:
            raise UserError(f"data.{name} is {wanted}: it must be {found}, as x in {path} is {every[0].shape}.")
    count = len(every[0])
    if samples > count:
        least = "data.samples and probe.samples together, and controls.null_key_samples,"
        raise UserError(f"task.path is {path}: it has {count} samples, not {samples}; {least} may be no more.")
    if tell and said and not first:
        print(f"task.path is {path}: {said}.")
    rows = default_rng(data.seed).permutation(count).take(np.arange(first, first + samples), mode="wrap")
    return every[0][rows], every[1][rows], every[2][rows]


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


@lru_cache(maxsize=1)
def _all_samples(path: str, changed: int, kind: str) -> tuple[Samples, str]:
    """Return all samples of a file, and what to tell about them; a `UserError` if its arrays do not fit each other."""
    del changed  # only a part of the cache's key
    arrays = array_files.read(path)
    if not {"x", "y"} <= arrays.keys():
        raise UserError(f"task.path is {path}: it holds {listed(arrays)}; it must hold x and y.")
    x, said = numbers(path, "x", arrays["x"]), ""
    if x.ndim != 3 or not len(x):
        raise UserError(f"task.path is {path}: x is {x.shape}: it must be (samples, time steps, features).")
    if kind == REGRESSION:
        y = user_labels.targets(path, arrays["y"], len(x))
    else:
        y, said = user_labels.classes(path, arrays["y"], len(x))
    return (x, y, _mask(path, arrays.get("mask"), x.shape[:2])), said


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
    series = _shipped() if path is None else _series_of(path, array_files.changed(path))
    if series.ndim != 2 or not len(series):
        raise UserError(f"task.path is {path}: series is {series.shape}: it must be (length, features).")
    spread = series.std(axis=0)
    if not spread.all():
        raise UserError(f"task.path is {path}: feature {spread.argmin()} is the same at all times: it must vary.")
    return np.asarray((series - series.mean(axis=0)) / spread)


@lru_cache(maxsize=1)
def _series_of(path: str, changed: int) -> NDArray[np.float32]:
    del changed  # only a part of the cache's key
    arrays = array_files.read(path)
    found = arrays.get("series", np.stack(list(arrays.values()), axis=1) if path.endswith(".parquet") else None)
    if found is None:
        raise UserError(f"task.path is {path}: it holds {listed(arrays)}; it must hold series.")
    return numbers(path, "series", found, "row")


@lru_cache(maxsize=1)
def _shipped() -> NDArray[np.float32]:
    try:
        from vega_datasets import local_data
    except ImportError:
        advice = "pip install 'attention-pipeline[series]', or name a file"
        raise UserError(f"task.path is null: that takes the package vega_datasets; {advice}.") from None
    frames = (local_data.sf_temps(), local_data.seattle_temps())
    return np.stack([frame["temp"].to_numpy(np.float32) for frame in frames], axis=1)

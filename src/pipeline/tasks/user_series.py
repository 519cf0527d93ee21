"""The article's key planted in the user's real sequences."""

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.results.splits import Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import Data
from pipeline.tasks import array_files, user_tables
from pipeline.tasks.array_files import listed, numbers
from pipeline.tasks.generators import Noise, plant


def planted_in_series(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    path: str | None = None,
    feature: int | None = None,
    noise: Noise = 0.0,
    ignore: list[str] | None = None,
) -> Samples:
    """Draw stretches of a long series, and plant the label in them as `planted_key` does.

    Each feature of the series is standardised to mean 0 and standard deviation 1; the first `data.input_dim` features
    are used. Stretches begin anywhere, and may overlap.

    Args:
        background: draws where stretches begin, and the noise.
        labels: draws the labels, both equally likely.
        samples: number of samples.
        data: the shape of the samples, the key step, and the coding of the key.
        path: of a file with the array `series` (length, features), or only one array, or in CSV and Parquet a column
            for each feature; None: a year of hourly temperatures in San Francisco and Seattle (2010), which the package
            vega_datasets ships.
        feature: the only feature that contains the key; None: all of them.
        noise: standard deviation of normal noise on the key.
        ignore: names of arrays or columns that are not read.

    Raises:
        UserError: if the series cannot be read, or does not fit.
    """
    series, name = _series(path, tuple(ignore or ())), path or "that of vega_datasets"
    for (parameter, value), most in zip(data.shape._asdict().items(), series.shape, strict=True):
        if value > most:
            advice = f"it must be at most {most}, as the series ({name}) has {series.shape}"
            raise UserError(f"data.{parameter} is {value}: {advice}.")
    starts = background.integers(0, len(series) - data.time_steps + 1, samples)
    x = series[starts[:, None] + np.arange(data.time_steps), : data.input_dim]
    return plant(x, background, labels, data, feature=feature, noise=noise)


def _series(path: str | None, ignore: tuple[str, ...] = ()) -> NDArray[np.float32]:
    """Return a series (length, features), each feature with mean 0 and standard deviation 1."""
    series = _shipped() if path is None else _series_of(path, array_files.changed(path), ignore)
    if series.ndim != 2 or not len(series):
        raise UserError(f"task.path is {path}: series is {series.shape}: it must be (length, features).")
    spread = series.std(axis=0)
    if not spread.all():
        raise UserError(f"task.path is {path}: feature {spread.argmin()} is the same at all times: it must vary.")
    return np.asarray((series - series.mean(axis=0)) / spread)


@lru_cache(maxsize=1)
def _series_of(path: str, changed: int, ignore: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the series that a file holds: the array `series`, the only array, or one column for each feature."""
    del changed  # only a part of the cache's key
    arrays = array_files.read(path, ignore)
    if path.endswith(array_files.TABLES) and "series" not in arrays:
        user_tables.check_features(path, arrays)
        return np.stack([numbers(path, f"column {name}", array, "row") for name, array in arrays.items()], axis=1)
    name = next(iter(arrays)) if len(arrays) == 1 else "series"
    if name not in arrays:
        raise UserError(f"task.path is {path}: it holds {listed(arrays)}; it must hold series, or one array only.")
    unread = [other for other in arrays if other != name]
    if unread:
        raise UserError(
            f"task.path is {path}: nothing reads {listed(unread)}, only series: take it out, or list it in task.ignore."
        )
    return numbers(path, "series", arrays[name], "row")


@lru_cache(maxsize=1)
def _shipped() -> NDArray[np.float32]:
    try:
        from vega_datasets import local_data
    except ImportError:
        advice = "pip install 'attention-pipeline[series]', or name a file"
        raise UserError(f"task.path is null: that takes the package vega_datasets; {advice}.") from None
    frames = (local_data.sf_temps(), local_data.seattle_temps())
    return np.stack([frame["temp"].to_numpy(np.float32) for frame in frames], axis=1)

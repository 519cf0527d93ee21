"""Tasks on the user's data: samples from a file, and the article's key planted in real sequences."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.results.splits import Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Data
from pipeline.tasks import array_files, user_labels, user_tables
from pipeline.tasks.array_files import Arrays, listed, numbers
from pipeline.tasks.generators import Noise, plant
from pipeline.tasks.user_tables import Found, Names

USUAL = ("x", "y", "mask")  # names of arrays
FIRST = ("arr_0", "arr_1", "arr_2")  # what NumPy calls arrays that are saved without a name


def samples_of_file(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    path: str,
    x: str | None = None,
    y: str | None = None,
    mask: str | None = None,
    sample: str | None = None,
    step: str | None = None,
    ignore: list[str] | None = None,
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
        path: of an .npz or Parquet file with the arrays (in Parquet, columns of lists) `x`, (samples, steps, features)
            or (samples, steps), `y`, a label per sample, and optionally `mask`, true at the key steps, (samples,
            steps) or (samples, steps, features); or of a CSV or Parquet file with plain columns: see `user_tables`.
        x: the name of x in the file, if it is another one.
        y: the name of y, or of the column with the labels, if it is another one.
        mask: the name of the mask, if it is another one.
        sample: the column that says to which sample a row belongs, in a table with a row per step.
        step: the column that says which step of the sample a row is, in such a table.
        ignore: names of arrays or columns that are not read.
        kind: "classification", whose two labels become 0 and 1, or "regression".
        tell: whether to print how the file was read, before its first sample, if that is not obvious.
        first: the position of the first sample in the order of samples, which starts again at its end.

    Raises:
        UserError: if the file cannot be read, or its arrays do not fit.
    """
    del background, labels
    names = Names(x, y, mask, sample, step, tuple(ignore or ()))
    every, form, said = _all_samples(path, array_files.changed(path), kind, names)
    for (name, wanted), found in zip(data.shape._asdict().items(), every[0].shape[1:], strict=True):
        if wanted != found:
            why = f"as x in {path} is {every[0].shape}" + (f" ({form})" if form else "")
            raise UserError(f"data.{name} is {wanted}: it must be {found}, {why}.")
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


@lru_cache(maxsize=1)
def _all_samples(path: str, changed: int, kind: str, names: Names) -> tuple[Samples, str, str]:
    """Return all samples of a file, the form that they have in it, and what to tell about it (empty if nothing).

    A `UserError` if they do not fit each other.
    """
    del changed  # only a part of the cache's key
    found = _found(path, array_files.read(path, names.ignore), names)
    x, mapped, reduced, mask = found.x, "", "", np.zeros(found.x.shape[:2], bool)
    if kind == REGRESSION:
        y = user_labels.targets(path, found.y, len(x))
    else:
        y, mapped = user_labels.classes(path, found.y, len(x))
    if found.mask is not None:
        mask = _mask(path, found.mask, x.shape)
        reduced = "a step is a key step where mask marks any of its features" if found.mask.ndim == 3 else ""
    return (x, y, mask), found.form, "; ".join(filter(None, (found.form, mapped, reduced)))


def _found(path: str, arrays: Arrays, names: Names) -> Found:
    """Return the samples of a file: a table of plain columns, or arrays with names."""
    is_table = path.endswith(array_files.TABLES) and all(array.ndim == 1 for array in arrays.values())
    if (names.sample is None) != (names.step is None):
        absent, present = ("sample", "step") if names.sample is None else ("step", "sample")
        advice = f"name a column, as task.{present} does, or set both to null"
        raise UserError(f"task.{absent} is null: {advice}.")
    if names.sample is not None and not is_table:
        raise UserError(f"task.sample is {names.sample}: it must be null, as {path} is not a table of plain columns.")
    if is_table:
        return (user_tables.wide if names.sample is None else user_tables.long)(path, arrays, names)
    return _arrays(path, arrays, names)


def _arrays(path: str, arrays: Arrays, names: Names) -> Found:
    """Return the samples in arrays, by their names; a `UserError` names those that nothing reads."""
    if path.endswith(".npy"):
        advice = 'save x and y together, with np.savez("own.npz", x=x, y=y)'
        raise UserError(f"task.path is {path}: an .npy file holds one array: {advice}.")
    unnamed = names.x is None and "x" not in arrays and "arr_0" in arrays
    usual = [
        name if name in arrays else first if unnamed and first in arrays else None
        for name, first in zip(USUAL, FIRST, strict=True)
    ]
    read = {option: name or other for option, name, other in zip(USUAL, names[:3], usual, strict=True)}
    user_tables.chosen(path, arrays, read)
    x, y, mask = (None if name is None else arrays[name] for name in read.values())
    if x is None or y is None:
        advice = "name them in task.x and task.y if they have other names"
        raise UserError(f"task.path is {path}: it holds {listed(arrays)}; it must hold x and y: {advice}.")
    unread = [name for name in arrays if name not in read.values()]
    if unread:
        known = listed(name for name in read.values() if name is not None)
        advice = "name it in task.x, task.y or task.mask, or list it in task.ignore"
        raise UserError(f"task.path is {path}: nothing reads {listed(unread)}, only {known}: {advice}.")
    form = " and ".join(f"{name} is {option}" for option, name in read.items() if name) if unnamed else ""
    x = x[:, :, None] if x.ndim == 2 else x
    if x.ndim != 3 or not len(x):
        advice = "it must be (samples, time steps, features), or (samples, time steps) of one feature"
        raise UserError(f"task.path is {path}: x is {x.shape}: {advice}.")
    return Found(numbers(path, "x", x), y, mask, form)


def _mask(path: str, mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a valid mask as one of steps, (samples, steps); `shape` is that of x."""
    if mask.shape not in (shape, shape[:2]) or mask.dtype.kind not in "biuf":
        wanted = f"it must be {shape[:2]}, or {shape}, of true and false"
        raise UserError(f"task.path is {path}: mask is {mask.dtype} {mask.shape}: {wanted}.")
    soft = mask[~np.isin(mask, (0, 1))]
    if len(soft):
        raise UserError(
            f"task.path is {path}: mask holds {soft[0]:g}: it must be 0 or 1; save mask > 0.5, for example."
        )
    marked = np.asarray(mask.astype(bool).reshape(*shape[:2], -1).any(axis=2), bool)
    if not marked.any():
        advice = "it must mark the key steps of some samples, or be left out"
        raise UserError(f"task.path is {path}: mask marks nothing: {advice}.")
    if marked.all():
        advice = "it must distinguish key steps from others, or be left out"
        raise UserError(f"task.path is {path}: mask marks every step: {advice}.")
    return marked


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

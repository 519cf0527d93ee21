"""The task on the user's own samples: those of a file."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.results.padding import some_valid
from pipeline.results.splits import Meaning, Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Data
from pipeline.tasks import array_files, user_labels, user_lengths, user_masks, user_scale, user_splits, user_tables
from pipeline.tasks.array_files import Arrays, listed, numbers
from pipeline.tasks.user_scale import Scale, Standardise
from pipeline.tasks.user_splits import Given, Rows
from pipeline.tasks.user_tables import Found, Names

USUAL = ("x", "y", "mask", "split", "groups", "lengths")  # names of arrays
FIRST = ("arr_0", "arr_1", "arr_2", "", "", "")  # what NumPy calls arrays that are saved without a name


class OfFile(NamedTuple):
    """All samples of a file: `classes` are the names of their classes, if they have any; `form` is how they are kept.

    `given` are the sides and groups that the file gives; `said` is what to tell about all this, empty if nothing.
    """

    samples: Samples
    classes: tuple[str, ...]
    given: Given
    form: str
    said: list[str]


class Prepared(NamedTuple):
    """The rows of a file in the order in which a study takes them, and the scale on which it trains.

    `scales` is "x" or "y" -> its scale, where it has another one than in the file; `said` is what to tell.
    """

    rows: Rows
    scales: dict[str, Scale]
    said: str


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
    split: str | None = None,
    groups: str | None = None,
    standardise: Standardise = "auto",
    padded: bool = False,
    lengths: str | None = None,
    kind: str = CLASSIFICATION,
    tell: bool = False,
    first: int = 0,
) -> Samples:
    """Return samples of a file in an order drawn from `data.seed`, so that each belongs to one split only.

    In a classification each class has about the same share of every split.

    Args:
        background: not used.
        labels: not used.
        samples: number of samples.
        data: the shape of the samples, and the seed.
        path: of an .npz or Parquet file, or a folder of .npy files, with the arrays (in Parquet, columns of lists)
            `x`, (samples, steps, features) or (samples, steps), `y`, a label per sample, and optionally `mask`, true
            at the key steps, (samples, steps) or (samples, steps, features); or of a CSV or Parquet file with plain
            columns: see `user_tables`.
        x: the name of x in the file, if it is another one.
        y: the name of y, or of the column with the labels, if it is another one.
        mask: the name of the mask, if it is another one.
        sample: the column that says to which sample a row belongs, in a table with a row per step.
        step: the column that says which step of the sample a row is, in such a table.
        ignore: names of arrays or columns that are not read.
        split: the name of what says of each sample whether it is to train, validate or test on, if it is not `split`.
        groups: the name of what says which samples belong together, on one side only, if it is not `groups`.
        standardise: whether x, and y of a regression, get mean 0 and standard deviation 1: see `user_scale.scale_of`.
        padded: whether samples may end before the last step: where x is NaN from there on, a list or a table has fewer
            steps, or `lengths` says so. What follows is `PADDING`.
        lengths: the name of the array that says after how many steps each sample ends, if it is not `lengths`.
        kind: "classification", whose labels become 0, 1 and so on, or "regression".
        tell: whether to print how the file was read, before its first sample, if that is not obvious.
        first: the position of the first sample in the order of samples, which starts again at its end.

    Raises:
        UserError: if the file cannot be read, or its arrays do not fit.
    """
    del background, labels
    names = Names(x, y, mask, sample, step, tuple(ignore or ()), split, groups, standardise, lengths, padded)
    file = _all_samples(path, array_files.changed(path), kind, names)
    shape = file.samples[0].shape
    for (name, wanted), found in zip(data.shape._asdict().items(), shape[1:], strict=True):
        if wanted != found:
            why = f"as x in {path} is {shape}" + (f" ({file.form})" if file.form else "")
            raise UserError(f"data.{name} is {wanted}: it must be {found}, {why}.")
    least = "data.samples and probe.samples together, and controls.null_key_samples,"
    if samples > shape[0]:
        raise UserError(f"task.path is {path}: it has {shape[0]} samples, not {samples}; {least} may be no more.")
    prepared = _prepared(path, array_files.changed(path), kind, names, data)
    count = len(prepared.rows)
    if samples > count:
        found = f"its split or groups leave {count} of its {shape[0]} samples, not {samples}"
        raise UserError(f"task.path is {path}: {found}; {least} may be no more.")
    if tell and prepared.said and not first:
        print(f"task.path is {path}: {prepared.said}.")
    rows = prepared.rows.take(np.arange(first, first + samples), mode="wrap")
    scales, (all_x, all_y, all_mask) = prepared.scales, file.samples
    found_x, found_y = all_x[rows], all_y[rows]
    return (
        scales["x"].applied(found_x) if "x" in scales else found_x,
        scales["y"].applied(found_y[:, None])[:, 0] if "y" in scales else found_y,
        all_mask[rows],
    )


def meaning_of_file(data: Data, path: str, kind: str, ignore: list[str] | None = None, **options: Any) -> Meaning:
    """Return what the numbers in `samples_of_file` mean, given the same options."""
    names = Names(**options, ignore=tuple(ignore or ()))
    changed = array_files.changed(path)
    scales = _prepared(path, changed, kind, names, data).scales
    classes = _all_samples(path, changed, kind, names).classes
    return Meaning(classes, {name: scale._asdict() for name, scale in scales.items()})


@lru_cache(maxsize=1)
def _all_samples(path: str, changed: int, kind: str, names: Names) -> OfFile:
    """Return all samples of a file; a `UserError` if they do not fit each other."""
    del changed  # only a part of the cache's key
    found = _found(path, array_files.read(path, names.ignore, names.padded), names)
    if names.padded:
        x, ends = user_lengths.marked(path, found.x, found.lengths)
    else:
        x, ends = found.x, user_lengths.hint(found.x)
    said, mask = [found.form, ends], np.zeros(x.shape[:2], bool)
    classes: tuple[str, ...] = ()
    if kind == REGRESSION:
        y = user_labels.targets(path, found.y, len(x))
    else:
        y, classes, mapped = user_labels.classes(path, found.y, len(x))
        said.append(mapped)
    if found.mask is not None:
        mask = user_masks.checked(path, user_masks.of_steps(user_masks.checked(path, found.mask, x)), x)
        said.append("a step is a key step where mask marks any of its features" if found.mask.ndim == 3 else "")
    told = {"split": "split says which samples are trained on", "groups": "no value of groups is on two sides"}
    said += [words for name, words in told.items() if getattr(found.given, name) is not None]
    said += [
        f"feature {feature} is large and never falls within a sample: if it is a time, leave it out, or subtract its "
        "first value in each sample"
        for feature in user_scale.times(x)
    ]
    return OfFile((x, y, mask), classes, found.given, found.form, said)


@lru_cache(maxsize=2)  # the null key takes another number of samples
def _prepared(path: str, changed: int, kind: str, names: Names, data: Data) -> Prepared:
    """Return how a study takes the samples of a file; a `UserError` if there are too few of them."""
    file = _all_samples(path, changed, kind, names)
    x, y, _ = file.samples
    rows: Rows = user_splits.order(path, None if kind == REGRESSION else y, file.given, data, len(x))
    training = rows[: data.train_samples]
    found = {"x": user_scale.scale_of(_unpadded(x[training]), names.standardise)}
    if kind == REGRESSION:
        found["y"] = user_scale.scale_of(y[training, None], names.standardise)
    scales = {name: scale for name, scale in found.items() if scale is not None}
    said = [*file.said, *(user_scale.said(name, scale, names.standardise) for name, scale in found.items())]
    return Prepared(rows, scales, "; ".join(filter(None, said)))


def _unpadded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples as they are, or, if steps are padded, all steps that are not, (steps, features)."""
    valid = some_valid(x)
    return x if valid is None else x[valid]


def _found(path: str, arrays: Arrays, names: Names) -> Found:
    """Return the samples of a file: a table of plain columns, or arrays with names."""
    is_table = path.endswith(array_files.TABLES) and all(array.ndim == 1 for array in arrays.values())
    if (names.sample is None) != (names.step is None):
        absent, present = ("sample", "step") if names.sample is None else ("step", "sample")
        advice = f"name a column, as task.{present} does, or set both to null"
        raise UserError(f"task.{absent} is null: {advice}.")
    if names.sample is not None and not is_table:
        raise UserError(f"task.sample is {names.sample}: it must be null, as {path} is not a table of plain columns.")
    if is_table and names.lengths is not None:
        raise UserError(f"task.lengths is {names.lengths}: it must be null, as {path} is a table of plain columns.")
    if is_table:
        return (user_tables.wide if names.sample is None else user_tables.long)(path, arrays, names)
    return _arrays(path, arrays, names)


def _arrays(path: str, arrays: Arrays, names: Names) -> Found:
    """Return the samples in arrays, by their names; a `UserError` names those that nothing reads."""
    if path.endswith(".npy"):
        advice = "name a folder that holds x.npy and y.npy"
        raise UserError(f"task.path is {path}: an .npy file holds one array: {advice}.")
    unnamed = names.x is None and "x" not in arrays and "arr_0" in arrays
    usual = [
        name if name in arrays else first if unnamed and first in arrays else None
        for name, first in zip(USUAL, FIRST, strict=True)
    ]
    wanted = (getattr(names, option) for option in USUAL)
    read = {option: name or other for option, name, other in zip(USUAL, wanted, usual, strict=True)}
    user_tables.chosen(path, arrays, read)
    x, y, mask, split, groups, lengths = (None if name is None else arrays[name] for name in read.values())
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
    if not names.padded:
        user_lengths.refuse(path, x, read["lengths"])
        x = numbers(path, "x", x)
    return Found(x, y, mask, form, Given(split, groups), lengths)

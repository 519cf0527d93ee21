"""Samples in tables of plain columns: a row for each sample, or a row for each step of a sample."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import UserError
from pipeline.tasks.array_files import Arrays, listed, numbers
from pipeline.tasks.user_scale import Standardise
from pipeline.tasks.user_splits import Given

Array = NDArray[Any]


class Names(NamedTuple):
    """Options of the task `file`: names of arrays or columns, None where there is none or it has its usual name.

    `standardise` is whether numbers are standardised, `padded` whether samples may be of different lengths.
    """

    x: str | None = None
    y: str | None = None
    mask: str | None = None
    sample: str | None = None
    step: str | None = None
    ignore: tuple[str, ...] = ()
    split: str | None = None
    groups: str | None = None
    standardise: Standardise = "auto"
    lengths: str | None = None
    padded: bool = False


class Found(NamedTuple):
    """What a file holds, before all but x is checked, and how it was read.

    x (samples, steps, features), float32, or with NaN after the ends of samples that may be of different lengths; y one
    entry per sample; mask (samples, steps), (samples, steps, features) or None; form: a part of a sentence, empty if
    arrays have their usual names; given: sides and groups of the samples; lengths (samples,): after how many steps each
    sample ends, where the file says so.
    """

    x: NDArray[np.float32]
    y: Array
    mask: Array | None
    form: str
    given: Given = Given()
    lengths: Array | None = None


def chosen(path: str, arrays: Arrays, options: dict[str, str | None]) -> None:
    """Raise a `UserError` if options name an array or column that is not there, or the same one twice."""
    named = {option: name for option, name in options.items() if name is not None}
    for option, name in named.items():
        if name not in arrays:
            raise UserError(f"task.{option} is {name}: {path} holds {listed(arrays)}.")
        if list(named.values()).count(name) > 1:
            both = [f"task.{other}" for other, same in named.items() if same == name]
            raise UserError(f"task.{option} is {name}: only one of {' and '.join(both)} may be.")


def wide(path: str, columns: Arrays, names: Names) -> Found:
    """Return the samples of a table with a row per sample: each column but the label is a step of one feature.

    Raises:
        UserError: if there is no label, a column is not of numbers or has no name, or a mask is named.
    """
    label = _label(path, columns, names)
    for option, name in (("mask", names.mask or ("mask" if "mask" in columns else None)), ("x", names.x)):
        if name is not None:
            advice = "set task.sample and task.step for a row per step, or list it in task.ignore"
            other = "every column but the label is a step of x"
            raise UserError(
                f"task.path is {path}: {name} cannot be the {option} of a row per sample ({other}): {advice}."
            )
    sides = _sides(columns, names)
    chosen(path, columns, {"y": label, **sides})
    steps = {name: column for name, column in columns.items() if name not in (label, *sides.values())}
    check_features(path, steps)
    read = [column if names.padded else numbers(path, f"column {name}", column) for name, column in steps.items()]
    x = np.stack(read, axis=1)
    form = f"a row is a sample and {len(steps)} columns, {listed(steps)}, are the steps of one feature"
    given = Given(*(None if name is None else columns[name] for name in sides.values()))
    return Found(x[:, :, None], columns[label], None, form, given)


def long(path: str, columns: Arrays, names: Names) -> Found:
    """Return the samples of a table with a row per sample and step, in any order: all other columns are features.

    The columns that the options `sample` and `step` name say which one a row is. Samples are in the order in which the
    table has them first, steps in ascending order. The label is the same in all rows of a sample; the mask, if there
    is one, tells of each row whether it is a key step.

    Raises:
        UserError: if an option names no column, a sample has not each step once, or has several labels, or a column is
            not of numbers.
    """
    label, mask = _label(path, columns, names), names.mask or ("mask" if "mask" in columns else None)
    sides = _sides(columns, names)
    roles = {"y": label, "mask": mask, "sample": names.sample, "step": names.step, **sides}
    chosen(path, columns, roles)
    if names.x is not None:
        raise UserError(
            f"task.x is {names.x}: it must be null, as all columns of a row per step but these are features."
        )
    features = {name: column for name, column in columns.items() if name not in roles.values()}
    check_features(path, features)
    rows, valid = _order(path, columns, names)
    x = np.stack([numbers(path, f"column {name}", column, "row") for name, column in features.items()], axis=1)
    x, ids = x[rows], columns[str(names.sample)][rows[:, 0]]
    x[~valid] = np.nan
    y, *given = (
        None if name is None else _constant(path, name, columns[name][rows], ids, what)
        for what, name in (("label", label), *sides.items())
    )
    assert y is not None
    marked = None if mask is None else np.where(valid, columns[mask][rows], False)
    form = f"each {names.sample} is a sample, each {names.step} a step, and its features are {listed(features)}"
    return Found(x, y, marked, form, Given(*given))


def _sides(columns: Arrays, names: Names) -> dict[str, str | None]:
    """Return the columns with the side and the group of each sample, None where there is none."""
    usual = {name: name if name in columns else None for name in Given._fields}
    return {"split": names.split or usual["split"], "groups": names.groups or usual["groups"]}


def _label(path: str, columns: Arrays, names: Names) -> str:
    chosen(path, columns, {"y": names.y})
    if names.y is None and "y" not in columns:
        advice = "name the column with the labels in task.y"
        if names.sample is None:
            advice += ", and if a row is one step of a sample, say in task.sample and task.step which"
        raise UserError(f"task.path is {path}: it holds {listed(columns)}; it must hold y: {advice}.")
    return names.y or "y"


def check_features(path: str, columns: Arrays) -> None:
    """Raise a `UserError` for columns that are no features of numbers."""
    if not columns:
        raise UserError(f"task.path is {path}: no column of numbers is left.")
    for name, column in columns.items():
        if name.startswith("Unnamed: "):  # how pandas calls a column whose name is empty
            advice = f'list "{name}" in task.ignore if it is only an index'
            raise UserError(f"task.path is {path}: a column has no name: give it one, or {advice}.")
        if column.dtype.kind not in "fiub":
            advice = "it must be of numbers, or have another role, or be listed in task.ignore"
            raise UserError(f"task.path is {path}: column {name} is of type {column.dtype}: {advice}.")


def _order(path: str, columns: Arrays, names: Names) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return which row each step of each sample is, and whether the sample has that step, both (samples, steps).

    A step that a sample does not have is its last row.
    """
    import pandas as pd

    sample, step = str(names.sample), str(names.step)

    samples, ids = pd.factorize(columns[sample])
    steps, times = pd.factorize(_times(path, step, columns[step]), sort=True)
    for name, codes in ((sample, samples), (step, steps)):
        if (codes < 0).any():
            found = f"missing in {(codes < 0).sum()} of {len(codes)} rows (the first is row {codes.argmin()})"
            raise UserError(f"task.path is {path}: {name} is {found}: each row must have one.")
    order = np.lexsort((steps, samples))
    lengths = np.bincount(samples, minlength=len(ids))
    expected = np.arange(len(times))
    valid = expected < lengths[:, None]
    rows = order[(np.cumsum(lengths) - lengths)[:, None] + np.minimum(expected, lengths[:, None] - 1)]
    wrong = ((steps[rows] != expected) & valid).any(axis=1) | (lengths > len(times))
    bad = np.flatnonzero(wrong if names.padded else wrong | (lengths != len(times)))
    if len(bad) and names.padded:
        found = f"{len(bad)} of {len(ids)} samples have not the first values of {step}, each once and without a gap"
        advice = "number the steps of each sample from 0"
        raise UserError(f"task.path is {path}: {found} (the first is {sample} {ids[bad[0]]}): {advice}.")
    if len(bad):
        found = f"{len(bad)} of {len(ids)} samples have not each of the {len(times)} values of {step} once"
        first = f"the first is {sample} {ids[bad[0]]}, with {lengths[bad[0]]} rows"
        raise UserError(
            f"task.path is {path}: {found} ({first}); all must have the same steps, unless task.padded is true."
        )
    return rows, valid


def _times(path: str, name: str, steps: Array) -> Array:
    """Return steps as numbers or times, which have an order; as texts, 10 would come before 2."""
    import pandas as pd

    if steps.dtype.kind != "O":
        return steps
    try:
        return pd.to_datetime(pd.Series(steps), format="ISO8601").to_numpy()
    except (ValueError, TypeError) as error:
        advice = "it must be of numbers, or of dates and times such as 2026-01-31 12:00"
        raise UserError(f"task.step is {name}: this column holds texts: {advice}.") from error


def _constant(path: str, name: str, rows: Array, ids: Array, what: str = "label") -> Array:
    """Return what a column says of each sample, such as its label, from its rows (samples, steps)."""
    import pandas as pd

    first = rows[:, :1]
    several = np.flatnonzero(((rows != first) & ~(pd.isna(rows) & pd.isna(first))).any(axis=1))
    if len(several):
        found = (
            f"{name} differs between the rows of {len(several)} of {len(rows)} samples (the first is {ids[several[0]]})"
        )
        raise UserError(f"task.path is {path}: {found}; a sample has one {what}.")
    return np.asarray(rows[:, 0])

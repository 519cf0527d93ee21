"""Labels in the user's files, in the forms that people keep them in: classes, or numbers to predict."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import UserError
from pipeline.tasks.array_files import listed, numbers

KEPT = 0.99  # of different labels that float32 must keep apart
MOST = 100  # classes
CLASS = "a class must be a whole number, true or false, or a text"

Array = NDArray[Any]


class Classes(NamedTuple):
    """Labels of classes: `y` (samples,) is the position of a sample's class in `names`, which are in sorted order.

    There are no names if the labels in the file are 0 and 1. `said` is a part of a sentence: what became which number.
    """

    y: NDArray[np.float32]
    names: tuple[str, ...]
    said: str


def classes(path: str, y: Array, samples: int) -> Classes:
    """Return labels as classes: their positions, from 0, in the sorted order of the different labels.

    Args:
        path: of the file, for errors.
        y: texts, numbers or booleans, (samples,) or (samples, 1), or one-hot, (samples, classes).
        samples: how many labels there must be.

    Raises:
        UserError: if labels are missing, not classes, all the same, or of more than `MOST` classes.
    """
    if _one_hot(y) and len(y) == samples:
        count = y.shape[1]
        empty = np.flatnonzero(~y.any(axis=0))
        if len(empty):
            words = f"no sample is of the class of its column {empty[0]}: leave that column out"
            raise UserError(f"task.path is {path}: y is one-hot, (samples, {count}), but {words}.")
        said = "y is [1, 0] for 0 and [0, 1] for 1" if count == 2 else f"y is one-hot, of {count} classes"
        return Classes(y.argmax(axis=1).astype(np.float32), tuple(f"column {n}" for n in range(count)), said)
    y = _column(path, y, samples)
    _check_classes(path, y)
    found = _sorted(y)
    names = tuple(_shown(label) for label in found)
    if len(found) > min(MOST, samples // 2):
        number = "" if isinstance(found[0], str) else "; for numbers to predict, set task.kind=regression"
        limit = f"at most {MOST}, and each of two samples or more on average"
        words = f"y has {len(found)} classes ({listed(names)}): there may be {limit}; merge some"
        raise UserError(f"task.path is {path}: {words}{number}.")
    if len(found) < 2:
        raise UserError(f"task.path is {path}: y is {names[0]} in all samples: there is nothing to learn.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"task.path is {path}: y holds {twice} both as a text and as a number: {CLASS}, not both.")
    if found == [0, 1] and y.dtype.kind != "b":
        return Classes(y.astype(np.float32), (), "")
    place = {label: number for number, label in enumerate(found)}
    numbered = [f"{name} for {number}" for number, name in enumerate(names)]
    if len(found) == 2:
        said = f"y is {numbered[0]} and {numbered[1]}"
    else:
        obvious = found == list(range(len(found)))
        said = f"y is of {len(found)} classes" + ("" if obvious else f": {listed(numbered)}")
    return Classes(np.array([place[label] for label in y.tolist()], np.float32), names, said)


def targets(path: str, y: Array, samples: int) -> NDArray[np.float32]:
    """Return the numbers of a regression as they are, (samples,).

    Args:
        path: of the file, for errors.
        y: numbers, (samples,) or (samples, 1).
        samples: how many labels there must be.

    Raises:
        UserError: if labels are missing, not numbers, all the same, or so close to each other, far from 0, that
            float32 would merge them.
    """
    y = _column(path, y, samples)
    found = numbers(path, "y", y)
    different, kept = np.unique(y), np.unique(found)
    centred = np.unique((different - y.mean(dtype=np.float64)).astype(np.float32))
    if len(kept) < KEPT * len(centred):
        merged = np.flatnonzero(np.diff(different.astype(np.float32)) == 0)[0]
        example = f"such as {_shown(different[merged].item())} and {_shown(different[merged + 1].item())}"
        lost = f"float32 would merge its {len(different)} different values into {len(kept)}, {example}"
        raise UserError(f"task.path is {path}: y is too far from 0: {lost}; subtract their mean.")
    if len(kept) < 2:
        raise UserError(f"task.path is {path}: y is {found[0]:g} in all samples: there is nothing to learn.")
    return found


def _column(path: str, y: Array, samples: int) -> Array:
    """Return labels (samples,); a `UserError` if they have another shape or some are missing."""
    import pandas as pd

    if y.shape not in ((samples,), (samples, 1)):
        wanted = f"it must be {(samples,)}, a label for each sample of x"
        raise UserError(f"task.path is {path}: y is {y.shape}: {wanted}.")
    y = y.reshape(samples)
    missing = np.flatnonzero(pd.isna(y))
    if len(missing):
        found = f"missing (NaN or None) in {len(missing)} of {samples} samples (the first is sample {missing[0]})"
        raise UserError(f"task.path is {path}: y is {found}: leave these samples out, or give each a label.")
    return y


def _one_hot(y: Array) -> bool:
    return bool(
        y.ndim == 2
        and y.shape[1] > 1
        and y.dtype.kind in "biuf"
        and np.isin(y, (0, 1)).all()
        and (y.sum(axis=1) == 1).all()
    )


def _check_classes(path: str, y: Array) -> None:
    """Raise a `UserError` for labels (samples,) that are no classes."""
    if y.dtype.kind not in "biufUO":
        raise UserError(f"task.path is {path}: y is of type {y.dtype}: {CLASS}.")
    if y.dtype.kind == "O":
        odd = [type(label).__name__ for label in y if not isinstance(label, str | int | float)]
        if odd:
            raise UserError(f"task.path is {path}: y holds a value of type {odd[0]}: {CLASS}.")
    if y.dtype.kind == "f":
        fractions = np.flatnonzero(~np.isfinite(y) | (y != np.trunc(y)))
        if len(fractions):
            found = f"y is {y[fractions[0]]:g} in sample {fractions[0]}"
            raise UserError(f"task.path is {path}: {found}: {CLASS}; for numbers to predict, set task.kind=regression.")


def _sorted(y: Array) -> list[Any]:
    """Return the different labels in order; texts and numbers together are in the order of their texts."""
    found = set(y.tolist())
    texts = any(isinstance(label, str) for label in found)
    return sorted(found, key=str if texts else None)


def _shown(label: Any) -> str:
    """Return a label in words: 2 also for 2.0, and no digits lost."""
    whole = isinstance(label, float) and abs(label) < 1e15 and label == int(label)
    return " ".join(str(int(label) if whole else label).split()) or "(empty)"

"""Which samples of a file are trained on, held out, or probed: stratified, and as the file's split and groups say."""

from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.settings.project import UserError
from pipeline.settings.schema import Data

Array = NDArray[Any]
Rows = NDArray[np.intp]
TRAIN, VALIDATION, TEST = ("train", "training"), ("validation", "valid", "val", "dev"), ("test", "testing")


class Given(NamedTuple):
    """What a file says about its samples: the side and the group of each one, (samples,), or None."""

    split: Array | None = None
    groups: Array | None = None


def order(path: str, classes: NDArray[np.float32] | None, given: Given, data: Data, samples: int) -> Rows:
    """Return the rows of a file in the order in which a study takes them: training, validation, then the others.

    The order is drawn from `data.seed`. If labels are classes, each has the same share of every part, but for rounding
    and the size of groups. Not in it are samples that are left over on a side that the file gives, or in a group.

    Args:
        path: of the file, for errors.
        classes: labels (samples,); None for a regression.
        given: which sides the samples are on, and which groups they belong to. If no sample is on the validation side,
            the test side has the validation samples, too.
        data: the numbers of training and validation samples, and the seed.
        samples: how many there are in the file.

    Raises:
        UserError: if sides or groups are missing or do not fit, or are too small for the numbers.
    """
    rng = default_rng(data.seed)
    is_given = any(array is not None for array in given)
    if classes is None and not is_given:
        return rng.permutation(samples)
    labels = np.zeros(samples) if classes is None else classes
    units = np.arange(samples) if given.groups is None else _numbered(path, given.groups, samples)
    wanted = {"train": data.train_samples, "validation": data.validation_samples, "others": samples}
    parts: dict[str, Rows] = {}
    for names, side in _sides(path, given.split, units).items():
        rows = _mixed(side, units, labels, rng)
        for name in names:
            taken, rows = _take(rows, units, wanted[name])
            parts[name] = taken if name == "others" else rng.permutation(taken)
    for name in ("train", "validation"):
        if len(parts[name]) < wanted[name] and is_given:
            found = f"its split or groups leave {len(parts[name])} samples for {name}"
            raise UserError(
                f"task.path is {path}: {found}: data.samples and data.validation_share ask for {wanted[name]}."
            )
    return np.concatenate([parts["train"], parts["validation"], parts["others"]])


def _sides(path: str, split: Array | None, units: Rows) -> dict[tuple[str, ...], Rows]:
    """Return which parts of a study are taken from which rows of a file."""
    if split is None:
        return {("train", "validation", "others"): np.arange(len(units))}
    words = np.char.lower(_complete(path, "split", split, len(units)).astype(str))
    unknown = split[~np.isin(words, (*TRAIN, *VALIDATION, *TEST))]
    if len(unknown):
        raise UserError(f"task.path is {path}: split holds {unknown[0]}: it must be train, validation or test.")
    train, validation, test = (np.flatnonzero(np.isin(words, names)) for names in (TRAIN, VALIDATION, TEST))
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise UserError(f"task.path is {path}: split is {name} for no sample: it must be for some.")
    for one, other in ((train, validation), (train, test), (validation, test)):
        both = np.isin(units[one], units[other])
        if both.any():
            found = f"sample {one[both][0]} has samples of its group on another side of split"
            raise UserError(f"task.path is {path}: {found}: a group must be on one side.")
    if len(validation):
        return {("train",): train, ("validation",): validation, ("others",): test}
    return {("train",): train, ("validation", "others"): test}


def _numbered(path: str, groups: Array, samples: int) -> Rows:
    """Return the number of each sample's group, (samples,)."""
    import pandas as pd

    numbers = pd.factorize(_complete(path, "groups", groups, samples))[0]
    if numbers.max() < 2:
        found = f"groups has {numbers.max() + 1} different values"
        raise UserError(f"task.path is {path}: {found}: training, validation and probe need at least one each.")
    return np.asarray(numbers, np.intp)


def _complete(path: str, name: str, array: Array, samples: int) -> Array:
    """Return what a file says of each sample, (samples,); a `UserError` if it has another shape or some is missing."""
    import pandas as pd

    if array.shape not in ((samples,), (samples, 1)):
        raise UserError(f"task.path is {path}: {name} is {array.shape}: it must be {(samples,)}, one for each sample.")
    array = array.reshape(samples)
    missing = np.flatnonzero(pd.isna(array))
    if len(missing):
        found = f"missing (NaN or None) in {len(missing)} of {samples} samples (the first is sample {missing[0]})"
        raise UserError(f"task.path is {path}: {name} is {found}: give each sample one.")
    return array


def _mixed(rows: Rows, units: Rows, labels: Array, rng: Generator) -> Rows:
    """Return rows in random order, those of a unit together, and each class spread evenly.

    A unit, which is a sample or a group of them, counts for its most frequent label.
    """
    shuffled = rng.permutation(rows)
    values, label = np.unique(labels[shuffled], return_inverse=True)
    _, first, unit = np.unique(units[shuffled], return_index=True, return_inverse=True)
    pairs, sizes = np.unique(unit * len(values) + label, return_counts=True)
    by_size = pairs[np.argsort(sizes, kind="stable")]
    main = np.zeros(len(first), int)
    main[by_size // len(values)] = by_size % len(values)  # of a unit's labels, the most frequent one is the last
    place = np.zeros(len(first))
    for number in range(len(values)):
        own = np.flatnonzero(main == number)
        own = own[np.argsort(first[own])]  # in the order in which they were shuffled
        place[own] = (np.arange(len(own)) + rng.random()) / max(len(own), 1)
    ranks = np.argsort(np.argsort(place, kind="stable"))
    return shuffled[np.argsort(ranks[unit], kind="stable")]


def _take(rows: Rows, units: Rows, count: int) -> tuple[Rows, Rows]:
    """Return the first of some rows, and the others, without those of the last one's unit."""
    taken, others = rows[:count], rows[count:]
    return taken, others[units[others] != units[taken[-1]]] if len(taken) else others

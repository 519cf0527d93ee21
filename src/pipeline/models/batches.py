"""Batches of samples in random order."""

from collections.abc import Iterator
from itertools import islice
from math import prod
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.results.splits import Split
from pipeline.settings.schema import Train

SHUFFLED_BATCHES = 64  # batches read and shuffled at a time, at most
GROUP = 64  # batches that train in one program, at most
NUMBERS = 2**24  # in batches that are read or train at a time, at most: large samples must fit in memory


def shuffled_batches(split: Split, train: Train, rng: Generator) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the samples of all epochs in random order, some full batches at a time.

    Stretches of `SHUFFLED_BATCHES` batches, fewer if samples are large, are taken in random order, and the samples
    within each are shuffled, so that memory does not grow with the number of samples. An incomplete batch at the end is
    left out.

    Yields:
        `x` (batches, batch_size, steps, features) and `y` (batches, batch_size, 1).
    """
    size = train.batch_size
    stretch = size * min(SHUFFLED_BATCHES, _batches_in_memory(split, train))
    starts = np.arange(0, split.samples, stretch)
    for start in np.concatenate([rng.permutation(starts) for _ in range(train.epochs)]):
        x, y = (split.rows(name, start, start + stretch) for name in ("x", "y"))
        order = rng.permutation(len(x))[: len(x) // size * size]
        yield x[order].reshape(-1, size, *x.shape[1:]), y[order].reshape(-1, size, 1)


def groups(
    split: Split, train: Train, rng: Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], int]]:
    """Yield the batches of all epochs in groups of up to `GROUP`, fewer if samples are large.

    No group extends past a point of the training curve.

    Yields:
        `x` (group, batch_size, steps, features) and `y` (group, batch_size, 1), always of the same shapes, and the
        number of batches in them; the rest is padding.
    """
    size, seen = min(GROUP, train.log_every, _batches_in_memory(split, train)), 0
    stretches = shuffled_batches(split, train, rng)
    batches = ((x[i], y[i]) for x, y in stretches for i in range(len(x)))
    while taken := list(islice(batches, min(size, train.log_every - seen % train.log_every))):
        x, y = (np.zeros((size, *part.shape), np.float32) for part in taken[0])
        for i, batch in enumerate(taken):
            x[i], y[i] = batch
        seen += len(taken)
        yield x, y, len(taken)


def _batches_in_memory(split: Split, train: Train) -> int:
    """Return how many batches hold `NUMBERS` numbers, at least 1."""
    return max(1, NUMBERS // (train.batch_size * prod(split.mapped("x").shape[1:])))

"""What predictions do when a trained model gets other attention, or when what it attends to is removed.

A trained model is given as functions of arrays: `head` maps weighted values (samples, steps, features) to outputs
(samples,), `tail` maps the values that attention weighs to outputs, attention included. Outputs are logits, of more
than two classes (samples, classes), or the numbers that a regression predicts. If steps are padded, `valid` (samples,
steps) is false there, values are 0, and the functions know where. `values` and `weights` are (samples, steps,
features); `at` (samples,) are time steps.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.measures.attribution import PROGRESS, mean_of_valid
from pipeline.results.padding import Valid

Array = NDArray[np.floating]
Function = Callable[[Array], Array]
CANDIDATES = 20  # steps at which `most_different` tries to put the attention, at most
EXACT, TINY = 1e-4, 0.01  # error of a sum over the steps, as a share of what they add, or of this if that is less
PARTS = (0.0, 0.25, 0.5, 0.75)  # of its own attention that a sample keeps there


def permuted(  # noqa: PLR0913, PLR0917 (as the others here, and what it draws)
    head: Function, values: Array, weights: Array, rng: Generator, permutations: int, valid: Valid = None
) -> Array:
    """Return the outputs with each sample's attention shuffled over the steps, (permutations, samples).

    `rng` draws the permutations of the steps, one for each sample; a sample's features are shuffled alike.

    Source: Jain & Wallace (2019), "Attention is not explanation".
    """
    last = np.zeros(1) if valid is None else ~valid  # padding is at the end, and stays there
    orders = ((rng.random(weights.shape[:2]) + last).argsort(axis=1)[:, :, None] for _ in range(permutations))
    return np.stack([head(values * np.take_along_axis(weights, order, axis=1)) for order in orders])


def averaged(head: Function, values: Array, weights: Array) -> Array:
    """Return the outputs (samples,) if every sample gets the mean attention of all: a mask of positions."""
    return head(values * weights.mean(axis=0, dtype=np.float64).astype(weights.dtype))


def removed(tail: Function, values: Array, at: NDArray[np.int64], valid: Valid = None) -> Array:
    """Return the outputs (samples,) without the value at one step of each sample.

    The mean over the samples replaces it, and the attention is computed anew.

    Source: comprehensiveness in DeYoung et al. (2020), "ERASER: a benchmark to evaluate rationalized NLP models".
    """
    changed, rows = values.copy(), np.arange(len(values))
    changed[rows, at] = _means(values, valid)[at]
    return tail(changed)


def kept(tail: Function, values: Array, at: NDArray[np.int64], valid: Valid = None) -> Array:
    """Return the outputs (samples,) with the value at one step of each sample alone, as in `removed`.

    Source: sufficiency in DeYoung et al. (2020).
    """
    changed, rows = np.repeat(_means(values, valid)[None], len(values), axis=0), np.arange(len(values))
    changed[rows, at] = values[rows, at]
    return tail(changed)


def _means(values: Array, valid: Valid) -> Array:
    means: Array = mean_of_valid(values, valid).astype(values.dtype)
    return means


def other_steps(at: NDArray[np.int64], steps: int | NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """Return another step for each sample, drawn by `rng`, all of them equally likely.

    `steps` is their number, or that of each sample.
    """
    return (at + rng.integers(1, steps, len(at))) % steps


def most_different(
    head: Function,
    values: Array,
    weights: Array,
    same: Callable[[Array], NDArray[np.bool_]],
    valid: Valid = None,
) -> NDArray[np.float64]:
    """Return how different another attention can at least be at the same prediction: total variation, (samples,).

    Tried for each sample are all weight at one step, and mixtures of it with the sample's own attention; 0 if none of
    them keeps the prediction, at most 1.

    Args:
        head: see above.
        values: what attention weighs.
        weights: the attention of the trained model.
        same: whether outputs (samples,) count as the same predictions as those of the trained model.
        valid: (samples, steps), false at padded steps, at which no attention is put; None: no step is padded.

    Source: adversarial attention in Jain & Wallace (2019), there found by gradient ascent.
    """
    attention, steps = weights.mean(axis=2, dtype=np.float64), weights.shape[1]
    found = np.zeros(len(values))
    for step in np.unique(np.linspace(0, steps - 1, min(CANDIDATES, steps)).round().astype(int)):
        for part in PARTS:
            other = np.asarray(part, weights.dtype) * weights
            other[:, step] += 1 - part
            distance = (1 - part) * (1 - attention[:, step])
            possible = same(head(values * other)) if valid is None else same(head(values * other)) & valid[:, step]
            found = np.where(possible, np.maximum(found, distance), found)
    return found


def by_step(head: Function, weighted: Array) -> Array | None:
    """Return what each step adds to the output, (samples, steps); None if the head is not additive over the steps.

    It is (samples, steps, classes) for more than two classes. `weighted` (samples, steps, features) is the input of
    the head.
    """
    steps, base = weighted.shape[1], head(np.zeros_like(weighted))
    whole = head(weighted) - base

    def add_up(added: NDArray[np.float64]) -> bool:
        size = np.maximum(np.abs(added).sum(axis=1), TINY)
        return not (np.abs(added.sum(axis=1) - whole) > EXACT * size).any()

    def alone(chosen: slice) -> Array:
        """Return what some steps add."""
        part = np.zeros_like(weighted)
        part[:, chosen] = weighted[:, chosen]
        return head(part) - base

    # First every other step: a recurrent layer seldom forgets from one step to the next, and this is cheap.
    if not add_up(np.stack([alone(slice(first, None, 2)) for first in (0, 1)], axis=1, dtype=np.float64)):
        return None
    added = np.zeros((len(weighted), steps, *base.shape[1:]))
    for step in tqdm(range(steps), "shares of the steps", **PROGRESS):
        added[:, step] = alone(slice(step, step + 1))
    return added if add_up(added) else None

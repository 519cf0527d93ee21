"""Other explanations of the same predictions.

Explanations take the model as functions of arrays: `logit` maps samples (samples, steps, features) to logits
(samples,), `gradient` to the gradient of each sample's logit by its input. Logits, because the probability of a
trained model is so near 0 or 1 that its gradient vanishes.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.results.padding import Valid, padded, some_valid, valid_steps
from pipeline.results.stage_files import STRETCHES

Array = NDArray[np.floating]
Function = Callable[[Array], Array]
PROGRESS: dict[str, Any] = {"delay": 10, "leave": False}  # shown from ten seconds on


def gradient_x_input(gradient: Function, x: Array) -> Array:
    """Return the input times the gradient by it, (samples, steps, features); 0 wherever the input is.

    Source: Shrikumar et al. (2016), "Not just a black box".
    """
    return x * gradient(x)


def integrated_gradients(gradient: Function, x: Array, baseline: Array, points: int) -> Array:
    """Return the gradient averaged along the line from a baseline to each sample, times their difference.

    Summed up, it is the logit of the sample less that of the baseline, which broadcasts to `x` (samples, steps,
    features). The average is by the midpoint rule, over a number of points on the line.

    Source: Sundararajan et al. (2017), "Axiomatic attribution for deep networks".
    """
    along = (np.arange(points) + 0.5) / points
    total = np.zeros_like(x)
    for part in tqdm(along, "integrated gradients", **PROGRESS):
        total = total + gradient((baseline + part * (x - baseline)).astype(x.dtype))
    return (x - baseline) * total / points


def occlusion(logit: Function, x: Array, rng: Generator, replacements: int, valid: Valid = None) -> Array:
    """Return the mean absolute change of the logit when a step is replaced by that of other samples, (samples, steps).

    Each step of a sample is replaced by that of a number of other samples, evenly spread over the order of its values:
    a key that half of the samples have otherwise always meets the other one. `rng` orders samples of equal values.

    A sequence of more than `STRETCHES` steps is replaced a stretch of adjacent steps at a time; each step gets the
    change of its stretch. Otherwise time would grow with the square of the steps.

    A padded step stays padded, and no other step becomes padded: `valid` (samples, steps) is false where one is.
    """
    before = logit(x)
    change = np.zeros(x.shape[:2])
    for first, last in tqdm(stretches(x.shape[1]), "occlusion", **PROGRESS):
        rows = np.arange(len(x)) if valid is None else np.flatnonzero(valid[:, first])
        count, values = len(rows), x[rows, first:last]
        flat = values.reshape(count, np.prod(values.shape[1:]))  # perhaps of no sample, if all are shorter
        order = rows[np.lexsort((rng.permutation(count), *flat.T[::-1]))]
        for number in range(1, replacements + 1):
            occluded, others = x.copy(), np.roll(order, number * count // (replacements + 1))
            both = None if valid is None else (valid[order] & valid[others])[:, first:last]
            occluded[order, first:last] = _exchanged(x[order, first:last], x[others, first:last], both)
            change[:, first:last] += np.abs(logit(occluded) - before)[:, None]
    return change / replacements


def _exchanged(own: Array, others: Array, valid: Valid) -> Array:
    """Return steps of other samples, but a sample's own where one of the two is padded: where `valid` is false."""
    return others if valid is None else np.where(valid[:, :, None], others, own)


def occlusion_by_feature(logit: Function, x: Array, others: Array, replacements: int) -> Array:
    """Return how much lower the logit is, on average, with a value of other samples, (samples, steps, features).

    A feature is replaced at one step, or in one of the stretches that `occlusion` takes; each step gets the change of
    its stretch. `others` (number, steps, features) are samples such as those of the training. A number of replacements
    are evenly spread over the order of their values there, so that a key that half of them have otherwise always meets
    the other one. A padded step stays padded, and no other step becomes padded.
    """
    before, change = logit(x), np.zeros(x.shape)
    own, their = valid_steps(x), valid_steps(others)
    spread = (np.arange(replacements) + 0.5) / replacements
    for first, last in tqdm(stretches(x.shape[1]), "occlusion", **PROGRESS):
        rows = np.flatnonzero(their[:, first])
        for feature in range(x.shape[2]):
            values = np.where(their, others[:, :, feature], 0)[rows, first:last].mean(axis=1)
            order = rows[np.argsort(values, kind="stable")]
            for chosen in order[(spread * len(order)).astype(int)] if len(order) else ():
                both, occluded = (own & their[chosen])[:, first:last], x.copy()
                occluded[:, first:last, feature] = np.where(
                    both, others[chosen, first:last, feature], x[:, first:last, feature]
                )
                change[:, first:last, feature] += (before - logit(occluded))[:, None]
    return change / replacements


def stretches(steps: int) -> list[tuple[int, int]]:
    """Return first step and end of the stretches that `occlusion` replaces: no more than `STRETCHES`, about equal."""
    edges = np.linspace(0, steps, min(steps, STRETCHES) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def importance(attribution: Array, valid: Valid = None) -> NDArray[np.float64]:
    """Return the weight of each step in an explanation, comparable to attention: at least 0, summing to 1.

    Args:
        attribution: (samples, steps, features), summed over the features before the sign is dropped; or
            (samples, steps). A sample in which it is 0 everywhere gets equal weights.
        valid: (samples, steps), false at padded steps, which get no weight; None: no step is padded.
    """
    by_step = attribution.sum(axis=2, dtype=np.float64) if attribution.ndim == 3 else attribution
    size = np.abs(by_step if valid is None else np.where(valid, by_step, 0))
    total = size.sum(axis=1, keepdims=True)
    equal = 1 / size.shape[1] if valid is None else valid / valid.sum(axis=1, keepdims=True)
    return np.where(total > 0, size, equal) / np.where(total > 0, total, 1)


def baseline(one: Array, x: Array) -> Array:
    """Return one sample (steps, features) as often as there are samples `x`, of their type, and padded where they are.

    What `integrated_gradients` begins at.
    """
    return padded(np.broadcast_to(one.astype(x.dtype), x.shape), some_valid(x))


def mean_of_valid(values: Array, valid: Valid) -> NDArray[np.float64]:
    """Return the mean over samples (samples, steps, features) at each step, of those that are not padded there.

    0 at a step at which all are.
    """
    if valid is None:
        return np.asarray(values.mean(axis=0, dtype=np.float64))
    total = np.where(valid[:, :, None], values, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.maximum(valid.sum(axis=0), 1)[:, None])

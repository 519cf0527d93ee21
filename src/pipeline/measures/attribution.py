"""Other explanations of the same predictions, and how predictions change when attention is shuffled.

Explanations take the model as functions of arrays: `logit` maps samples (samples, steps, features) to logits
(samples,), `gradient` to the gradient of each sample's logit by its input. Logits, because the probability of a
trained model is so near 0 or 1 that its gradient vanishes.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.floating]
Function = Callable[[Array], Array]


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
    total = sum((gradient((baseline + part * (x - baseline)).astype(x.dtype)) for part in along), np.zeros_like(x))
    return (x - baseline) * total / points


def occlusion(logit: Function, x: Array, rng: Generator, permutations: int) -> Array:
    """Return the mean absolute change of the logit when a step is replaced by that of another sample, (samples, steps).

    `rng` draws the permutations of the samples, one for each step; the change is averaged over their number.
    """
    before = logit(x)
    change = np.zeros(x.shape[:2])
    for _ in range(permutations):
        for step in range(x.shape[1]):
            occluded = x.copy()
            occluded[:, step] = x[rng.permutation(len(x)), step]
            change[:, step] += np.abs(logit(occluded) - before)
    return change / permutations


def importance(attribution: Array) -> NDArray[np.float64]:
    """Return the weight of each step in an explanation, comparable to attention: at least 0, summing to 1.

    Args:
        attribution: (samples, steps, features), summed over the features before the sign is dropped; or
            (samples, steps). A sample in which it is 0 everywhere gets equal weights.
    """
    by_step = attribution.sum(axis=2, dtype=np.float64) if attribution.ndim == 3 else attribution
    size = np.abs(by_step)
    total = size.sum(axis=1, keepdims=True)
    return np.where(total > 0, size, 1 / size.shape[1]) / np.where(total > 0, total, 1)


def permuted_attention(head: Function, values: Array, weights: Array, rng: Generator, permutations: int) -> Array:
    """Return the predictions with each sample's attention shuffled over the steps, (permutations, samples).

    Args:
        head: maps values times weights (samples, steps, features) to an output (samples,).
        values: the input of attention, (samples, steps, features).
        weights: attention weights, of the same shape; a sample's features are shuffled alike.
        rng: draws the permutations of the steps, one for each sample.
        permutations: how many.

    Source: Jain & Wallace (2019), "Attention is not explanation".
    """
    orders = (rng.random(weights.shape[:2]).argsort(axis=1)[:, :, None] for _ in range(permutations))
    return np.stack([head(values * np.take_along_axis(weights, order, axis=1)) for order in orders])

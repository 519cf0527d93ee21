"""How well attention finds the planted key: pure functions of attention and mask.

In all of them `attention` is (samples, steps): a sample's attention weights averaged over features, each at least 0,
summing to 1 over the steps; `mask` is (samples, steps), true at the planted steps, of which a sample may have
several or none. Each returns one value a sample, shape (samples,), unless it says otherwise; average over samples
last, and compare seeds, never samples.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Attention = NDArray[np.floating]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


def key_mass(attention: Attention, mask: Mask) -> Values:
    """Return the attention on the key steps, in [0, 1]. NaN without a key."""
    return _known(np.where(mask, attention, 0).sum(axis=1, dtype=np.float64), mask)


def key_lift(attention: Attention, mask: Mask) -> Values:
    """Return `key_mass` over what uniform attention gives, |k| / T: 1 is chance. NaN without a key."""
    return np.asarray(key_mass(attention, mask) * mask.shape[1] / np.maximum(mask.sum(axis=1), 1))


def hit_rate(attention: Attention, mask: Mask) -> Values:
    """Return whether the largest weight is on a key step; for ties, the share of them on key steps. In [0, 1].

    NaN without a key.
    """
    largest = attention == attention.max(axis=1, keepdims=True)
    return _known((largest & mask).sum(axis=1) / largest.sum(axis=1), mask)


def mean_hit(attention: Attention, mask: Mask) -> Values:
    """Return `hit_rate` of the sample-averaged attention, the vector that the article looks at, for each mask."""
    mean = attention.mean(axis=0, dtype=np.float64)
    return hit_rate(np.broadcast_to(mean, attention.shape), mask)


def average_precision(attention: Attention, mask: Mask) -> Values:
    """Return the average precision of attention as a score for "is a key step". NaN without a key.

    It is the mean, over the key steps, of the share of key steps among all steps that weigh at least as much: what
    scikit-learn's `average_precision_score` gives, ties included.
    """
    heavier = attention[:, None, :] >= attention[:, :, None]  # (samples, step, steps that weigh at least as much)
    precision = (heavier & mask[:, None, :]).sum(axis=2) / heavier.sum(axis=2)
    return _known(np.where(mask, precision, 0).sum(axis=1) / np.maximum(mask.sum(axis=1), 1), mask)


def entropy(attention: Attention, mask: Mask) -> Values:
    """Return the Shannon entropy over ln T: 1 is uniform attention, 0 is one-hot. The mask is not used."""
    del mask
    return np.asarray(entr(attention.astype(np.float64)).sum(axis=1) / np.log(attention.shape[1]))


def late_mass(attention: Attention, mask: Mask) -> Values:
    """Return the attention after the last key step, in [0, 1]; NaN without a key."""
    steps = np.arange(mask.shape[1])
    last = np.where(mask, steps, -1).max(axis=1, keepdims=True)
    mass = np.where(steps > last, attention, 0).sum(axis=1, dtype=np.float64)
    return _known(mass, mask)


def input_dependence(attention: Attention, mask: Mask) -> Values:
    """Return the Jensen-Shannon divergence (nats) of each sample's attention from the mean attention.

    0 for all samples means that attention ignores its input and only knows the position; at most ln 2.
    """
    del mask
    a = attention.astype(np.float64)
    mean = np.broadcast_to(a.mean(axis=0), a.shape)
    halfway = entr((a + mean) / 2).sum(axis=1)
    return np.asarray(np.maximum(halfway - (entr(a).sum(axis=1) + entr(mean).sum(axis=1)) / 2, 0))


def kendall_tau(a: Attention, b: Attention) -> Values:
    """Return Kendall's tau-b between two weightings (samples, steps), in [-1, 1]; NaN where one is constant.

    Source: Kendall (1945), "The treatment of ties in ranking problems"; `scipy.stats.kendalltau` for one pair.
    """
    signs_a, signs_b = (np.sign(w[:, :, None] - w[:, None, :]) for w in (a, b))
    pairs_a, pairs_b = (np.abs(signs).sum(axis=(1, 2)) for signs in (signs_a, signs_b))  # twice those that differ
    norm = np.sqrt(pairs_a.astype(np.float64) * pairs_b)
    return np.asarray((signs_a * signs_b).sum(axis=(1, 2)) / np.where(norm > 0, norm, np.nan))


_ALL = (key_mass, key_lift, hit_rate, mean_hit, average_precision, entropy, late_mass, input_dependence)
MEASURES = {measure.__name__: measure for measure in _ALL}


def summarize(attention: Attention, mask: Mask, classes: NDArray[np.floating] | None) -> dict[str, float]:
    """Return name of a measure -> mean over the samples of one seed that have a value, NaN where none has.

    `key_mass` is also averaged for each label: `classes` (samples,) are labels 0 and 1, None for a regression.
    """
    means = {name: mean(measure(attention, mask)) for name, measure in MEASURES.items()}
    mass = key_mass(attention, mask)
    return means | {f"key_mass_y{label}": mean(mass[own]) for label, own in _by_label(classes)}


def agreement(weights: Attention, attention: Attention, classes: NDArray[np.floating] | None) -> dict[str, float]:
    """Return `kendall_tau` between another weighting and attention, over all samples and over those of each label.

    Samples in which one of the two is constant are left out.
    """
    tau = kendall_tau(weights, attention)
    chosen = {"kendall_tau": tau, **{f"kendall_tau_y{label}": tau[own] for label, own in _by_label(classes)}}
    return {name: mean(values) for name, values in chosen.items()}


def _by_label(classes: NDArray[np.floating] | None) -> list[tuple[int, Mask]]:
    return [] if classes is None else [(label, classes == label) for label in (0, 1)]


def _known(values: Values, mask: Mask) -> Values:
    """Return values (samples,), NaN where the mask marks nothing."""
    return np.where(mask.any(axis=1), values, np.nan)


def mean(values: Values) -> float:
    """Return the mean over the samples that have a value, which is NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")

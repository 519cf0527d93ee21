"""How well attention finds the planted key: pure functions of attention and mask.

In all of them `attention` is (samples, steps): a sample's attention weights averaged over features, each at least 0,
summing to 1 over the steps; `mask` is (samples, steps), true at the planted steps, of which a sample may have
several or none. `valid` is (samples, steps), false at padded steps, and None if no step is; a sample's number of steps
T is that of its valid ones, and attention on padding is not on the key. Each returns one value a sample, shape
(samples,), unless it says otherwise; average over samples last, and compare seeds, never samples.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from pipeline.results.padding import Valid

Attention = NDArray[np.floating]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


def key_mass(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return the attention on the key steps, in [0, 1]. NaN without a key."""
    del valid
    return _known(np.where(mask, attention, 0).sum(axis=1, dtype=np.float64), mask)


def key_lift(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return `key_mass` over what uniform attention gives, |k| / T: 1 is chance. NaN without a key."""
    return np.asarray(key_mass(attention, mask) * _steps(mask, valid) / np.maximum(mask.sum(axis=1), 1))


def key_skill(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return how far `key_mass` is from uniform attention (0) to all attention on the key (1), whatever |k| / T is.

    Negative below uniform attention. NaN without a key, and where every step is one.
    """
    share = mask.sum(axis=1) / _steps(mask, valid)
    return np.asarray((key_mass(attention, mask) - share) / np.where(share < 1, 1 - share, np.nan))


def peak_skill(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return how far the largest weight is from uniform attention (0) to all attention (1). The mask is not used."""
    uniform = 1 / _steps(mask, valid)
    return np.asarray((attention.max(axis=1).astype(np.float64) - uniform) / (1 - uniform))


def hit_rate(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return whether the largest weight is on a key step; for ties, the share of them on key steps. In [0, 1].

    NaN without a key.
    """
    del valid
    return _known(_peaks_in(attention, mask), mask)


def late_hit(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return whether the largest weight is after the last key step, with ties as in `hit_rate`. NaN without a key."""
    return _known(_peaks_in(attention, after_last_key(mask, valid)), mask)


def _peaks_in(attention: Attention, chosen: Mask) -> Values:
    largest = attention == attention.max(axis=1, keepdims=True)
    return np.asarray((largest & chosen).sum(axis=1) / largest.sum(axis=1))


def after_last_key(mask: Mask, valid: Valid = None) -> Mask:
    """Return which steps come after a sample's last key step, (samples, steps); none without a key."""
    steps = np.arange(mask.shape[1])
    last = np.where(mask, steps, -1).max(axis=1, keepdims=True)
    after = np.asarray((steps > last) & (last >= 0))
    return after if valid is None else after & valid


def mean_hit(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return `hit_rate` of the sample-averaged attention, the vector that the article looks at, for each mask.

    NaN if steps are padded: the mean of sequences of different lengths falls towards the end.
    """
    if valid is not None:
        return np.full(len(mask), np.nan)
    mean = attention.mean(axis=0, dtype=np.float64)
    return hit_rate(np.broadcast_to(mean, attention.shape), mask)


def average_precision(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return the average precision of attention as a score for "is a key step". NaN without a key.

    It is the mean, over the key steps, of the share of key steps among all steps that weigh at least as much: what
    scikit-learn's `average_precision_score` gives, ties included.
    """
    precision = np.zeros(attention.shape)
    attention = attention if valid is None else np.where(valid, attention, -1)  # padding is never as large
    for sample, (weights, key) in enumerate(zip(attention, mask, strict=True)):
        precision[sample, key] = _as_large(weights[key], weights[key]) / _as_large(weights, weights[key])
    return _known(precision.sum(axis=1) / np.maximum(mask.sum(axis=1), 1), mask)


def _as_large(weights: Attention, limits: Attention) -> NDArray[np.int64]:
    """Return how many of some weights are at least as large as each limit."""
    return np.asarray(len(weights) - np.searchsorted(np.sort(weights), limits))


def entropy(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return the Shannon entropy over ln T: 1 is uniform attention, 0 is one-hot. The mask is not used.

    If steps are padded, it is that of the attention on the others, divided by its sum; NaN if that is 0.
    """
    attention = attention.astype(np.float64)
    if valid is not None:
        on_steps = np.where(valid, attention, 0)
        total = on_steps.sum(axis=1, keepdims=True)
        attention = on_steps / np.where(total > 0, total, np.nan)
    return np.asarray(entr(attention).sum(axis=1) / np.log(_steps(mask, valid)))


def late_mass(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return the attention after the last key step, in [0, 1]; NaN without a key."""
    return _known(np.where(after_last_key(mask, valid), attention, 0).sum(axis=1, dtype=np.float64), mask)


def input_dependence(attention: Attention, mask: Mask, valid: Valid = None) -> Values:
    """Return the Jensen-Shannon divergence (nats) of each sample's attention from the mean attention.

    0 for all samples means that attention ignores its input and only knows the position; at most ln 2. NaN if steps are
    padded: attention that only knows the position then differs, too.
    """
    if valid is not None:
        return np.full(len(mask), np.nan)
    a = attention.astype(np.float64)
    mean = np.broadcast_to(a.mean(axis=0), a.shape)
    halfway = entr((a + mean) / 2).sum(axis=1)
    return np.asarray(np.maximum(halfway - (entr(a).sum(axis=1) + entr(mean).sum(axis=1)) / 2, 0))


def kendall_tau(a: Attention, b: Attention, valid: Valid = None) -> Values:
    """Return Kendall's tau-b between two weightings (samples, steps), in [-1, 1]; NaN where one is constant.

    Padded steps are in no pair; they are at the end of a sequence.

    Source: Kendall (1945), "The treatment of ties in ranking problems"; `scipy.stats.kendalltau` for one pair.
    """
    # Pairs of steps in the same order less those in the opposite order, and pairs whose weights differ.
    agreeing, pairs_a, pairs_b = np.zeros((3, len(a)))
    for step in range(1, a.shape[1]):  # not all pairs at once: memory would grow with the square of the steps
        signs_a, signs_b = (np.sign(w[:, step:] - w[:, :-step]) for w in (a, b))
        if valid is not None:
            signs_a, signs_b = signs_a * valid[:, step:], signs_b * valid[:, step:]
        agreeing += (signs_a * signs_b).sum(axis=1)
        pairs_a += np.abs(signs_a).sum(axis=1)
        pairs_b += np.abs(signs_b).sum(axis=1)
    norm = np.sqrt(pairs_a * pairs_b)
    return np.asarray(agreeing / np.where(norm > 0, norm, np.nan))


_ABOUT_KEY = (key_mass, key_lift, key_skill, hit_rate, late_hit, mean_hit, average_precision, late_mass)
_ABOUT_SHAPE = (peak_skill, entropy, input_dependence)
MEASURES = {measure.__name__: measure for measure in (*_ABOUT_KEY, *_ABOUT_SHAPE)}


def summarize(
    attention: Attention, mask: Mask, classes: NDArray[np.floating] | None, count: int = 2, valid: Valid = None
) -> dict[str, float]:
    """Return name of a measure -> mean over the samples of one seed that have a value, NaN where none has.

    `key_mass` is also averaged for each label, as in `means_by_label`.
    """
    means = {name: mean(measure(attention, mask, valid)) for name, measure in MEASURES.items()}
    by_label = means_by_label("key_mass", key_mass(attention, mask), classes, count)
    return means | by_label


def agreement(
    weights: Attention,
    attention: Attention,
    classes: NDArray[np.floating] | None,
    count: int = 2,
    valid: Valid = None,
) -> dict[str, float]:
    """Return `kendall_tau` between another weighting and attention, over all samples and over those of each label.

    Samples in which one of the two is constant are left out.
    """
    return means_by_label("kendall_tau", kendall_tau(weights, attention, valid), classes, count)


def means_by_label(name: str, values: Values, classes: NDArray[np.floating] | None, count: int = 2) -> dict[str, float]:
    """Return the mean of values (samples,) over all samples, and over those of each label as `name_y0`, `name_y1`, ….

    Samples without a value are left out; `classes` (samples,) are labels from 0 to `count` - 1, None for a regression.
    """
    labels = [] if classes is None else [(f"{name}_y{label}", classes == label) for label in range(count)]
    return {name: mean(values), **{named: mean(values[own]) for named, own in labels}}


def padding_mass(attention: Attention, valid: Mask) -> Values:
    """Return the attention on padded steps, in [0, 1]: 0 for a layer that passes over them."""
    return np.asarray(np.where(valid, 0, attention).sum(axis=1, dtype=np.float64))


def _steps(mask: Mask, valid: Valid) -> int | NDArray[np.int64]:
    """Return the number of steps, of each sample if some are padded."""
    return mask.shape[1] if valid is None else np.asarray(valid.sum(axis=1))


def _known(values: Values, mask: Mask) -> Values:
    """Return values (samples,), NaN where the mask marks nothing."""
    return np.where(mask.any(axis=1), values, np.nan)


def mean(values: Values) -> float:
    """Return the mean over the samples that have a value, which is NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")

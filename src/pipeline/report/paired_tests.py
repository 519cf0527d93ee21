"""Estimates, intervals and tests for paired groups of seeds. Every input holds one value per seed.

`scipy.stats` is imported where it is used: it takes most of a second, and only a comparison needs it.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

EXACT_PAIRS = 20  # up to this number of pairs, all 2**n patterns of signs are enumerated
DECIMALS = 12  # of the difference of two measures, which are at most 1: a smaller one is a rounding error, so a tie


def interquartile_mean(values: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Return the mean of the middle half of the values: a quarter of them, rounded down, is cut at each end.

    Source: Agarwal et al. (2021), "Deep RL at the edge of the statistical precipice".
    """
    from scipy import stats

    return np.asarray(stats.trim_mean(np.asarray(values, np.float64), 0.25, axis=axis))


def bootstrap_interval(
    values: ArrayLike,
    rng: Generator,
    statistic: Callable[..., NDArray[np.float64]] = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic over seeds; a `ValueError` for fewer than two values.

    Args:
        values: (seeds,), at least two.
        rng: draws the resamples.
        statistic: maps values and `axis` to the statistic along that axis.
        confidence: level of the interval, above 0 and below 1.
        resamples: number of resamples.
    """
    sample = np.asarray(values, np.float64)
    if len(sample) < 2:
        raise ValueError("an interval needs at least two seeds")
    drawn = sample[rng.integers(0, len(sample), (resamples, len(sample)))]
    low, high = np.quantile(statistic(drawn, axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def proportion_interval(successes: int, seeds: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval for a share of independent seeds, which covers at least as often as it says.

    Source: Clopper & Pearson (1934), "The use of confidence or fiducial limits".
    """
    from scipy import stats

    interval = stats.binomtest(int(successes), int(seeds)).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def paired_probability(a: ArrayLike, b: ArrayLike) -> float:
    """Return the share of pairs in which `a` is larger; a tie counts one half. Both are (seeds,), in the same order."""
    larger = np.sign(np.round(np.asarray(a, np.float64) - np.asarray(b, np.float64), DECIMALS))
    return float((larger.mean() + 1) / 2)


def sign_flip_test(differences: ArrayLike, rng: Generator, resamples: int = 100_000) -> float:
    """Return the two-sided p-value of a permutation test of the hypothesis that paired groups do not differ.

    It assumes that, under this hypothesis, differences are symmetric around 0: each is as likely to have the opposite
    sign. The statistic is the mean difference. For up to `EXACT_PAIRS` pairs all patterns of signs are enumerated, for
    more of them `resamples` patterns are drawn.

    Args:
        differences: (seeds,), within each pair, in full precision: rounding breaks ties.
        rng: draws patterns of signs.
        resamples: number of patterns to draw.

    Source: Fisher (1935), "The Design of Experiments", as in `scipy.stats.permutation_test`.
    """
    from scipy import stats

    d = np.round(np.asarray(differences, np.float64), DECIMALS)
    n = 2 ** len(d) if len(d) <= EXACT_PAIRS else resamples
    scale = np.abs(d).max() or 1.0

    def mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        """Return the mean, rounded so that patterns of signs with the same sum tie despite rounding errors."""
        return np.asarray(np.round(values.mean(axis=axis) / scale, DECIMALS))

    result = stats.permutation_test(
        (d,), mean, permutation_type="samples", vectorized=True, n_resamples=n, batch=50_000, rng=rng
    )
    return float(np.asarray(result.pvalue))


def smallest_p(pairs: int, resamples: int = 100_000) -> float:
    """Return the smallest p-value that `sign_flip_test` can return: 2 / 2**pairs if it is exact."""
    patterns = 2**pairs if pairs <= EXACT_PAIRS else resamples + 1
    return min(1.0, 2 / patterns)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for multiple testing by Holm's step-down method.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted

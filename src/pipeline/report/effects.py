"""The 2 x 2 comparison: the effects of placement and sharing, paired by seed."""

from itertools import product

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from pandas import DataFrame, concat

from pipeline.report import paired_tests
from pipeline.settings.project import UserError
from pipeline.settings.schema import Compare

Values = NDArray[np.float64]
PLACEMENTS, SHARINGS = ("before", "after"), ("shared", "unshared")  # an effect is the second minus the first
SIGNIFICANCE = 0.05  # level
METRICS = (
    "key_mass",
    "key_lift",
    "hit_rate",
    "mean_hit",
    "average_precision",
    "late_mass",
    "entropy",
    "input_dependence",
)


def contrasts(cells: Values) -> dict[str, tuple[Values, Values]]:
    """Return effect -> two groups (seeds,), given the values of a metric in the cells (placements, sharings, seeds).

    An effect is the paired difference of the first and the second group. placement: after - before, both averaged over
    sharing; sharing: unshared - shared, both averaged over placement; interaction: the effect of sharing after the LSTM
    less that before it.
    """
    (before_shared, before_unshared), (after_shared, after_unshared) = cells
    return {
        "placement": (cells[1].mean(axis=0), cells[0].mean(axis=0)),
        "sharing": (cells[:, 1].mean(axis=0), cells[:, 0].mean(axis=0)),
        "interaction": (after_unshared - after_shared, before_unshared - before_shared),
    }


def cells_of(runs: DataFrame) -> list[DataFrame]:
    """Return the runs of the first variant in each cell of the 2 x 2 design; empty if a cell has no variant."""
    first = runs.drop_duplicates(["placement", "sharing"])["variant"]
    groups = dict(list(runs[runs["variant"].isin(first)].groupby(["placement", "sharing"])))
    cells = [groups.get(cell, runs[:0]) for cell in product(PLACEMENTS, SHARINGS)]
    return [] if any(cell.empty for cell in cells) else cells


def estimate(runs: DataFrame, settings: Compare, score: str = "accuracy") -> DataFrame:
    """Return a row for each effect and metric, p-values Holm-corrected over the three effects of a metric.

    The table is empty if there is no variant for one of the four cells of the 2 x 2 design, or no mask.

    Args:
        runs: a row for each (variant, seed), the seeds of each variant in the same order.
        settings: confidence, number of resamples, and seed of the random numbers.
        score: name of the score, compared as well as the measures of attention.

    Raises:
        UserError: if there are fewer than two seeds, or a value is NaN or infinite.
    """
    cells = cells_of(runs)
    if not cells or runs["key_mass"].isna().all():
        return DataFrame()
    if min(map(len, cells)) < 2:
        raise UserError("seeds: the comparison needs at least two seeds.")
    rng = default_rng(settings.seed)
    return concat([_effects_on(metric, cells, settings, rng) for metric in (*METRICS, score)], ignore_index=True)


def _effects_on(metric: str, cells: list[DataFrame], settings: Compare, rng: Generator) -> DataFrame:
    pairs = contrasts(np.reshape([_finite(runs, metric) for runs in cells], (2, 2, -1)))
    differences = [a - b for a, b in pairs.values()]
    tests = [
        (
            paired_tests.bootstrap_interval(d, rng, confidence=settings.confidence, resamples=settings.resamples),
            paired_tests.sign_flip_test(d, rng, settings.resamples),
        )
        for d in differences
    ]
    seeds, p_values = len(differences[0]), [p for _, p in tests]
    columns = {
        "effect": list(pairs),
        "metric": metric,
        "n": seeds,
        "mean_difference": np.mean(differences, axis=1),
        "iqm": paired_tests.interquartile_mean(differences, axis=1),
        "low": [low for (low, _), _ in tests],
        "high": [high for (_, high), _ in tests],
        "p_a_over_b": [paired_tests.paired_probability(a, b) for a, b in pairs.values()],
        "p": p_values,
        "p_holm": paired_tests.holm(p_values),
        "smallest_p": paired_tests.smallest_p(seeds, settings.resamples),
    }
    return DataFrame(columns)


def _finite(runs: DataFrame, metric: str) -> Values:
    values = runs[metric].to_numpy(np.float64)
    if not np.isfinite(values).all():
        variant = runs["variant"].iloc[0]
        raise UserError(f"{metric} of {variant} is NaN or infinite for some seeds: it cannot be compared.")
    return values

"""The 2 x 2 comparison: the effects of placement and sharing, paired by seed."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from pandas import DataFrame

from pipeline.report import paired_tests
from pipeline.settings.project import UserError
from pipeline.settings.schema import Compare

Values = NDArray[np.float64]
PLACEMENTS, SHARINGS = ("before", "after"), ("shared", "unshared")  # an effect is the second minus the first
PLACEMENT, UNSHARING = "placement", {placement: f"unsharing {placement}" for placement in PLACEMENTS}  # effects
SIGNIFICANCE = 0.05  # level
PRIMARY, EXPLORATORY = "primary", "exploratory"
FAMILIES = {PRIMARY: ("key_mass",), EXPLORATORY: ("hit_rate", "value_weighted_mass", "late_mass")}  # of tests


def contrasts(cells: Values) -> dict[str, tuple[Values, Values]]:
    """Return effect -> two groups (seeds,), given the values of a metric in the cells (placements, sharings, seeds).

    An effect is the paired difference of the first and the second group. placement: after - before, both averaged over
    sharing; sharing: unshared - shared, both averaged over placement; interaction: the effect of sharing after the LSTM
    less that before it. The simple effects are the effect of sharing at one placement.
    """
    (before_shared, before_unshared), (after_shared, after_unshared) = cells
    return {
        PLACEMENT: (cells[1].mean(axis=0), cells[0].mean(axis=0)),
        "sharing": (cells[:, 1].mean(axis=0), cells[:, 0].mean(axis=0)),
        "interaction": (after_unshared - after_shared, before_unshared - before_shared),
        UNSHARING["before"]: (before_unshared, before_shared),
        UNSHARING["after"]: (after_unshared, after_shared),
    }


def cells_of(runs: DataFrame) -> list[DataFrame]:
    """Return the runs of the first variant in each cell of the 2 x 2 design; empty if a cell has no variant."""
    first = runs.drop_duplicates(["placement", "sharing"])["variant"]
    groups = dict(list(runs[runs["variant"].isin(first)].groupby(["placement", "sharing"])))
    cells = [groups.get(cell, runs[:0]) for cell in product(PLACEMENTS, SHARINGS)]
    return [] if any(cell.empty for cell in cells) else cells


def estimate(runs: DataFrame, settings: Compare) -> DataFrame:
    """Return a row for each effect and metric, p-values Holm-corrected over all tests of its family.

    A metric that is missing, or NaN in all runs, is left out. The table is empty if there is no variant for one of the
    four cells of the 2 x 2 design, or no mask.

    Args:
        runs: a row for each (variant, seed), the seeds of each variant in the same order, in full precision.
        settings: confidence, number of resamples, and seed of the random numbers.

    Raises:
        UserError: if there are fewer than two seeds, or a value is NaN or infinite.
    """
    cells = cells_of(runs)
    if not cells or runs["key_mass"].isna().all():
        return DataFrame()
    if min(map(len, cells)) < 2:
        raise UserError("seeds: the comparison needs at least two seeds.")
    rng = default_rng(settings.seed)
    table = DataFrame(
        {"family": family, "metric": metric} | row
        for family, metrics in FAMILIES.items()
        for metric in metrics
        if metric in runs and not runs[metric].isna().all()
        for row in _effects_on(metric, cells, settings, rng)
    )
    return table.assign(p_holm=table.groupby("family")["p"].transform(paired_tests.holm))


def _effects_on(metric: str, cells: list[DataFrame], settings: Compare, rng: Generator) -> Iterator[dict[str, Any]]:
    pairs = contrasts(np.reshape([_finite(runs, metric) for runs in cells], (2, 2, -1)))
    for effect, (a, b) in pairs.items():
        low, high = paired_tests.bootstrap_interval(
            a - b, rng, confidence=settings.confidence, resamples=settings.resamples
        )
        yield {
            "effect": effect,
            "n": len(a),
            "mean_difference": (a - b).mean(),
            "iqm": float(paired_tests.interquartile_mean(a - b)),
            "low": low,
            "high": high,
            "p_a_over_b": paired_tests.paired_probability(a, b),
            "p": paired_tests.sign_flip_test(a - b, rng, settings.resamples),
            "smallest_p": paired_tests.smallest_p(len(a), settings.resamples),
        }


def _finite(runs: DataFrame, metric: str) -> Values:
    values = runs[metric].to_numpy(np.float64)
    if not np.isfinite(values).all():
        variant = runs["variant"].iloc[0]
        raise UserError(f"{metric} of {variant} is NaN or infinite for some seeds: it cannot be compared.")
    return values

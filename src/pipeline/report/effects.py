"""The 2 x 2 comparison: what placement and sharing change, seed by seed."""

import math

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from pipeline.report import paired_tests
from pipeline.report.tables import Row
from pipeline.settings.errors import UserError
from pipeline.settings.schema import Compare

Values = NDArray[np.float64]
# Names of the levels: an effect is the second less the first.
LEVELS = {"placement": ("before", "after"), "sharing": ("shared", "unshared")}
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


def contrasts(cells: dict[tuple[str, str], Values]) -> dict[str, tuple[Values, Values]]:
    """Return effect -> the two groups (seeds,) whose paired differences it is.

    placement: after less before, either averaged over sharing; sharing: unshared less shared, either averaged over
    placement; interaction: what unsharing changes after the LSTM less what it changes before it.

    Args:
        cells: (placement, sharing) -> a value for each seed, in the same order of seeds.
    """
    bs, bu = cells["before", "shared"], cells["before", "unshared"]
    as_, au = cells["after", "shared"], cells["after", "unshared"]
    return {
        "placement": ((as_ + au) / 2, (bs + bu) / 2),
        "sharing": ((bu + au) / 2, (bs + as_) / 2),
        "interaction": (au - as_, bu - bs),
    }


def cells_of(runs: list[Row], metric: str) -> dict[tuple[str, str], Values]:
    """Return (placement, sharing) -> a metric for each seed; of variants that share a cell, that of the first.

    Without variants for one of the four cells there is nothing to compare: nothing is returned.

    Raises:
        UserError: if there are fewer than two seeds, or a value is not a number.
    """
    cells = {}
    for placement in LEVELS["placement"]:
        for sharing in LEVELS["sharing"]:
            cell = (placement, sharing)
            names = [run["variant"] for run in runs if (run["placement"], run["sharing"]) == cell]
            if not names:
                return {}
            cells[cell] = np.array([run[metric] for run in runs if run["variant"] == names[0]], np.float64)
            if not np.isfinite(cells[cell]).all():
                raise UserError(f"{metric} of {names[0]} is not a number for every seed: it cannot be compared.")
    if min(map(len, cells.values())) < 2:
        raise UserError("seeds: the comparison needs at least two seeds.")
    return cells


def effect_rows(runs: list[Row], settings: Compare, score: str = "accuracy") -> list[Row]:
    """Return a row for each effect and metric, p-values Holm-corrected over the three effects of a metric.

    Args:
        runs: a row for each (variant, seed), the seeds of each variant in the same order.
        settings: confidence and number of resamples, and the seed of the draws.
        score: the name of the score, compared beside the measures of attention.

    Returns:
        No rows where the variants are not the four of the article's 2 x 2 design, or no mask tells the key steps.

    Raises:
        UserError: see `cells_of`.
    """
    rng = default_rng(settings.seed)
    rows: list[Row] = []
    if all(math.isnan(run["key_mass"]) for run in runs):
        return rows
    for metric in (*METRICS, score):
        cells = cells_of(runs, metric)
        if not cells:
            return []
        pairs = contrasts(cells)
        p_values = []
        for effect, (a, b) in pairs.items():
            d = a - b
            low, high = paired_tests.bootstrap_interval(
                d, rng, confidence=settings.confidence, resamples=settings.resamples
            )
            p_values.append(paired_tests.sign_flip_test(d, rng, settings.resamples))
            rows.append(
                {
                    "effect": effect,
                    "metric": metric,
                    "n": len(d),
                    "mean_difference": float(d.mean()),
                    "iqm": float(paired_tests.interquartile_mean(d)),
                    "low": low,
                    "high": high,
                    "p_a_over_b": paired_tests.paired_probability(a, b),
                    "p": p_values[-1],
                    "p_holm": math.nan,
                    "smallest_p": paired_tests.smallest_p(len(d), settings.resamples),
                }
            )
        for row, adjusted in zip(rows[-len(pairs) :], paired_tests.holm(p_values), strict=True):
            row["p_holm"] = float(adjusted)
    return rows

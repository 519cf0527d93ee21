"""Where attention peaks, what stands there, and what predictions do without it."""

from collections.abc import Hashable
from math import nan
from typing import Any

import numpy as np
from pandas import DataFrame

from pipeline.report.markdown_tables import markdown
from pipeline.report.tables import VariantResult
from pipeline.report.titles import score_in, spread

BY_STEP = {
    "attention": "attention",
    "readout": "readout",
    "gain": "distance of labels",
    "logit_share": "share of the logit",
}


def places(results: list[VariantResult]) -> DataFrame:
    """Return a row for each run: values at the key step, and at the step with the most attention.

    They are the mean attention, what a linear readout reads there, the distance between the labels, and the step's
    share of the logit (NaN where the output is not a sum over steps); `decided_at` is the step with the largest share.
    The table is empty unless exactly one step is the key in all samples.
    """
    key = np.flatnonzero(results[0].key() == 1)
    if len(key) != 1 or results[0].key().sum() != 1:
        return DataFrame()
    rows = []
    for result in results:
        for seed, attended in result.attended.items():
            columns = {"attention": attended.vector, **attended.steps}
            peak = int(attended.vector.argmax())
            at = {
                f"{name}_at_{where}": float(columns[name][step]) if name in columns else float("nan")
                for name in BY_STEP
                for where, step in (("key", key[0]), ("peak", peak))
            }
            decided = int(columns["logit_share"].argmax()) if "logit_share" in columns else -1
            rows.append({"variant": result.variant.name, "seed": seed, "peak_step": peak, "decided_at": decided, **at})
    return DataFrame(rows)


def late(places: DataFrame, fixed: list[int]) -> DataFrame:
    """Return the runs of `places` that have shares of the logit and whose peak is not the one fixed key step."""
    if places.empty:
        return places
    return places[(places["peak_step"] != fixed[0]) & places["logit_share_at_key"].notna()]


def late_table(late: DataFrame) -> str:
    """Return rows of `places` in Markdown: each value at the key step, and at the peak."""
    rows = [
        [row["variant"], row["seed"], row["peak_step"], *(_pair(row, name) for name in BY_STEP)]
        for row in late.to_dict("records")
    ]
    return markdown(DataFrame(rows, columns=["variant", "seed", "peak", *BY_STEP.values()]))


def _pair(row: dict[Hashable, Any], name: str) -> str:
    return f"{row[f'{name}_at_key']:.2f} → {row[f'{name}_at_peak']:.2f}"


def interventions_table(summary: DataFrame) -> str:
    """Return in Markdown what predictions do when the trained models get other attention, or lose a step."""
    score = score_in(summary).short
    titles = {
        "mean_attention_score": f"mean attention: {score}",
        "permuted_score": f"shuffled attention: {score}",
        "adversarial_distance": "other attention, same prediction: distance",
        "comprehensiveness": "without its peak",
        "comprehensiveness_random": "without another step",
        "sufficiency": "its peak alone",
    }
    means = {
        title: [spread(mean, nan) for mean in summary[f"{name}_mean"]]
        for name, title in titles.items()
        if f"{name}_mean" in summary
    }
    return markdown(DataFrame({"variant": summary["variant"], **means}))

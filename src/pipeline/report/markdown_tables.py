"""The tables of the report, in Markdown."""

from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from pipeline.report.tables import ATTENTION, KEY_MASS, Tables
from pipeline.report.titles import CURVES, MEASURES, SHOWN, by_label, counted, interval, score_in, spread
from pipeline.report.verdicts import CORRECT, NOT_LEARNED, UNJUDGED, VERDICTS
from pipeline.results.stage_files import UNTRAINED

BOTH = "both"  # curves, at the same number of batches


def markdown(table: DataFrame) -> str:
    """Return a table in Markdown."""
    rows = [[str(cell) for cell in row] for row in table.itertuples(index=False)]
    header = [str(name) for name in table]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def effect_row(effects: DataFrame, effect: str, metric: str) -> "Series[Any]":
    """Return the row of an effect on a metric."""
    return effects[(effects["effect"] == effect) & (effects["metric"] == metric)].iloc[0]


def effects_table(effects: DataFrame, family: str) -> str:
    """Return the effects on the measures of a family of tests."""
    rows = [
        [
            f"{row['effect']}: {MEASURES[row['metric']]}",
            f"{row['mean_difference']:+.3f}",
            f"{row['iqm']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            f"{row['p_a_over_b']:.2f}",
            f"{row['p']:.3g}",
            f"{row['p_holm']:.3g}",
        ]
        for row in effects[effects["family"] == family].to_dict("records")
    ]
    header = ["effect on", "mean difference", "IQM [interval]", "P(A > B)", "p", "p, Holm"]
    return markdown(DataFrame(rows, columns=header))


def verdicts_table(summary: DataFrame) -> str:
    """Return the number of seeds for each verdict and variant, failures included, and the interval of those correct."""
    shown = [name for name in (*VERDICTS, UNJUDGED) if name in summary]
    counts = summary[shown].astype(str).add(" of " + summary["seeds"].astype(str), axis=0)
    limits = summary.reindex(columns=["correct_low", "correct_high"]).itertuples(index=False)
    counts[CORRECT] += [interval(low, high) for low, high in limits]
    return markdown(summary[["variant"]].join(counts))


def results_table(summary: DataFrame) -> str:
    """Return the measures of each variant, mean ± standard deviation over seeds."""
    score = score_in(summary)
    columns = {
        "variant": summary["variant"],
        "key mass": _spread(summary, "key_mass"),
        "hit rate": _spread(summary, "hit_rate"),
        "peak of mean": [f"step {peak}" for peak in summary["peak_step"]],
        "late mass": _spread(summary, "late_mass"),
        "entropy": _spread(summary, "entropy"),
        score.title: [f"{mean:.5f}" for mean in summary[f"{score.column}_mean"]],
    }
    return markdown(DataFrame(columns))


def peaks_table(runs: DataFrame, *key_steps: int) -> str:
    """Return for each variant how many seeds peak at a key step, and the seeds that peak elsewhere."""
    rows = []
    for variant, seeds in runs.groupby("variant", sort=False):
        late = seeds[~seeds["peak_step"].isin(key_steps)]
        elsewhere = [f"seed {row.seed}: step {row.peak_step}" for row in late.itertuples()]
        rows.append([variant, f"{len(seeds) - len(late)} of {len(seeds)}", ", ".join(elsewhere) or "none"])
    header = ["variant", f"seeds that peak at step {' or '.join(map(str, key_steps))}", "seeds that peak elsewhere"]
    return markdown(DataFrame(rows, columns=header))


def controls_table(controls: DataFrame) -> str:
    """Return for each control and variant how many seeds learned, their scores and key mass."""
    rows, score = [], score_in(controls)
    for (control, variant), seeds in controls.groupby(["control", "variant"], sort=False):
        learned = (seeds["verdict"] != NOT_LEARNED).sum()
        reached = f"{seeds[score.column].min():.4f} to {seeds[score.column].max():.4f}"
        rows.append([control, variant, f"{learned} of {len(seeds)}", reached, mean_and_range(seeds["key_mass"])])
    return markdown(DataFrame(rows, columns=["control", "variant", "seeds that learn", score.title, "key mass"]))


def checks_table(tables: Tables) -> str:
    """Return for each variant its attention before training, and the effect of shuffling that of the trained model."""
    summary, score = tables.summary, score_in(tables.summary)
    untrained = tables.explanations[tables.explanations["explanation"] == UNTRAINED]
    columns = {
        "variant": summary["variant"],
        "key mass untrained": _spread(untrained, "key_mass"),
        "entropy untrained": _spread(untrained, "entropy"),
        "key mass trained": _spread(summary, "key_mass"),
        "shuffled: prediction moves by": _spread(summary, "permuted_change"),
        f"shuffled: {score.short}": _spread(summary, f"permuted_{score.column}"),
    }
    return markdown(DataFrame(columns))


def explanations_table(explanations: DataFrame, classes: tuple[str, ...] = ()) -> str:
    """Return for each variant and explanation its key mass, over all samples and by label, and its agreement.

    More than `SHOWN` classes are left out.
    """
    labels = {} if len(classes) > SHOWN else by_label("key_mass", classes)
    titles = {"key_mass": MEASURES["key_mass"]} | {name: f"key mass, {title}" for name, title in labels.items()}
    titles["hit_rate"] = MEASURES["hit_rate"]
    shown = [name for name in titles if f"{name}_mean" in explanations]
    columns = {titles[name]: _spread(explanations, name) for name in shown}
    agreement = pd.Series(_spread(explanations, "kendall_tau")).mask(explanations["explanation"] == ATTENTION, "")
    return markdown(explanations[["variant", "explanation"]].assign(**columns, **{"τ with attention": agreement}))


def learning_table(learning: DataFrame) -> str:
    """Return for each variant and part of the way the batches that each curve takes, and which curve is first."""
    wide = first_curves(learning)
    curves = [name for name in CURVES if name in wide]
    rows = [
        [
            variant,
            f"{part:.0%}",
            *(median_and_range(seeds[name]) for name in curves),
            _counts(seeds["first"], [*(CURVES[name] for name in curves), BOTH]),
        ]
        for (variant, part), seeds in wide.groupby(["variant", "part"], sort=False)
    ]
    header = ["variant", "part of the way", *(f"{CURVES[name]}: batches" for name in curves), "first, number of seeds"]
    return markdown(DataFrame(rows, columns=header))


def _counts(words: "Series[str]", order: list[str]) -> str:
    """Return how often each word occurs, those that do not left out."""
    return ", ".join(f"{word} {(words == word).sum()}" for word in order if (words == word).any()) or "–"


def first_curves(learning: DataFrame) -> DataFrame:
    """Return a row for each (variant, seed, part): the batches that each curve takes, and which curve is first.

    `first` is the title of that curve, `BOTH` for equal numbers of batches, and missing if one of the curves has none.
    """
    wide = learning.pivot(index=["variant", "seed", "part"], columns="curve", values="batches")
    (score,) = (name for name in wide if name != KEY_MASS)
    gap = (wide[KEY_MASS] - wide[score]).map(np.sign)
    names = {-1: CURVES[KEY_MASS], 0: BOTH, 1: CURVES[str(score)]}
    order = learning.drop_duplicates(["variant", "seed", "part"]).set_index(["variant", "seed", "part"]).index
    return wide.assign(first=gap.map(names)).reindex(order).reset_index()


def mean_and_range(values: "Series[float]") -> str:
    """Return the mean, minimum and maximum of numbers."""
    return "–" if values.isna().any() else f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"


def median_and_range(numbers: "Series[float]", style: str = ".0f", none: str = "–") -> str:
    """Return median and range of numbers, and how many seeds have one if some do not; `none` if no seed has."""
    known = numbers.dropna()
    if known.empty:
        return none
    median, low, high = (format(value, style) for value in (known.median(), known.min(), known.max()))
    some = "" if len(known) == len(numbers) else f", in {len(known)} of {counted(len(numbers), 'seed')}"
    return f"{median} ({low} to {high}){some}"


def _spread(table: DataFrame, name: str) -> list[str]:
    """Return the cells of a column of means ± standard deviations; a dash where there is none."""
    pairs = table.reindex(columns=[f"{name}_mean", f"{name}_sd"]).itertuples(index=False)
    return [spread(mean, deviation) for mean, deviation in pairs]

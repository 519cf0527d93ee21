"""The tables of the report, in Markdown."""

import math

import numpy as np

from pipeline.report.tables import ATTENTION, Row, Tables
from pipeline.report.verdicts import NOT_LEARNED, UNJUDGED, VERDICTS
from pipeline.results.evidence_files import UNTRAINED

SCORES = {"accuracy": "held-out accuracy", "r2": "held-out R²"}


def score_in(row: Row) -> str:
    """Return the name of the score that a row holds, of a run or of a summary."""
    return next(name for name in SCORES if name in row or f"{name}_mean" in row)


def effect_row(effects: list[Row], effect: str, metric: str) -> Row:
    """Return the row of an effect on a metric."""
    return next(row for row in effects if (row["effect"], row["metric"]) == (effect, metric))


def effects_table(effects: list[Row]) -> str:
    """Return the effects on the four measures of the figure."""
    from pipeline.report.figures import SHOWN  # here, since it takes a third of a second that no other stage needs

    rows = [
        [
            f"{effect}: {title}",
            f"{row['mean_difference']:+.3f}",
            f"{row['iqm']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]",
            f"{row['p_a_over_b']:.2f}",
            f"{row['p']:.3g}",
            f"{row['p_holm']:.3g}",
        ]
        for effect in ("placement", "sharing", "interaction")
        for metric, title in SHOWN.items()
        for row in [effect_row(effects, effect, metric)]
    ]
    return table(["effect on", "mean difference", "IQM [interval]", "P(A > B)", "p", "p, Holm"], rows)


def verdicts_table(summary: list[Row]) -> str:
    """Return the number of seeds for each verdict and variant, failures included."""
    names = [name for name in (*VERDICTS, UNJUDGED) if name in summary[0]]
    rows = [[row["variant"], *(f"{row[name]} of {row['seeds']}" for name in names)] for row in summary]
    return table(["variant", *names], rows)


def results_table(summary: list[Row]) -> str:
    """Return the measures of each variant, mean ± standard deviation over seeds."""
    score = score_in(summary[0])
    header = ["variant", "key mass", "hit rate", "peak of mean", "late mass", "entropy", SCORES[score]]
    rows = [
        [
            row["variant"],
            _spread(row, "key_mass"),
            _spread(row, "hit_rate"),
            f"step {row['peak_step']}",
            _spread(row, "late_mass"),
            _spread(row, "entropy"),
            f"{row[f'{score}_mean']:.5f}",
        ]
        for row in summary
    ]
    return table(header, rows)


def peaks_table(runs: list[Row], *key_steps: int) -> str:
    """Return for each variant how many seeds peak at a key step, and the seeds that peak elsewhere."""
    rows = []
    for name in dict.fromkeys(run["variant"] for run in runs):
        peaks = {run["seed"]: run["peak_step"] for run in runs if run["variant"] == name}
        elsewhere = [f"seed {seed}: step {peak}" for seed, peak in peaks.items() if peak not in key_steps]
        at_key = f"{len(peaks) - len(elsewhere)} of {len(peaks)}"
        rows.append([name, at_key, ", ".join(elsewhere) or "none"])
    steps = " or ".join(map(str, key_steps))
    return table(["variant", f"seeds that peak at step {steps}", "seeds that peak elsewhere"], rows)


def controls_table(controls: list[Row]) -> str:
    """Return for each control and variant how many seeds learned, their scores and key mass."""
    rows, score = [], score_in(controls[0])
    for control, variant in dict.fromkeys((row["control"], row["variant"]) for row in controls):
        own = [row for row in controls if (row["control"], row["variant"]) == (control, variant)]
        learned = sum(row["verdict"] != NOT_LEARNED for row in own)
        scores, masses = ([row[name] for row in own] for name in (score, "key_mass"))
        spread = f"{min(scores):.4f} to {max(scores):.4f}"
        rows.append([control, variant, f"{learned} of {len(own)}", spread, mean_and_range(masses)])
    return table(["control", "variant", "seeds that learn", SCORES[score], "key mass"], rows)


def checks_table(tables: Tables) -> str:
    """Return for each variant its attention before training, and what shuffled attention does to the trained model."""
    rows, score = [], score_in(tables.summary[0])
    for row in tables.summary:
        untrained = next(
            other
            for other in tables.explanations
            if (other["variant"], other["explanation"]) == (row["variant"], UNTRAINED)
        )
        cells = [_spread(untrained, "key_mass"), _spread(untrained, "entropy"), _spread(row, "key_mass")]
        shuffled = [_spread(row, "permuted_change"), _spread(row, f"permuted_{score}")]
        rows.append([row["variant"], *cells, *shuffled])
    names = ["key mass untrained", "entropy untrained", "key mass trained"]
    return table(["variant", *names, "shuffled: prediction moves by", f"shuffled: {SCORES[score].split()[1]}"], rows)


def explanations_table(explanations: list[Row]) -> str:
    """Return for each variant and explanation its key mass, over all samples and by label, and its agreement."""
    shown = {name: title for name, title in _SCORED.items() if f"{name}_mean" in explanations[0]}
    rows = [
        [row["variant"], row["explanation"]]
        + [_spread(row, name) for name in shown]
        + ["" if row["explanation"] == ATTENTION else _spread(row, "kendall_tau")]
        for row in explanations
    ]
    return table(["variant", "explanation", *shown.values(), "τ with attention"], rows)


_SCORED = {
    "key_mass": "key mass",
    "key_mass_y0": "key mass, label 0",
    "key_mass_y1": "key mass, label 1",
    "hit_rate": "hit rate",
}


def learning_table(learning: list[Row]) -> str:
    """Return for each variant when the task was learned and when attention found the key, in batches seen."""
    rows = []
    for variant in dict.fromkeys(row["variant"] for row in learning):
        own = [row for row in learning if row["variant"] == variant]
        rows.append([variant, *(_median_and_range([row[name] for row in own]) for name in ("learned_at", "found_at"))])
    return table(["variant", "task learned after", "key found after"], rows)


def mean_and_range(values: list[float]) -> str:
    """Return the mean of numbers, and the least and the greatest of them."""
    return "–" if math.isnan(values[0]) else f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _median_and_range(batches: list[float]) -> str:
    """Return median and range of the numbers of batches, and of how many seeds, where some never got there."""
    known = [batch for batch in batches if not math.isnan(batch)]
    if not known:
        return f"never, in {len(batches)} seeds"
    some = "" if len(known) == len(batches) else f", in {len(known)} of {len(batches)} seeds"
    return f"{np.median(known):.0f} ({min(known):.0f} to {max(known):.0f}){some}"


def _spread(row: Row, name: str) -> str:
    if math.isnan(row.get(f"{name}_mean", math.nan)):
        return "–"
    return f"{row[f'{name}_mean']:.3f} ± {row[f'{name}_sd']:.3f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

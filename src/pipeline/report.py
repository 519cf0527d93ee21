"""The comparison told in words and tables; every number comes from the tables."""

from typing import Any

from pipeline.config import Data, Model, Study, Train
from pipeline.verdicts import CORRECT, NOT_LEARNED, VERDICTS

Row = dict[str, Any]
LEVEL = 0.05  # of significance

# The article's set-up, and the key mass that others found with it: a line-for-line port of the article's script to
# Keras 3, seed 1337, and the means of another port over ten seeds.
ARTICLE = (Data(300_000, 0.1, 20, 2, 10, 0), Model(32), Train(1, 64, 0.001, 64))
PORT = {"before_shared": 0.418, "before_unshared": 0.415, "after_shared": 0.766, "after_unshared": 0.532}
TEN_SEEDS = {"before_shared": 0.39, "before_unshared": 0.40, "after_shared": 0.78, "after_unshared": 0.51}


def render(study: Study, runs: list[Row], summary: list[Row], effects: list[Row]) -> str:
    """Return the report in Markdown.

    Args:
        study: what was run.
        runs: a row for each (variant, seed), from `compare.run_rows`.
        summary: a row for each variant, from `compare.summary_rows`.
        effects: a row for each effect and metric, from `effects.effect_rows`.
    """
    data = study.data
    parts = [
        "# Does attention capture the key feature?",
        answer(runs, effects, study.compare.confidence),
        "## What was measured",
        f"{len(study.seeds)} seeds for each variant; {data.train_samples:,} training samples of {data.time_steps} time "
        f"steps, the label planted at step {data.key_step}; attention read on {study.probe.samples} fresh samples. "
        f"Uniform attention would give a key mass of {1 / data.time_steps:.3f}.",
        "![Attention weights of each variant over the time steps](figures/attention.png)",
        results_table(summary),
        "Key mass is the attention on the planted step, late mass that on the steps after it; both are averaged over "
        "features and samples, then over seeds (± standard deviation over seeds). Hit rate is the share of samples "
        "whose largest weight is on the planted step.",
        "## What placement and sharing change",
        "![Effects on four measures, with intervals](figures/effects.png)",
        effects_table(effects),
        _effects_told(effects, study.compare.confidence),
        "## Verdicts",
        verdicts_table(summary),
        _verdicts_told(study),
        "## Where the peak lies, seed by seed",
        peaks_table(runs, data.key_step),
        "An LSTM's state carries the key forward, so that in the variants with attention after it, steps just behind "
        "the planted one hold the key too: a late peak is no error of the model.",
    ]
    if (data, study.model, study.train) == ARTICLE:
        parts += ["## Beside published numbers", published_table(summary), _PUBLISHED]
    parts += [
        "All numbers: [runs.csv](runs.csv), a row for each run, [summary.csv](summary.csv), a row for each variant, "
        "and [effects.csv](effects.csv), a row for each effect and measure."
    ]
    return "\n\n".join(parts) + "\n"


_PUBLISHED = (
    "Key mass. *One seed*: a line-for-line port of the article's script to Keras 3, seed 1337. *Ten seeds*: means of "
    "another port, each seed with data of its own. The figures in the original repository were drawn with **one** "
    "feature instead of two, one run each; read off them: 0.408 before the LSTM, and 0.771 after it, with 0.212 one "
    "step late."
)


def answer(runs: list[Row], effects: list[Row], confidence: float) -> str:
    """Return the answer to the article's question in three sentences, each with its numbers."""
    learned = [run for run in runs if run["verdict"] != NOT_LEARNED]
    correct = sum(run["verdict"] == CORRECT for run in learned)
    first = (
        f"Of {len(runs)} runs {len(learned)} learned the task, and in {correct} of these the attention vector, "
        "averaged over samples, peaks at the planted step."
    )
    said = {
        "placement": ("After the LSTM, attention puts", "on the planted step than before it", "after > before"),
        "sharing": ("Unshared, it puts", "there than shared", "unshared > shared"),
    }
    sentences = [first]
    for effect, (start, end, pair) in said.items():
        row = _effect(effects, effect, "key_mass")
        more = "more" if row["iqm"] > 0 else "less"
        told = "" if row["p_holm"] < LEVEL else ", which cannot be told from chance"
        sentences.append(
            f"{start} {abs(row['iqm']):.3f} {more} of its weight {end} (interquartile mean of {row['n']} paired "
            f"differences, {confidence:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, "
            f"P({pair}) = {row['p_a_over_b']:.2f}, p = {row['p_holm']:.2g}){told}."
        )
    return " ".join(sentences)


def _effect(effects: list[Row], effect: str, metric: str) -> Row:
    return next(row for row in effects if (row["effect"], row["metric"]) == (effect, metric))


def effects_table(effects: list[Row]) -> str:
    """Return the effects on the four measures of the figure."""
    names = {"key_mass": "key mass", "hit_rate": "hit rate", "late_mass": "late mass", "entropy": "entropy"}
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
        for metric, title in names.items()
        for row in [_effect(effects, effect, metric)]
    ]
    return _table(["effect on", "mean difference", "IQM [interval]", "P(A > B)", "p", "p, Holm"], rows)


def _effects_told(effects: list[Row], confidence: float) -> str:
    pairs, least = effects[0]["n"], effects[0]["smallest_p"]
    few = "" if least < LEVEL else f" So few seeds can never reach {LEVEL}."
    return (
        "Placement is after − before, sharing unshared − shared, the interaction what unsharing changes after the LSTM "
        "less what it changes before it; each is a difference within a seed. IQM: interquartile mean, with the "
        f"{confidence:.0%} percentile bootstrap interval. p: two-sided sign-flip permutation test, Holm-corrected over "
        f"the three effects; {pairs} pairs can reach {least:.2g} at the least.{few}"
    )


def verdicts_table(summary: list[Row]) -> str:
    """Return the number of seeds for each verdict and variant, failures included."""
    rows = [[row["variant"], *(f"{row[name]} of {row['seeds']}" for name in VERDICTS)] for row in summary]
    return _table(["variant", *VERDICTS], rows)


def _verdicts_told(study: Study) -> str:
    limits = study.compare.thresholds
    return (
        f"*Not learned*: held-out accuracy below {limits.accuracy}. *Correct*: the mean vector peaks at a planted "
        f"step, which holds at least {limits.lift} times what uniform attention gives. *Diffuse*: no step stands out. "
        "*Late-shifted*: the peak lies after the planted step, and both together hold most of the attention. *Silent "
        "failure*: a step that carries nothing stands out."
    )


def results_table(summary: list[Row]) -> str:
    """Return the measures of each variant, mean ± standard deviation over seeds."""
    header = ["variant", "key mass", "hit rate", "peak of mean", "late mass", "entropy", "held-out accuracy"]
    rows = [
        [
            row["variant"],
            _spread(row, "key_mass"),
            _spread(row, "hit_rate"),
            f"step {row['peak_step']}",
            _spread(row, "late_mass"),
            _spread(row, "entropy"),
            f"{row['accuracy_mean']:.5f}",
        ]
        for row in summary
    ]
    return _table(header, rows)


def peaks_table(runs: list[Row], key_step: int) -> str:
    """Return for each variant how many seeds peak at the planted step, and the seeds that peak elsewhere."""
    rows = []
    for name in dict.fromkeys(run["variant"] for run in runs):
        peaks = {run["seed"]: run["peak_step"] for run in runs if run["variant"] == name}
        elsewhere = [f"seed {seed}: step {peak}" for seed, peak in peaks.items() if peak != key_step]
        at_key = f"{len(peaks) - len(elsewhere)} of {len(peaks)}"
        rows.append([name, at_key, ", ".join(elsewhere) or "none"])
    return _table(["variant", f"seeds that peak at step {key_step}", "seeds that peak elsewhere"], rows)


def published_table(summary: list[Row]) -> str:
    """Return our mean key mass beside the numbers of others; only for the article's own parameters."""
    rows = [
        [
            row["variant"],
            f"{row['key_mass_mean']:.3f}",
            *(f"{known[row['variant']]:.{digits}f}" if row["variant"] in known else "–" for known, digits in _KNOWN),
        ]
        for row in summary
    ]
    return _table(["variant", "here", "one seed", "ten seeds"], rows)


_KNOWN = ((PORT, 3), (TEN_SEEDS, 2))


def _spread(row: Row, name: str) -> str:
    return f"{row[f'{name}_mean']:.3f} ± {row[f'{name}_sd']:.3f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

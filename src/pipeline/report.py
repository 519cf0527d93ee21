"""The comparison told in words and tables; every number comes from the tables."""

from typing import Any

from pipeline.config import Data, Model, Study, Train

Row = dict[str, Any]

# The article's set-up, and the key mass that others found with it: a line-for-line port of the article's script to
# Keras 3, seed 1337, and the means of another port over ten seeds.
ARTICLE = (Data(300_000, 0.1, 20, 2, 10, 0), Model(32), Train(1, 64, 0.001, 64))
PORT = {"before_shared": 0.418, "before_unshared": 0.415, "after_shared": 0.766, "after_unshared": 0.532}
TEN_SEEDS = {"before_shared": 0.39, "before_unshared": 0.40, "after_shared": 0.78, "after_unshared": 0.51}


def render(study: Study, runs: list[Row], summary: list[Row]) -> str:
    """Return the report in Markdown.

    Args:
        study: what was run.
        runs: a row for each (variant, seed), from `compare.run_rows`.
        summary: a row for each variant, from `compare.summary_rows`.
    """
    data = study.data
    parts = [
        "# Attention before and after the LSTM, shared and unshared",
        f"{len(study.seeds)} seeds for each variant; {data.train_samples:,} training samples of {data.time_steps} time "
        f"steps, the label planted at step {data.key_step}; attention read on {study.probe.samples} fresh samples. "
        f"Uniform attention would give a key mass of {1 / data.time_steps:.3f}.",
        "![Attention weights of each variant over the time steps](figures/attention.png)",
        results_table(summary),
        "Key mass is the attention on the planted step, late mass that on the steps after it; both are averaged over "
        "features and samples, then over seeds (± standard deviation over seeds). Hit rate is the share of samples "
        "whose largest weight is on the planted step.",
        "## Where the peak lies, seed by seed",
        peaks_table(runs, data.key_step),
        "An LSTM's state carries the key forward, so that in the variants with attention after it, steps just behind "
        "the planted one hold the key too: a late peak is no error of the model.",
    ]
    if (data, study.model, study.train) == ARTICLE:
        parts += ["## Beside published numbers", published_table(summary), _PUBLISHED]
    parts += ["All numbers: [runs.csv](runs.csv), a row for each run, and [summary.csv](summary.csv)."]
    return "\n\n".join(parts) + "\n"


_PUBLISHED = (
    "Key mass. *One seed*: a line-for-line port of the article's script to Keras 3, seed 1337. *Ten seeds*: means of "
    "another port, each seed with data of its own. The figures in the original repository were drawn with **one** "
    "feature instead of two, one run each; read off them: 0.408 before the LSTM, and 0.771 after it, with 0.212 one "
    "step late."
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

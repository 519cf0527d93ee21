"""Numbers that others published, next to those found here."""

from pathlib import Path

from pandas import DataFrame

from pipeline.report import tables
from pipeline.report.markdown_tables import markdown, mean_and_range
from pipeline.report.titles import score_in
from pipeline.report.verdicts import VERDICTS
from pipeline.results.stage_files import ONE_FEATURE

# Key mass that others found with the article's settings: a line-for-line port of the article's script to Keras 3, seed
# 1337, and the means of another port over ten seeds; and, with one feature, one run of the original each.
PORT = {"before_shared": "0.418", "before_unshared": "0.415", "after_shared": "0.766", "after_unshared": "0.532"}
TEN_SEEDS = {"before_shared": "0.39", "before_unshared": "0.40", "after_shared": "0.78", "after_unshared": "0.51"}
ORIGINAL = {"before_unshared": "0.408", "after_unshared": "0.771"}

# The figures of the original repository, one run each, by the experiment (conf/experiment/) that repeats them.
FIGURES = {
    "one_feature": {
        "before_unshared": "0.408 at the key, then 0.067 at the last step",
        "after_unshared": "0.771 at the key, then 0.212 at the next step",
    },
    "dense": {"dense": "0.527 at the key, then 0.043; one sample"},
    "add_two": {"bahdanau": "a picture: attention “converges to the ground truth”"},
    "find_max": {"luong": "a picture: attention “converges perfectly”"},
}


def published_table(summary: DataFrame) -> str:
    """Return the mean key mass next to the numbers of others, which used the article's settings."""
    columns = {
        "variant": summary["variant"],
        "here": [f"{mean:.3f}" for mean in summary["key_mass_mean"]],
        "one seed": [PORT.get(variant, "–") for variant in summary["variant"]],
        "ten seeds": [TEN_SEEDS.get(variant, "–") for variant in summary["variant"]],
    }
    return markdown(DataFrame(columns))


def one_feature_table(controls: DataFrame) -> str:
    """Return the key mass with one feature next to that of the original's figures."""
    rows = [
        [variant, mean_and_range(seeds["key_mass"]), ORIGINAL.get(str(variant), "–")]
        for variant, seeds in controls[controls["control"] == ONE_FEATURE].groupby("variant", sort=False)
    ]
    return markdown(DataFrame(rows, columns=["variant, one feature", "here", "original, one run"]))


def figures_table(folder: Path) -> str:
    """Return for each figure of the original the published numbers and those found here, failures included.

    The folder holds the results of each experiment, as `pipeline.sweep` writes them.
    """
    rows = []
    for experiment, figures in FIGURES.items():
        runs = tables.read(folder / experiment / "runs.csv")
        for variant, numbers in figures.items():
            rows.append([experiment, variant, numbers, *_found(runs[runs["variant"] == variant])])
    header = ["experiment", "variant", "published", "key mass here", "hit rate", "held-out accuracy or R²", "verdicts"]
    return markdown(DataFrame(rows, columns=header))


def _found(runs: DataFrame) -> list[str]:
    scores, counts = runs[score_in(runs).column], runs["verdict"].value_counts()
    verdicts = [f"{counts[name]} of {len(runs)} {name}" for name in VERDICTS if name in counts]
    spread = f"{scores.min():.4f} to {scores.max():.4f}"
    return [mean_and_range(runs["key_mass"]), f"{runs['hit_rate'].mean():.3f}", spread, ", ".join(verdicts)]

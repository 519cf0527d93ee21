"""What others published, beside what is found here."""

from pathlib import Path

import numpy as np

from pipeline.report.markdown_tables import mean_and_range, score_in, table
from pipeline.report.tables import Row
from pipeline.report.verdicts import VERDICTS
from pipeline.results.evidence_files import ONE_FEATURE
from pipeline.results.file_formats import read_rows

# Key mass that others found with the article's set-up: a line-for-line port of the article's script to Keras 3, seed
# 1337, and the means of another port over ten seeds; and, with one feature, one run of the original each.
PORT = {"before_shared": 0.418, "before_unshared": 0.415, "after_shared": 0.766, "after_unshared": 0.532}
TEN_SEEDS = {"before_shared": 0.39, "before_unshared": 0.40, "after_shared": 0.78, "after_unshared": 0.51}
ORIGINAL = {"before_unshared": 0.408, "after_unshared": 0.771}

# The figures of the original repository, one run each, by the experiment (conf/experiment/) that makes them again.
FIGURES = {
    "one_feature": {
        "before_unshared": "0.408 at the key, then 0.067 at the last step",
        "after_unshared": "0.771 at the key, then 0.212 at the next step",
    },
    "dense": {"dense": "0.527 at the key, then 0.043; one sample"},
    "add_two": {"bahdanau": "a picture: attention “converges to the ground truth”"},
    "find_max": {"luong": "a picture: attention “converges perfectly”"},
}


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
    return table(["variant", "here", "one seed", "ten seeds"], rows)


_KNOWN = ((PORT, 3), (TEN_SEEDS, 2))


def one_feature_table(controls: list[Row]) -> str:
    """Return the key mass with one feature beside that of the original's figures."""
    own = [row for row in controls if row["control"] == ONE_FEATURE]
    rows = []
    for variant in dict.fromkeys(row["variant"] for row in own):
        masses = [row["key_mass"] for row in own if row["variant"] == variant]
        rows.append([variant, mean_and_range(masses), f"{ORIGINAL[variant]:.3f}" if variant in ORIGINAL else "–"])
    return table(["variant, one feature", "here", "original, one run"], rows)


def figures_table(folder: Path) -> str:
    """Return for each figure of the original what was published, and what is found here, failures included.

    Args:
        folder: of the results of each experiment, as `pipeline.sweep` writes them.
    """
    rows = []
    for name, figures in FIGURES.items():
        runs = read_rows(folder / name / "runs.csv")
        for variant, said in figures.items():
            own = [run for run in runs if run.get("variant") == variant]
            verdicts = [run["verdict"] for run in own]
            told = ", ".join(f"{verdicts.count(v)} of {len(own)} {v}" for v in VERDICTS if v in verdicts)
            masses, hits, scores = ([run[k] for run in own] for k in ("key_mass", "hit_rate", score_in(own[0])))
            score = f"{min(scores):.4f} to {max(scores):.4f}"
            rows.append([name, variant, said, mean_and_range(masses), f"{np.mean(hits):.3f}", score, told])
    header = ["experiment", "variant", "published", "key mass here", "hit rate", "held-out accuracy or R²", "verdicts"]
    return table(header, rows)

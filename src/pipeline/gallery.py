"""The figures of a comparison, drawn from its tables."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import figures
from pipeline.evidence import ONE_FEATURE
from pipeline.storage import read_rows


def draw(folder: Path) -> dict[str, Figure]:
    """Return path -> figure of all figures of a comparison, given the folder of its tables."""
    explanations = read_rows(folder / "explanations.csv")
    variants = list(dict.fromkeys(str(row["variant"]) for row in explanations))
    panels = [_panel(folder / "attention", name) for name in variants]
    key = panels[0][2]
    drawn = {
        "attention": figures.attention(panels),
        "effects": figures.forest(read_rows(folder / "effects.csv")),
        "explanations": figures.explanations(explanations, key.sum() / len(key)),
        "learning": figures.learning([_course(folder, name) for name in variants], key),
    }
    controls = read_rows(folder / "controls.csv")
    chosen = dict.fromkeys(str(row["variant"]) for row in controls if row["control"] == ONE_FEATURE)
    single = [_panel(folder / "one_feature", name) for name in chosen]
    if single:
        drawn["one_feature"] = figures.attention(single)
    return {f"figures/{name}.png": figure for name, figure in drawn.items()}


def _table(path: Path, names: tuple[str, str, str]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return a long table as values (rows, columns), and the names of rows and columns, each in their order."""
    rows = read_rows(path)
    first, second = (list(dict.fromkeys(row[name] for row in rows)) for name in names[:2])
    values = np.array([row[names[2]] for row in rows], np.float64).reshape(len(first), len(second))
    return values, np.array(first), np.array(second)


def _panel(folder: Path, name: str) -> figures.Panel:
    vectors, _, _ = _table(folder / f"{name}.csv", ("seed", "step", "attention"))
    keys, _, _ = _table(folder / f"{name}.csv", ("seed", "step", "key"))
    return name, vectors, keys[0]


def _course(folder: Path, name: str) -> figures.Course:
    attention, batches, _ = _table(folder / "heatmap" / f"{name}.csv", ("batch", "step", "attention"))
    masses, _, _ = _table(folder / "learning" / f"{name}.csv", ("seed", "batch", "key_mass"))
    return name, batches, attention, masses

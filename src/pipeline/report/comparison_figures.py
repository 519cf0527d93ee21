"""The figures of a comparison, drawn from its tables."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.report import figures
from pipeline.report.tables import Row
from pipeline.results.evidence_files import ONE_FEATURE
from pipeline.results.file_formats import read_rows


def draw(folder: Path) -> dict[str, Figure]:
    """Return path -> figure of all figures of a comparison, given the folder of its tables."""
    explanations = read_rows(folder / "explanations.csv")
    variants = list(dict.fromkeys(str(row["variant"]) for row in explanations))
    panels = [_panel(folder / "attention", name) for name in variants]
    key = panels[0][2]
    drawn = {
        "attention": figures.attention(panels),
        "learning": figures.learning([_course(folder, name) for name in variants], key),
    }
    if key.any():
        drawn["explanations"] = figures.explanations(explanations, key.sum() / len(key))
    if (folder / "effects.csv").exists():
        drawn["effects"] = figures.forest(read_rows(folder / "effects.csv"))
    controls = read_rows(folder / "controls.csv")
    chosen = dict.fromkeys(str(row["variant"]) for row in controls if row["control"] == ONE_FEATURE)
    single = [_panel(folder / "one_feature", name) for name in chosen]
    if single:
        drawn["one_feature"] = figures.attention(single)
    return {f"figures/{name}.png": figure for name, figure in drawn.items()}


def _table(rows: list[Row], names: tuple[str, str, str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a long table as values (rows, columns), and the names of the rows, each in their order."""
    first, second = (list(dict.fromkeys(row[name] for row in rows)) for name in names[:2])
    values = np.array([row[names[2]] for row in rows], np.float64).reshape(len(first), len(second))
    return values, np.array(first)


def _panel(folder: Path, name: str) -> figures.Panel:
    rows = read_rows(folder / f"{name}.csv")
    vectors, _ = _table(rows, ("seed", "step", "attention"))
    keys, _ = _table(rows, ("seed", "step", "key"))
    return name, vectors, keys[0]


def _course(folder: Path, name: str) -> figures.Course:
    attention, batches = _table(read_rows(folder / "heatmap" / f"{name}.csv"), ("batch", "step", "attention"))
    masses, _ = _table(read_rows(folder / "learning" / f"{name}.csv"), ("seed", "batch", "key_mass"))
    return name, batches, attention, masses

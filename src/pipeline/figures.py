"""All figures, in one style: colours that colour-blind readers can tell apart, the planted step marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
BLUE, VERMILION, GREY, BLACK = "#56B4E9", "#D55E00", "#555555", "#000000"

# title; attention vectors (seeds, steps); share of samples with a key at each step (steps,)
Panel = tuple[str, NDArray[np.floating], NDArray[np.floating]]


def attention(panels: Sequence[Panel]) -> Figure:
    """Draw attention vectors as the article does, bars over the time steps, a panel for each variant.

    Bars are means over the seeds, dots the seeds; the planted step stands out in colour and by its mark, and a
    dashed line shows uniform attention.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.1 * rows), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for index, ax in enumerate(axes.flat):
        if index < len(panels):
            _bars(ax, *panels[index])
        else:
            ax.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("time step")
    for ax in axes[:, 0]:
        ax.set_ylabel("attention weight")
    axes[0, 0].legend(loc="upper left", fontsize=9, frameon=False)
    return figure


def _bars(ax: Axes, title: str, vectors: NDArray[np.floating], key: NDArray[np.floating]) -> None:
    steps = np.arange(vectors.shape[1])
    planted = key > 0
    mean = vectors.mean(axis=0)
    ax.bar(steps[~planted], mean[~planted], color=BLUE, label="other steps")
    ax.bar(steps[planted], mean[planted], color=VERMILION, hatch="//", edgecolor="white", label="planted step")
    if len(vectors) > 1:
        spread = np.linspace(-0.25, 0.25, len(vectors))[:, None]
        ax.plot(steps + spread, vectors, ".", color=BLACK, markersize=3)
        ax.plot([], [], ".", color=BLACK, label=f"single seeds ({len(vectors)})")
    ax.axhline(1 / len(steps), color=GREY, linestyle="--", linewidth=1, label="uniform attention")
    ax.set_title(title, fontsize=11)
    ax.set_xticks(steps[:: max(1, len(steps) // 10)])
    ax.set_ylim(0, 1)
    ax.spines[["top", "right"]].set_visible(False)


FOREST = {"key_mass": "key mass", "hit_rate": "hit rate", "late_mass": "late mass", "entropy": "entropy"}
EFFECTS = {
    "placement": "placement\n(after − before)",
    "sharing": "sharing\n(unshared − shared)",
    "interaction": "interaction\n(of the two)",
}


def forest(effects: list[dict[str, Any]]) -> Figure:
    """Draw the effects with their intervals, a panel for each measure; filled where Holm-corrected p is below 0.05.

    Args:
        effects: rows of `effects.effect_rows`.
    """
    figure = Figure(figsize=(10, 2.6), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(FOREST), sharey=True)
    for ax, (metric, title) in zip(axes, FOREST.items(), strict=True):
        rows = [next(row for row in effects if (row["effect"], row["metric"]) == (name, metric)) for name in EFFECTS]
        for height, row in enumerate(rows):
            ax.plot([row["low"], row["high"]], [height, height], color=BLUE, linewidth=2)
            told = row["p_holm"] < 0.05
            ax.plot(row["iqm"], height, "o", color=VERMILION, markerfacecolor=VERMILION if told else "white")
        ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("difference")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(EFFECTS)), list(EFFECTS.values()))
    axes[0].set_ylim(len(EFFECTS) - 0.5, -0.5)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})

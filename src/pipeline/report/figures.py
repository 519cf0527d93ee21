"""All figures, in one style: colours that colour-blind readers can tell apart, the planted step marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
BLUE, VERMILION, GREY, BLACK = "#56B4E9", "#D55E00", "#555555", "#000000"

Row = dict[str, Any]
# title; attention vectors (seeds, steps); share of samples with a key at each step (steps,)
Panel = tuple[str, NDArray[np.floating], NDArray[np.floating]]


def attention(variants: Sequence[Panel]) -> Figure:
    """Draw attention vectors as the article does, bars over the time steps, a panel for each variant.

    Bars are means over the seeds, dots the seeds; a step that is planted in all samples stands out in colour and by its
    mark, and a dashed line shows uniform attention.
    """
    columns = min(2, len(variants))
    rows = -(-len(variants) // columns)
    figure, axes = panels(rows, columns, (5 * columns, 3.1 * rows))
    for index, ax in enumerate(axes.flat):
        if index < len(variants):
            _bars(ax, *variants[index])
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
    planted = key == 1
    mean = vectors.mean(axis=0)
    ax.bar(steps[~planted], mean[~planted], color=BLUE, label="other steps" if planted.any() else "time steps")
    if planted.any():
        ax.bar(steps[planted], mean[planted], color=VERMILION, hatch="//", edgecolor="white", label="planted step")
    if len(vectors) > 1:
        spread = np.linspace(-0.25, 0.25, len(vectors))[:, None]
        ax.plot(steps + spread, vectors, ".", color=BLACK, markersize=3)
        ax.plot([], [], ".", color=BLACK, label=f"single seeds ({len(vectors)})")
    ax.axhline(1 / len(steps), color=GREY, linestyle="--", linewidth=1, label="uniform attention")
    ax.set_title(_title(title), fontsize=11)
    ax.set_xticks(steps[:: max(1, len(steps) // 10)])
    ax.set_ylim(0, 1)


SHOWN = {"key_mass": "key mass", "hit_rate": "hit rate", "late_mass": "late mass", "entropy": "entropy"}
EFFECTS = {
    "placement": "placement\n(after − before)",
    "sharing": "sharing\n(unshared − shared)",
    "interaction": "interaction\n(of the two)",
}


def forest(effects: list[Row]) -> Figure:
    """Draw the effects with their intervals, a panel for each measure; filled where Holm-corrected p is below 0.05.

    Args:
        effects: rows of `effects.effect_rows`.
    """
    figure, axes = panels(1, len(SHOWN), (10, 2.6))
    for ax, (metric, title) in zip(axes[0], SHOWN.items(), strict=True):
        rows = [next(row for row in effects if (row["effect"], row["metric"]) == (name, metric)) for name in EFFECTS]
        for height, row in enumerate(rows):
            ax.plot([row["low"], row["high"]], [height, height], color=BLUE, linewidth=2)
            told = row["p_holm"] < 0.05
            ax.plot(row["iqm"], height, "o", color=VERMILION, markerfacecolor=VERMILION if told else "white")
        ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("difference")
    axes[0, 0].set_yticks(range(len(EFFECTS)), list(EFFECTS.values()))
    axes[0, 0].set_ylim(len(EFFECTS) - 0.5, -0.5)
    return figure


def explanations(rows: list[Row], uniform: float) -> Figure:
    """Draw the key mass of attention and of the other explanations by label if there are any, a panel for each variant.

    Args:
        rows: of `tables.explanation_rows`.
        uniform: the key mass of equal weights.
    """
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    names = list(dict.fromkeys(row["explanation"] for row in rows))
    figure, axes = panels(-(-len(variants) // 2), min(2, len(variants)), (10, 2.6 * -(-len(variants) // 2)))
    for ax, variant in zip(axes.flat, variants, strict=False):
        own = [row for row in rows if row["variant"] == variant]
        heights = np.arange(len(own))
        for name, title, colour, marker, shift in _BY_LABEL if "key_mass_y0_mean" in rows[0] else _TOGETHER:
            means, spreads = ([row[f"{name}_{kind}"] for row in own] for kind in ("mean", "sd"))
            style = {"color": colour, "fmt": marker, "markersize": 5, "capsize": 2, "label": title}
            ax.errorbar(means, heights + shift, xerr=spreads, **style)
        ax.axvline(uniform, color=GREY, linestyle="--", linewidth=1, label="equal weights")
        ax.set_title(_title(variant), fontsize=11)
    for ax in axes[-1]:
        ax.set_xlabel("key mass (mean ± SD over seeds)")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    axes[0, 0].set_xlim(-0.03, 1.03)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


# measure, name, colour, marker, shift
_BY_LABEL = (("key_mass_y0", "label 0", BLUE, "o", -0.15), ("key_mass_y1", "label 1", VERMILION, "s", 0.15))
_TOGETHER = (("key_mass", "all samples", VERMILION, "s", 0.0),)

# variant; batches seen (points,); mean attention (points, steps); key mass (seeds, points)
Course = tuple[str, NDArray[np.int64], NDArray[np.floating], NDArray[np.floating]]


def learning(courses: Sequence[Course], key: NDArray[np.floating]) -> Figure:
    """Draw the attention while it is learned: a heat map over training and time steps, below it the key mass.

    The planted step is pointed at. Below, thin lines are the seeds, the thick one their median.

    Args:
        courses: of the variants, from batch 0 on.
        key: share of samples with a key at each step, (steps,).
    """
    figure, axes = panels(2, len(courses), (10, 4.4), sharey="row")
    for (name, batches, attention, masses), (upper, lower) in zip(courses, axes.T, strict=True):
        image = upper.pcolormesh(batches, np.arange(len(key)), attention.T, cmap="cividis", norm=PowerNorm(0.5, 0, 1))
        for step in np.flatnonzero(key == 1):
            upper.annotate("", (1, step), (1.08, step), ("axes fraction", "data"), arrowprops=_POINTER)
        lower.plot(batches, masses.T, color=BLUE, linewidth=0.8)
        lower.plot(batches, np.median(masses, axis=0), color=VERMILION, linewidth=2)
        upper.set_title(_title(name), fontsize=11)
        lower.set_xlabel("batches seen")
        lower.set_xscale("symlog", linthresh=batches[1], linscale=0.5)
        lower.set_xlim(0, batches[-1])
        lower.set_xticks([0, *_POWERS[(batches[1] < _POWERS) & (batches[-1] >= _POWERS)]])
        lower.minorticks_off()
    axes[0, 0].set_ylabel("time step")
    axes[1, 0].set_ylabel("key mass")
    axes[1, 0].set_ylim(0, 1)
    figure.colorbar(image, ax=axes[0], label="attention weight")
    return figure


_POWERS = 10 ** np.arange(1, 10)
_POINTER = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 1.5}


def panels(
    rows: int, columns: int, size: tuple[float, float], sharey: Literal["all", "row", "none"] = "all"
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (rows, columns), which share what they measure."""
    figure = Figure(figsize=size, dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(variant: str) -> str:
    return variant.replace("_", ", ")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})

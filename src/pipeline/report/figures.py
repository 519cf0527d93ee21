"""The figures of attention, effects and explanations, in colours that colour-blind readers can distinguish."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas import DataFrame

from pipeline.report.effects import EXPLORATORY, UNSHARING
from pipeline.report.titles import CURVES, MEASURES, SHOWN, by_label
from pipeline.results.stage_files import PADDING_MASS, AttendedSeed

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
BLUE, DARK_BLUE, VERMILION, GREY, BLACK = "#56B4E9", "#0072B2", "#D55E00", "#555555", "#000000"


def attention(variants: Mapping[str, Mapping[int, AttendedSeed]]) -> Figure:
    """Draw attention vectors as in the article: bars over the time steps, a panel for each variant.

    Bars are means over the seeds, dots single seeds. A step that is planted in all samples has another colour and a
    hatch; a dashed line shows uniform attention. `variants` is name -> seed -> attention.
    """
    columns = min(2, len(variants))
    figure, axes = panel_each(len(variants), 5 * columns, 3.1)
    for ax, (name, attended) in zip(axes.flat, variants.items(), strict=False):
        _bars(ax, list(attended.values()))
        ax.set_title(title_of(name), fontsize=11)
    for ax in axes[-1]:
        ax.set_xlabel("time step")
    for ax in axes[:, 0]:
        ax.set_ylabel("attention weight")
    axes[0, 0].legend(loc="upper left", fontsize=9, frameon=False)
    return figure


def _bars(ax: Axes, seeds: list[AttendedSeed]) -> None:
    vectors, planted = np.stack([seed.vector for seed in seeds]), seeds[0].key == 1
    steps, mean = np.arange(len(planted)), vectors.mean(axis=0)
    ax.bar(steps[~planted], mean[~planted], color=BLUE, label="other steps" if planted.any() else "time steps")
    if planted.any():
        ax.bar(steps[planted], mean[planted], color=VERMILION, hatch="//", edgecolor="white", label="planted step")
    if len(vectors) > 1:
        spread = np.linspace(-0.25, 0.25, len(vectors))[:, None]
        ax.plot(steps + spread, vectors, ".", color=BLACK, markersize=3)
        ax.plot([], [], ".", color=BLACK, label=f"single seeds ({len(vectors)})")
    if PADDING_MASS not in seeds[0].measures:  # else its mean over the samples is not the same at all steps
        ax.axhline(1 / len(steps), color=GREY, linestyle="--", linewidth=1, label="uniform attention")
    ax.set_xticks(steps[:: max(1, len(steps) // 10)])
    ax.set_ylim(0, 1)


EFFECTS = {
    "placement": "placement\n(after − before)",
    "sharing": "sharing\n(unshared − shared)",
    "interaction": "interaction\n(of the two)",
    UNSHARING["before"]: "unsharing before\nthe LSTM",
    UNSHARING["after"]: "unsharing after\nthe LSTM",
}


def forest(effects: DataFrame, significance: float) -> Figure:
    """Draw the effects of `effects.estimate` with their intervals, a panel for each measure, the primary one first.

    The marker of a Holm-corrected p is filled below the level of significance.
    """
    measures = effects.drop_duplicates("metric")
    figure, axes = panels(1, len(measures), (10, 3.4))
    rows = effects.set_index(["metric", "effect"])
    for ax, (metric, family) in zip(axes[0], measures[["metric", "family"]].to_numpy(), strict=True):
        for height, row in enumerate(rows.loc[metric].loc[list(EFFECTS)].itertuples()):
            ax.plot([row.low, row.high], [height, height], color=BLUE, linewidth=2)
            face = VERMILION if row.p_holm < significance else "white"
            ax.plot(row.iqm, height, "o", color=VERMILION, markerfacecolor=face)
        ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
        ax.set_title(f"{MEASURES[metric]}\n({family})", fontsize=11, color=GREY if family == EXPLORATORY else BLACK)
        ax.set_xlabel("difference")
    axes[0, 0].set_yticks(range(len(EFFECTS)), list(EFFECTS.values()))
    axes[0, 0].set_ylim(len(EFFECTS) - 0.5, -0.5)
    return figure


def explanations(table: DataFrame, uniform: float, classes: tuple[str, ...] = ()) -> Figure:
    """Draw the key mass of attention and of other explanations, by label if there are any and not more than `SHOWN`.

    `table` is that of `tables.explanations`, `uniform` the key mass of equal weights; `classes` are names of labels.
    """
    variants, names = table["variant"].unique(), table["explanation"].unique()
    figure, axes = panel_each(len(variants), 10, 2.6)
    labels = "key_mass_y0_mean" in table and len(classes) <= SHOWN
    for ax, variant in zip(axes.flat, variants, strict=False):
        rows = table[table["variant"] == variant]
        for measure, title, colour, marker, shift in _by_label(classes) if labels else _TOGETHER:
            style = {"color": colour, "fmt": marker, "markersize": 5, "capsize": 2, "label": title}
            means, deviations = rows[f"{measure}_mean"].to_numpy(), rows[f"{measure}_sd"].to_numpy()
            ax.errorbar(means, np.arange(len(rows)) + shift, xerr=deviations, **style)
        ax.axvline(uniform, color=GREY, linestyle="--", linewidth=1, label="equal weights")
        ax.set_title(title_of(variant), fontsize=11)
    for ax in axes[-1]:
        ax.set_xlabel("key mass (mean ± SD over seeds)")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


_TOGETHER = [("key_mass", "all samples", VERMILION, "s", 0.0)]  # measure, title, colour, marker, shift


def _by_label(classes: tuple[str, ...]) -> list[tuple[str, str, str, str, float]]:
    """Return the same for each label, side by side."""
    titles, colours, markers = by_label("key_mass", classes), (BLUE, VERMILION, BLACK, GREY, DARK_BLUE), "os^vD"
    last = len(titles) - 1
    return [
        (
            name,
            title.replace("$", r"\$"),
            colours[label % len(colours)],
            markers[label % len(markers)],
            0.3 * label / last - 0.15,
        )
        for label, (name, title) in enumerate(titles.items())
    ]


# curve -> batches seen (points,), and its share of its way (seeds, points)
Curves = Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]]
# variant; batches seen (points,); mean attention (points, steps); curves
Course = tuple[str, NDArray[np.int64], NDArray[np.floating], Curves]


def learning(courses: Sequence[Course], key: NDArray[np.floating]) -> Figure:
    """Draw attention during training: a heat map over batches and time steps, and below it how far curves have gone.

    An arrow marks the planted step. Below, thin lines are the seeds, thick lines their median; a curve without a way
    in any seed is left out. The courses start at batch 0; `key` (steps,) is the share of samples with a key at each
    step.
    """
    figure, axes = panels(2, len(courses), (10, 5), sharey="row")
    for (name, batches, attention, curves), (upper, lower) in zip(courses, axes.T, strict=True):
        image = upper.pcolormesh(batches, np.arange(len(key)), attention.T, cmap="cividis", norm=PowerNorm(0.5, 0, 1))
        for step in np.flatnonzero(key == 1):
            upper.annotate("", (1, step), (1.08, step), ("axes fraction", "data"), arrowprops=_POINTER)
        _ways(lower, curves)
        upper.set_title(title_of(name), fontsize=11)
        lower.set_xscale("symlog", linthresh=batches[1], linscale=0.5)
        ticks = [0, *_POWERS[(batches[1] < _POWERS) & (batches[-1] >= _POWERS)]]
        lower.set(xlabel="batches seen", xlim=(0, batches[-1]), xticks=ticks)
        lower.minorticks_off()
    axes[0, 0].set_ylabel("time step")
    axes[1, 0].set(ylabel="share of the way", ylim=(-0.1, 1.3))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.colorbar(image, ax=axes[0], label="attention weight")
    return figure


def _ways(ax: Axes, curves: Curves) -> None:
    for (name, (batches, shares)), (colour, dashes) in zip(curves.items(), _LINES, strict=True):
        style: dict[str, Any] = {"color": colour, "linestyle": dashes}
        known = shares[np.isfinite(shares).all(axis=1)]
        if len(known):
            ax.plot(batches, known.T, linewidth=0.7, alpha=0.5, **style)
            ax.plot(
                batches, np.median(known, axis=0), linewidth=2.2, label=f"{CURVES[name]} (median of seeds)", **style
            )


_LINES = ((VERMILION, "solid"), (DARK_BLUE, (0, (4, 1))))  # colour and dashes
_POWERS = 10 ** np.arange(1, 10)
_POINTER = {"arrowstyle": "-|>", "color": VERMILION, "linewidth": 1.5}


def panels(
    rows: int, columns: int, size: tuple[float, float], sharey: Literal["all", "row", "none"] = "all"
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes (rows, columns), which share the x-axis and, as `sharey` says, the y-axis."""
    figure = Figure(figsize=size, dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def panel_each(number: int, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """Return a figure of rows of two panels, of a width and each of a height, and its axes (rows, columns)."""
    columns = min(2, number)
    rows = -(-number // columns)
    figure, axes = panels(rows, columns, (width, height * rows))
    for ax in axes.flat[number:]:
        ax.set_axis_off()
    return figure, axes


def title_of(variant: str) -> str:
    """Return a variant's name as the title of a panel."""
    return variant.replace("_", ", ")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without the version of matplotlib: the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})

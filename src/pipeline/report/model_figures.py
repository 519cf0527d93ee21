"""The figures of what trained models know at each step, and of how many samples they need."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from pipeline.report.figures import BLACK, BLUE, GREY, VERMILION, panel_each, panels, title_of
from pipeline.report.titles import Score

if TYPE_CHECKING:
    from pipeline.report.tables import VariantResult

GREEN = "#009E73"  # of the palette of `figures`


def by_step(results: "list[VariantResult]", score: Score) -> Figure:
    """Draw for each variant what can be read at each step, and where the model reads it: means over seeds.

    Bars are attention; lines are the score of a linear readout of the label, the distance between labels as a share of
    its maximum, and each step's share of the logit, where the output is a sum over steps. A dotted line marks the key.
    """
    figure, axes = panel_each(len(results), 5 * min(2, len(results)), 2.7)
    for ax, result in zip(axes.flat, results, strict=False):
        seeds = list(result.attended.values())
        steps = np.arange(len(seeds[0].vector))
        ax.bar(steps, np.mean([seed.vector for seed in seeds], axis=0), color=BLUE, label="attention")
        lines = (("readout", f"readout ({score.short})", VERMILION, "o"), ("gain", "distance of labels", GREEN, "^"))
        for name, label, colour, marker in (*lines, ("logit_share", "share of the logit", BLACK, "s")):
            drawn = [seed.steps[name] for seed in seeds if name in seed.steps]
            if drawn:
                mean = np.mean(drawn, axis=0)
                values = mean / mean.max() if name == "gain" else mean
                ax.plot(steps, values, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=label)
        for step in np.flatnonzero(result.key() == 1):
            ax.axvline(step, color=GREY, linestyle=":", linewidth=1, zorder=0, label="planted step")
        ax.set_title(title_of(result.variant.name), fontsize=11)
        ax.set_ylim(-0.05, 1.05)
        ax.set_xticks(steps[:: max(1, len(steps) // 10)])
    for ax in axes[-1]:
        ax.set_xlabel("time step")
    for ax in axes[:, 0]:
        ax.set_ylabel("weight, score or share")
    handles = max((ax.get_legend_handles_labels() for ax in axes.flat), key=lambda found: len(found[0]))
    figure.legend(*handles, loc="outside upper center", ncols=5, frameon=False)
    return figure


def samples_seen(curves: DataFrame, score: str) -> Figure:
    """Draw the training score over the samples seen, a panel for each placement; `control_tables.learning_curves`.

    Thin lines are seeds, thick lines medians over them.
    """
    placements = list(curves.groupby("placement", sort=False))
    figure, (axes,) = panels(1, len(placements), (5 * len(placements), 3))
    styles = dict(zip(curves["attention"].unique(), ((VERMILION, "-"), (BLUE, "--"), (BLACK, ":")), strict=False))
    for ax, (placement, part) in zip(axes, placements, strict=True):
        for attention, (colour, style) in styles.items():
            table = part[part["attention"] == attention].pivot_table("score", "samples", ["seed"], aggfunc="mean")
            ax.plot(table.index, table.to_numpy(), color=colour, linewidth=0.4, alpha=0.6)
            ax.plot(table.index, table.median(axis=1), style, color=colour, linewidth=2, label=attention)
        ax.set_title(f"{placement} the LSTM", fontsize=11)
        ax.set_xscale("log")
        ax.set_xlabel("training samples seen")
    axes[0].set_ylabel(f"training {score}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure

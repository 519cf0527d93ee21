"""The figures of a sweep: results over a swept value, and attention on single samples."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas import DataFrame, Series

from pipeline.report.figures import GREY, panels
from pipeline.report.titles import score_in
from pipeline.report.verdicts import UNJUDGED

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
MARKED = 8  # numbers along an axis that all get a tick, at most


def measures(summary: DataFrame, swept: list[str]) -> Figure:
    """Draw share of `correct`, key mass and score over a swept value, a line for each combination of the others.

    `summary` has a row for each combination, of `sweep_tables.tabulate`; `swept` are the names of the swept values.
    """
    x, score = along(summary, swept), score_in(summary)
    numeric = _numeric(summary[x])
    places = summary[x].astype(float) if numeric else Series(pd.factorize(summary[x])[0])
    others = summary[[name for name in swept if name != x]].astype(str)
    labels = Series([", ".join(values) for values in others.to_numpy()])
    lines = list(summary.groupby(labels, sort=False))
    figure, (axes,) = panels(1, 3, (10, 3.4 + 0.2 * (len(lines) // 4)), sharey="none")
    for (name, rows), (colour, marker) in zip(lines, cycle(STYLES), strict=False):
        style = {"color": colour, "marker": marker, "linestyle": "-" if numeric else "none", "label": name}
        judged = rows["correct"].where(~_unjudged(rows))  # without a mask, nobody knows how many are correct
        axes[0].plot(places[rows.index], judged / rows["seeds"], **style)
        for ax, measure in ((axes[1], "key_mass"), (axes[2], score.column)):
            spread = rows.reindex(columns=[f"{measure}_mean", f"{measure}_sd"]).to_numpy()
            ax.errorbar(places[rows.index], *spread.T, capsize=2, **style)
    titles = ("share of seeds that are correct", "key mass (mean ± SD over seeds)", f"{score.short} (mean ± SD)")
    for ax, title in zip(axes, titles, strict=True):
        _frame(ax, title, summary[x])
    if len(lines) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _unjudged(rows: DataFrame) -> "Series[bool]":
    """Return which rows have no mask, and so no verdict on where attention peaks: they alone count the unjudged."""
    return rows.reindex(columns=[UNJUDGED])[UNJUDGED].notna()


def _frame(ax: Axes, title: str, values: "Series[Any]") -> None:
    """Set the title and scale the axes of a panel over swept values."""
    ticks = values.unique()
    ax.set_title(title, fontsize=11)
    ax.set(xlabel=str(values.name), ylim=(-0.03, 1.03))
    ax.grid(axis="y", color=GREY, alpha=0.2)
    if not _numeric(values):
        ax.set_xticks(range(len(ticks)), [str(tick) for tick in ticks], rotation=30, ha="right")
    elif len(ticks) <= MARKED:
        ax.set_xticks([float(tick) for tick in ticks], [str(tick) for tick in ticks])


def samples(attention: NDArray[np.floating], mask: NDArray[np.bool_], shown: int = 16) -> Figure:
    """Draw the attention of a seed on the first samples beside the steps that it should find, both (samples, steps).

    Source: the pictures of `examples/` of https://github.com/philipperemy/keras-attention.
    """
    figure, (axes,) = panels(1, 2, (8, 3.6))
    for ax, title, image in ((axes[0], "attention weights", attention), (axes[1], "key steps", mask)):
        drawn = ax.imshow(image[:shown], cmap="cividis", norm=PowerNorm(0.5, 0, 1), aspect="auto", interpolation="none")
        ax.set_title(title, fontsize=11)
        ax.set_xlabel("time step")
    axes[0].set_ylabel("probe sample")
    figure.colorbar(drawn, ax=list(axes), label="weight")
    return figure


def along(summary: DataFrame, swept: list[str]) -> str:
    """Return the name of the swept value for the x-axis: of numbers if there are any, and the one with the most."""

    def rank(name: str) -> tuple[bool, int]:
        return _numeric(summary[name]), summary[name].nunique()

    return max(swept, key=rank, default="variant")


def _numeric(values: "Series[Any]") -> bool:
    return bool(pd.to_numeric(values, errors="coerce").notna().all())

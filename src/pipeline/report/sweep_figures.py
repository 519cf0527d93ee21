"""The figures of a sweep: what becomes of attention when a value changes, and what it is on single samples."""

from contextlib import suppress
from itertools import cycle
from math import nan

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.report.figures import GREY, panels
from pipeline.report.markdown_tables import score_in
from pipeline.report.tables import Row

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
VARIANT = "variant"
MARKED = 8  # numbers that are all written under their axis, at most


def measures(summary: list[Row], swept: list[str]) -> Figure:
    """Draw share of `correct`, key mass and score over a value that was swept, a line for each combination of the rest.

    Args:
        summary: a row for each combination, of `sweep.tabulate`.
        swept: names of the values that were swept.
    """
    x = _along(summary, swept)
    ticks = list(dict.fromkeys(row[x] for row in summary))
    numeric = all(_number(tick) is not None for tick in ticks)
    lines: dict[str, list[Row]] = {}
    for row in summary:
        lines.setdefault(", ".join(str(row[name]) for name in swept if name != x), []).append(row)
    figure, (axes,) = panels(1, 3, (10, 3.4 + 0.2 * (len(lines) // 4)), sharey="none")
    for (name, rows), (colour, marker) in zip(lines.items(), cycle(STYLES), strict=False):
        places = [_number(row[x]) if numeric else ticks.index(row[x]) for row in rows]
        style = {"color": colour, "marker": marker, "linestyle": "-" if numeric else "none", "label": name}
        axes[0].plot(places, [row["correct"] / row["seeds"] for row in rows], **style)
        for ax, measure in ((axes[1], "key_mass"), (axes[2], score_in(summary[0]))):
            means, spreads = ([row.get(f"{measure}_{kind}", nan) for row in rows] for kind in ("mean", "sd"))
            ax.errorbar(places, means, spreads, capsize=2, **style)
    titles = (
        "share of seeds that are correct",
        "key mass (mean ± SD over seeds)",
        f"held-out {score_in(summary[0])} (mean ± SD)",
    )
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=11)
        ax.set_xlabel(x)
        ax.set_ylim(-0.03, 1.03)
        ax.grid(axis="y", color=GREY, alpha=0.2)
        if not numeric:
            ax.set_xticks(range(len(ticks)), [str(tick) for tick in ticks], rotation=30, ha="right")
        elif len(ticks) <= MARKED:
            ax.set_xticks([float(tick) for tick in ticks], [str(tick) for tick in ticks])
    if len(lines) > 1:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def samples(attention: NDArray[np.floating], mask: NDArray[np.bool_], shown: int = 16) -> Figure:
    """Draw the attention of some samples beside the steps that they should find.

    Args:
        attention: (samples, steps), of one seed.
        mask: (samples, steps), true at the key steps.
        shown: how many samples.

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


def _along(summary: list[Row], swept: list[str]) -> str:
    """Return the name of the value to draw along: of numbers if there are such, and of these the one with the most."""

    def rank(name: str) -> tuple[bool, int]:
        values = {row[name] for row in summary}
        return all(_number(value) is not None for value in values), len(values)

    return max(swept, key=rank, default=VARIANT)


def _number(value: object) -> float | None:
    with suppress(ValueError):
        return float(str(value))
    return None

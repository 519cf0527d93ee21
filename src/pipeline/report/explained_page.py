"""Explained samples as figures and as one page that needs no network: maps of features over steps."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas import DataFrame

from pipeline.report import figures, html_page
from pipeline.report.markdown_tables import markdown
from pipeline.results.explained_files import MAPS, AgainstMask, Explained, Row
from pipeline.results.file_formats import write_text

SHOWN = 10  # samples with a figure of their own: the first ones
TITLES = dict(zip(MAPS, ("attention", "gradient × input", "integrated gradients", "occlusion"), strict=True))
MARKED = 0.5  # share of the samples in which a cell is marked, from which the mean has a mark there
WORDS = """
Each map has a row for each feature and a column for each time step; that of attention has a row for each of its heads
or features. *Gradient × input*, *integrated gradients* (from the mean of the training samples) and *occlusion* (values
of training samples in place of the sample's own) say by how much a value raises ({raises}) or lowers (blue) the
{output}. They speak of the input, attention after the recurrent layer of its states: a state can hold what came before
it. None of them proves a cause. All numbers are in explained.npz.
"""


AGAINST = """
The mask says what determines the label; it is drawn as crosses. *Key mass* is the share of a map on what is marked,
*key skill* how far that is from equal weights (0) to all on it (1), *hit rate* the share of samples whose largest value
is marked, *average precision* how well the map ranks what is marked before the rest; means over the samples. A step
counts with the sum of its features, without its sign; attention over states or heads has no features.
"""


def write(
    folder: Path,
    explained: Explained,
    title: str,
    classes: tuple[str, ...] | None,
    against: AgainstMask | None = None,
) -> None:
    """Write index.html and its figures: the mean of the maps over all samples, and the first samples.

    In the mean, all but attention are absolute values, so that signs do not cancel.

    Args:
        folder: where to write.
        explained: the maps.
        title: of the page.
        classes: the names of the labels; None in a regression.
        against: a mask, and how well each map finds what it marks.
    """
    maps = {name: np.asarray(getattr(explained, name), np.float64) for name in TITLES}
    means = {name: np.abs(values).mean(axis=0) for name, values in maps.items()}
    marks = None if against is None else against.mask.reshape(*against.mask.shape[:2], -1)
    of_features = MAPS if against is None else [row["map"] for row in against.rows if row["over"] != "steps"]

    def crosses(marked: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
        steps = np.asarray(marked.any(axis=1, keepdims=True))
        return {name: marked if name in of_features else steps for name in MAPS}

    usual = {} if marks is None else crosses(marks.mean(axis=0) >= MARKED)
    figures.save(draw(_mean(explained.x), means, usual, signed=False), folder / "mean.png")
    predicted, numbers = _predictions(explained, classes)
    output = "prediction" if classes is None else "log-odds of the class that the page names"
    parts = [f"# {title}", WORDS.format(raises="red", output=output)]
    if against:
        parts += ["## Against the mask", AGAINST, _measures(against.rows)]
    parts += [f"## All {len(explained.x)} samples", "Means over the samples, of absolute values.", "![](mean.png)"]
    for number, value in enumerate(numbers[:SHOWN]):
        name = f"sample-{number}.png"
        sample = {kind: values[number] for kind, values in maps.items()}
        own = {} if marks is None else crosses(marks[number])
        figures.save(draw(explained.x[number], sample, own, signed=True), folder / name)
        parts += [f"## Sample {number}: {predicted} {value}", f"![]({name})"]
    parts += ["## Predictions", markdown(DataFrame({"sample": range(len(numbers)), predicted: numbers}))]
    write_text(folder / "index.html", html_page.html("\n\n".join(parts), folder))


def _measures(rows: list[Row]) -> str:
    """Return how well each map finds what a mask marks, as a table."""
    table = DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))
    table["map"] = table["map"].replace(TITLES)
    return markdown(table.map(lambda cell: f"{cell:.3f}" if isinstance(cell, float) else cell))


def _mean(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of samples at each step, (steps, features), without the padding, which is NaN; NaN if all is."""
    given = ~np.isnan(x)
    total = np.where(given, x, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.where(given.any(axis=0), given.sum(axis=0), np.nan))


def _predictions(explained: Explained, classes: tuple[str, ...] | None) -> tuple[str, list[str]]:
    """Return what is predicted, and the prediction of each sample."""
    if classes is None:
        return "prediction", [f"{value:.6g}" for value in explained.prediction]
    if len(classes) == 2:
        return f"probability of {classes[1]}", [f"{value:.6g}" for value in explained.prediction]
    pairs = zip(explained.prediction, explained.target, strict=True)
    return "probability of", [f"{classes[target]} {shares[target]:.6g}" for shares, target in pairs]


def draw(
    x: NDArray[np.floating],
    maps: dict[str, NDArray[np.float64]],
    crosses: dict[str, NDArray[np.bool_]],
    signed: bool,
) -> Figure:
    """Draw values (steps, features) above the maps of them, name -> (steps, rows); `signed` ones have two colours.

    `crosses` are drawn into the maps of the same names, where true: (steps, rows), or (steps, 1) for all rows.
    """
    figure, axes = figures.panels(1 + len(maps), 1, (9, 1.7 * (1 + len(maps))), sharey="none")
    steps = np.arange(len(x))
    for feature, values in enumerate(x.T):
        axes[0, 0].plot(steps, values, marker="." if len(x) <= 50 else "", label=f"feature {feature}")
    axes[0, 0].set_title("values" if signed else "values, mean over the samples", fontsize=10)
    if x.shape[1] <= 8:
        axes[0, 0].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for ax, (name, values) in zip(axes[1:, 0], maps.items(), strict=True):
        _map(ax, values, TITLES[name], signed and name != "attention")
        ax.set_ylabel("feature" if name != "attention" else "feature or head", fontsize=8)
        if name in crosses:
            steps, rows = np.nonzero(np.broadcast_to(crosses[name], values.shape))
            ax.plot(steps, rows, "x", color="white", markersize=5, markeredgewidth=2.5)
            ax.plot(steps, rows, "x", color="black", markersize=4, markeredgewidth=1)
    axes[-1, 0].set_xlabel("time step")
    return figure


def _map(ax: Axes, values: NDArray[np.float64], title: str, signed: bool) -> None:
    largest = max(float(np.abs(values).max()), 1e-12)
    steps, rows = (np.arange(size + 1) - 0.5 for size in values.shape)
    low, colours = (-largest, "RdBu_r") if signed else (0.0, "viridis")
    image = ax.pcolormesh(steps, rows, values.T, vmin=low, vmax=largest, cmap=colours)
    ax.set_yticks(range(values.shape[1]) if values.shape[1] <= 10 else [0, values.shape[1] - 1])
    ax.set_ylim(values.shape[1] - 0.5, -0.5)
    ax.set_title(title, fontsize=10)
    ax.figure.colorbar(image, ax=ax)

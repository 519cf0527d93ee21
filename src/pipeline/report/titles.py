"""Titles of scores and measures in tables, figures and text."""

import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple


class Score(NamedTuple):
    """A score on the held-out samples: its column in the tables, and its names in text."""

    column: str
    short: str
    with_article: str
    title: str


SCORES = {
    "balanced_accuracy": Score(
        "balanced_accuracy", "balanced accuracy", "a balanced accuracy", "held-out balanced accuracy"
    ),
    "r2": Score("r2", "R²", "an R²", "held-out R²"),
}
MEASURES = {
    "key_mass": "key mass",
    "value_weighted_mass": "value-weighted mass",
    "hit_rate": "hit rate",
    "late_mass": "late mass",
    "entropy": "entropy",
}
CURVES = {"key mass": "key mass", "accuracy": "accuracy", "r2": "R²"}  # over training


SHOWN = 5  # classes side by side in a table of the report or a figure; with more, only all samples together


def by_label(measure: str, classes: tuple[str, ...]) -> dict[str, str]:
    """Return the column of a measure for each label -> its title, given the names of the classes.

    Without names, there are two labels, 0 and 1.
    """
    names = classes or ("label 0", "label 1")
    return {f"{measure}_y{label}": name.replace("|", "/") for label, name in enumerate(names)}


def trained_score(regression: bool) -> str:
    """Return the name of the score of a training curve, a key of `CURVES`."""
    return "r2" if regression else "accuracy"


def interval(low: float, high: float) -> str:
    """Return the interval of a share in brackets, after a space; an empty text if there is none."""
    return "" if math.isnan(low) else f" [{low:.0%}, {high:.0%}]"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def spread(mean: float, deviation: float) -> str:
    """Return mean ± standard deviation; of one seed, which has no deviation, the mean; without either, a dash."""
    if math.isnan(mean):
        return "–"
    mean = round(mean, 3) + 0.0  # no negative zero
    return f"{mean:.3f}" if math.isnan(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def score_in(columns: Iterable[Hashable]) -> Score:
    """Return the score of a table of runs or of means over seeds, given its columns: the first of several."""
    names = (str(column).removesuffix("_mean") for column in columns)
    return next(SCORES[name] for name in names if name in SCORES)

"""The tables and figures of a sweep: its combinations of values side by side."""

import re
from math import isnan, nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, concat

from pipeline.report import relevance, tables
from pipeline.report.markdown_tables import markdown
from pipeline.report.tables import VariantResult
from pipeline.report.titles import SCORES, interval, spread
from pipeline.report.verdicts import CORRECT, NOT_LEARNED
from pipeline.results import folders, splits
from pipeline.results.file_formats import write_text
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Study
from pipeline.settings.study import digest

DRAWN = 8  # combinations whose samples are drawn, at most


class Point(NamedTuple):
    """A combination of values: the swept ones, name -> value as written, and the complete study."""

    swept: dict[str, str]
    study: Study

    @property
    def title(self) -> str:
        """Return the swept values, or the variant if there are none."""
        swept = self.swept or {"variant": self.study.chosen_variant().name}
        return " ".join(f"{name}={value}" for name, value in swept.items())


def varying(points: list[Point]) -> list[Point]:
    """Return the points without those values that are the same in all of them."""
    names = list(dict.fromkeys(name for point in points for name in point.swept))
    kept = [name for name in names if len({point.swept.get(name) for point in points}) > 1]
    return [Point({name: point.swept.get(name, "") for name in kept}, point.study) for point in points]


def folder_of(points: list[Point], requested: str | None) -> Path:
    """Return the folder of a sweep's results: the requested one, or one that no other sweep has."""
    identity = [[point.swept, folders.values(point.study, "attention")] for point in points]
    return ROOT / (requested or f"{folders.OUTPUTS}/sweep-{digest(identity)}")


def tabulate(points: list[Point], results: list[VariantResult]) -> tuple[DataFrame, DataFrame]:
    """Return a row for each run and a row for each combination: the swept values, then the columns of a comparison."""
    runs, summary = [], []
    for (swept, study), result in zip(points, results, strict=True):
        table = tables.runs([result], study.compare.thresholds, study.score)
        runs.append(DataFrame({**swept, **table}))
        summary.append(DataFrame({**swept, **tables.summary([result], table, study.compare.confidence)}))
    return concat(runs, ignore_index=True), concat(summary, ignore_index=True)


def write(folder: Path, points: list[Point], results: list[VariantResult]) -> None:
    """Write the tables of all runs and of all combinations, and their figures."""
    from pipeline.report import figures, sweep_figures

    runs, summary = tabulate(points, results)
    tables.write(folder / "runs.csv", runs)
    tables.write(folder / "summary.csv", summary)
    summary = relevance.renamed_table(summary, relevance.shown_names(results))
    names = list(points[0].swept)
    overview = f"{crosswise(summary, *names)}\n\n" if len(names) == 2 else ""
    write_text(folder / "summary.md", overview + table(summary, names or ["variant"]) + "\n")
    if len(points) > 1:
        figures.save(sweep_figures.measures(summary, names), folder / "measures.png")
    for point in points if len(points) <= DRAWN else []:
        name = " ".join(point.swept.values()) or point.study.chosen_variant().name
        path = folder / "samples" / (re.sub(r"[^\w.-]+", "_", name) + ".png")
        figures.save(sweep_figures.samples(*_samples(point.study)), path)


def crosswise(summary: DataFrame, down: str, across: str) -> str:
    """Return, in Markdown, a row for each value of one column of `summary` and a column for each value of another.

    A cell has the number of correct seeds of those that learned the task, and the mean key mass of all seeds.
    """
    cells = {}
    for row in summary.to_dict("records"):
        learned, mass = row["seeds"] - row[NOT_LEARNED], row["key_mass_mean"]
        judged = "unjudged" if isnan(mass) else f"{row[CORRECT]} of {learned} correct, {mass:.2f}"
        cells[row[down], row[across]] = judged if learned else "not learned"
    columns = list(dict.fromkeys(value for _, value in cells))
    rows = [[value, *(cells.get((value, other), "") for other in columns)] for value in summary[down].unique()]
    return markdown(DataFrame(rows, columns=[f"{down} \\ {across}", *map(str, columns)]))


def table(summary: DataFrame, names: list[str]) -> str:
    """Return the rows of `summary` in Markdown, named by some of its columns: verdicts, key mass, erasure, score.

    `comprehensiveness` tells how much a prediction loses without its most attended step; see `model_measures`.
    """
    rows = []
    for row in summary.to_dict("records"):
        seeds, score = row["seeds"], next(name for name in SCORES if not isnan(row.get(f"{name}_mean", nan)))
        rows.append(
            [
                *(row[name] for name in names),
                f"{seeds - row[NOT_LEARNED]} of {seeds}",
                f"{row[CORRECT]} of {seeds}{interval(row['correct_low'], row['correct_high'])}",
                *(
                    spread(row[f"{name}_mean"], row[f"{name}_sd"])
                    for name in ("key_mass", "hit_rate", "comprehensiveness")
                ),
                f"{SCORES[score].short} {row[f'{score}_mean']:.3f}",
            ]
        )
    measures = ("key mass", "hit rate", "lost without its peak")
    return markdown(DataFrame(rows, columns=[*names, "learned", "correct", *measures, "held-out score"]))


def _samples(study: Study) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the attention of the first seed on the probe samples, and their mask, both (samples, steps)."""
    with folders.reading(study, "attention") as folder:
        attention = np.load(folder / "attention.npy", mmap_mode="r", allow_pickle=False)[0]
    return attention, splits.load(study, "probe").rows("mask")

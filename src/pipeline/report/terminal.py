"""What a stage prints when it is done."""

import sys
from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipeline.report.relevance import marked, shown_name
from pipeline.report.titles import MEASURES, SCORES, counted, score_in
from pipeline.report.verdicts import CORRECT, UNJUDGED
from pipeline.results.file_formats import read_csv
from pipeline.results.folders import shown
from pipeline.results.stage_files import PADDING_MASS, WEIGHT_SUM, AttendedSeed, ControlRun, TrainedSeed
from pipeline.settings.schema import Tracking

BLOCKS = "▁▂▃▄▅▆▇█"
LINES, BAR = 40, 40  # lines of a vector, and characters of its longest bar
COLUMNS = 60  # blocks of a vector, at most
NONE = "-"  # printed where there is no number
WIDTH = 10_000  # so that rich neither wraps nor truncates a line: names stay complete


def blocks(vector: NDArray[np.floating]) -> str:
    """Return a line of block characters, one for each time step, the highest for the largest weight.

    Of more than `COLUMNS` steps, a block shows the largest of several adjacent ones.
    """
    levels = np.ceil(_columns(vector) / vector.max() * len(BLOCKS)).astype(int) - 1
    return "".join(BLOCKS[max(level, 0)] for level in levels)


def _columns(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.array([part.max() for part in np.array_split(vector, min(COLUMNS, len(vector)))])


def show_training(trained: Mapping[int, TrainedSeed], score: str) -> None:
    """Print held-out loss and score of each seed."""
    rows = [[str(seed), f"{result.loss:.2e}", f"{result.scores[score]:.4f}"] for seed, result in trained.items()]
    _show([], ["seed", "held-out loss", SCORES[score].title], rows)


def show_attention(variants: dict[str, dict[int, AttendedSeed]]) -> None:
    """Print the mean vector of name -> seed -> attention as a line of blocks; mark steps that are always planted."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for variant, attended in variants.items():
        vector = np.mean([result.vector for result in attended.values()], axis=0)
        key = next(iter(attended.values())).key
        masses = [result.measures["key_mass"] for result in attended.values()]
        over = f"{min(masses):.3f} to {max(masses):.3f} over {counted(len(masses), 'seed')}"
        spread = f"key mass {np.mean(masses):.3f} ({over})"
        table.add_row(shown_name(variant, attended.values()), blocks(vector), spread if key.any() else "")
        if (key == 1).any():
            table.add_row("", "".join("^" if share == 1 else " " for share in _columns(key)))
    _print(table)
    for variant, attended in variants.items():
        on_padding = [result.measures[PADDING_MASS] for result in attended.values() if PADDING_MASS in result.measures]
        if on_padding:
            print(f"{variant}: {np.mean(on_padding):.3f} of its attention is on padding.")


def show_vector(result: AttendedSeed) -> None:
    """Print the attention vector of a seed, a line for each time step; of many, for those with the most attention."""
    table = Table("step", "attention", "", "", box=None, pad_edge=False)
    most = np.sort(np.argsort(-result.vector, kind="stable")[:LINES])
    for step in most.tolist():
        weight, share = result.vector[step], result.key[step]
        bar = "#" * round(float(weight / result.vector.max()) * BAR)
        mark = "<- key" if share == 1 else f"<- key of {share:.0%} of the samples" if share else ""
        table.add_row(str(step), f"{weight:.3f}", bar, mark, style="green" if share == 1 else None)
    _print(table)
    if len(most) < len(result.vector):
        print(f"The {LINES} steps with the most attention, of {len(result.vector)}.")


def show_controls(runs: list[ControlRun], score: str) -> None:
    """Print held-out score and key mass, a line for each control and variant."""
    groups: dict[tuple[str, str], list[ControlRun]] = {}
    for run in runs:
        groups.setdefault((run.control, run.variant.name), []).append(run)
    rows = []
    for names, group in groups.items():
        scores, masses = [run.scores[score] for run in group], [run.attended.measures["key_mass"] for run in group]
        reached = f"{min(scores):.4f} to {max(scores):.4f}"
        rows.append([*names, reached, NONE if isnan(masses[0]) else f"{min(masses):.3f} to {max(masses):.3f}"])
    _show(["control", "variant"], [SCORES[score].short, "key mass"], rows)


def show_study(folder: Path, variants: dict[str, dict[int, AttendedSeed]], settings: Tracking) -> None:
    """Print the results of a comparison: its table, each variant's attention, and where the results are."""
    show_summary(folder, ["variant"])
    show_attention(variants)
    show_where(folder, settings)


def show_summary(folder: Path, names: list[str]) -> None:
    """Print the means over seeds in summary.csv, a line for each row, which starts with the columns of `names`."""
    summary = read_csv(folder / "summary.csv")
    score = score_in(summary[0])
    columns = {"key_mass": ".3f", "hit_rate": ".3f", "late_mass": ".3f", score.column: ".5f"}
    rows = []
    for row in summary:
        means = [format(float(row[f"{name}_mean"]), digits) for name, digits in columns.items()]
        correct = f"{row[CORRECT]} of {row['seeds']}" if isnan(float(row.get(UNJUDGED, "nan"))) else UNJUDGED
        if not isnan(float(row.get(f"{WEIGHT_SUM}_mean", "nan"))):
            row["variant"] = marked(row["variant"])
        rows.append([*(row[name] for name in names), *(NONE if mean == "nan" else mean for mean in means), correct])
    _show(names, [*(MEASURES.get(name, score.short) for name in columns), CORRECT], rows)


def show_where(folder: Path, settings: Tracking) -> None:
    """Print where the results are and, if runs are tracked, how to look at them."""
    browse = " Browse the runs: make ui" if settings.uri else ""
    print(f"Results are in {shown(folder)}.{browse}")


def _show(names: list[str], numbers: list[str], rows: Iterable[list[str]]) -> None:
    """Print a table: columns of names, aligned on the left, then columns of numbers, aligned on the right."""
    table = Table(*names, box=None, pad_edge=False)
    for title in numbers:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    _print(table)


def _print(table: Table) -> None:
    """Print a table; `?` replaces a character that the terminal lacks."""
    console = Console(width=WIDTH, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    encoding = sys.stdout.encoding or "utf-8"
    for line in captured.get().splitlines():
        print(line.rstrip().encode(encoding, "replace").decode(encoding))

"""What a stage says when it is done."""

import sys
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.report.markdown_tables import SCORES, score_in
from pipeline.report.tables import Row
from pipeline.report.verdicts import CORRECT, UNJUDGED
from pipeline.results.evidence_files import ControlRun
from pipeline.results.file_formats import read_csv
from pipeline.results.folders import shown
from pipeline.results.stage_files import AttendedSeed, TrainedSeed
from pipeline.settings.schema import Tracking

SHORT = {name: title.split()[1] for name, title in SCORES.items()}
BLOCKS = "▁▂▃▄▅▆▇█"


def blocks(vector: NDArray[np.floating]) -> str:
    """Return a line of block characters, one for each time step, the highest for the largest weight."""
    levels = np.ceil(vector / vector.max() * len(BLOCKS)).astype(int) - 1
    return "".join(BLOCKS[max(level, 0)] for level in levels)


def show_training(trained: dict[int, TrainedSeed], score: str) -> None:
    """Print held-out loss and score of each seed."""
    print(f"  seed  held-out loss  {SCORES[score]:>17}")
    for seed, result in trained.items():
        print(f"{seed:>6}  {result.loss:>13.2e}  {result.score:>17.4f}")


def show_attention(title: str, attended: dict[int, AttendedSeed]) -> None:
    """Print the mean attention vector of a variant as a line of blocks, and mark what is planted in all samples."""
    vector = np.mean([result.vector for result in attended.values()], axis=0)
    key = np.mean([result.key for result in attended.values()], axis=0)
    masses = [result.measures["key_mass"] for result in attended.values()]
    spread = f"  key mass {np.mean(masses):.3f} ({min(masses):.3f} to {max(masses):.3f} over {len(masses)} seeds)"
    _print(f"{title:<18} {blocks(vector)}{spread if key.any() else ''}")
    if (key == 1).any():
        print(" " * 19 + "".join("^" if share == 1 else " " for share in key).rstrip())


def show_controls(runs: list[ControlRun], score: str) -> None:
    """Print held-out score and key mass, a line for each control and variant."""
    print(f"control         variant             {SHORT[score]:<20}  key mass")
    for control, variant in dict.fromkeys((run.control, run.variant.name) for run in runs):
        own = [run for run in runs if (run.control, run.variant.name) == (control, variant)]
        scores, masses = [run.score for run in own], [run.attended.measures["key_mass"] for run in own]
        reached = f"{min(scores):.4f} to {max(scores):.4f}"
        print(f"{control:<15} {variant:<18}  {reached:<20}  {min(masses):.3f} to {max(masses):.3f}")


def show_comparison(summary: list[dict[str, str]]) -> None:
    """Print the means over seeds, a line for each row of summary.csv."""
    score = score_in(summary[0])
    print(f"variant             key mass  hit rate  late mass  {SHORT[score]:>8}   correct")
    for row in summary:
        numbers = [float(row[f"{name}_mean"]) for name in ("key_mass", "hit_rate", "late_mass")]
        cells = "".join(f"{number:>10.3f}" for number in numbers)
        correct = "unjudged" if UNJUDGED in row else f"{row[CORRECT]} of {row['seeds']}"
        print(f"{row['variant']:<18}{cells}{float(row[f'{score}_mean']):>11.5f}{correct:>10}")


def show_sweep(summary: list[Row], swept: list[str]) -> None:
    """Print the means over seeds, a line for each combination of values."""
    score = score_in(summary[0])
    told = [[str(row[name]) for name in swept] for row in summary]
    widths = [max(map(len, column)) + 2 for column in zip(swept, *told, strict=True)]
    print("".join(f"{name:<{width}}" for name, width in zip(swept, widths, strict=True)), end="")
    print(f"key mass  {SHORT[score]:>8}   correct")
    for row, words in zip(summary, told, strict=True):
        cells = "".join(f"{word:<{width}}" for word, width in zip(words, widths, strict=True))
        correct = "unjudged" if UNJUDGED in row else f"{row[CORRECT]} of {row['seeds']}"
        print(f"{cells}{row['key_mass_mean']:>8.3f}  {row.get(f'{score}_mean', nan):>8.4f}{correct:>10}")


def show_study(folder: Path, attended: dict[str, dict[int, AttendedSeed]], settings: Tracking) -> None:
    """Print what a comparison found: its table, each variant's attention, and where the results are."""
    show_comparison(read_csv(folder / "summary.csv"))
    for variant, seeds in attended.items():
        show_attention(variant, seeds)
    show_where(folder, settings)


def show_where(folder: Path, settings: Tracking) -> None:
    """Print where the results are and, if runs are tracked, how to look at them."""
    browse = " Browse the runs: make ui" if settings.uri else ""
    print(f"Results are in {shown(folder)}.{browse}")


def _print(line: str) -> None:
    """Print a line; on a terminal that lacks a character, with a stand-in for it."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding))

"""The files of what attention is compared with: other explanations, earlier points of training, and controls."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import read_arrays, read_csv, write_arrays, write_csv
from pipeline.results.stage_files import AttendedSeed, numbers, read_vectors, vector_rows
from pipeline.settings.schema import Variant

LEARNING = ("batches", "vectors", "key_mass")
UNTRAINED = "untrained attention"  # listed among the explanations
UNIFORM, ONE_FEATURE, NULL_KEY = "frozen uniform", "one feature", "null key"  # names of controls


class ExplainedSeed(NamedTuple):
    """What the attention of a seed is compared with.

    `scores` is explanation -> the measures of its weights, and their agreement with attention. The other fields are
    attention during training: `batches` (points,) seen, from 0, `vectors` (points, steps), and `key_mass` (points,).
    """

    scores: dict[str, dict[str, float]]
    batches: NDArray[np.int64]
    vectors: NDArray[np.float64]
    key_mass: NDArray[np.float64]


class ControlRun(NamedTuple):
    """A model trained with one thing changed."""

    control: str
    variant: Variant
    seed: int
    loss: float
    score: float
    attended: AttendedSeed


def write_explanations(folder: Path, explained: dict[int, ExplainedSeed]) -> None:
    """Write explanations.csv, a row for each seed and explanation, and learning.npz, its first axis the seeds."""
    rows = [
        {"seed": seed, "explanation": name} | scores
        for seed, result in explained.items()
        for name, scores in result.scores.items()
    ]
    write_csv(folder / "explanations.csv", rows)
    stacked = {name: np.stack([getattr(result, name) for result in explained.values()]) for name in LEARNING}
    write_arrays(folder / "learning.npz", stacked)


def read_explanations(folder: Path) -> dict[int, ExplainedSeed]:
    """Return seed -> what `write_explanations` wrote."""
    scores: dict[int, dict[str, dict[str, float]]] = {}
    for row in read_csv(folder / "explanations.csv"):
        seed, explanation = int(row.pop("seed")), row.pop("explanation")
        scores.setdefault(seed, {})[explanation] = numbers(row)
    stacked = read_arrays(folder / "learning.npz")
    histories = zip(*(stacked[name] for name in LEARNING), strict=True)
    return {seed: ExplainedSeed(scores[seed], *history) for seed, history in zip(scores, histories, strict=True)}


def write_controls(folder: Path, runs: list[ControlRun], score: str = "accuracy") -> None:
    """Write controls.csv, a row for each run, and vectors.csv, a row for each run and time step."""
    rows: list[dict[str, Any]] = []
    vectors: list[dict[str, Any]] = []
    for control, variant, seed, loss, reached, attended in runs:
        names = {"control": control, "variant": variant.name, "seed": seed}
        kind = {"placement": variant.placement, "sharing": variant.sharing or "", "uniform": variant.uniform}
        rows.append(names | kind | {"loss": loss, score: reached} | attended.measures)
        vectors += vector_rows(attended, **names)
    write_csv(folder / "controls.csv", rows)
    write_csv(folder / "vectors.csv", vectors)


def read_controls(folder: Path) -> list[ControlRun]:
    """Return what `write_controls` wrote."""
    runs, vectors = [], read_vectors(folder / "vectors.csv", "control", "variant", "seed")
    for row in read_csv(folder / "controls.csv"):
        control, name, seed = row.pop("control"), row.pop("variant"), row.pop("seed")
        attention: tuple[Any, Any] = row.pop("placement"), row.pop("sharing") or None  # the class checks both
        variant = Variant(*attention, row.pop("uniform") == "True", name)
        loss, score = float(row.pop("loss")), float(row.pop("r2" if "r2" in row else "accuracy"))
        attended = AttendedSeed(*vectors[control, name, seed], numbers(row))
        runs.append(ControlRun(control, variant, int(seed), loss, score, attended))
    return runs

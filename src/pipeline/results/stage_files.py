"""The files of training, attention, what attention is compared with, and controls: what they hold, written and read."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import (
    read_arrays,
    read_csv,
    read_hash,
    write_arrays,
    write_csv,
    write_text,
)
from pipeline.settings.schema import Variant
from pipeline.settings.study import digest

Weights = dict[str, NDArray[np.float32]]  # by the path of the variable
BATCHES = "batches"
LEARNING = ("batches", "vectors", "key_mass")
UNTRAINED = "untrained attention"  # listed among the explanations
UNIFORM, ONE_FEATURE, NULL_KEY = "frozen uniform", "one feature", "null key"  # names of controls
Point = tuple[int, float, float]  # of a training curve: batches seen; mean loss and score since the last point


class Snapshots(NamedTuple):
    """The weights that determine attention, before training and at points during it.

    `batches` (points,) is the number of batches seen; `weights` is path of the variable -> (points, *shape).
    """

    batches: NDArray[np.int64]
    weights: Weights

    def at(self, point: int) -> Weights:
        """Return the weights at a point."""
        return {path: array[point] for path, array in self.weights.items()}


class TrainedSeed(NamedTuple):
    """The result of training one seed; `loss` and `score` are those on the held-out samples.

    For a classification they are binary cross-entropy (nats) and accuracy (a share), for a regression mean squared
    error and coefficient of determination.
    """

    weights: Weights
    snapshots: Snapshots
    curve: list[Point]
    loss: float
    score: float

    def weights_hash(self) -> str:
        """Return a hash of the bytes of all weights."""
        content = hashlib.sha256()
        for path, array in sorted(self.weights.items()):
            content.update(path.encode() + array.tobytes())
        return content.hexdigest()[:12]


class AttendedSeed(NamedTuple):
    """The attention of a seed's model on the probe samples.

    `vector` (steps,) is averaged over samples, `key` (steps,) is the share of samples with a key at each step, and
    `measures` is the result of `attention_measures.summarize`.
    """

    vector: NDArray[np.float64]
    key: NDArray[np.float64]
    measures: dict[str, float]

    def attention_hash(self) -> str:
        """Return a hash of the vector and the measures, to nine digits."""
        rounded = [[f"{weight:.9g}" for weight in self.vector], {k: f"{v:.9g}" for k, v in self.measures.items()}]
        return digest(rounded)


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


def write_training(folder: Path, trained: dict[int, TrainedSeed], data: str, score: str = "accuracy") -> None:
    """Write metrics.csv, history.csv, {weights,snapshots}/seed-N.npz, data.txt (hash of data); `score` is a name."""
    write_text(folder / "data.txt", data + "\n")
    for seed, result in trained.items():
        write_arrays(folder / "weights" / f"seed-{seed}.npz", result.weights)
        snapshots = result.snapshots
        write_arrays(folder / "snapshots" / f"seed-{seed}.npz", {BATCHES: snapshots.batches} | snapshots.weights)
    write_csv(folder / "metrics.csv", [{"seed": s, "loss": r.loss, score: r.score} for s, r in trained.items()])
    write_curves(folder / "history.csv", trained, score)


def write_curves(path: Path, trained: dict[int, TrainedSeed], score: str = "accuracy") -> None:
    """Write the training curves, a row for each seed and point."""
    names = ("seed", "batch", "loss", score)
    points = [(seed, *point) for seed, result in trained.items() for point in result.curve]
    write_csv(path, [dict(zip(names, point, strict=True)) for point in points])


def read_training(folder: Path) -> dict[int, TrainedSeed]:
    """Return seed -> what `write_training` wrote."""
    curves: dict[int, list[Point]] = {}
    for row in read_csv(folder / "history.csv"):
        curves.setdefault(int(row["seed"]), []).append((int(row["batch"]), float(row["loss"]), _score(row)))
    trained = {}
    for row in read_csv(folder / "metrics.csv"):
        seed = int(row["seed"])
        kept = read_arrays(folder / "snapshots" / f"seed-{seed}.npz")
        snapshots = Snapshots(kept.pop(BATCHES), kept)
        weights = read_arrays(folder / "weights" / f"seed-{seed}.npz")
        trained[seed] = TrainedSeed(weights, snapshots, curves[seed], float(row["loss"]), _score(row))
    return trained


def _score(row: dict[str, str]) -> float:
    return float(row["r2"] if "r2" in row else row["accuracy"])


def read_dataset(folder: Path) -> str:
    """Return the hash of the data that a variant was trained on."""
    return read_hash(folder / "data.txt")


def write_attention(folder: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write vectors.csv, a row for each seed and time step, and metrics.csv, a row for each seed."""
    write_vectors(folder / "vectors.csv", attended)
    write_csv(folder / "metrics.csv", [{"seed": seed} | result.measures for seed, result in attended.items()])


def write_vectors(path: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write the attention vectors, a row for each seed and time step."""
    write_csv(path, [row for seed, result in attended.items() for row in vector_rows(result, seed=seed)])


def vector_rows(attended: AttendedSeed, **names: Any) -> list[dict[str, Any]]:
    """Return a row of names, time step, attention and key for each time step."""
    pairs = zip(attended.vector.tolist(), attended.key.tolist(), strict=True)
    return [{**names, "step": step, "attention": weight, "key": key} for step, (weight, key) in enumerate(pairs)]


def read_vectors(path: Path, *names: str) -> dict[tuple[str, ...], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return names of `vector_rows` -> attention and key, each (steps,)."""
    pairs: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for row in read_csv(path):
        pairs.setdefault(tuple(row[name] for name in names), []).append((float(row["attention"]), float(row["key"])))
    arrays = {key: np.array(steps) for key, steps in pairs.items()}
    return {key: (array[:, 0], array[:, 1]) for key, array in arrays.items()}


def read_attention(folder: Path) -> dict[int, AttendedSeed]:
    """Return seed -> what `write_attention` wrote."""
    vectors = read_vectors(folder / "vectors.csv", "seed")
    measures = {row.pop("seed"): numbers(row) for row in read_csv(folder / "metrics.csv")}
    return {int(seed): AttendedSeed(*vectors[seed,], measures[seed]) for (seed,) in vectors}


def numbers(row: dict[str, str]) -> dict[str, float]:
    """Return a row of a table, or the rest of it, as numbers."""
    return {name: float(value) for name, value in row.items()}


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

"""The files of training and of attention: what a seed's result holds, written and read."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import read_arrays, read_csv, write_arrays, write_csv, write_rows, write_text
from pipeline.settings.study import digest

Weights = dict[str, NDArray[np.float32]]  # by the path of the variable
BATCHES = "batches"
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
        """Return a hash of the vector and the measures, at the precision of the files."""
        rounded = [[f"{weight:.9g}" for weight in self.vector], {k: f"{v:.9g}" for k, v in self.measures.items()}]
        return digest(rounded)


def write_training(folder: Path, trained: dict[int, TrainedSeed], data: str, score: str = "accuracy") -> None:
    """Write metrics.csv, history.csv, weights/seed-N.npz, snapshots/seed-N.npz, and data.txt, the hash of the data.

    `score` is the name of the score.
    """
    write_text(folder / "data.txt", data + "\n")
    for seed, result in trained.items():
        write_arrays(folder / "weights" / f"seed-{seed}.npz", result.weights)
        snapshots = result.snapshots
        write_arrays(folder / "snapshots" / f"seed-{seed}.npz", {BATCHES: snapshots.batches} | snapshots.weights)
    write_csv(folder / "metrics.csv", ["seed", "loss", score], [[s, r.loss, r.score] for s, r in trained.items()])
    write_curves(folder / "history.csv", trained, score)


def write_curves(path: Path, trained: dict[int, TrainedSeed], score: str = "accuracy") -> None:
    """Write the training curves, a row for each seed and point."""
    points = [[seed, *point] for seed, result in trained.items() for point in result.curve]
    write_csv(path, ["seed", "batch", "loss", score], points)


def read_training(folder: Path) -> dict[int, TrainedSeed]:
    """Return seed -> what `write_training` wrote."""
    curves: dict[int, list[Point]] = {}
    for row in read_csv(folder / "history.csv"):
        point = (int(row["batch"]), float(row["loss"]), _score(row))
        curves.setdefault(int(row["seed"]), []).append(point)
    trained = {}
    for row in read_csv(folder / "metrics.csv"):
        seed = int(row["seed"])
        kept = read_arrays(folder / "snapshots" / f"seed-{seed}.npz")
        snapshots = Snapshots(kept.pop(BATCHES), kept)
        weights = read_arrays(folder / "weights" / f"seed-{seed}.npz")
        trained[seed] = TrainedSeed(weights, snapshots, curves[seed], float(row["loss"]), _score(row))
    return trained


def write_seed(folder: Path, result: TrainedSeed, data: str, score: str) -> None:
    """Write the result of a single seed."""
    write_training(folder, {0: result}, data, score)


def read_seed(folder: Path) -> TrainedSeed:
    """Return what `write_seed` wrote."""
    return read_training(folder)[0]


def _score(row: dict[str, str]) -> float:
    return float(row["r2"] if "r2" in row else row["accuracy"])


def read_dataset(folder: Path) -> str:
    """Return the hash of the data that a variant was trained on."""
    return (folder / "data.txt").read_text(encoding="utf-8").strip()


def write_attention(folder: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write vectors.csv, a row for each seed and time step, and metrics.csv, a row for each seed."""
    write_vectors(folder / "vectors.csv", attended)
    write_rows(folder / "metrics.csv", [{"seed": seed} | result.measures for seed, result in attended.items()])


def write_vectors(path: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write the attention vectors, a row for each seed and time step."""
    rows = [
        [seed, step, float(weight), float(key)]
        for seed, result in attended.items()
        for step, (weight, key) in enumerate(zip(result.vector, result.key, strict=True))
    ]
    write_csv(path, ["seed", "step", "attention", "key"], rows)


def read_attention(folder: Path) -> dict[int, AttendedSeed]:
    """Return seed -> what `write_attention` wrote."""
    vectors: dict[int, list[tuple[float, float]]] = {}
    for row in read_csv(folder / "vectors.csv"):
        vectors.setdefault(int(row["seed"]), []).append((float(row["attention"]), float(row["key"])))
    measures = {int(row.pop("seed")): numbers(row) for row in read_csv(folder / "metrics.csv")}
    arrays = {seed: np.array(pairs).T for seed, pairs in vectors.items()}
    return {seed: AttendedSeed(vector, key, measures[seed]) for seed, (vector, key) in arrays.items()}


def numbers(row: dict[str, str]) -> dict[str, float]:
    """Return a row of a table, or the rest of it, as numbers."""
    return {name: float(value) for name, value in row.items()}

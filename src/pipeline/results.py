"""What the stages put into their folders, and how it is read back."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config import digest
from pipeline.storage import read_csv, write_csv

Weights = dict[str, NDArray[np.float32]]  # by the path of the variable
Point = tuple[int, float, float]  # batches seen; mean loss (nats) and accuracy over those since the last point


class TrainedSeed(NamedTuple):
    """What training gives for a seed; loss (nats) and accuracy (share) are those on the held-out samples."""

    weights: Weights
    curve: list[Point]
    loss: float
    accuracy: float

    def weights_hash(self) -> str:
        """Return a hash of the weights: the same bytes, the same hash."""
        content = hashlib.sha256()
        for path, array in sorted(self.weights.items()):
            content.update(path.encode() + array.tobytes())
        return content.hexdigest()[:12]


class AttendedSeed(NamedTuple):
    """The attention of a seed's model on the probe samples.

    `vector` (steps,) is averaged over samples, `key` (steps,) is the share of samples with a key at each step, and
    `measures` are those of `pipeline.metrics`.
    """

    vector: NDArray[np.float64]
    key: NDArray[np.float64]
    measures: dict[str, float]

    def attention_hash(self) -> str:
        """Return a hash of the vector and its measures, at the precision of the files."""
        rounded = [[f"{weight:.9g}" for weight in self.vector], {k: f"{v:.9g}" for k, v in self.measures.items()}]
        return digest(rounded)


def write_training(folder: Path, trained: dict[int, TrainedSeed]) -> None:
    """Write metrics.csv, history.csv and weights/seed-N.npz (neither pickle nor date in it)."""
    (folder / "weights").mkdir()
    for seed, result in trained.items():
        arrays: dict[str, Any] = dict(result.weights)
        np.savez(folder / "weights" / f"seed-{seed}.npz", allow_pickle=False, **arrays)
    write_csv(
        folder / "metrics.csv", ["seed", "loss", "accuracy"], [[s, r.loss, r.accuracy] for s, r in trained.items()]
    )
    write_curves(folder / "history.csv", trained)


def write_curves(path: Path, trained: dict[int, TrainedSeed]) -> None:
    """Write the training curves, a row for each seed and point."""
    points = [[seed, *point] for seed, result in trained.items() for point in result.curve]
    write_csv(path, ["seed", "batch", "loss", "accuracy"], points)


def read_training(folder: Path) -> dict[int, TrainedSeed]:
    """Return seed -> what `write_training` wrote."""
    curves: dict[int, list[Point]] = {}
    for row in read_csv(folder / "history.csv"):
        point = (int(row["batch"]), float(row["loss"]), float(row["accuracy"]))
        curves.setdefault(int(row["seed"]), []).append(point)
    return {
        seed: TrainedSeed(read_weights(folder, seed), curves[seed], float(row["loss"]), float(row["accuracy"]))
        for row in read_csv(folder / "metrics.csv")
        for seed in [int(row["seed"])]
    }


def read_weights(folder: Path, seed: int) -> Weights:
    """Return the trained weights of a seed."""
    with np.load(folder / "weights" / f"seed-{seed}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def write_attention(folder: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write vectors.csv, a row for each seed and time step, and metrics.csv, a row for each seed."""
    write_vectors(folder / "vectors.csv", attended)
    names = list(next(iter(attended.values())).measures)
    measures = [[seed, *(result.measures[name] for name in names)] for seed, result in attended.items()]
    write_csv(folder / "metrics.csv", ["seed", *names], measures)


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
    measures = {
        int(row["seed"]): {name: float(value) for name, value in row.items() if name != "seed"}
        for row in read_csv(folder / "metrics.csv")
    }
    arrays = {seed: np.array(pairs).T for seed, pairs in vectors.items()}
    return {seed: AttendedSeed(vector, key, measures[seed]) for seed, (vector, key) in arrays.items()}

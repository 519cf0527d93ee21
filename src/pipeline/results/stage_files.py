"""The files of training, attention, what attention is compared with, and controls: what they hold, written and read."""

import hashlib
import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.results.file_formats import (
    read_arrays,
    read_csv,
    read_hashes,
    write_arrays,
    write_csv,
    write_text,
)
from pipeline.results.on_demand import OnDemand
from pipeline.settings.schema import Variant
from pipeline.settings.study import digest

Weights = dict[str, NDArray[np.float32]]  # by the path of the variable
SCORED = ("accuracy", "r2")  # in a training curve
SCORES = ("balanced_accuracy", *SCORED)  # on held-out samples
BATCHES, CLASSES = "batches", "classes.json"
LEARNING = ("batches", "vectors", "key_mass")
STRETCHES = 50  # of a sequence that occlusion replaces one at a time, at most
WEIGHT_SUM = "weight_sum"  # the measure that only relevance has, weights whose sum over the steps may be any
PADDING_MASS = "padding_mass"  # the measure that only sequences of different lengths have: attention on padded steps
UNIFORM_MASS = "uniform_mass"  # the key mass of uniform attention, a measure where samples have other lengths
UNTRAINED, VALUE_WEIGHTED = "untrained attention", "value-weighted attention"  # listed among the explanations
# Names of controls.
UNIFORM, NO_ATTENTION, OTHER_CODING = "frozen uniform", "no attention", "other coding"
ONE_FEATURE, NULL_KEY = "one feature", "null key"
Point = tuple[int, float, float]  # of a training curve: batches seen; mean loss, accuracy or R² since the last point


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
    """The result of training one seed; `loss` and `scores` are those on the held-out samples.

    For a classification they are binary cross-entropy (nats), and balanced accuracy and accuracy (shares); for a
    regression mean squared error and coefficient of determination. `data` is the hash of the training samples;
    `classes` are the names of their labels 0, 1 and so on, none if they have no names.
    """

    weights: Weights
    snapshots: Snapshots
    curve: list[Point]
    loss: float
    scores: dict[str, float]
    data: str = ""
    classes: tuple[str, ...] = ()
    hashed: str = ""  # what `weights_hash` returns, if the weights are left out

    def without_weights(self) -> "TrainedSeed":
        """Return the result without weights and snapshots, which of many seeds may exceed memory."""
        return self._replace(weights={}, snapshots=self.snapshots._replace(weights={}), hashed=self.weights_hash())

    def weights_hash(self) -> str:
        """Return a hash of the bytes of all weights."""
        if self.hashed:
            return self.hashed
        content = hashlib.sha256()
        for path, array in sorted(self.weights.items()):
            content.update(path.encode() + array.tobytes())
        return content.hexdigest()[:12]


class AttendedSeed(NamedTuple):
    """The attention of a seed's model on the probe samples.

    `vector` (steps,) is averaged over samples, `key` (steps,) is the share of samples with a key at each step,
    `measures` are the measures of `read_model.attended`, and `steps` the others that have a value (steps,) each.
    """

    vector: NDArray[np.float64]
    key: NDArray[np.float64]
    measures: dict[str, float]
    steps: Mapping[str, NDArray[np.float64]] = MappingProxyType({})

    @property
    def relevance(self) -> bool:
        """Whether the weights of the model are relevance; `vector` and `measures` are of weights that sum to 1."""
        return WEIGHT_SUM in self.measures and not isnan(self.measures[WEIGHT_SUM])

    @property
    def uniform_mass(self) -> float:
        """The key mass that uniform attention gives; 0 without a mask."""
        return self.measures.get(UNIFORM_MASS, float(self.key.sum() / len(self.key)))

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
    """A model trained with one thing changed; `loss`, `scores` and `curve` are those of `TrainedSeed`."""

    control: str
    variant: Variant
    seed: int
    loss: float
    scores: dict[str, float]
    attended: AttendedSeed
    curve: list[Point]


def write_training(folder: Path, trained: Mapping[int, TrainedSeed]) -> None:
    """Write metrics.csv, history.csv, {weights,snapshots}/seed-N.npz, and data.txt; classes.json if they have names.

    data.txt has the hash of the training samples, if all seeds share them, else a line for each seed with that of its
    own.
    """
    hashes: list[str] = []
    scores: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    classes: tuple[str, ...] = ()
    for seed, result in trained.items():  # one at a time in memory, if they are read from files
        snapshots = {BATCHES: result.snapshots.batches} | result.snapshots.weights
        write_arrays(folder / "weights" / f"seed-{seed}.npz", result.weights)
        write_arrays(folder / "snapshots" / f"seed-{seed}.npz", snapshots)
        scores.append({"seed": seed, "loss": result.loss} | result.scores)
        curves += _curve_rows(result, seed=seed)
        hashes.append(result.data)
        classes = result.classes
    if classes:
        write_text(folder / CLASSES, json.dumps(classes, ensure_ascii=False) + "\n")
    write_text(folder / "data.txt", "".join(f"{data}\n" for data in (hashes if len(set(hashes)) > 1 else hashes[:1])))
    write_csv(folder / "metrics.csv", scores)
    write_csv(folder / "history.csv", curves)


def _curve_rows(result: TrainedSeed | ControlRun, **names: Any) -> list[dict[str, Any]]:
    columns = ("batch", "loss", next(name for name in SCORED if name in result.scores))
    return [names | dict(zip(columns, point, strict=True)) for point in result.curve]


def _read_curves(path: Path, *names: str) -> dict[tuple[str, ...], list[Point]]:
    """Return names of `_curve_rows` -> points."""
    curves: dict[tuple[str, ...], list[Point]] = {}
    for row in read_csv(path):
        point = int(row["batch"]), float(row["loss"]), next(float(row[name]) for name in SCORED if name in row)
        curves.setdefault(tuple(row[name] for name in names), []).append(point)
    return curves


def read_training(folder: Path) -> Mapping[int, TrainedSeed]:
    """Return seed -> what `write_training` wrote; weights and snapshots of a seed are read when it is asked for.

    All of them are read once before, one seed at a time, so that a damaged file is known at once.
    """
    trained = read_training_without_weights(folder)
    return OnDemand(trained, lambda seed: _with_weights(trained[seed], folder, seed))


def read_training_without_weights(folder: Path) -> dict[int, TrainedSeed]:
    """Return seed -> what `write_training` wrote, with a hash in place of the weights and snapshots of each seed."""
    curves, trained = _read_curves(folder / "history.csv", "seed"), {}
    rows, data = read_csv(folder / "metrics.csv"), read_hashes(folder / "data.txt")
    named = (folder / CLASSES).exists()
    classes = tuple(json.loads((folder / CLASSES).read_text(encoding="utf-8"))) if named else ()
    for row, drawn in zip(rows, data * len(rows) if len(data) == 1 else data, strict=True):
        name = row.pop("seed")
        loss, scores = float(row.pop("loss")), numbers(row)
        nothing = Snapshots(np.array([], np.int64), {})
        result = TrainedSeed({}, nothing, curves[name,], loss, scores, drawn, classes)
        trained[int(name)] = _with_weights(result, folder, int(name)).without_weights()
    return trained


def _with_weights(result: TrainedSeed, folder: Path, seed: int) -> TrainedSeed:
    kept = read_arrays(folder / "snapshots" / f"seed-{seed}.npz")
    snapshots = Snapshots(kept.pop(BATCHES), kept)
    return result._replace(weights=read_arrays(folder / "weights" / f"seed-{seed}.npz"), snapshots=snapshots, hashed="")


def read_dataset(folder: Path) -> str:
    """Return the hash of the data that a variant was trained on, or those of its seeds, one a line."""
    return "\n".join(read_hashes(folder / "data.txt"))


def write_attention(folder: Path, attended: dict[int, AttendedSeed]) -> None:
    """Write vectors.csv, a row for each seed and time step, and metrics.csv, a row for each seed."""
    vectors = [row for seed, result in attended.items() for row in vector_rows(result, seed=seed)]
    write_csv(folder / "vectors.csv", vectors)
    write_csv(folder / "metrics.csv", [{"seed": seed} | result.measures for seed, result in attended.items()])


def vector_rows(attended: AttendedSeed, **names: Any) -> list[dict[str, Any]]:
    """Return a row of names, time step, attention, key and the other measures by step for each time step."""
    columns = {"attention": attended.vector, "key": attended.key, **attended.steps}
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [{**names, "step": step, **dict(zip(columns, row, strict=True))} for step, row in enumerate(values)]


def read_vectors(path: Path, *names: str) -> dict[tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """Return names of `vector_rows` -> column -> (steps,), without columns that have no value there."""
    rows: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for row in read_csv(path):
        identity = tuple(row.pop(name) for name in names)
        del row["step"]
        rows.setdefault(identity, []).append(numbers(row))
    columns = {key: {name: np.array([row[name] for row in steps]) for name in steps[0]} for key, steps in rows.items()}
    return {
        key: {n: values for n, values in arrays.items() if not np.isnan(values).all()}
        for key, arrays in columns.items()
    }


def _attended(columns: dict[str, NDArray[np.float64]], measures: dict[str, float]) -> AttendedSeed:
    return AttendedSeed(columns.pop("attention"), columns.pop("key"), measures, columns)


def read_attention(folder: Path) -> dict[int, AttendedSeed]:
    """Return seed -> what `write_attention` wrote."""
    vectors = read_vectors(folder / "vectors.csv", "seed")
    measures = {row.pop("seed"): numbers(row) for row in read_csv(folder / "metrics.csv")}
    return {int(seed): _attended(columns, measures[seed]) for (seed,), columns in vectors.items()}


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


def write_controls(folder: Path, runs: list[ControlRun]) -> None:
    """Write controls.csv, a row for each run; vectors.csv and history.csv, with rows for its time steps and points."""
    rows: list[dict[str, Any]] = []
    vectors: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for run in runs:
        variant, attended = run.variant, run.attended
        names = {"control": run.control, "variant": variant.name, "seed": run.seed}
        kind = {"placement": variant.placement, "sharing": variant.sharing or "", "uniform": variant.uniform}
        rows.append(names | kind | {"loss": run.loss} | run.scores | attended.measures)
        vectors += vector_rows(attended, **names)
        points += _curve_rows(run, **names)
    write_csv(folder / "controls.csv", rows)
    write_csv(folder / "vectors.csv", vectors)
    write_csv(folder / "history.csv", points)


def read_controls(folder: Path) -> list[ControlRun]:
    """Return what `write_controls` wrote."""
    runs, identity = [], ("control", "variant", "seed")
    vectors = read_vectors(folder / "vectors.csv", *identity)
    curves = _read_curves(folder / "history.csv", *identity)
    for row in read_csv(folder / "controls.csv"):
        control, name, seed = (row.pop(part) for part in identity)
        attention: tuple[Any, Any] = row.pop("placement"), row.pop("sharing") or None  # the class checks both
        variant = Variant(*attention, row.pop("uniform") == "True", name)
        loss = float(row.pop("loss"))
        scores = {name: float(row.pop(name)) for name in SCORES if name in row}
        attended = _attended(vectors[control, name, seed], numbers(row))
        runs.append(ControlRun(control, variant, int(seed), loss, scores, attended, curves[control, name, seed]))
    return runs

"""The samples on disk: training, validation and probe split, drawn and read some at a time."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline.results import file_formats, folders
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Data, Study, Task

SPLITS = ("train", "validation", "probe")
ARRAYS = (("x.npy", "<f4", 3), ("y.npy", "<f4", 1), ("mask.npy", "|b1", 2))  # name, type, dimensions
MEANING = "meaning.json"
# What is drawn or read at a time, at most, so that memory does not grow with the number of samples or their size.
CHUNK = 65_536  # samples
NUMBERS = 2**23  # numbers in them

Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]  # x, y, mask


@dataclass(frozen=True)
class Meaning:
    """What the numbers in the arrays mean, where that is not obvious.

    `classes` are the names of the labels 0, 1 and so on. `scale` is "x" or "y" -> "mean" and "sd" -> a value for each
    feature, which were subtracted and divided by.
    """

    classes: tuple[str, ...] = ()
    scale: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)

    def text(self) -> str:
        """Return it in JSON; nothing if all is obvious."""
        known = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(known, indent=2, ensure_ascii=False) + "\n" if known else ""


class Draw(Protocol):
    """Draws samples: a generator of `pipeline.tasks`, bound to its options."""

    def __call__(self, background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        """Return samples; `first` is the position of the first one among all samples of the study."""


@dataclass(frozen=True)
class Split:
    """Samples on disk: `x.npy` (samples, steps, features), `y.npy` (samples,), `mask.npy` (samples, steps).

    `meaning.json` is there if the labels have names, or the numbers another scale than where they come from.
    The folder is relative to the project's root, which differs from machine to machine.
    """

    folder: Path
    samples: int

    @property
    def sha256(self) -> str:
        """Return the hash of all arrays, and of what they mean."""
        return (ROOT / self.folder / "sha256.txt").read_text(encoding="utf-8").strip()

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, whose positions are the labels; none if labels are 0 and 1, or numbers."""
        return tuple(json.loads(self.meaning() or "{}").get("classes", ()))

    @property
    def scale(self) -> dict[str, dict[str, list[float]]]:
        """Return what `Meaning.scale` holds."""
        return dict(json.loads(self.meaning() or "{}").get("scale", {}))

    def meaning(self) -> str:
        """Return the text of `meaning.json`, empty if there is none."""
        path = ROOT / self.folder / MEANING
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def stretches(self) -> Iterator[range]:
        """Yield the positions of samples that are to be in memory at a time, from the first to the last."""
        return stretches(self.samples, self.mapped("x").shape[1:])

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return a copy of some rows of `x`, `y` or `mask`; the file is mapped only during the call."""
        return np.array(self.mapped(name, start, stop))

    def mapped(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return some rows of `x`, `y` or `mask` as a view of the file, for rows that may exceed memory."""
        return np.asarray(np.load(ROOT / self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))[start:stop]


def stretches(samples: int, shape: tuple[int, ...]) -> Iterator[range]:
    """Yield the positions of samples of a shape that are to be in memory at a time, from the first to the last."""
    size = max(1, min(CHUNK, NUMBERS // prod(shape)))
    return (range(samples)[start : start + size] for start in range(0, samples, size))


def sizes(study: Study) -> dict[str, int]:
    """Return the number of samples of each split."""
    counts = (study.data.train_samples, study.data.validation_samples, study.probe.samples)
    return dict(zip(SPLITS, counts, strict=True))


def load(study: Study, split: str) -> Split:
    """Return a split; a `UserError` if its files are missing, corrupt, or were made with other values."""
    kind, samples = f"data/{split}", sizes(study)[split]
    found, advice = folders.existing(study, kind), folders.remedy(study, kind)
    shape = (samples, *study.data.shape)
    for name, dtype, dimensions in ARRAYS:
        folders.load_array(found / name, shape[:dimensions], dtype, advice)
    loaded = Split(found.relative_to(ROOT), samples)
    with folders.reading(study, kind):
        if loaded.sha256 != _hash_of(loaded):
            raise ValueError("the arrays are not those that were written")
    return loaded


def _hash_of(split: Split) -> str:
    """Return the hash that `write` gives the arrays of a split."""
    content = hashlib.sha256()
    for part in split.stretches():
        for name, _, _ in ARRAYS:
            content.update(split.rows(name.removesuffix(".npy"), part.start, part.stop).data)
    content.update(split.meaning().encode())
    return content.hexdigest()


def write(folder: Path, positions: range, data: Data, stream: SeedSequence, draw: Draw) -> Split:
    """Draw a split from a random stream of its own, and write its arrays and `sha256.txt`, the hash of them.

    `positions` are those of its samples among all samples of the study; `data` gives their shape.
    """
    folder.mkdir(exist_ok=True)
    content = hashlib.sha256()
    background, labels = (default_rng(child) for child in stream.spawn(2))
    shape = (len(positions), *data.shape)
    with ExitStack() as stack:
        files = [
            stack.enter_context(file_formats.open_npy(folder / name, dtype, shape[:size]))
            for name, dtype, size in ARRAYS
        ]
        for part in stretches(len(positions), data.shape):
            chunk = positions[part.start : part.stop]
            for file, array in zip(files, draw(background, labels, len(chunk), data, chunk.start), strict=True):
                file.write(array.tobytes())
                content.update(array.tobytes())
    file_formats.write_text(folder / "sha256.txt", content.hexdigest() + "\n")
    return Split(folder, len(positions))


def describe(split: Split, meaning: Meaning) -> None:
    """Write what the numbers of a split mean, unless that is obvious, and the hash of all."""
    if text := meaning.text():
        file_formats.write_text(ROOT / split.folder / MEANING, text)
        file_formats.write_text(ROOT / split.folder / "sha256.txt", _hash_of(split) + "\n")


def check_labels(split: Split, name: str, task: Task) -> None:
    """Raise a `UserError` if all labels of a split are the same: no model can learn from it or be scored on it."""
    y = split.rows("y")
    if (y == y[0]).all():
        found = f"y is {y[0]:g} in all {split.samples} {name} samples"
        advice = "raise data.samples, controls.null_key_samples or data.validation_share, or change data.seed"
        raise UserError(f"task {task['name']}: {found}, so there is nothing to learn or to score; {advice}.")


def _check_classes(split: Split, name: str, task: Task) -> None:
    """Raise a `UserError` if a split has no sample of a class."""
    counts = np.bincount(split.rows("y").astype(int), minlength=len(split.classes)) if split.classes else np.ones(1)
    if not counts.all():
        found = f"none of the {split.samples} {name} samples is of class {split.classes[counts.argmin()]}"
        advice = "raise data.samples or data.validation_share, change data.seed, or leave out or merge rare classes"
        raise UserError(f"task {task['name']}: {found}, so it cannot be learned or scored; {advice}.")


def write_all(study: Study, draw: Draw, meaning: Meaning | None = None) -> dict[str, Path]:
    """Draw and write the three splits, each from a random stream of its own; return split -> folder.

    A `UserError` if all labels of the training or the validation split are the same, or one of the classes that
    `meaning` names has no sample there.
    """
    written, first = {}, 0
    for (split, samples), stream in zip(sizes(study).items(), SeedSequence(study.data.seed).spawn(3), strict=True):
        with folders.writing(study, f"data/{split}") as folder:
            drawn = write(folder, range(first, first + samples), study.data, stream, draw)
            describe(drawn, meaning or Meaning())
            if split != "probe":
                check_labels(drawn, split, study.task)
                _check_classes(drawn, split, study.task)
        written[split], first = folders.folder(study, f"data/{split}"), first + samples
    return written

"""The samples on disk: training, validation and probe split, drawn and read some at a time."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline.results import file_formats, folders
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Data, Study, Task

SPLITS = ("train", "validation", "probe")
ARRAYS = (("x.npy", "<f4", 3), ("y.npy", "<f4", 1), ("mask.npy", "|b1", 2))  # name, type, dimensions
CHUNK = 65_536  # samples drawn or read at a time, so that memory does not grow with their number

Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]  # x, y, mask


class Draw(Protocol):
    """Draws samples: a generator of `pipeline.tasks`, bound to its options."""

    def __call__(self, background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        """Return samples; `first` is the position of the first one among all samples of the study."""


@dataclass(frozen=True)
class Split:
    """Samples on disk: `x.npy` (samples, steps, features), `y.npy` (samples,), `mask.npy` (samples, steps).

    The folder is relative to the project's root, which differs from machine to machine.
    """

    folder: Path
    samples: int

    @property
    def sha256(self) -> str:
        """Return the hash of all arrays."""
        return (ROOT / self.folder / "sha256.txt").read_text(encoding="utf-8").strip()

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return a copy of some rows of `x`, `y` or `mask`; the file is mapped only during the call."""
        return np.array(self.mapped(name, start, stop))

    def mapped(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return some rows of `x`, `y` or `mask` as a view of the file, for rows that may exceed memory."""
        return np.asarray(np.load(ROOT / self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))[start:stop]


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
    for start in range(0, split.samples, CHUNK):
        for name, _, _ in ARRAYS:
            content.update(split.rows(name.removesuffix(".npy"), start, start + CHUNK).data)
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
        files = [stack.enter_context(_open_npy(folder / name, dtype, shape[:size])) for name, dtype, size in ARRAYS]
        for start in range(0, len(positions), CHUNK):
            chunk = positions[start : start + CHUNK]
            for file, array in zip(files, draw(background, labels, len(chunk), data, chunk.start), strict=True):
                file.write(array.tobytes())
                content.update(array.tobytes())
    file_formats.write_text(folder / "sha256.txt", content.hexdigest() + "\n")
    return Split(folder, len(positions))


def check_labels(split: Split, name: str, task: Task) -> None:
    """Raise a `UserError` if all labels of a split are the same: no model can learn from it or be scored on it."""
    y = split.rows("y")
    if (y == y[0]).all():
        found = f"y is {y[0]:g} in all {split.samples} {name} samples"
        advice = "raise data.samples, controls.null_key_samples or data.validation_share, or change data.seed"
        raise UserError(f"task {task['name']}: {found}, so there is nothing to learn or to score; {advice}.")


def write_all(study: Study, draw: Draw) -> dict[str, Path]:
    """Draw and write the three splits, each from a random stream of its own; return split -> folder.

    A `UserError` if all labels of the training or the validation split are the same.
    """
    written, first = {}, 0
    for (split, samples), stream in zip(sizes(study).items(), SeedSequence(study.data.seed).spawn(3), strict=True):
        with folders.writing(study, f"data/{split}") as folder:
            drawn = write(folder, range(first, first + samples), study.data, stream, draw)
            if split != "probe":
                check_labels(drawn, split, study.task)
        written[split], first = folders.folder(study, f"data/{split}"), first + samples
    return written


def _open_npy(path: Path, dtype: str, shape: tuple[int, ...]) -> BinaryIO:
    """Open a `.npy` file with its header written, ready for its rows in order.

    The file is written, not mapped: on a full disk, a mapped file ends the process with a bus error.
    """
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file

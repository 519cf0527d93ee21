"""The samples of a task, on disk. `python -m pipeline.dataset`"""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline import formats, storage
from pipeline.command import command
from pipeline.config import ROOT, Config, Data
from pipeline.sampling import Draw, draw_of

SPLITS = ("train", "validation", "probe")
CHUNK = 65_536  # samples drawn at a time: memory stays flat in their number


@dataclass(frozen=True)
class Split:
    """Samples on disk: `x.npy` (samples, steps, features), `y.npy` (samples,), `mask.npy` (samples, steps).

    The folder is given from the project's root, which is elsewhere on another machine.
    """

    folder: Path
    samples: int

    @property
    def sha256(self) -> str:
        """Return the hash of all arrays."""
        return (ROOT / self.folder / "sha256.txt").read_text(encoding="utf-8").strip()

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return a copy of some rows of `x`, `y` or `mask`, mapping the file only meanwhile."""
        return np.array(np.load(ROOT / self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[start:stop])


def sizes(config: Config) -> dict[str, int]:
    """Return the number of samples of each split."""
    counts = (config.data.train_samples, config.data.validation_samples, config.probe.samples)
    return dict(zip(SPLITS, counts, strict=True))


def load(config: Config, split: str) -> Split:
    """Return a split after a check that its files are whole and were made from these values (else `UserError`)."""
    kind, samples = f"data/{split}", sizes(config)[split]
    found, advice = storage.made(config, kind), storage.remedy(config, kind)
    shape = (samples, config.data.time_steps, config.data.input_dim)
    storage.load_array(found / "x.npy", shape, "float32", advice)
    storage.load_array(found / "y.npy", shape[:1], "float32", advice)
    storage.load_array(found / "mask.npy", shape[:2], "bool", advice)
    return Split(found.relative_to(ROOT), samples)


def write(folder: Path, places: range, data: Data, stream: SeedSequence, draw: Draw) -> None:
    """Draw a split from a random stream of its own and write it, a chunk at a time, and `sha256.txt` of its arrays.

    `places` are those of its samples among all of the study.
    """
    content = hashlib.sha256()
    background, labels = (default_rng(child) for child in stream.spawn(2))
    shape = (len(places), data.time_steps, data.input_dim)
    with ExitStack() as stack:
        files = [
            stack.enter_context(_open_npy(folder / name, dtype, shape[:dimensions]))
            for name, dtype, dimensions in (("x.npy", "<f4", 3), ("y.npy", "<f4", 1), ("mask.npy", "|b1", 2))
        ]
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            for file, array in zip(files, draw(background, labels, len(chunk), data, chunk.start), strict=True):
                file.write(array.tobytes())
                content.update(array.tobytes())
    formats.write_text(folder / "sha256.txt", content.hexdigest() + "\n")


def _open_npy(path: Path, dtype: str, shape: tuple[int, ...]) -> BinaryIO:
    """Open a `.npy` file whose header is written and whose rows are to follow in order.

    Written, not mapped: on a full disk a mapped file ends the process with a bus error.
    """
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file


def stage(config: Config) -> None:
    """Write the three splits, each from a random stream of its own."""
    draw, first = draw_of(config.task), 0
    for (split, samples), stream in zip(sizes(config).items(), SeedSequence(config.data.seed).spawn(3), strict=True):
        with storage.writing(config, f"data/{split}") as folder:
            write(folder, range(first, first + samples), config.data, stream, draw)
        first += samples
        print(f"{split:<10} {samples:>9,} samples -> {storage.shown(storage.folder(config, f'data/{split}'))}")


main = command(stage)

if __name__ == "__main__":
    main()

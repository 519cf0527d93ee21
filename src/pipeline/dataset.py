"""The article's data: white noise with the label planted at one time step. `python -m pipeline.dataset`"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline import storage
from pipeline.command import command
from pipeline.config import Config, Data

SPLITS = ("train", "validation", "probe")
Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]  # x, y, mask
Draw = Callable[[Generator, Generator, int, Data], Samples]
CHUNK = 65_536  # samples drawn at a time: memory stays flat in their number


@dataclass(frozen=True)
class Split:
    """Samples on disk: `x.npy` (samples, steps, features), `y.npy` (samples,), `mask.npy` (samples, steps)."""

    folder: Path
    samples: int

    @property
    def sha256(self) -> str:
        """Return the hash of all arrays."""
        return (self.folder / "sha256.txt").read_text(encoding="utf-8").strip()

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return a copy of some rows of `x`, `y` or `mask`, mapping the file only meanwhile."""
        return np.array(np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[start:stop])


def planted_key(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
    """Draw samples of the article's task.

    Args:
        background: where the noise is drawn from.
        labels: where the labels are drawn from.
        samples: how many.
        data: time steps, input dimension and key step.

    Returns:
        `x` (samples, steps, features), standard normal, but at the key step the label in every feature, as 0 and 1,
        or as -1 and 1 with `key_coding` "plus_minus";
        `y` (samples,), 0 or 1 with probability 1/2; `mask` (samples, steps), true at the planted step.

    Source: `get_data_recurrent` of https://github.com/philipperemy/keras-attention (2017).
    """
    x = background.standard_normal((samples, data.time_steps, data.input_dim), dtype=np.float32)
    y = labels.integers(0, 2, samples).astype(np.float32)
    x[:, data.key_step, :] = y[:, None] if data.key_coding == "zero_one" else 2 * y[:, None] - 1
    mask = np.zeros((samples, data.time_steps), bool)
    mask[:, data.key_step] = True
    return x, y, mask


def null_key(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
    """Draw samples of a control: the same `x` and `mask`, with labels that have nothing to do with it."""
    x, _, mask = planted_key(background, labels, samples, data)
    return x, labels.integers(0, 2, samples).astype(np.float32), mask


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
    return Split(found, samples)


def write(folder: Path, samples: int, data: Data, stream: SeedSequence, draw: Draw = planted_key) -> None:
    """Draw a split from a random stream of its own and write it, a chunk at a time, and `sha256.txt` of its arrays."""
    content = hashlib.sha256()
    background, labels = (default_rng(child) for child in stream.spawn(2))
    shape = (samples, data.time_steps, data.input_dim)
    with ExitStack() as stack:
        files = [
            stack.enter_context(_open_npy(folder / name, dtype, shape[:dimensions]))
            for name, dtype, dimensions in (("x.npy", "<f4", 3), ("y.npy", "<f4", 1), ("mask.npy", "|b1", 2))
        ]
        for chunk in _chunks(samples):
            for file, array in zip(files, draw(background, labels, chunk, data), strict=True):
                file.write(array.tobytes())
                content.update(array.tobytes())
    storage.write_text(folder / "sha256.txt", content.hexdigest() + "\n")


def _chunks(samples: int) -> Iterator[int]:
    for start in range(0, samples, CHUNK):
        yield min(CHUNK, samples - start)


def _open_npy(path: Path, dtype: str, shape: tuple[int, ...]) -> BinaryIO:
    """Open a `.npy` file whose header is written and whose rows are to follow in order.

    Written, not mapped: on a full disk a mapped file ends the process with a bus error.
    """
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file


def stage(config: Config) -> None:
    """Write the three splits, each from a random stream of its own."""
    for (split, samples), stream in zip(sizes(config).items(), SeedSequence(config.data.seed).spawn(3), strict=True):
        with storage.writing(config, f"data/{split}") as folder:
            write(folder, samples, config.data, stream)
        print(f"{split:<10} {samples:>9,} samples -> {storage.shown(storage.folder(config, f'data/{split}'))}")


main = command(stage)

if __name__ == "__main__":
    main()

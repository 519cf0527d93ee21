"""The formats of result files: arrays, text and tables, the same bytes on every system; reading them runs no code."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import Path as PathInZip
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib.format import write_array, write_array_header_1_0
from numpy.typing import NDArray

File = Path | PathInZip  # of a folder, or of an archive
UNIX = 3  # the system that a ZIP archive names


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as `.npz`, with neither pickle nor date in it; missing folders are created.

    `numpy.savez` always asks for the fields of files over 4 GB, which Python writes otherwise since 3.11.4.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            array, entry = np.asanyarray(values), ZipInfo(f"{name}.npy")  # of 1980
            entry.create_system, entry.file_size = UNIX, array.nbytes  # the size decides on these fields
            with archive.open(entry, "w") as file:
                write_array(file, array, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return what `write_arrays` wrote."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # NumPy leaves a damaged file open
        return dict(arrays)


def open_npy(path: Path, dtype: str, shape: tuple[int, ...]) -> BinaryIO:
    """Open a `.npy` file with its header written, ready for its rows in order.

    The file is written, not mapped: on a full disk, a mapped file ends the process with a bus error.
    """
    file = path.open("wb")
    write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file


@contextmanager
def stacked(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[int, NDArray[np.float32]], object]]:
    """Yield a function that writes one of the arrays of a `.npy` file, given its index; `shape` is that of all of them.

    The bytes are those of `numpy.save` of all at once, which would have to be in memory.
    """
    with open_npy(path, "<f4", shape) as file:
        start = file.tell()

        def write(index: int, array: NDArray[np.float32]) -> None:
            content = np.ascontiguousarray(array, "<f4")
            if content.shape != shape[1:] or index not in range(shape[0]):
                raise ValueError(f"array {index} of shape {content.shape} is none of {shape}")
            file.seek(start + index * content.nbytes)
            file.write(content.data)

        yield write


def write_text(path: Path, text: str) -> None:
    """Write a text file, the same bytes on every system; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def read_hashes(path: Path) -> list[str]:
    """Return the SHA-256 hashes of a text file, one a line; a `ValueError` if it holds anything else."""
    lines = path.read_text(encoding="utf-8").split()
    if not lines or not all(re.fullmatch("[0-9a-f]{64}", line) for line in lines):
        raise ValueError(f"{path.name} holds no hash")
    return lines


def sync(folder: Path) -> None:
    """Have the system write a folder and all that is in it to the disk: a power loss empties what is not."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        else:
            sync_names(path)
    sync_names(folder)


def sync_names(folder: Path) -> None:
    """Have the system write the names in a folder to the disk."""
    if os.name == "posix":  # elsewhere, a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table; NaN where a row lacks a value; floats with all the digits that it takes to read the same ones."""
    text = io.StringIO()
    header = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(header), restval="nan", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: repr(float(v)) if isinstance(v, float) else v for name, v in row.items()} for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: File) -> list[dict[str, str]]:
    """Return the rows of a table written by `write_csv`; a `ValueError` if its end is missing."""
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        raise ValueError(f"{path.name} has no end")
    header, *rows = csv.reader(text.splitlines(), strict=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_rows(path: File) -> list[dict[str, Any]]:
    """Return the rows of a table, with numbers as int or float."""
    return [{name: _value(text) for name, text in row.items()} for row in read_csv(path)]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text

"""The formats of result files: arrays, text and tables, the same bytes on every system; reading them runs no code."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import Path as PathInZip

import numpy as np
from numpy.typing import NDArray

File = Path | PathInZip  # of a folder, or of an archive


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as `.npz`, with neither pickle nor date in it."""
    path.parent.mkdir(exist_ok=True)
    named: dict[str, Any] = dict(arrays)
    np.savez(path, allow_pickle=False, **named)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return what `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def write_text(path: Path, text: str) -> None:
    """Write a text file, the same bytes on every system; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table; NaN where a row lacks a value; floats with nine significant digits, which a float32 holds."""
    text = io.StringIO()
    header = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(header), restval="nan", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{v:.9g}" if isinstance(v, float) else v for name, v in row.items()} for row in rows)
    write_text(path, text.getvalue())


def read_csv(path: File) -> list[dict[str, str]]:
    """Return the rows of a table written by `write_csv`."""
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_rows(path: File) -> list[dict[str, Any]]:
    """Return the rows of a table, with numbers as int or float."""
    return [{name: _value(text) for name, text in row.items()} for row in read_csv(path)]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text

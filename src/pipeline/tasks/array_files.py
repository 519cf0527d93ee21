"""Arrays and columns in the user's files, `.npz`, `.npy`, `.csv` or Parquet; nothing in them can run code.

A folder of `.npy` files is read like an `.npz` file: each array has the name of its file.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import ROOT, UserError
from pipeline.settings.user_code import files_at

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = dict[str, NDArray[Any]]
TABLES = (".csv", ".parquet")  # files with columns
SHOWN = 5  # names or labels in a sentence
UNNAMED = "__index_level_"  # how the name of an index without one begins, where pandas writes Parquet


def changed(path: str) -> int:
    """Return the time (ns) at which a file or folder changed last; a relative path starts at the project's root.

    A `UserError` if its name does not end as it must, there is no such file, or the folder has no arrays.
    """
    if (ROOT / path).is_dir():
        files = files_at(path)
        if not files:
            raise UserError(f"task.path is {path}: the folder holds no .npy files, such as x.npy and y.npy.")
        return max(file.stat().st_mtime_ns for file in [*files, ROOT / path])
    if path.endswith(".ts"):
        advice = 'x, y = aeon.datasets.load_from_ts_file(PATH), and np.savez("own.npz", x=x.transpose(0, 2, 1), y=y)'
        raise UserError(f"task.path is {path}: files that end in .ts are not read; save it as .npz: {advice}.")
    if not path.endswith((".npz", ".npy", *TABLES)):
        wanted = "a file that ends in .npz, .npy, .csv or .parquet, or a folder of .npy files"
        raise UserError(f"task.path is {path}: it must be {wanted}.")
    try:
        return (ROOT / path).stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"task.path is {path}: {error.strerror}.") from error


def read(path: str, ignore: tuple[str, ...] = (), ragged: bool = False) -> Arrays:
    """Return name -> array of a file or folder, without those to ignore; in a table, each column is an array.

    With `ragged`, lists of different lengths end in NaN or false, as in `filled`.

    The array of an .npy file is called arr_0, as NumPy calls the first one without a name in an .npz file. A
    `UserError` if the file cannot be read.
    """
    changed(path)
    readers = {"npz": _npz, "npy": _npy, "csv": _csv, "folder": _folder}
    try:
        kind = "folder" if (ROOT / path).is_dir() else path.rpartition(".")[2]
        return _parquet(path, ignore, ragged) if kind == "parquet" else readers[kind](path, ignore)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"task.path is {path}: {error.strerror or error}.") from error
    except Exception as error:  # whatever a damaged file makes a library raise
        why = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"task.path is {path}: it cannot be read ({why}).") from error


def _npz(path: str, ignore: tuple[str, ...]) -> Arrays:
    with (ROOT / path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {
            name: _not_pickled(path, name, partial(arrays.__getitem__, name)) for name in arrays if name not in ignore
        }


def _not_pickled(path: str, name: str, load: Callable[[], Any]) -> NDArray[Any]:
    try:
        return np.asarray(load())
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        lengths = "as numbers, with NaN behind the end of shorter ones (task.padded=true)"
        advice = f"save texts as {name}.astype(str), and sequences of different lengths {lengths}"
        raise UserError(
            f"task.path is {path}: {name} is an array of Python objects (dtype=object), which could run code: {advice}."
        ) from error


def _npy(path: str, ignore: tuple[str, ...]) -> Arrays:
    del ignore
    return {"arr_0": _load(path, ROOT / path)}


def _folder(path: str, ignore: tuple[str, ...]) -> Arrays:
    return {file.stem: _load(path, file) for file in files_at(path) if file.stem not in ignore}


def _load(path: str, file: Path) -> NDArray[Any]:
    """Return the array of an .npy file, which is at a path or in a folder there."""
    return _not_pickled(path, file.stem, lambda: np.load(file, allow_pickle=False))


def _csv(path: str, ignore: tuple[str, ...]) -> Arrays:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more values than the header has names
        frame = pd.read_csv(ROOT / path, index_col=False, low_memory=False)
        header = pd.read_csv(ROOT / path, index_col=False, header=None, nrows=1, dtype=str).iloc[0].dropna()
    _check_table(path, len(frame), list(header))
    return {str(name): frame[name].to_numpy() for name in frame.columns if name not in ignore}


def _parquet(path: str, ignore: tuple[str, ...], ragged: bool) -> Arrays:
    from pyarrow import parquet

    table = parquet.read_table(ROOT / path)
    _check_table(path, table.num_rows, table.column_names)
    names = [name for name in table.column_names if name not in ignore and not name.startswith(UNNAMED)]
    return {name: _nested(path, name, table.column(name), ragged) for name in names}


def _check_table(path: str, rows: int, names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(
            f"task.path is {path}: more than one column is called {listed(twice)}: each must have its own name."
        )
    if not rows:
        raise UserError(f"task.path is {path}: it has no rows.")


def _nested(path: str, name: str, chunks: "pa.ChunkedArray", ragged: bool) -> NDArray[Any]:
    """Return a column of values, or of lists of equal length, or of such lists, as an array.

    With `ragged`, the lists of the samples may be of different lengths.
    """
    import pyarrow.compute as pc
    from pyarrow import types

    is_category = types.is_dictionary(chunks.type)
    column = (chunks.cast(chunks.type.value_type) if is_category else chunks).combine_chunks()
    shape, ends = [len(column)], None
    while types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        differ = bool((lengths != lengths[:1]).any())
        if ragged and differ and len(shape) == 1 and ends is None and -1 not in lengths:
            ends, shape = lengths, [int(lengths.sum())]
            column = column.flatten()
            continue
        if differ or -1 in lengths:
            raise UserError(f"task.path is {path}: {_ragged(name, lengths, shape)}.")
        shape.append(lengths[0])
        column = column.flatten()
    values = np.asarray(column.to_numpy(zero_copy_only=False).reshape(shape))
    return values if ends is None else filled(values, ends)


def filled(rows: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
    """Return the rows of samples, one after the other, as (samples, steps, ...): NaN or false after a sample's last.

    `lengths` (samples,) are the numbers of its rows.
    """
    given = np.arange(lengths.max()) < lengths[:, None]
    none, kind = (False, bool) if rows.dtype.kind == "b" else (np.nan, rows.dtype if rows.dtype.kind == "f" else float)
    whole = np.full((*given.shape, *rows.shape[1:]), none, kind)
    whole[given] = rows
    return whole


def _ragged(name: str, lengths: NDArray[Any], shape: list[int]) -> str:
    """Say which samples have lists of another length than most, -1 where there is no list."""
    values, counts = np.unique(lengths, return_counts=True)
    usual = values[counts.argmax()]
    others = np.unique(np.flatnonzero((lengths != usual) | (lengths < 0)) // max(np.prod(shape[1:], dtype=int), 1))
    found = f"in {len(others)} of {shape[0]} samples not {usual}, as in most (the first is sample {others[0]})"
    wanted = "all must have the same number of steps, unless task.padded is true"
    return f"{name}: its lists are of different lengths, {found}; {wanted}"


def numbers(path: str, name: str, array: NDArray[Any], row: str = "sample") -> NDArray[np.float32]:
    """Return an array as float32; a `UserError` if it is not of finite numbers.

    `row` is what its first axis counts.
    """
    if array.dtype.kind not in "fiub":
        raise UserError(f"task.path is {path}: {name} is of type {array.dtype}: it must be of numbers.")
    with np.errstate(over="ignore"):
        found = array.astype(np.float32, copy=False)
    finite = np.isfinite(found)
    if not finite.all():
        bad = np.flatnonzero(~finite.reshape(len(found), -1).all(axis=1))
        where = f"in {len(bad)} of {len(found)} {row}s (the first is {row} {bad[0]})"
        raise UserError(f"task.path is {path}: {name} holds NaN or infinite values {where}; none may, as float32.")
    return found


def listed(names: Iterable[Any]) -> str:
    """Return some names in words: at most five of them, and how many more there are."""
    every = [str(name) for name in names]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more or "nothing"

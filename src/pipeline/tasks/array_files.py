"""Arrays and columns in the user's files, `.npz`, `.npy`, `.csv` or Parquet; nothing in them can run code."""

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import ROOT, UserError

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = dict[str, NDArray[Any]]
TABLES = (".csv", ".parquet")  # files with columns
SHOWN = 5  # names or labels in a sentence
UNNAMED = "__index_level_"  # how the name of an index without one begins, where pandas writes Parquet


def changed(path: str) -> int:
    """Return the time (ns) at which a file changed last; a relative path starts at the project's root.

    A `UserError` if its name does not end as it must, or there is no such file.
    """
    if path.endswith(".ts"):
        advice = 'x, y = aeon.datasets.load_from_ts_file(PATH), and np.savez("own.npz", x=x.transpose(0, 2, 1), y=y)'
        raise UserError(f"task.path is {path}: files that end in .ts are not read; save it as .npz: {advice}.")
    if not path.endswith((".npz", ".npy", *TABLES)):
        raise UserError(f"task.path is {path}: it must be a file that ends in .npz, .npy, .csv or .parquet.")
    try:
        return (ROOT / path).stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"task.path is {path}: {error.strerror}.") from error


def read(path: str, ignore: tuple[str, ...] = ()) -> Arrays:
    """Return name -> array of a file, without those to ignore; in a table, each column is an array.

    The array of an .npy file is called arr_0, as NumPy calls the first one without a name in an .npz file. A
    `UserError` if the file cannot be read.
    """
    changed(path)
    readers = {"npz": _npz, "npy": _npy, "csv": _csv, "parquet": _parquet}
    try:
        return readers[path.rpartition(".")[2]](path, ignore)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"task.path is {path}: {error.strerror or error}.") from error
    except Exception as error:  # whatever a damaged file makes a library raise
        why = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"task.path is {path}: it cannot be read ({why}).") from error


def _npz(path: str, ignore: tuple[str, ...]) -> Arrays:
    with (ROOT / path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: _not_pickled(path, name, arrays) for name in arrays if name not in ignore}


def _not_pickled(path: str, name: str, arrays: Any) -> NDArray[Any]:
    try:
        return np.asarray(arrays[name])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        advice = f"save texts as {name}.astype(str), and sequences of one length as an array of numbers"
        raise UserError(
            f"task.path is {path}: {name} is an array of Python objects (dtype=object), which could run code: {advice}."
        ) from error


def _npy(path: str, ignore: tuple[str, ...]) -> Arrays:
    del ignore
    return {"arr_0": np.load(ROOT / path, allow_pickle=False)}


def _csv(path: str, ignore: tuple[str, ...]) -> Arrays:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more values than the header has names
        frame = pd.read_csv(ROOT / path, index_col=False, low_memory=False)
        header = pd.read_csv(ROOT / path, index_col=False, header=None, nrows=1, dtype=str).iloc[0].dropna()
    _check_table(path, len(frame), list(header))
    return {str(name): frame[name].to_numpy() for name in frame.columns if name not in ignore}


def _parquet(path: str, ignore: tuple[str, ...]) -> Arrays:
    from pyarrow import parquet

    table = parquet.read_table(ROOT / path)
    _check_table(path, table.num_rows, table.column_names)
    names = [name for name in table.column_names if name not in ignore and not name.startswith(UNNAMED)]
    return {name: _nested(path, name, table.column(name)) for name in names}


def _check_table(path: str, rows: int, names: list[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UserError(
            f"task.path is {path}: more than one column is called {listed(twice)}: each must have its own name."
        )
    if not rows:
        raise UserError(f"task.path is {path}: it has no rows.")


def _nested(path: str, name: str, chunks: "pa.ChunkedArray") -> NDArray[Any]:
    """Return a column of values, or of lists of equal length, or of such lists, as an array."""
    import pyarrow.compute as pc
    from pyarrow import types

    is_category = types.is_dictionary(chunks.type)
    column = (chunks.cast(chunks.type.value_type) if is_category else chunks).combine_chunks()
    shape = [len(column)]
    while types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        if (lengths != lengths[:1]).any() or -1 in lengths:
            raise UserError(f"task.path is {path}: {_ragged(name, lengths, shape)}.")
        shape.append(lengths[0])
        column = column.flatten()
    return np.asarray(column.to_numpy(zero_copy_only=False).reshape(shape))


def _ragged(name: str, lengths: NDArray[Any], shape: list[int]) -> str:
    """Say which samples have lists of another length than most, -1 where there is no list."""
    values, counts = np.unique(lengths, return_counts=True)
    usual = values[counts.argmax()]
    others = np.unique(np.flatnonzero((lengths != usual) | (lengths < 0)) // max(np.prod(shape[1:], dtype=int), 1))
    found = f"in {len(others)} of {shape[0]} samples not {usual}, as in most (the first is sample {others[0]})"
    return f"{name}: its lists are of different lengths, {found}; all sequences must have the same number of steps"


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

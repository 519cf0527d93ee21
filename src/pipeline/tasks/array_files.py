"""Arrays in the user's files, `.npz` or Parquet; nothing in them can run code."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import ROOT, UserError

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = dict[str, NDArray[Any]]


def read(path: str) -> Arrays:
    """Return name -> array of a file that ends in .npz or .parquet; in Parquet, each column is an array.

    A relative path starts at the project's root. A `UserError` if the file cannot be read.
    """
    if not path.endswith((".npz", ".parquet")):
        raise UserError(f"task.path is {path}: it must be a file that ends in .npz or .parquet.")
    try:
        return _read(path, (ROOT / path).stat().st_mtime_ns)
    except OSError as error:
        raise UserError(f"task.path is {path}: {error.strerror}.") from error


@lru_cache(maxsize=1)
def _read(path: str, changed: int) -> Arrays:
    """Return name -> array of a file, read again if its time of change differs."""
    del changed
    try:
        if path.endswith(".npz"):
            with (ROOT / path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        from pyarrow import parquet

        table = parquet.read_table(ROOT / path)
        return {name: _nested(table.column(name).combine_chunks()) for name in table.column_names}
    except Exception as error:  # whatever a damaged file makes a library raise
        why = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"task.path is {path}: it cannot be read ({why}).") from error


def _nested(column: "pa.Array") -> NDArray[Any]:
    """Return a column of numbers, or of lists of equal length, or of such lists, as an array."""
    import pyarrow.compute as pc
    from pyarrow import types

    shape = [len(column)]
    while types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise ValueError("its lists are of different lengths")
        shape.append(lengths[0])
        column = column.flatten()
    return np.asarray(column.to_numpy(zero_copy_only=False).reshape(shape))

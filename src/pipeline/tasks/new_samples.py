"""New samples to explain: sequences without labels, from a file or as an array."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.project import UserError
from pipeline.settings.schema import Shape
from pipeline.tasks import array_files, user_lengths, user_masks
from pipeline.tasks.array_files import listed

UNUSED = ("y",)  # arrays of a file of training samples, which an explanation does not need


def samples_in(path: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the samples of a file, the array `x` or the only one of an .npz or .npy file, and `mask` if it has one.

    A `UserError` if there is no such file, or it does not hold such an array.
    """
    if not path.endswith((".npz", ".npy")):
        raise UserError(f"samples is {path}: it must be an .npz file with an array x, or an .npy file.")
    with _said_of(f"samples is {path}: ", path):
        arrays = array_files.read(path, UNUSED)
    mask = arrays.pop("mask", None)
    name = next(iter(arrays)) if len(arrays) == 1 else "x"
    if name not in arrays or len(arrays) > 1:
        raise UserError(f"samples is {path}: it holds {listed(arrays)}; it must hold x, and besides only y and mask.")
    return arrays[name], mask


def check_shape(x: NDArray[Any], shape: Shape, padded: bool = False) -> NDArray[np.float32]:
    """Return samples as float32; a `UserError` unless they are finite numbers (samples, *shape).

    With `padded`, samples may end before the last step: they have fewer steps, or are NaN from there on. What follows
    is `PADDING`.
    """
    found = x[:, :, None] if x.ndim == 2 and shape.input_dim == 1 else x
    absent = shape.time_steps - found.shape[1] if found.ndim == 3 else 0
    if padded and absent > 0:
        found = np.pad(found.astype(np.float32), ((0, 0), (0, absent), (0, 0)), constant_values=np.nan)
    if found.shape[1:] != shape or not len(found):
        wanted = f"(samples, {shape.time_steps}, {shape.input_dim}), as those that the model was trained on"
        raise UserError(f"samples are {x.shape}: they must be {wanted}.")
    with _said_of("samples: "):
        return user_lengths.marked("", found, None)[0] if padded else array_files.numbers("", "x", found)


def check_mask(mask: NDArray[Any], x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return a mask of samples that `check_shape` returned, of steps or of steps and features.

    A `UserError` if it does not fit them, as in a file to train on.
    """
    with _said_of("samples: "):
        return user_masks.checked("", mask, x)


@contextmanager
def _said_of(subject: str, path: str = "") -> Iterator[None]:
    """Say of the new samples what is wrong with them, not of a file to train on, whose checks they share."""
    known = f"task.path is {path}: "
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(known, subject, 1)) from error

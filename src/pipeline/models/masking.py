"""Padded steps inside a model: which steps are valid, and values without and with the padding."""

from keras import KerasTensor, ops

from pipeline.results.padding import PADDING


def opened(values: KerasTensor, padded: bool) -> tuple[KerasTensor, KerasTensor | None]:
    """Return values (batch, steps, features) with zeros at padded steps, and which steps are valid, (batch, steps).

    Without `padded` they are returned as they are, and None.
    """
    if not padded:
        return values, None
    valid = ops.any(ops.not_equal(values, PADDING), axis=-1)
    return ops.where(ops.expand_dims(valid, -1), values, 0.0), valid


def closed(values: KerasTensor, valid: KerasTensor | None) -> KerasTensor:
    """Return values (batch, steps, features) with the padding at steps that are not valid; None: all are.

    A vector (batch, units), and values that have other steps, are returned as they are.
    """
    if valid is None or len(values.shape) != 3 or values.shape[1] != valid.shape[1]:
        return values
    return ops.where(ops.expand_dims(valid, -1), values, PADDING)


def softmax(scores: KerasTensor, valid: KerasTensor | None) -> KerasTensor:
    """Return the softmax of scores (batch, ..., steps) over the valid steps, exactly 0 at others; None: over all."""
    return ops.softmax(scores if valid is None else ops.where(valid, scores, -1e9), axis=-1)


def mean_over_steps(values: KerasTensor, axis: int, valid: KerasTensor | None) -> KerasTensor:
    """Return the mean over an axis of steps; `valid` has the rank of the values, and 1 where it broadcasts."""
    if valid is None:
        return ops.mean(values, axis=axis)
    chosen = ops.cast(valid, values.dtype)
    return ops.sum(values * chosen, axis=axis) / ops.sum(chosen, axis=axis)

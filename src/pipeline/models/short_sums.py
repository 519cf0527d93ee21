"""Products of matrices that have the same bytes on any processor. Importing this module imports TensorFlow.

Eigen, which multiplies matrices for TensorFlow and XLA, sums a long row of terms in blocks whose length follows the
size of the L1 cache: 288 terms with 32 KB, 432 with 48 KB. `use` replaces TensorFlow's functions by others that split
such a sum beforehand. All layers and all gradients call these functions.
"""

from math import prod
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import gen_linalg_ops, gen_math_ops

LONGEST = 256  # terms that are one block on any processor

_EINSUM = gen_linalg_ops.einsum


def use() -> None:
    """Make TensorFlow split long sums in all products of matrices, from now on in this process."""
    if gen_linalg_ops.einsum is _EINSUM:
        gen_linalg_ops.einsum = einsum
        gen_math_ops.mat_mul = _splitting(gen_math_ops.mat_mul, "transpose_a", "transpose_b")
        for version in ("batch_mat_mul_v2", "batch_mat_mul_v3"):
            setattr(gen_math_ops, version, _splitting(getattr(gen_math_ops, version), "adj_x", "adj_y"))


def _splitting(product: Any, first: str, second: str) -> Any:
    """Return a function of TensorFlow that splits long sums, given it and the names of its two flags."""

    def split(a: tf.Tensor, b: tf.Tensor, *args: Any, **options: Any) -> tf.Tensor:
        terms = a.shape[-2 if options.get(first) else -1]
        if args or terms is None or terms <= LONGEST:
            return product(a, b, *args, **options)
        a = a if options.get(first) else tf.linalg.matrix_transpose(a)
        b = tf.linalg.matrix_transpose(b) if options.get(second) else b
        return tf.reduce_sum(tf.matmul(_parts(a, terms), _parts(b, terms), transpose_a=True), axis=-3)

    return split


def _parts(factor: tf.Tensor, terms: int) -> tf.Tensor:
    """Return a factor (..., terms, n) as (..., parts, length, n), filled up with zeros, which change no sum."""
    parts = -(-terms // LONGEST)
    length = -(-terms // parts)
    rest = [[0, 0]] * (factor.shape.rank - 2) + [[0, parts * length - terms], [0, 0]]
    shape = tf.concat([tf.shape(factor)[:-2], [parts, length], tf.shape(factor)[-1:]], 0)
    return tf.reshape(tf.pad(factor, rest), shape)


def einsum(inputs: list[tf.Tensor], equation: str, name: str | None = None) -> tf.Tensor:
    """Return TensorFlow's `Einsum`; a long sum over axes that two tensors share becomes a product of matrices."""
    left, result = equation.split("->")
    labels = left.split(",")
    if len(labels) != 2 or "." in equation:
        return _EINSUM(inputs, equation, name)
    size = {label: n for axes, x in zip(labels, inputs, strict=True) for label, n in zip(axes, x.shape, strict=True)}
    shared = [label for label in labels[0] if label in labels[1]]
    summed = [label for label in shared if label not in result]
    if None in size.values() or prod(size[label] for label in summed) <= LONGEST:
        return _EINSUM(inputs, equation, name)
    batch = [label for label in shared if label in result]
    own = [[label for label in axes if label in result and label not in shared] for axes in labels]

    def lengths(axes: list[str]) -> list[int]:
        return [size[label] for label in axes]

    a, b = (
        tf.reshape(
            _EINSUM([tensor], f"{axes}->{''.join(batch + summed + free)}"),
            [*lengths(batch), prod(lengths(summed)), prod(lengths(free))],
        )
        for tensor, axes, free in zip(inputs, labels, own, strict=True)
    )
    axes = batch + own[0] + own[1]
    product = tf.reshape(tf.matmul(a, b, transpose_a=True), lengths(axes))
    return _EINSUM([product], f"{''.join(axes)}->{result}")

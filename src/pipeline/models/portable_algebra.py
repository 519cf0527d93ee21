"""Linear algebra that gives the same bytes on any processor. Importing this module imports TensorFlow.

Eigen, which computes it for TensorFlow and XLA, works in blocks whose size follows the L1 cache: a product of matrices
sums a long row of terms 288 at a time with 32 KB, and 432 at a time with 48 KB. `use` replaces TensorFlow's functions
by others that split long sums beforehand. All layers, all gradients and all initializers call these functions.
"""

from math import prod
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.ops import gen_linalg_ops, gen_math_ops

LONGEST = 256  # terms that are one block on any processor

_EINSUM, _QR = gen_linalg_ops.einsum, tf.linalg.qr


def use() -> None:
    """Replace TensorFlow's functions, from now on in this process."""
    if tf.linalg.qr is _QR:
        tf.linalg.qr, gen_linalg_ops.einsum = qr, einsum
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


def qr(matrix: tf.Tensor, full_matrices: bool = False, name: str | None = None) -> Any:
    """Return TensorFlow's QR decomposition; the initializer of recurrent kernels needs that of a tall matrix."""
    tall = matrix.shape.rank == 2 and matrix.shape[0] >= matrix.shape[1]
    if full_matrices or not tall or not tf.executing_eagerly():
        return _QR(matrix, full_matrices, name)
    columns = matrix.numpy().T.astype(np.float64)
    q = orthonormal(columns)
    r = np.einsum("ik,jk->ij", q, columns)
    return tf.constant(q.T, matrix.dtype), tf.constant(np.triu(r), matrix.dtype)


def orthonormal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return orthonormal vectors, each the part of one given vector that is perpendicular to those before it.

    `vectors` is (number, length), and the result has the same shape; the number is at most the length. NumPy's `einsum`
    sums in the same order everywhere. Subtracting twice makes the result exact to the last digits.

    Source: Giraud et al. (2005), "Rounding error analysis of the classical Gram-Schmidt orthogonalization process".
    """
    found = vectors.copy()
    for index in range(len(found)):
        for _ in range(2):
            along = np.einsum("ij,j->i", found[:index], found[index])
            found[index] -= np.einsum("i,ij->j", along, found[:index])
        found[index] /= np.sqrt(np.einsum("i,i->", found[index], found[index]))
    return found

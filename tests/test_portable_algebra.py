"""Linear algebra whose sums are short enough to be the same on any processor, and what it computes."""

import re
from math import prod

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import build, fit, portable_algebra
from pipeline.models.output_kinds import TWO_CLASSES
from pipeline.settings.schema import Model, Shape, Train
from pipeline.settings.study import load_variant

assert build.portable_algebra is portable_algebra  # in use since its import


@given(st.integers(1, 1100), st.sampled_from([(), (2,), (2, 3)]), st.booleans(), st.booleans())
def test_a_product_of_matrices_is_what_it_was(terms, batch, transpose_a, transpose_b):
    rng = np.random.default_rng(terms)
    a, b = rng.normal(size=(*batch, 3, terms)), rng.normal(size=(*batch, terms, 2))
    given_a, given_b = a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b
    product = tf.matmul(tf.constant(given_a), tf.constant(given_b), transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_allclose(product, a @ b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("equation", ["abc,cd->abd", "abc,abd->cd", "abc,dbc->ad", "abcd,aecd->acbe"])
def test_a_sum_over_several_axes_and_its_gradient_are_what_they_were(equation):
    size = dict(zip("abcde", (40, 30, 300, 3, 2), strict=True))
    left, right = equation.split("->")[0].split(",")
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=[size[label] for label in labels]) for labels in (left, right))
    with tf.GradientTape() as tape:
        tape.watch(x := tf.constant(a))
        total = tf.einsum(equation, x, tf.constant(b))
    np.testing.assert_allclose(total, np.einsum(equation, a, b), rtol=1e-9, atol=1e-9)
    expected = np.einsum(f"{right},{equation.split('->')[1]}->{left}", b, np.ones(total.shape))
    np.testing.assert_allclose(tape.gradient(total, x), expected, rtol=1e-9, atol=1e-9)


def longest_sum(program):
    """Return the largest number of terms that a product of matrices in a compiled program sums."""
    shapes = dict(re.findall(r"%?([\w.\-]+) = \w+\[([\d,]*)\]", program))
    found = re.findall(r" dot\([^%]*%([\w.\-]+).*lhs_contracting_dims=\{([\d,]*)\}", program)
    assert found
    sizes = [(list(map(int, shapes[name].split(","))), map(int, axes.split(","))) for name, axes in found]
    return max(prod(shape[axis] for axis in axes) for shape, axes in sizes)


@pytest.mark.parametrize(
    ("variant", "padded"),
    [("after_unshared", False), ("after_unshared", True)]
    + [(variant, False) for variant in ("bahdanau", "multi_head", "self_attention")],
)
def test_no_compiled_training_step_has_a_long_sum(variant, padded):
    model = Model(300, "gru" if variant == "multi_head" else "lstm")
    shape, train = Shape(60, 1), Train(1, 300, 0.001, 64, 64)
    steps = fit._compiled.__wrapped__(shape, model, train, load_variant(variant), TWO_CLASSES, padded).steps
    (compiled,) = (cell.cell_contents for cell in steps.__closure__)
    inputs = tf.zeros((2, 300, *shape)), tf.zeros((2, 300, 1)), tf.constant(2)
    assert longest_sum(compiled.experimental_get_compiler_ir(*inputs)("hlo")) <= portable_algebra.LONGEST


@pytest.mark.parametrize("shape", [(32, 128), (130, 70), (5, 5)])
def test_orthogonal_weights_are_those_of_keras(shape, monkeypatch):
    weights = np.array(keras.initializers.Orthogonal(seed=3)(shape), float)
    small = weights if shape[0] < shape[1] else weights.T
    np.testing.assert_allclose(small @ small.T, np.eye(len(small)), atol=1e-6)
    monkeypatch.setattr(tf.linalg, "qr", portable_algebra._QR)
    np.testing.assert_allclose(keras.initializers.Orthogonal(seed=3)(shape), weights, atol=1e-5)

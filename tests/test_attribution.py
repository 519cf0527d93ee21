"""Attributions of a model for which they can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures import attribution

WEIGHTS = np.array([[1.0, -2.0], [0.0, 0.0], [3.0, 0.5]])  # of a linear model: three steps of two features
X = np.array([[[1.0, 1.0], [5.0, 5.0], [2.0, 0.0]], [[0.0, 0.0], [1.0, -1.0], [1.0, 2.0]]])


def logit(x):
    return (x * WEIGHTS).sum(axis=(1, 2))


def gradient(x):
    return np.broadcast_to(WEIGHTS, x.shape)


def square_gradient(x):
    return 2 * logit(x)[:, None, None] * WEIGHTS


def test_gradient_x_input_by_hand_and_where_the_input_is_zero():
    expected = [[[1, -2], [0, 0], [6, 0]], [[0, 0], [0, 0], [3, 1]]]
    np.testing.assert_array_equal(attribution.gradient_x_input(gradient, X), expected)
    assert (attribution.gradient_x_input(square_gradient, X)[1, 0] == 0).all()
    assert (attribution.integrated_gradients(square_gradient, X, np.zeros_like(X[0]), 8)[1, 0] == 0).all()


def test_integrated_gradients_of_a_linear_model_by_hand():
    baseline = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    found = attribution.integrated_gradients(gradient, X, baseline, 3)
    np.testing.assert_allclose(found, [[[0, -2], [0, 0], [3, 0]], [[-1, 0], [0, 0], [0, 1]]], atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_integrated_gradients_sum_to_the_difference_of_logits(seed, points):
    x, baseline = np.random.default_rng(seed).normal(size=(2, 4, 3, 2))
    found = attribution.integrated_gradients(square_gradient, x, baseline, points).sum(axis=(1, 2))
    np.testing.assert_allclose(found, logit(x) ** 2 - logit(baseline) ** 2, atol=1e-9)  # exact: the gradient is linear


def test_occlusion_by_hand():
    # Of two samples, a permutation changes nothing or swaps them: then step 0 moves the logits by 1, step 2 by 2.
    found, again = (attribution.occlusion(logit, X, np.random.default_rng(0), 40) for _ in range(2))
    np.testing.assert_array_equal(found, again)
    np.testing.assert_allclose(found[0], found[1])
    swapped = found[0] / [1, 1, 2]
    assert swapped[1] == 0
    assert (abs(swapped[[0, 2]] - 0.5) < 0.3).all()


def test_importance_by_hand():
    values = np.array([[[1.0, -2.0], [0.0, 0.0], [3.0, 0.0]], [[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(attribution.importance(values), [[0.25, 0, 0.75], [1 / 3] * 3])
    np.testing.assert_allclose(attribution.importance(np.array([[2.0, 2.0]])), [[0.5, 0.5]])


def test_shuffled_attention_by_hand():
    # One key step of three, its value 6 or -6 and all attention on it: shuffled, it gets none in two of three draws.
    values = np.zeros((2, 3, 1))
    values[:, 1, 0] = [6, -6]
    weights = np.zeros((2, 3, 1))
    weights[:, 1] = 1
    head = lambda weighted: weighted.sum(axis=(1, 2))  # noqa: E731
    found = attribution.permuted_attention(head, values, weights, np.random.default_rng(0), 600)
    assert found.shape == (600, 2)
    assert set(found[:, 0]) == {0, 6}
    assert set(found[:, 1]) == {0, -6}
    assert (found != 0).mean() == pytest.approx(1 / 3, abs=0.05)
    uniform = attribution.permuted_attention(head, values, np.full_like(weights, 1 / 3), np.random.default_rng(0), 3)
    np.testing.assert_array_equal(uniform, np.tile(uniform[:1], (3, 1)))

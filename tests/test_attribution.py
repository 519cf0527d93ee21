"""Attributions of a model for which they can be worked out by hand."""

import numpy as np
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
    # Of two samples, each meets the other one: it moves the logits by 1 at step 0, by 0 at step 1, by 2 at step 2.
    found = attribution.occlusion(logit, X, np.random.default_rng(0), 1)
    np.testing.assert_allclose(found, [[1, 0, 2], [1, 0, 2]])


@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.floats(0.2, 0.8))
def test_occlusion_shows_each_sample_another_key(seed, samples, share):
    """Every sample meets the other key, so that occlusion can find the key in all of them: its ceiling is 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 3, 2))
    ones = round(share * samples)
    x[:, 1] = rng.permutation(np.arange(samples) < ones)[:, None]
    change, again = (
        attribution.occlusion(lambda x: x[:, 1].sum(axis=1), x, np.random.default_rng(seed), 9) for _ in range(2)
    )
    assert (change[:, 1] > 0).all()
    assert (change[:, [0, 2]] == 0).all()
    np.testing.assert_array_equal(change, again)


def test_importance_by_hand():
    values = np.array([[[1.0, -2.0], [0.0, 0.0], [3.0, 0.0]], [[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_allclose(attribution.importance(values), [[0.25, 0, 0.75], [1 / 3] * 3])
    np.testing.assert_allclose(attribution.importance(np.array([[2.0, 2.0]])), [[0.5, 0.5]])


def test_long_sequences_are_replaced_a_stretch_at_a_time(monkeypatch):
    monkeypatch.setattr(attribution, "STRETCHES", 2)
    x = np.concatenate([X, X[:, :2]], axis=1)  # five steps: stretches of two and of three

    def step_two(x):
        return x[:, 2].sum(axis=1)  # 2 and 3

    assert attribution.stretches(5) == [(0, 2), (2, 5)]
    found = attribution.occlusion(step_two, x, np.random.default_rng(0), 1)
    np.testing.assert_allclose(found, [[0, 0, 1, 1, 1]] * 2)


def test_a_thousand_steps_are_fifty_stretches():
    found = attribution.stretches(1000)
    assert len(found) == 50
    assert [step for first, end in found for step in range(first, end)] == list(range(1000))

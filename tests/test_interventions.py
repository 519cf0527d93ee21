"""What predictions do with other attention or without a step, for models for which it can be worked out by hand."""

import numpy as np
import pytest

from pipeline.measures import interventions

# Two samples of three steps and one feature; the output adds up values times weights.
VALUES = np.array([[[0.0], [6.0], [3.0]], [[0.0], [-6.0], [3.0]]])
WEIGHTS = np.array([[[0.0], [1.0], [0.0]], [[0.0], [0.75], [0.25]]])
KEY = np.array([1, 1])


def head(weighted):
    return weighted.sum(axis=(1, 2))


def tail(values):
    return head(values * 0.5)


def test_shuffled_attention():
    # One key step of three, its value 6 or -6 and all attention on it: shuffled, it gets none in two of three draws.
    values, weights = VALUES * [[[1], [1], [0]]], np.repeat([[[0.0], [1.0], [0.0]]], 2, axis=0)
    found = interventions.permuted(head, values, weights, np.random.default_rng(0), 600)
    assert found.shape == (600, 2)
    assert set(found[:, 0]) == {0, 6}
    assert set(found[:, 1]) == {0, -6}
    assert (found != 0).mean() == pytest.approx(1 / 3, abs=0.05)
    uniform = interventions.permuted(head, values, np.full_like(weights, 1 / 3), np.random.default_rng(0), 3)
    np.testing.assert_array_equal(uniform, np.tile(uniform[:1], (3, 1)))


def test_mean_attention():
    # The mean is (0, 7/8, 1/8).
    np.testing.assert_allclose(interventions.averaged(head, VALUES, WEIGHTS), [6 * 7 / 8 + 3 / 8, -6 * 7 / 8 + 3 / 8])


def test_a_step_removed_and_a_step_alone():
    # The means of the steps are 0, 0, 3; half of what is left is the output.
    np.testing.assert_allclose(interventions.removed(tail, VALUES, KEY), [1.5, 1.5])
    np.testing.assert_allclose(interventions.removed(tail, VALUES, np.array([2, 0])), tail(VALUES))
    np.testing.assert_allclose(interventions.kept(tail, VALUES, KEY), tail(VALUES))
    np.testing.assert_allclose(interventions.kept(tail, VALUES, np.array([0, 0])), [1.5, 1.5])
    assert (VALUES[0] == [[0], [6], [3]]).all()  # left as they were


def test_another_step_is_never_the_same_and_each_as_likely():
    at = np.repeat([0, 3], 3000)
    other = interventions.other_steps(at, 4, np.random.default_rng(0))
    assert (other != at).all()
    for first in (0, 3):
        shares = np.bincount(other[at == first], minlength=4) / 3000
        np.testing.assert_allclose(np.delete(shares, first), 1 / 3, atol=0.05)


def test_the_most_different_attention():
    def same_sign(output):
        return np.sign(output) == [1, -1]

    found = interventions.most_different(head, VALUES, WEIGHTS, same_sign)
    # First sample: all weight on step 2 keeps the sign. Second: only weight on step 1 does; with 3/4 of the attention
    # moved to step 0 the output is -0.75 * 6 / 4 + 0.25 * 3 / 4 < 0 still.
    np.testing.assert_allclose(found, [1, 0.75])
    nothing = interventions.most_different(head, VALUES, WEIGHTS, lambda output: np.zeros(len(output), bool))
    np.testing.assert_array_equal(nothing, 0)


def test_what_each_step_adds():
    np.testing.assert_allclose(interventions.by_step(head, VALUES), VALUES[:, :, 0])
    np.testing.assert_allclose(interventions.by_step(lambda weighted: head(weighted) + 7, VALUES), VALUES[:, :, 0])
    assert interventions.by_step(lambda weighted: np.tanh(head(weighted)), VALUES) is None
    assert interventions.by_step(lambda weighted: weighted[:, 0, 0] * weighted[:, 1, 0], VALUES + 1) is None
    learned_nothing = interventions.by_step(lambda weighted: 0.003 * np.tanh(head(weighted)), VALUES)
    assert learned_nothing is None

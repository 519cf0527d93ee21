"""Estimates, intervals and tests, against SciPy, brute force and what must hold for any values."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.report import paired_tests

numbers = st.floats(-10, 10).map(lambda x: round(x, 3))
samples = st.lists(numbers, min_size=2, max_size=9)


def rng():
    return np.random.default_rng(0)


def test_interquartile_mean_by_hand():
    assert paired_tests.interquartile_mean([1, 2, 3, 100]) == 2.5
    assert paired_tests.interquartile_mean([0, 10, 20, 30, 40, 50, 60, 1000]) == 35  # 20, 30, 40, 50
    assert paired_tests.interquartile_mean([1, 5]) == 3
    np.testing.assert_array_equal(paired_tests.interquartile_mean([[1, 2, 3, 100], [0, 0, 0, 0]], axis=1), [2.5, 0])


@given(samples)
def test_interval_holds_what_it_should(values):
    low, high = paired_tests.bootstrap_interval(values, rng(), resamples=500)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert paired_tests.bootstrap_interval(values, rng(), resamples=500) == (low, high)
    shifted = paired_tests.bootstrap_interval(np.array(values) + 3, rng(), resamples=500)
    assert shifted == pytest.approx((low + 3, high + 3))


def test_interval_against_scipy_and_of_one_seed():
    with pytest.raises(ValueError, match="two seeds"):
        paired_tests.bootstrap_interval([1.0], rng())
    values = np.random.default_rng(1).normal(size=30)
    ours = paired_tests.bootstrap_interval(values, rng(), np.mean, resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=rng())
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


def test_interval_covers_as_often_as_it_says():
    draw = np.random.default_rng(2)
    intervals = [paired_tests.bootstrap_interval(draw.normal(size=40), draw, np.mean, 0.9, 500) for _ in range(300)]
    assert 0.83 < np.mean([low <= 0 <= high for low, high in intervals]) < 0.95


def test_paired_probability_by_hand():
    assert paired_tests.paired_probability([1, 2, 3, 4], [0, 2, 4, 5]) == 0.375  # one larger, one tie, of four
    assert paired_tests.paired_probability([0.1 + 0.2], [0.3]) == 0.5  # a tie but for rounding


@pytest.mark.parametrize(
    ("correct", "seeds", "interval"),
    [(8, 10, (0.4439, 0.9748)), (10, 10, (0.6915, 1)), (0, 10, (0, 0.3085)), (1, 1, (0.025, 1)), (0, 1, (0, 0.975))],
)
def test_exact_interval_of_a_share_by_tables(correct, seeds, interval):
    assert paired_tests.proportion_interval(correct, seeds) == pytest.approx(interval, abs=5e-5)


@settings(max_examples=25)
@given(st.integers(1, 20), st.floats(0.01, 0.99), st.sampled_from([0.8, 0.95]))
def test_exact_interval_of_a_share_covers_at_least_as_often_as_it_says(seeds, share, confidence):
    intervals = [paired_tests.proportion_interval(k, seeds, confidence) for k in range(seeds + 1)]
    chances = stats.binom.pmf(np.arange(seeds + 1), seeds, share)
    covered = [low <= share <= high for low, high in intervals]
    assert chances[covered].sum() >= confidence - 1e-9
    for k, (low, high) in enumerate(intervals):
        assert 0 <= low <= k / seeds <= high <= 1


@given(samples)
def test_a_against_a(values):
    assert paired_tests.paired_probability(values, values) == 0.5
    assert paired_tests.sign_flip_test(np.zeros(len(values)), rng()) == 1
    assert paired_tests.interquartile_mean(np.subtract(values, values)) == 0


@pytest.mark.parametrize(("pairs", "p"), [(2, 0.5), (5, 0.0625), (10, 2 / 1024)])
def test_pairs_all_one_way_reach_the_smallest_p(pairs, p):
    assert paired_tests.sign_flip_test(np.arange(1, pairs + 1), rng()) == pytest.approx(p)
    assert paired_tests.smallest_p(pairs) == pytest.approx(p)
    assert paired_tests.sign_flip_test(-np.arange(1, pairs + 1), rng()) == pytest.approx(p)


@given(samples)
def test_exact_test_against_brute_force(differences):
    d = np.array(differences)
    means = [abs(np.mean(d * signs)) for signs in product((1, -1), repeat=len(d))]
    expected = np.mean(np.array(means) >= abs(d.mean()) - 1e-12)
    assert paired_tests.sign_flip_test(d, rng()) == pytest.approx(expected)


def test_patterns_of_signs_with_the_same_sum_tie_in_spite_of_rounding():
    # The sum is 0.001, as small as it can be but for the sign: no pattern is less extreme.
    assert paired_tests.sign_flip_test([0.0, 0.0, 0.0, 0.0, 1.188, 3.375, -1.75, -2.812], rng()) == 1


def test_the_test_with_drawn_signs_agrees_with_the_exact_one_and_is_used_beyond_twenty_pairs(monkeypatch):
    d = np.random.default_rng(3).normal(0.3, 1, 14)
    exact = paired_tests.sign_flip_test(d, rng())
    monkeypatch.setattr(paired_tests, "EXACT_PAIRS", 5)
    assert paired_tests.sign_flip_test(d, rng(), resamples=10_000) == pytest.approx(exact, abs=0.02)
    monkeypatch.undo()
    d = np.random.default_rng(4).normal(2, 1, 24)
    p = paired_tests.sign_flip_test(d, rng(), resamples=5_000)
    assert p == paired_tests.sign_flip_test(d, rng(), resamples=5_000)
    assert paired_tests.smallest_p(24, 5_000) <= p < 0.01
    assert paired_tests.sign_flip_test(np.ones(40), rng(), resamples=999) == paired_tests.smallest_p(40, 999) == 0.002


def test_holm_by_hand():
    np.testing.assert_allclose(paired_tests.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(paired_tests.holm([0.5, 0.9]), [1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_the_step_down_procedure_does(p_values):
    adjusted = paired_tests.holm(p_values)
    assert (adjusted >= np.array(p_values) - 1e-12).all()
    for alpha in (0.01, 0.05, 0.3):
        rejected, left = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
        for step, index in enumerate(left):
            if p_values[index] * (len(left) - step) > alpha:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected

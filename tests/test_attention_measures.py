"""Measures of attention, on cases worked out by hand, and properties that hold for any attention."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau
from sklearn.metrics import average_precision_score

from pipeline.measures import attention_measures as measures

# Two samples of four steps; the key is at step 1, then at steps 2 and 3.
ATTENTION = np.array([[0.1, 0.6, 0.2, 0.1], [0.4, 0.1, 0.4, 0.1]])
MASK = np.array([[False, True, False, False], [False, False, True, True]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key_mass", [0.6, 0.5]),
        ("key_lift", [2.4, 1.0]),
        ("key_skill", [7 / 15, 0.0]),  # (0.6 - 1/4) / (3/4); (0.5 - 1/2) / (1/2)
        ("peak_skill", [7 / 15, 0.2]),  # (0.4 - 1/4) / (3/4)
        ("late_hit", [0.0, 0.0]),
        ("hit_rate", [1.0, 0.5]),  # second: steps 0 and 2 tie, one of them is a key
        ("mean_hit", [1.0, 0.0]),  # mean (0.25, 0.35, 0.3, 0.1) peaks at step 1
        # second: at 0.4 two steps, one right: precision 1/2, recall 1/2; at 0.1 all: precision 1/2, recall 1
        ("average_precision", [1.0, 0.5]),
        ("late_mass", [0.3, 0.0]),
    ],
)
def test_by_hand(name, expected):
    np.testing.assert_allclose(measures.MEASURES[name](ATTENTION, MASK), expected, atol=1e-12)


def test_entropy_and_input_dependence_by_hand():
    attention = np.array([[0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1]])
    np.testing.assert_allclose(measures.entropy(attention, attention > 0), [0.5, 1, 0], atol=1e-12)
    # Two one-hot samples at different steps: mean (1/2, 1/2); JS = H(3/4, 1/4) - (0 + ln 2) / 2.
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) - np.log(2) / 2
    attention = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(measures.input_dependence(attention, attention > 0), [expected] * 2)


def test_without_a_key_only_measures_that_need_none_are_numbers():
    measured = {name: measure(ATTENTION, np.zeros_like(MASK)) for name, measure in measures.MEASURES.items()}
    numbers = {name for name, values in measured.items() if np.isfinite(values).all()}
    assert numbers == {"entropy", "input_dependence", "peak_skill"}
    assert all(np.isnan(values).all() for name, values in measured.items() if name not in numbers)


def test_peaks_after_the_last_key_step():
    mask = np.array([[True, False, True, False]] * 3)
    attention = np.array([[0.1, 0.1, 0.1, 0.7], [0.4, 0.1, 0.1, 0.4], [0.1, 0.7, 0.1, 0.1]])
    np.testing.assert_allclose(measures.late_hit(attention, mask), [1, 0.5, 0])


def test_summary_splits_key_mass_by_label():
    summary = measures.summarize(ATTENTION, MASK, np.array([0.0, 1.0]))
    assert [summary[f"key_mass{label}"] for label in ("_y0", "_y1", "")] == pytest.approx([0.6, 0.5, 0.55])
    assert np.isnan(measures.summarize(ATTENTION, MASK, np.ones(2))["key_mass_y0"])


def test_kendall_tau_by_hand():
    # Of six pairs of steps: all agree; all disagree; one ties in b and five agree; all tie in a.
    a = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 1, 1]], float)
    b = np.array([[5, 6, 7, 8], [4, 3, 2, 1], [1, 2, 2, 4], [1, 2, 3, 4]], float)
    np.testing.assert_allclose(measures.kendall_tau(a, b), [1, -1, 5 / np.sqrt(6 * 5), np.nan])
    agreement = measures.agreement(a, b, np.array([0.0, 1.0, 1.0, 1.0]))
    assert agreement["kendall_tau_y0"] == 1
    assert agreement["kendall_tau_y1"] == pytest.approx((-1 + 5 / np.sqrt(30)) / 2)  # the one that is NaN is left out
    assert agreement["kendall_tau"] == pytest.approx(5 / np.sqrt(30) / 3)


few = st.integers(0, 3)  # with many ties


@given(st.lists(st.tuples(few, few), min_size=2, max_size=12))
def test_kendall_tau_equals_scipys(pairs):
    a, b = np.array(pairs, float).T
    expected = kendalltau(a, b).statistic
    np.testing.assert_allclose(measures.kendall_tau(a[None], b[None])[0], expected, atol=1e-12)


@given(st.lists(st.tuples(few, st.booleans()), min_size=2, max_size=12))
def test_average_precision_equals_scikit_learns(pairs):
    weights, mask = np.array([w for w, _ in pairs], float), np.array([m for _, m in pairs])
    expected = average_precision_score(mask, weights) if mask.any() else np.nan
    np.testing.assert_allclose(measures.average_precision(weights[None], mask[None])[0], expected, atol=1e-12)


masks = st.integers(2, 12).flatmap(lambda steps: arrays(bool, st.tuples(st.integers(1, 5), st.just(steps))))


@given(masks.filter(lambda mask: mask.any(axis=1).all()))
def test_uniform_and_one_hot_attention(mask):
    share = mask.mean(axis=1)
    uniform, one_hot = np.full(mask.shape, 1 / mask.shape[1]), np.eye(mask.shape[1])[mask.argmax(axis=1)]
    skill = np.where(share == 1, np.nan, 0)  # where every step is a key, nothing can be missed
    expected = {"key_mass": share, "hit_rate": share, "average_precision": share, "key_lift": 1, "entropy": 1}
    for name, values in (expected | {"input_dependence": 0, "key_skill": skill, "peak_skill": 0}).items():
        np.testing.assert_allclose(measures.MEASURES[name](uniform, mask), values, rtol=1e-7, atol=1e-12)
    expected = {"key_mass": 1, "hit_rate": 1, "entropy": 0, "late_mass": 0, "key_lift": 1 / share, "late_hit": 0}
    expected |= {"key_skill": np.where(share == 1, np.nan, 1), "peak_skill": 1}
    for name, values in expected.items():
        np.testing.assert_allclose(measures.MEASURES[name](one_hot, mask), values)


@given(masks, st.integers(0, 2**32 - 1))
def test_bounds_hold_and_the_order_of_samples_is_irrelevant(mask, seed):
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet(np.ones(mask.shape[1]), len(mask))
    order = rng.permutation(len(mask))
    for name, measure in measures.MEASURES.items():
        values = measure(attention, mask)
        np.testing.assert_allclose(measure(attention[order], mask[order]), values[order], atol=1e-12, err_msg=name)
        known = values[~np.isnan(values)]
        assert (known >= (1 - mask.shape[1] if name == "key_skill" else -1e-12)).all(), name
        assert (known <= (mask.shape[1] if name == "key_lift" else 1) + 1e-12).all(), name


@given(masks, st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_repeated_samples_change_no_measure(mask, seed, times):
    rng = np.random.default_rng(seed)
    attention, y = rng.dirichlet(np.ones(mask.shape[1]), len(mask)), rng.integers(0, 2, len(mask))
    once = measures.summarize(attention, mask, y)
    more = measures.summarize(np.tile(attention, (times, 1)), np.tile(mask, (times, 1)), np.tile(y, times))
    for name, value in once.items():
        np.testing.assert_allclose(more[name], value, atol=1e-12, err_msg=name)


def test_a_sample_without_a_key_is_left_out_of_the_means():
    attention = np.vstack([ATTENTION, [[0.7, 0.1, 0.1, 0.1]]])
    mask, classes = np.vstack([MASK, np.zeros((1, 4), bool)]), np.array([1, 0, 1])
    found, without = measures.summarize(attention, mask, classes), measures.summarize(ATTENTION, MASK, classes[:2])
    for name in ("key_mass", "key_mass_y1", "key_lift", "hit_rate", "average_precision", "late_mass"):
        assert found[name] == without[name]
    assert np.isnan(measures.summarize(attention, mask & False, classes)["key_mass"])


def test_memory_does_not_grow_with_the_square_of_the_steps():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 20, 2000))
    mask = np.arange(2000) == np.arange(20)[:, None]
    tracemalloc.start()
    try:
        measures.kendall_tau(a, b)
        measures.average_precision(a, mask)
        assert tracemalloc.get_traced_memory()[1] < 20 * a.nbytes  # all pairs of steps would take 2000 times as much
    finally:
        tracemalloc.stop()

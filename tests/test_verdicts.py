"""Verdicts on attention whose meaning is known: the limits, and keys of every kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures import attention_measures
from pipeline.report.verdicts import CORRECT, DIFFUSE, LATE, NOT_LEARNED, SILENT, UNJUDGED, verdict
from pipeline.settings.schema import Thresholds

LIMITS = Thresholds(balanced_accuracy=0.95, r2=0.95, skill=0.05, entropy=0.95, readout=0.95)
STEPS, SAMPLES = 20, 40
INPUT, STATES = False, True


def fixed(*steps, count=STEPS):
    """Return a mask with the same key steps in all samples."""
    mask = np.zeros((SAMPLES, count), bool)
    mask[:, steps] = True
    return mask


MOVING = np.eye(STEPS, dtype=bool)[np.arange(SAMPLES) % (STEPS - 1)]  # never at the last step


def one_hot(steps, count=STEPS):
    return np.eye(count)[np.broadcast_to(steps, SAMPLES)]


def judged(attention, mask, over_states, readout=1.0, learned=True):
    measures = attention_measures.summarize(attention, mask, None) | {"readout_at_peak": readout}
    return verdict(learned, measures, over_states, LIMITS)


MASKS = {
    "first": fixed(0),
    "last": fixed(STEPS - 1),
    "middle": fixed(10),
    "two": fixed(5, 15),
    "eight of twelve": fixed(*range(8), count=12),
    "moving": MOVING,
}


@pytest.mark.parametrize("over_states", [INPUT, STATES])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_uniform_is_diffuse_and_all_on_a_key_is_correct(mask, over_states):
    steps = mask.shape[1]
    assert judged(np.full(mask.shape, 1 / steps), mask, over_states) == DIFFUSE
    assert judged(one_hot(mask.argmax(axis=1), steps), mask, over_states) == CORRECT
    assert judged(mask / mask.sum(axis=1, keepdims=True), mask, over_states) == CORRECT  # spread over all keys
    assert judged(one_hot(mask.argmax(axis=1), steps), mask, over_states, learned=False) == NOT_LEARNED


@pytest.mark.parametrize("mask", [fixed(0), fixed(10), MOVING], ids=["first", "middle", "moving"])
def test_one_step_late(mask):
    late = one_hot(mask.argmax(axis=1) + 1)
    assert judged(late, mask, STATES) == LATE
    assert judged(late, mask, STATES, readout=0.6) == SILENT  # the state there has lost the label
    assert judged(late, mask, INPUT) == SILENT  # on the input, the step after the key tells nothing


def test_late_on_the_input_is_no_excuse_for_an_early_key():
    assert judged(one_hot(49, 50), fixed(3, count=50), INPUT) == SILENT


def test_always_at_one_step_while_the_key_moves():
    """The share of samples that have had their key by then decides what can be read there."""
    at = one_hot(12)
    assert judged(at, MOVING, INPUT) == SILENT
    assert judged(at, MOVING, STATES, readout=0.8) == SILENT
    mostly = 0.9 * at + 0.1 / STEPS
    assert judged(mostly, MOVING, INPUT) == SILENT


def test_before_the_key_is_never_late():
    for mask in (fixed(10), fixed(5, 15)):
        assert judged(one_hot(3), mask, STATES) == SILENT
        assert judged(one_hot(3), mask, INPUT) == SILENT


def test_a_minority_of_peaks_on_the_key_is_not_correct():
    steps = np.where(np.arange(SAMPLES) % 10 < 4, 10, 11)  # 40 % on the key, the others one step later
    assert judged(one_hot(steps), fixed(10), STATES) == LATE
    assert judged(one_hot(steps), fixed(10), INPUT) == SILENT


def test_without_a_mask_or_with_one_of_all_steps():
    for mask in (np.zeros((SAMPLES, STEPS), bool), np.ones((SAMPLES, STEPS), bool)):
        assert judged(one_hot(10), mask, STATES) == UNJUDGED
        assert judged(np.full(mask.shape, 1 / STEPS), mask, STATES) == DIFFUSE
        assert judged(one_hot(10), mask, STATES, learned=False) == NOT_LEARNED


@given(st.integers(2, 60), st.data())
def test_where_the_key_is_makes_no_difference(steps, data):
    key = data.draw(st.integers(0, steps - 1))
    weight = data.draw(st.floats(1 / steps, 1))
    mask = np.eye(steps, dtype=bool)[[key]]
    attention = np.where(mask, weight, (1 - weight) / (steps - 1))
    at_first = np.roll(attention, -key, axis=1), np.roll(mask, -key, axis=1)
    assert judged(attention, mask, STATES) == judged(*at_first, STATES)


def test_a_score_that_nobody_could_compute_is_not_learned():
    from pipeline.report.tables import learned
    from pipeline.results.stage_files import Snapshots, TrainedSeed

    trained = TrainedSeed({}, Snapshots(np.zeros(0, np.int64), {}), [], 0.1, {"balanced_accuracy": float("nan")})
    assert not learned(trained, LIMITS, "balanced_accuracy")

"""The label read linearly from values in which it is known to be, or not to be."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import balanced_accuracy_score, r2_score, recall_score

from pipeline.measures import linear_readout
from pipeline.models.output_kinds import Binary, Classes, Number

STEPS, KEY = 5, 2
TWO, NUMBER = Binary(), Number()


def samples(count, rng, key=None, share=0.5):
    """Return noise with the label, 0 or 1, in both of two features at a step, and the mask of that step."""
    values, y = rng.normal(size=(count, STEPS, 2)), (rng.random(count) < share).astype(float)
    at = np.full(count, KEY) if key is None else key
    mask = np.eye(STEPS, dtype=bool)[at]
    values[mask] = 10 * y[:, None] + rng.normal(size=(count, 2))
    return values, y, mask


def read(fitting, probe, output=TWO):
    coefficients = linear_readout.fit(*fitting, output)
    return linear_readout.predict(coefficients, probe[0])


@pytest.mark.parametrize("share", [0.5, 0.04])
def test_the_label_is_read_where_it_stands_and_nowhere_else(share):
    rng = np.random.default_rng(0)
    fitting, probe = samples(3000, rng, share=share), samples(2000, rng, share=share)
    scores = linear_readout.by_step(read(fitting, probe), *probe[1:], TWO)
    assert scores[KEY] == 1
    np.testing.assert_allclose(np.delete(scores, KEY), 0.5, atol=0.08)  # a rare label is not passed over


def test_it_is_least_squares():
    rng = np.random.default_rng(1)
    values, mask = rng.normal(size=(400, STEPS, 3)), np.zeros((400, STEPS), bool)
    y = values[:, 1] @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=400)
    predicted = read((values, y, mask), (values,), NUMBER)
    for step in range(STEPS):
        expected = LinearRegression().fit(values[:, step], y).predict(values[:, step])
        np.testing.assert_allclose(predicted[:, step], expected, atol=0.02)  # the ridge is small
    expected = [r2_score(y, predicted[:, step]) for step in range(STEPS)]
    np.testing.assert_allclose(linear_readout.by_step(predicted, y, mask, NUMBER), expected)


def test_keys_that_move_are_read_from_samples_that_have_had_theirs():
    rng = np.random.default_rng(2)

    def carried(count):
        at = rng.integers(0, STEPS, count)
        values, y, mask = samples(count, rng, key=at)
        seen = np.arange(STEPS) >= at[:, None]
        values[seen] = 10 * np.repeat(y[:, None], STEPS, axis=1)[seen][:, None]  # a state that keeps the label
        return values, y, mask

    fitting, probe = carried(3000), carried(1000)
    predicted = read(fitting, probe)
    np.testing.assert_allclose(linear_readout.by_step(predicted, *probe[1:], TWO), 1)
    at_key = probe[2].astype(float)
    assert linear_readout.at_peak(predicted, at_key, probe[1], TWO) == 1
    early = np.tile(np.eye(STEPS)[0], (1000, 1))  # most samples have had no key at step 0
    assert linear_readout.at_peak(predicted, early, probe[1], TWO) < 0.8


def test_which_samples_are_concerned():
    mask = np.array([[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    # At step 0 no sample has had its key: all are. One without a key, such as one without the event, always is.
    expected = [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    np.testing.assert_array_equal(linear_readout.concerned(mask), np.array(expected, bool))


def test_an_event_that_only_one_label_has_is_read_from_all_samples_once_it_may_have_been():
    rng = np.random.default_rng(4)
    fitting, probe = ((values, y, mask & (y == 1)[:, None]) for values, y, mask in (samples(3000, rng) for _ in "ab"))
    scores = linear_readout.by_step(read(fitting, probe), *probe[1:], TWO)
    assert scores[KEY] == 1
    np.testing.assert_allclose(np.delete(scores, KEY), 0.5, atol=0.05)


def test_gain_is_the_distance_between_the_means_of_two_classes():
    y = np.array([0.0, 0.0, 1.0, 1.0])
    values = np.zeros((4, 2, 2))
    values[:, 0] = [[0, 0], [2, 0], [3, 4], [5, 4]]  # means (1, 0) and (4, 4)
    np.testing.assert_allclose(linear_readout.gain(values, y, TWO), [5, 0])
    np.testing.assert_allclose(linear_readout.gain(values, np.ones(4), TWO), 0)  # one label only


def test_gain_of_three_classes_by_hand():
    y = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    values = np.zeros((6, 1, 1))
    values[:, 0, 0] = [0, 2, 4, 4, 7, 7]  # means 1, 4, 7 around 4: variance 6
    np.testing.assert_allclose(linear_readout.gain(values, y, Classes(3)), 2 * np.sqrt(6))
    two, shares = np.random.default_rng(0).normal(size=(50, 3, 2)), np.arange(50) < 10
    as_two = linear_readout.gain(two, shares.astype(float), TWO)
    np.testing.assert_allclose(linear_readout.gain(two, shares.astype(float), Classes(2)), as_two)


@pytest.mark.parametrize("rare", [False, True])
def test_three_classes_are_read_where_they_stand_and_two_as_a_label(rare):
    rng = np.random.default_rng(4)
    shares = [0.9, 0.07, 0.03] if rare else [0.3, 0.3, 0.4]

    def three(count):
        y = rng.choice(3, count, p=shares)
        values = rng.normal(size=(count, STEPS, 3))
        values[:, KEY] += 10 * np.eye(3)[y]
        return values, y.astype(float), np.tile(np.arange(STEPS) == KEY, (count, 1))

    fitting, probe = three(3000), three(2000)
    predicted = read(fitting, probe, Classes(3))
    assert predicted.shape == (2000, STEPS, 3)
    scores = linear_readout.by_step(predicted, *probe[1:], Classes(3))
    assert scores[KEY] == 1
    np.testing.assert_allclose(np.delete(scores, KEY), 1 / 3, atol=0.1)
    at_key = probe[2].astype(float)
    assert linear_readout.at_peak(predicted, at_key, probe[1], Classes(3)) == 1
    fitting, probe = samples(500, rng, share=0.2), samples(300, rng, share=0.2)
    found = [linear_readout.by_step(read(fitting, probe, kind), *probe[1:], kind) for kind in (TWO, Classes(2))]
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_scores_equal_scikit_learns_and_one_label_has_none():
    rng = np.random.default_rng(3)
    y, p = (rng.random(200) < 0.1).astype(float), rng.random(200)
    assert TWO.score(p, y) == pytest.approx(balanced_accuracy_score(y, p > 0.5))
    assert NUMBER.score(p, y + p) == pytest.approx(r2_score(y + p, p))
    assert np.isnan(TWO.score(p, np.zeros(200)))
    assert np.isnan(NUMBER.score(p, np.ones(200)))
    classes, chances = rng.integers(0, 3, 200), rng.random((200, 4))  # the last class does not occur
    likely = chances.argmax(axis=1)
    assert Classes(4).score(chances, classes) == pytest.approx(
        recall_score(classes, likely, labels=[0, 1, 2], average="macro")
    )


def test_values_that_never_change_do_not_end_the_fit():
    values, y = np.zeros((20, STEPS, 2)), np.arange(20.0) % 2
    predicted = read((values, y, np.zeros((20, STEPS), bool)), (values,))
    np.testing.assert_allclose(predicted, 0.5, atol=1e-2)

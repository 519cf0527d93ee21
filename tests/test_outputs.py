"""What follows from the kind of a model's output, by hand for three classes; two classes are as one label."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures import attention_measures, interventions
from pipeline.measures.model_measures import Samples, TrainedModel
from pipeline.models import build, compiled_training, functions, held_out_score
from pipeline.models.output import Goal, Last
from pipeline.models.output_kinds import Binary, Classes, Number, class_weights, output_of
from pipeline.results import splits
from pipeline.settings.schema import Data, Explain, Model, Shape, Variant
from pipeline.settings.study import load_variant

THREE = Classes(3)
SHAPE, LSTM = Shape(4, 2), Model(3, "lstm")
AFTER = Variant("after", "unshared", name="a")
LOGITS = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])


def numbered(samples):
    """Return samples of three classes, whose label is the place of their largest feature at step 1."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((samples, *SHAPE)).astype(np.float32), rng.integers(0, 3, samples)
    x[:, 1, 0] += 3.0 * (y - 1)
    return Samples(x, y.astype(np.float32), np.tile(np.arange(4) == 1, (samples, 1)))


def test_which_output_a_study_has():
    assert output_of(True, (), 2.0) == Number(2.0)
    assert output_of(False, ()) == output_of(False, ("no", "yes")) == Binary()
    assert output_of(False, ("a", "b", "c")) == THREE
    assert [kind.last for kind in (Binary(), THREE, Number())] == [Last(1, "sigmoid"), (3, "softmax"), (1, "linear")]
    assert [kind.classes for kind in (Binary(), THREE, Number())] == [2, 3, 0]


def test_predictions_of_three_classes_by_hand():
    before = THREE.prediction(LOGITS + 7)
    np.testing.assert_allclose(before, [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    after, y = np.array([[0.25, 0.25, 0.5], [0.1, 0.8, 0.1]]), np.array([2.0, 1.0])
    np.testing.assert_allclose(THREE.change(before, after, y), [0.25, 0], atol=1e-12)
    np.testing.assert_allclose(THREE.lost(before, after, y), [0.25, 0], atol=1e-12)
    np.testing.assert_array_equal(THREE.targets(y), [[0, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(THREE.explained(LOGITS, np.array([0, 2])), [0, np.log(1 / 9)], atol=1e-12)
    assert THREE.score(before, y) == 0.5  # class 0 does not occur
    assert np.isnan(THREE.score(before[:1], y[:1]))


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=9), st.integers(0, 2**32 - 1))
def test_two_classes_are_as_one_label(logits, seed):
    before, after = np.array(logits).T
    y = (np.random.default_rng(seed).random(len(before)) < 0.5).astype(float)

    def both(logit):
        return np.stack([np.full_like(logit, 0.5), logit + 0.5], axis=1)

    one, two = Binary(), Classes(2)
    chances = [[kind.prediction(o) for o in outputs] for kind, outputs in ((one, (before, after)),)]
    pairs = [two.prediction(both(logit)) for logit in (before, after)]
    np.testing.assert_allclose([pair[:, 1] for pair in pairs], chances[0], atol=1e-12)
    np.testing.assert_allclose(two.change(*pairs, y), one.change(*chances[0], y), atol=1e-12)
    np.testing.assert_allclose(two.explained(both(before), np.ones(len(y), int)), before, atol=1e-9)
    np.testing.assert_allclose(two.explained(both(before), np.zeros(len(y), int)), -before, atol=1e-9)
    clear = np.abs(before) > 1e-9
    np.testing.assert_allclose(two.lost(*pairs, y)[clear], one.lost(*chances[0], y)[clear], atol=1e-12)
    if clear.all():
        np.testing.assert_equal(two.score(pairs[0], y), one.score(chances[0][0], y))


def test_held_out_scores_of_three_classes_by_hand(tmp_path):
    def draw(background, labels, samples, data, first=0):
        y = np.array([0, 0, 1, 2, 2, 2], np.float32)
        return np.repeat(y, 8).reshape(6, 4, 2), y, np.zeros((6, 4), bool)

    split = splits.write(tmp_path, range(6), Data(6, 0.5, 4, 2, 0, "zero_one", 0), np.random.SeedSequence(0), draw)
    splits.describe(split, splits.Meaning(("a", "b", "c")))
    assert split.classes == ("a", "b", "c")
    p = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])  # class 2 is taken for class 1
    loss, scores = THREE.held_out(lambda x: p[x[:, 0, 0].astype(int)], split)
    assert loss == pytest.approx(-(3 * np.log(0.5) + 0 + 3 * np.log(0.25) + np.log(0.25) - np.log(0.5)) / 6)
    assert scores == {"balanced_accuracy": pytest.approx(1 / 3), "accuracy": pytest.approx(2 / 6)}
    assert np.isnan(held_out_score.balanced_over_occurring(np.array([0, 2.0]), np.array([0, 2.0])))


def test_weights_of_classes_by_hand():
    y = np.array([0, 0, 0, 1, 1, 2])
    assert class_weights(y, THREE, "balanced") == pytest.approx((6 / 9, 6 / 6, 6 / 3))
    assert class_weights(y, THREE, None) is None
    assert class_weights(y, Number(), "balanced") is None


def test_training_steps_of_three_classes_are_those_of_keras():
    (x, y, _), weights = numbered(32), (1.0, 4.0, 0.5)
    ours, theirs = (build.build(SHAPE, LSTM, AFTER, np.random.SeedSequence(1), THREE.last).classifier for _ in "ab")
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(ours.trainable_variables)
    steps = compiled_training.training_steps(ours, optimizer, Goal(THREE, weights))
    loss, accuracy = steps(x.reshape(2, 16, *SHAPE), y.reshape(2, 16, 1), 2)
    theirs.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", run_eagerly=True)
    losses, rights = [], []
    for part in (slice(16), slice(16, 32)):
        p, labels = np.asarray(theirs(x[part])), y[part].astype(int)
        each = -np.log(p[np.arange(16), labels]) * np.array(weights)[labels]
        losses.append(each.mean())
        rights.append((p.argmax(axis=1) == labels).mean())
        theirs.train_on_batch(x[part], labels, class_weight=dict(enumerate(weights)))
    assert (loss, accuracy) == pytest.approx((sum(losses), sum(rights)), abs=1e-5)
    for path, array in build.get_weights(theirs).items():
        np.testing.assert_allclose(build.get_weights(ours)[path], array, atol=1e-5)


def test_a_model_of_three_classes_is_explained_and_measured():
    samples = numbered(30)
    parts = functions.functions(SHAPE, LSTM, AFTER, THREE)
    assert parts.logit(samples.x).shape == (30, 3)
    targets = samples.y.astype(int)
    logit, gradient = parts.explained(targets)
    moved, step = samples.x.copy(), 1e-2
    moved[:, 2, 1] += step
    np.testing.assert_allclose(gradient(samples.x)[:, 2, 1], (logit(moved) - logit(samples.x)) / step, atol=2e-3)
    weights = parts.attention(samples.x)
    model = TrainedModel(parts, samples, weights, THREE, Explain(2, 1, 30, 0.01, 0))
    at_peak, readouts = model.readout(samples, samples, weights.mean(axis=2))
    others, shares = model.measured(np.random.default_rng(0))
    measures, steps = at_peak | others, readouts | shares
    assert steps["readout"].shape == steps["gain"].shape == steps["logit_share"].shape == (4,)
    assert steps["logit_share"].sum() == pytest.approx(1)
    assert {"comprehensiveness_y0", "comprehensiveness_y1", "comprehensiveness_y2"} <= measures.keys()
    assert "comprehensiveness_y3" not in measures


@pytest.mark.parametrize(
    ("variant", "cell", "recurrent"),
    [
        ("before_shared", "lstm", True),
        ("before_shared", "bidirectional", True),
        ("after_shared", "gru", False),
        ("dense", "lstm", False),
    ],
)
def test_whether_the_head_is_recurrent(variant, cell, recurrent):
    parts = functions.functions(SHAPE, Model(4, cell), load_variant(variant))
    assert parts.recurrent_head is recurrent


def test_the_share_of_the_logit_of_three_classes_by_hand():
    """Two steps: the first adds to each sample's own class, the second the same to all classes."""
    weighted = np.zeros((3, 2, 3), np.float32)
    weighted[:, 0], weighted[:, 1] = np.eye(3), 5
    added = interventions.by_step(lambda values: values.sum(axis=1) + 1, weighted)
    np.testing.assert_allclose(added, weighted)
    model = TrainedModel.__new__(TrainedModel)
    model.kind, model.weighted = THREE, weighted
    model.valid = None
    model.samples = Samples(weighted, np.arange(3.0), np.tile([True, False], (3, 1)))
    model.functions = functions.Functions(None, None, None, lambda values: values.sum(axis=1) + 1, None, THREE)
    measures, steps = model.shares_of_logit()
    np.testing.assert_allclose(steps["logit_share"], [1, 0], atol=1e-12)
    assert measures["logit_share"] == pytest.approx(1)


def test_measures_by_class_by_hand():
    values = np.array([0.0, 0.5, 1.0, 0.25])
    means = attention_measures.means_by_label("m", values, np.array([0.0, 2, 2, 0]), 4)
    assert means == pytest.approx(
        {"m": 0.4375, "m_y0": 0.125, "m_y1": np.nan, "m_y2": 0.75, "m_y3": np.nan}, nan_ok=True
    )

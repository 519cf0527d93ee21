"""Attention layers as people write them: the result of each, or the error message."""

import dataclasses

import numpy as np
import pytest
from conftest import one_sentence
from numpy.random import SeedSequence

from pipeline.measures import read_model
from pipeline.models import build, fit, weighing
from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.settings.schema import Data, Explain, Model, Probe, Shape, Train, Variant
from pipeline.settings.study import load_task, params
from pipeline.tasks import lookup

DATA, MODEL = Data(480, 0.2, 6, 5, 3, "zero_one", 0), Model(4, "lstm")
OWN, KERAS = "layers_people_write", "keras.layers"
HEADS = {"num_heads": 2, "key_dim": 3}
# layer, its arguments -> shape of its weights for a sample, and the sum over the steps; None: relevance
LAYERS = {
    f"{OWN}.MHSelf": ({}, (6, 2), 1),
    f"{OWN}.AttentionWithContext": ({}, (6, 1), 1),
    f"{OWN}.SigmoidAttention": ({}, (6, 1), None),
    f"{OWN}.FeatureAttention": ({}, (6, 5), None),
    f"{OWN}.StackedDropout": ({}, (6, 1), 1),
    f"{OWN}.BatchNormed": ({}, (6, 1), 1),
    f"{OWN}.TwoDense": ({}, (6, 1), 1),
    f"{OWN}.OneName": ({}, (6, 1), 1),
    f"{OWN}.NoName": ({}, (6, 1), 1),
    f"{OWN}.WrappedDot": ({}, (6, 1), 1),
    f"{OWN}.StepsAndFeatures": ({}, (6, 5), None),
    f"{OWN}.AlwaysBoth": ({}, (6, 1), 1),
    f"{KERAS}.Attention": ({}, (6, 1), 1),
    f"{KERAS}.AdditiveAttention": ({}, (6, 1), 1),
    f"{KERAS}.MultiHeadAttention": (HEADS, (6, 2), 1),
    f"{KERAS}.GroupQueryAttention": ({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, (6, 4), 1),
}
REFUSED = {
    f"{OWN}.TanhAttention": "mine: an attention weight is -0.",
    f"{OWN}.NoScores": "cannot give (output, weights) for (None, 6, 5): its call returns one tensor, not a pair.",
}


def study(target, data=DATA, **arguments):
    variant = Variant("before", None, False, "mine", {"_target_": target, **arguments}, "dense")
    settings = {"train": Train(1, 16, 0.02, 4, 2), "probe": Probe(20), "explain": Explain(2, 1, 96, 0.01, 0)}
    return dataclasses.replace(
        params(), data=data, model=MODEL, task=load_task("planted_key"), variant=variant, **settings
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    splits.write(folder, range(96), DATA, SeedSequence(0), lookup.draw_of(load_task("planted_key")))
    return Split(folder, 96)


def train(config, samples):
    return fit.train_seed(config, 0, samples, samples, lambda points: None)


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=pytest.mark.long) if "Dropout" in name else name for name in LAYERS]
)
def test_a_layer_is_trained_and_read(target, samples):
    arguments, shape, total = LAYERS[target]
    config = study(target, **arguments)
    trained = train(config, samples)
    heads = read_model.attention(config, trained.weights, samples.rows("x"))
    assert heads.shape == (96, *shape)
    attention = read_model.by_step(heads, relevance=total is None)
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
    if total is None:
        mean = heads.mean(axis=2, dtype=np.float64)
        np.testing.assert_allclose(attention, mean / mean.sum(axis=1, keepdims=True), rtol=1e-5)
    else:
        np.testing.assert_allclose(heads.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(attention, heads.mean(axis=2))
    again = build.build(DATA.shape, MODEL, config.variant, SeedSequence(1)).classifier  # Keras has counted on
    assert len(trained.weights) == len(again.weights)  # none hides another
    build.set_weights(again, trained.weights)
    for variable, array in zip(again.weights, trained.weights.values(), strict=True):
        np.testing.assert_array_equal(np.array(variable), array)


def test_relevance_is_measured_and_told_apart(samples):
    config = study(f"{OWN}.StepsAndFeatures")
    trained = train(config, samples)
    attention, attended, explained = read_model.analyze_seed(config, samples, samples, 0, trained)
    assert attended.relevance
    np.testing.assert_allclose(attended.measures["weight_sum"], 1 / 5, rtol=1e-5)  # one softmax for five features
    np.testing.assert_allclose(attended.measures["key_mass"], attention[:, 3].mean(), rtol=1e-5)
    assert {"hit_rate", "entropy", "permuted_change"} <= attended.measures.keys()
    assert "adversarial_distance" not in attended.measures
    assert len(explained.vectors) == len(trained.snapshots.batches) == 3


@pytest.mark.parametrize("name", [pytest.param("StackedDropout", marks=pytest.mark.long), "BatchNormed"])
def test_what_acts_in_training_alone_gives_the_same_bytes_again(name, samples):
    config = study(f"{OWN}.{name}")
    first = train(config, samples)
    fit._compiled.cache_clear()  # as another process
    second = train(config, samples)
    assert first.weights_hash() == second.weights_hash()
    assert first.curve == second.curve
    once, again = (read_model.attention(config, first.weights, samples.rows("x")) for _ in range(2))
    np.testing.assert_array_equal(once, again)  # no dropout in reading
    other = fit.train_seed(config, 1, samples, samples, lambda points: None)
    assert other.weights_hash() != first.weights_hash()


def test_moving_averages_are_kept(samples):
    trained = train(study(f"{OWN}.BatchNormed"), samples)
    moved = [name for name in trained.weights if name.endswith("moving_mean")]
    assert len(moved) == 1
    assert (trained.weights[moved[0]] != 0).all()
    assert (trained.snapshots.weights[moved[0]][0] == 0).all()
    np.testing.assert_array_equal(trained.snapshots.weights[moved[0]][-1], trained.weights[moved[0]])


@pytest.mark.parametrize("target", REFUSED)
def test_a_layer_is_refused_before_training(target, samples):
    with one_sentence(REFUSED[target]):
        fit.train_seed(study(target), 0, samples, samples, lambda points: pytest.fail("training began"))


def test_weights_that_no_longer_sum_to_one_after_training_are_named(samples):
    config = study(f"{OWN}.GrowingScale")
    trained = train(config, samples)
    with one_sentence("mine: the attention weights of sample 0, feature 0 sum to "):
        read_model.attention(config, trained.weights, samples.rows("x"))


def test_rows_of_queries_are_not_guessed_where_features_are_as_many_as_steps():
    shape, layer = Shape(5, 5), study(f"{OWN}.WrappedDot").variant
    with one_sentence("return (batch, 1, 5, 5), heads first, if the rows are queries"):
        build.build(shape, MODEL, layer, SeedSequence(0))


def test_keras_own_attention_is_what_each_step_receives():
    """Three steps of one feature: scores are products, a row for each query; columns are averaged."""
    import keras

    states = np.array([[[1.0], [2.0], [0.0]]], "float32")
    layer = keras.layers.Attention()
    variant = Variant("after", name="mine", attention={})
    inputs = keras.Input((3, 1))
    _, weights = weighing.weigh(layer, inputs, variant, 0)
    scores = np.exp(np.outer(states, states))
    expected = (scores / scores.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(np.array(keras.Model(inputs, weights)(states))[0, :, 0], expected, rtol=1e-5)


def test_missing_weights_are_named():
    built = build.build(DATA.shape, MODEL, study(f"{OWN}.NoName").variant, SeedSequence(0))
    weights = build.get_weights(built.classifier)
    del weights["attention/variable"]
    with one_sentence("The stored weights have no attention/variable of shape (5, 1)"):
        build.set_weights(built.attention, weights)

"""The attention layer against the article's chain of layers."""

import keras
import numpy as np
import pytest

from pipeline.attention import StepAttention


def numpy_block(x, kernel, bias, shared):
    """Compute the article's chain literally: Permute, Dense(softmax), mean and repeat, Permute, Multiply."""
    permuted = np.transpose(x, (0, 2, 1))
    scores = permuted @ kernel + bias
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=-1, keepdims=True)
    if shared:
        weights = np.stack([weights.mean(axis=1)] * x.shape[2], axis=1)
    weights = np.transpose(weights, (0, 2, 1))
    return x * weights, weights


def layer_chain(steps, features, shared):
    """Return the article's chain in layers of today's Keras."""
    inputs = keras.Input((steps, features))
    a = keras.layers.Permute((2, 1))(inputs)
    a = keras.layers.Dense(steps, activation="softmax", name="dense")(a)
    if shared:
        a = keras.layers.GlobalAveragePooling1D()(a)
        a = keras.layers.RepeatVector(features)(a)
    return keras.Model(inputs, keras.layers.Multiply()([inputs, keras.layers.Permute((2, 1))(a)]))


def block(steps, features, shared, kernel, bias):
    layer = StepAttention(shared)
    layer.build((None, steps, features))
    layer.set_weights([kernel, bias])
    return layer


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("steps", "features"), [(20, 2), (20, 32), (7, 1), (2, 2)])
def test_equals_the_articles_chain(steps, features, shared):
    rng = np.random.default_rng(steps + features)
    x = rng.standard_normal((5, steps, features)).astype("float32")
    kernel, bias = rng.standard_normal((steps, steps)), rng.standard_normal(steps)
    output, weights = block(steps, features, shared, kernel, bias)(x, return_attention_scores=True)
    expected, expected_weights = numpy_block(x, kernel, bias, shared)
    np.testing.assert_allclose(output, expected, atol=1e-6)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-6)
    chain = layer_chain(steps, features, shared)
    chain.get_layer("dense").set_weights([kernel, bias])
    np.testing.assert_allclose(chain(x), expected, atol=1e-6)


def test_two_steps_two_features_by_hand():
    # Scores are [ln 3, 0] for feature 0 and [0, ln 1 = 0] for feature 1: softmax (3/4, 1/4) and (1/2, 1/2).
    x = np.array([[[1.0, 0.0], [0.0, 0.0]]], "float32")
    kernel, bias = np.array([[np.log(3), 0], [0, 0]]), np.zeros(2)
    for shared, expected in ((False, [[[0.75, 0.5], [0.25, 0.5]]]), (True, [[[0.625, 0.625], [0.375, 0.375]]])):
        output, weights = block(2, 2, shared, kernel, bias)(x, return_attention_scores=True)
        np.testing.assert_allclose(weights, expected, atol=1e-6)
        np.testing.assert_allclose(output, x * expected, atol=1e-6)


def test_only_the_output_is_returned_by_default():
    x = np.ones((3, 4, 2), "float32")
    layer = StepAttention(False)
    output, weights = layer(x, return_attention_scores=True)
    assert output.shape == weights.shape == (3, 4, 2)
    np.testing.assert_array_equal(layer(x), output)


def test_a_saved_model_is_restored(tmp_path):
    inputs = keras.Input((4, 2))
    output, weights = StepAttention(True, "he_normal", name="a")(inputs, return_attention_scores=True)
    model = keras.Model(inputs, [output, weights])
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    np.testing.assert_array_equal(restored(x)[0], model(x)[0])
    assert restored.get_layer("a").shared is True
    assert isinstance(restored.get_layer("a").kernel_initializer, keras.initializers.HeNormal)


@pytest.mark.parametrize("shape", [(None, 4), (None, None, 2)])
def test_inputs_of_unknown_shape_are_refused(shape):
    with pytest.raises(ValueError, match="known steps"):
        StepAttention(True).build(shape)

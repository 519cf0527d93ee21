"""The attention layer against the article's chain of layers."""

import keras
import numpy as np
import pytest

from pipeline.attention import AvertedAttention, OneStepAttention, SelfAttentionPooling, StepAttention


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


def test_one_step_gets_all_weight_and_nothing_is_trained():
    x = np.arange(24, dtype="float32").reshape(2, 4, 3)
    layer = OneStepAttention(2)
    output, weights = layer(x, return_attention_scores=True)
    expected = np.zeros((2, 4, 3))
    expected[:, 2] = 1
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(output, x * expected)
    np.testing.assert_array_equal(layer(x), output)
    assert layer.weights == []


@pytest.mark.parametrize("shared", [True, False])
def test_averted_attention_is_that_of_the_article_with_a_loss(shared):
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype("float32")
    plain, averted = StepAttention(shared), AvertedAttention(step=2, strength=0.5, shared=shared)
    expected, weights = plain(x, return_attention_scores=True)
    averted.build(x.shape)
    averted.set_weights(plain.get_weights())
    for found, wanted in zip(averted(x, return_attention_scores=True), (expected, weights), strict=True):
        np.testing.assert_array_equal(found, wanted)
    mass = np.asarray(weights, float)[:, 2].mean(axis=1)  # of each sample, over the features
    (loss,) = averted.losses
    assert float(loss) == pytest.approx(-0.5 * np.log(1 - mass).mean(), rel=1e-5)


def test_the_loss_of_attention_that_is_all_on_the_averted_step_is_finite():
    averted = AvertedAttention(step=0, strength=1.0, shared=False)
    averted.build((None, 2, 1))
    averted.bias.assign([1000.0, 0.0])
    averted(np.zeros((1, 2, 1), "float32"))
    assert float(averted.losses[0]) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize(
    "layer", [OneStepAttention(1), AvertedAttention(step=1, strength=0.5, shared=True), SelfAttentionPooling(2, 3)]
)
def test_saved_layers_are_restored(layer, tmp_path):
    inputs = keras.Input((4, 2))
    model = keras.Model(inputs, layer(inputs, return_attention_scores=True))
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype("float32")
    for found, wanted in zip(restored(x), model(x), strict=True):
        np.testing.assert_array_equal(found, wanted)
    again = restored.layers[-1]
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()

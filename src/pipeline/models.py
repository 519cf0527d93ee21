"""The models of the variants, and how TensorFlow is started. Importing this module imports TensorFlow."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.random import SeedSequence
from numpy.typing import NDArray

from pipeline.attention import StepAttention
from pipeline.config import Data, Model, Variant
from pipeline.results import Weights

# A product of matrices as small as these gains nothing from a second thread; a second process does.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


class AttentionModel(NamedTuple):
    """A classifier and, on the same layers, what reads its attention.

    `classifier` maps (batch, steps, features) to the probability of label 1, shape (batch, 1).
    `attention` maps the same input to attention weights (batch, steps, attended features).
    """

    classifier: keras.Model
    attention: keras.Model


def build(data: Data, model: Model, variant: Variant, seed: SeedSequence) -> AttentionModel:
    """Build a variant with the initial weights of a seed.

    - before: input, attention block, LSTM, dense sigmoid;
    - after: input, LSTM with all its states, attention block over them, flatten, dense sigmoid.

    Args:
        data: gives the number of time steps and of features.
        model: gives the size of the LSTM.
        variant: gives the attention's placement, and whether it is shared.
        seed: of the initial weights: Keras' default initializers, each with a draw of its own.

    Source: `attention_lstm.py` of https://github.com/philipperemy/keras-attention (2017).
    """
    draws = [int(draw) for draw in seed.generate_state(4) >> 1]  # Keras takes seeds of 31 bits
    glorot, orthogonal = keras.initializers.GlorotUniform, keras.initializers.Orthogonal
    attention = StepAttention(variant.sharing == "shared", glorot(draws[0]), name="attention")
    lstm = keras.layers.LSTM(
        model.lstm_units,
        return_sequences=variant.placement == "after",
        kernel_initializer=glorot(draws[1]),
        recurrent_initializer=orthogonal(seed=draws[2]),
        name="lstm",
    )
    inputs = keras.Input((data.time_steps, data.input_dim), name="sequence")
    if variant.placement == "before":
        attended, weights = attention(inputs, return_attention_scores=True)  # (batch, steps, features)
        hidden = lstm(attended)  # (batch, units)
    else:
        attended, weights = attention(lstm(inputs), return_attention_scores=True)  # (batch, steps, units)
        hidden = keras.layers.Flatten(name="flatten")(attended)  # (batch, steps * units)
    output = keras.layers.Dense(1, "sigmoid", kernel_initializer=glorot(draws[3]), name="output")(hidden)
    return AttentionModel(keras.Model(inputs, output, name=variant.name), keras.Model(inputs, weights))


def get_weights(model: keras.Model) -> Weights:
    """Return copies of a model's weights by the path of their variables."""
    return {variable.path: np.array(variable) for variable in model.weights}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the weights that `get_weights` returned."""
    for variable in model.weights:
        variable.assign(weights[variable.path])


def in_batches(model: keras.Model, batch: int = 1000) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a function that gives a model's output for any number of samples, a few large batches at a time."""
    call = tf.function(model, reduce_retracing=True)

    def output(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([call(x[start : start + batch]).numpy() for start in range(0, len(x), batch)])

    return output

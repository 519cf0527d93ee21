"""The models of the variants, and how TensorFlow is started. Importing this module imports TensorFlow."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.random import SeedSequence
from numpy.typing import NDArray

from pipeline.blocks import attention_layer, recurrent_layer, weigh
from pipeline.config import Data, Model, Variant
from pipeline.results import Weights

# A product of matrices as small as these gains nothing from a second thread; a second process does.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class AttentionModel(NamedTuple):
    """A model and, on the same layers, its parts.

    `classifier` maps (batch, steps, features) to the probability of label 1, shape (batch, 1), or to its logit, or to
    the number of a regression.
    `attention` maps the same input to attention weights (batch, steps, attended features or heads).
    `values` maps the same input to what attention is given, `weighted` to what it makes of that.
    `head` maps what attention gives to what the classifier gives.
    """

    classifier: keras.Model
    attention: keras.Model
    values: keras.Model
    weighted: keras.Model
    head: keras.Model


def output_of(regression: bool) -> str:
    """Return the activation of the output: of a probability, or of any number."""
    return "linear" if regression else "sigmoid"


def build(
    data: Data, model: Model, variant: Variant, seed: SeedSequence, activation: str = "sigmoid"
) -> AttentionModel:
    """Build a variant with the initial weights of a seed.

    - before: input, attention block, LSTM, dense sigmoid;
    - after: input, LSTM with all its states, attention block over them, flatten, dense sigmoid.

    Attention that gives one vector, not one for each step, is followed by the dense layer alone. A variant whose reader
    is "dense" has, instead of the LSTM, a dense layer of 64 units over all steps.

    Args:
        data: gives the number of time steps and of features.
        model: gives the recurrent layer, an LSTM or another, and its size.
        variant: gives the attention and its placement.
        seed: of the initial weights: Keras' default initializers, each with a draw of its own.
        activation: of the output; "linear" gives logits.

    Raises:
        UserError: if the variant's attention cannot be used so.

    Source: `attention_lstm.py` and `attention_dense.py` of https://github.com/philipperemy/keras-attention (2017).
    """
    draws = [int(draw) for draw in seed.generate_state(6) >> 1]  # Keras takes seeds of 31 bits
    before, glorot = variant.placement == "before", keras.initializers.GlorotUniform
    inputs = keras.Input((data.time_steps, data.input_dim), name="sequence")
    recurrent = recurrent_layer(model, not before, draws)
    values = inputs if before else recurrent(inputs)
    weighted, weights = weigh(attention_layer(variant, draws[0]), values, variant, draws[0])
    dense = keras.layers.Dense(1, activation, kernel_initializer=glorot(draws[3]), name="output")
    flatten = keras.layers.Flatten(name="flatten")
    hidden = keras.layers.Dense(64, kernel_initializer=glorot(draws[1]), name="dense")

    def head(part: keras.KerasTensor) -> keras.KerasTensor:
        if part.ndim == 2:  # (batch, units)
            return dense(part)
        if not before:  # (batch, steps, units) -> (batch, steps * units)
            return dense(flatten(part))
        # (batch, steps, features) -> (batch, units)
        return dense(hidden(flatten(part)) if variant.reader == "dense" else recurrent(part))

    part = keras.Input(weighted.shape[1:], name="weighted")
    return AttentionModel(
        classifier=keras.Model(inputs, head(weighted), name=variant.name),
        attention=keras.Model(inputs, weights),
        values=keras.Model(inputs, values),
        weighted=keras.Model(inputs, weighted),
        head=keras.Model(part, head(part)),
    )


@lru_cache(maxsize=1)
def classifier(data: Data, model: Model, variant: Variant, regression: bool) -> keras.Model:
    """Return a variant's classifier, built once in a process, to be given trained weights."""
    return build(data, model, variant, SeedSequence(0), output_of(regression)).classifier


def get_weights(model: keras.Model) -> Weights:
    """Return copies of a model's weights by the path of their variables."""
    return {variable.path: np.array(variable) for variable in model.weights}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the weights that `get_weights` returned."""
    for variable in model.weights:
        variable.assign(weights[variable.path])


def in_batches(model: Callable[[tf.Tensor], tf.Tensor], batch: int = 1000) -> Function:
    """Return a function that gives a model's output for any number of samples, a few large batches at a time."""
    call = tf.function(model, reduce_retracing=True, autograph=False)  # which leaves files behind

    def output(x: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, len(x), batch)
        return np.concatenate([call(tf.constant(x[start : start + batch])).numpy() for start in starts])

    return output


class Functions(NamedTuple):
    """A model's parts as functions of arrays, for any number of samples, with the weights that it was last given.

    `attention`, `values` and `weighted` are those of `AttentionModel`; `logit` maps samples to logits (samples,),
    `head` values times weights, and `gradient` maps samples to the gradient of each one's logit by its input, of its
    shape.
    """

    model: AttentionModel
    attention: Function
    values: Function
    weighted: Function
    logit: Function
    head: Function
    gradient: Function


@lru_cache(maxsize=1)
def functions(data: Data, model: Model, variant: Variant) -> Functions:
    """Return a variant's functions, traced once for all weights of a process."""
    built = build(data, model, variant, SeedSequence(0), "linear")
    logit, head = in_batches(built.classifier), in_batches(built.head)
    return Functions(
        built,
        in_batches(built.attention),
        in_batches(built.values),
        in_batches(built.weighted),
        lambda x: logit(x)[:, 0],
        lambda weighted: head(weighted)[:, 0],
        in_batches(_input_gradient(built.classifier)),
    )


def _input_gradient(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = tf.reduce_sum(model(x))  # a sample's output depends on that sample alone
        return tape.gradient(output, x)

    return gradient

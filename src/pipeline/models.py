"""The models of the variants, and how TensorFlow is started. Importing this module imports TensorFlow."""

from collections.abc import Callable
from functools import lru_cache
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


Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Steps = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[float, float]]


class AttentionModel(NamedTuple):
    """A classifier and, on the same layers, its parts.

    `classifier` maps (batch, steps, features) to the probability of label 1, shape (batch, 1), or to its logit.
    `attention` maps the same input to attention weights (batch, steps, attended features).
    `values` maps the same input to what the weights multiply, of their shape.
    `head` maps values times weights to what the classifier gives.
    """

    classifier: keras.Model
    attention: keras.Model
    values: keras.Model
    head: keras.Model


def build(
    data: Data, model: Model, variant: Variant, seed: SeedSequence, activation: str = "sigmoid"
) -> AttentionModel:
    """Build a variant with the initial weights of a seed.

    - before: input, attention block, LSTM, dense sigmoid;
    - after: input, LSTM with all its states, attention block over them, flatten, dense sigmoid.

    Args:
        data: gives the number of time steps and of features.
        model: gives the size of the LSTM.
        variant: gives the attention's placement, whether it is shared, and whether it is fixed at 1 / T.
        seed: of the initial weights: Keras' default initializers, each with a draw of its own.
        activation: of the output; "linear" gives logits.

    Source: `attention_lstm.py` of https://github.com/philipperemy/keras-attention (2017).
    """
    draws = [int(draw) for draw in seed.generate_state(4) >> 1]  # Keras takes seeds of 31 bits
    glorot, orthogonal = keras.initializers.GlorotUniform, keras.initializers.Orthogonal
    kernel = "zeros" if variant.uniform else glorot(draws[0])
    attention = StepAttention(variant.sharing == "shared", kernel, name="attention", trainable=not variant.uniform)
    lstm = keras.layers.LSTM(
        model.lstm_units,
        return_sequences=variant.placement == "after",
        kernel_initializer=glorot(draws[1]),
        recurrent_initializer=orthogonal(seed=draws[2]),
        name="lstm",
    )
    # (batch, steps, features) -> (batch, units); (batch, steps, units) -> (batch, steps * units)
    reduce = lstm if variant.placement == "before" else keras.layers.Flatten(name="flatten")
    dense = keras.layers.Dense(1, activation, kernel_initializer=glorot(draws[3]), name="output")
    inputs = keras.Input((data.time_steps, data.input_dim), name="sequence")
    values = inputs if variant.placement == "before" else lstm(inputs)
    weighted, weights = attention(values, return_attention_scores=True)
    part = keras.Input(weighted.shape[1:], name="weighted")
    return AttentionModel(
        classifier=keras.Model(inputs, dense(reduce(weighted)), name=variant.name),
        attention=keras.Model(inputs, weights),
        values=keras.Model(inputs, values),
        head=keras.Model(part, dense(reduce(part))),
    )


@lru_cache(maxsize=1)
def classifier(data: Data, model: Model, variant: Variant) -> keras.Model:
    """Return a variant's classifier, built once in a process, to be given trained weights."""
    return build(data, model, variant, SeedSequence(0)).classifier


def get_weights(model: keras.Model) -> Weights:
    """Return copies of a model's weights by the path of their variables."""
    return {variable.path: np.array(variable) for variable in model.weights}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the weights that `get_weights` returned."""
    for variable in model.weights:
        variable.assign(weights[variable.path])


def in_batches(model: Callable[[tf.Tensor], tf.Tensor], batch: int = 1000) -> Function:
    """Return a function that gives a model's output for any number of samples, a few large batches at a time."""
    call = tf.function(model, reduce_retracing=True, autograph=False)  # it would leave files in the temporary folder

    def output(x: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, len(x), batch)
        return np.concatenate([call(tf.constant(x[start : start + batch])).numpy() for start in starts])

    return output


def training_steps(classifier: keras.Model, optimizer: keras.Optimizer) -> Steps:
    """Return a function that trains a classifier on several batches, in one program compiled by XLA.

    It takes `x` (group, batch, steps, features), `y` (group, batch, 1) and how many batches at their beginning count,
    and returns the sums over these batches of binary cross-entropy (nats) and accuracy. One program for the whole
    group saves the start of one for each step, which takes half as long as the step itself.
    """
    variables, others = classifier.trainable_variables, classifier.non_trainable_variables

    def train_group(x: tf.Tensor, y: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def step(index: tf.Tensor, loss: tf.Tensor, accuracy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # As values: the loop over the time steps would keep what it reads from a variable, once for each of them.
            values, states = ([tf.convert_to_tensor(variable) for variable in part] for part in (variables, others))
            with tf.GradientTape() as tape:
                tape.watch(values)
                p, states = classifier.stateless_call(values, states, x[index], training=True)
                batch_loss = tf.reduce_mean(keras.losses.binary_crossentropy(y[index], p))
            optimizer.apply(tape.gradient(batch_loss, values), variables)
            for variable, state in zip(others, states, strict=True):
                variable.assign(state)
            right = tf.cast((p > 0.5) == (y[index] > 0.5), tf.float32)
            return index + 1, loss + batch_loss, accuracy + tf.reduce_mean(right)

        _, loss, accuracy = tf.while_loop(lambda index, *_: index < count, step, (0, 0.0, 0.0))
        return loss, accuracy

    compiled = tf.function(train_group, jit_compile=True, autograph=False)

    def steps(x: NDArray[np.float32], y: NDArray[np.float32], count: int) -> tuple[float, float]:
        loss, accuracy = compiled(tf.constant(x), tf.constant(y), tf.constant(count))
        return float(loss), float(accuracy)

    return steps


class Functions(NamedTuple):
    """A model's parts as functions of arrays, for any number of samples, with the weights that it was last given.

    `attention` and `values` are those of `AttentionModel`; `logit` maps samples to logits (samples,), `head` values
    times weights, and `gradient` maps samples to the gradient of each one's logit by its input, of the input's shape.
    """

    model: AttentionModel
    attention: Function
    values: Function
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

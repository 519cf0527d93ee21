"""Models built from a variant. Importing this module imports TensorFlow."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from textwrap import shorten
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops
from numpy.random import SeedSequence
from numpy.typing import NDArray

from pipeline.models import portable_algebra
from pipeline.models.attention_layers import StepAttention
from pipeline.models.output import PROBABILITY, Last
from pipeline.results.stage_files import Weights
from pipeline.settings.project import UserError
from pipeline.settings.schema import Model, Shape, Variant
from pipeline.settings.user_code import TARGET, locate

# Matrix products this small gain nothing from a second thread; a second process does.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
portable_algebra.use()

TOLERANCE = 1e-5  # of the sum of a sample's attention weights, in float32
READER_UNITS = 64  # of the article's prequel

Layers = Callable[[KerasTensor], KerasTensor]


class AttentionModel(NamedTuple):
    """A model and, on the same layers, its parts.

    `classifier` maps (batch, steps, features) to the probability of label 1, shape (batch, 1), or to the probabilities
    of more than two classes, (batch, classes), or to their logits, or to the number that a regression predicts.
    `attention` maps the same input to attention weights (batch, steps, attended features or heads).
    `values` maps the same input to the input of the attention layer, `attend` maps that to the layer's output and its
    weights, and `head` maps that output to the classifier's.
    """

    classifier: keras.Model
    attention: keras.Model
    values: keras.Model
    attend: keras.Model
    head: keras.Model


def build(shape: Shape, model: Model, variant: Variant, seed: SeedSequence, last: Last = PROBABILITY) -> AttentionModel:
    """Build a variant with the initial weights of a seed.

    - before: input, attention layer, LSTM, dense sigmoid (for more than two classes, softmax);
    - after: input, LSTM with all its states, attention layer over them, flatten, the same dense layer.

    Where the attention layer gives one vector instead of one for each step, the dense layer follows it directly. With
    `reader: dense`, a variant has a dense layer of 64 units over all steps instead of the LSTM.

    Args:
        shape: number of time steps and of features.
        model: the recurrent layer, an LSTM or another, and its size.
        variant: the attention layer and its placement.
        seed: of the initial weights: Keras' default initializers, each with a draw of its own.
        last: the last layer; by default, it gives the probability of label 1.

    Raises:
        UserError: if the variant's attention layer cannot be used in this way.

    Source: `attention_lstm.py` and `attention_dense.py` of https://github.com/philipperemy/keras-attention (2017).
    """
    draws = [int(draw) for draw in seed.generate_state(6) >> 1]  # Keras takes seeds of 31 bits
    before = variant.placement == "before"
    reader = _dense_reader(draws) if variant.reader == "dense" else recurrent_layer(model, not before, draws)
    kernel = keras.initializers.GlorotUniform(draws[3])
    output = keras.layers.Dense(*last, kernel_initializer=kernel, name="output")
    inputs = keras.Input((shape.time_steps, shape.input_dim), name="sequence")
    values = inputs if before else reader(inputs)
    layer = attention_layer(variant, draws[0])
    weighted, weights = weigh(layer, values, variant, draws[0])
    after = reader if before else keras.layers.Flatten(name="flatten")
    head: Layers = output if weighted.ndim == 2 else lambda states: output(after(states))
    part, attended = keras.Input(weighted.shape[1:], name="weighted"), keras.Input(values.shape[1:], name="values")
    return AttentionModel(
        classifier=keras.Model(inputs, head(weighted), name=variant.name),
        attention=keras.Model(inputs, weights),
        values=keras.Model(inputs, values),
        attend=keras.Model(attended, weigh(layer, attended, variant, draws[0])),
        head=keras.Model(part, head(part)),
    )


def _dense_reader(draws: list[int]) -> Layers:
    flatten = keras.layers.Flatten(name="flatten")
    kernel = keras.initializers.GlorotUniform(draws[1])
    dense = keras.layers.Dense(READER_UNITS, kernel_initializer=kernel, name="dense")
    return lambda weighted: dense(flatten(weighted))


def recurrent_layer(model: Model, sequences: bool, draws: list[int]) -> keras.layers.Layer:
    """Return the recurrent layer of a model; "bidirectional" is two LSTMs of its size, one for each direction.

    With `sequences` it returns all states, (batch, steps, units), else the last one. Of `draws`, the second and third
    are the seeds of its initial weights, the fifth and sixth those of the other direction.
    """
    cell = keras.layers.GRU if model.cell == "gru" else keras.layers.LSTM

    def one_way(name: str, kernel: int, recurrent: int, reverse: bool = False) -> keras.layers.Layer:
        return cell(
            model.lstm_units,
            return_sequences=sequences,
            kernel_initializer=keras.initializers.GlorotUniform(kernel),
            recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent),
            go_backwards=reverse,
            name=name,
        )

    if model.cell != "bidirectional":
        return one_way(model.cell, draws[1], draws[2])
    backward = one_way("backward", draws[4], draws[5], reverse=True)
    return keras.layers.Bidirectional(one_way("forward", draws[1], draws[2]), backward_layer=backward, name=model.cell)


def attention_layer(variant: Variant, seed: int) -> keras.layers.Layer:
    """Return the attention layer of a variant with the initial weights of a seed: the article's, or the class it names.

    A `UserError` if the class does not accept its arguments, or is not a Keras layer.
    """
    if variant.attention is None:
        kernel = "zeros" if variant.uniform else keras.initializers.GlorotUniform(seed)
        return StepAttention(variant.sharing == "shared", kernel, name="attention", trainable=not variant.uniform)
    target = variant.attention[TARGET]
    arguments = {name: value for name, value in variant.attention.items() if not name.startswith("_")}
    create = locate(target, f"variant.attention.{TARGET}")
    try:
        with _keras_draws(seed):
            layer = create(**arguments, name="attention")
    except Exception as error:  # a user's layer may raise anything
        reason = f"cannot be created with {arguments}: {_line(error)}."
        raise UserError(f"variant {variant.name}: {target} {reason}") from error
    if not isinstance(layer, keras.layers.Layer):
        raise UserError(f"variant {variant.name}: {target} gives a {type(layer).__name__}: it must be a Keras layer.")
    return layer


def weigh(
    layer: keras.layers.Layer, values: KerasTensor, variant: Variant, seed: int
) -> tuple[KerasTensor, KerasTensor]:
    """Return the output of an attention layer for values (batch, steps, features), and its weights (batch, steps, k).

    A `UserError` if it does not return such a pair.
    """
    steps, subject = values.shape[1], f"variant {variant.name}: its attention layer"
    try:
        with _keras_draws(seed):
            weighted, weights = layer(values, return_attention_scores=True)
    except Exception as error:  # a user's layer may raise anything
        reason = f"cannot give (output, weights) for {tuple(values.shape)}: {_line(error)}."
        raise UserError(f"{subject} {reason}") from error
    if len(weights.shape) not in (2, 3) or weights.shape[1] != steps:
        wanted = f"(batch, {steps}) or (batch, {steps}, features)"
        raise UserError(f"{subject} gives weights of shape {tuple(weights.shape)}: it must be {wanted}.")
    if len(weighted.shape) not in (2, 3) or None in weighted.shape[1:]:
        wanted = "(batch, units) or (batch, steps, features)"
        raise UserError(f"{subject} gives an output of shape {tuple(weighted.shape)}: it must be {wanted}.")
    return weighted, weights if len(weights.shape) == 3 else ops.expand_dims(weights, -1)


def check_sums(weights: NDArray[np.floating], name: str) -> None:
    """Raise a `UserError` unless attention weights (samples, steps, features) are in [0, 1] and sum to 1 over steps."""
    sums = weights.sum(axis=1, dtype=np.float64)  # in float32, thousands of steps would add up to the tolerance
    wrong = ~(np.abs(sums - 1) <= TOLERANCE)  # written so that NaN is wrong, too
    if wrong.any():
        sample, feature = np.argwhere(wrong)[0]
        where = f"of sample {sample}, feature {feature} sum to {sums[sample, feature]:.6g}"
        raise UserError(f"{name}: the attention weights {where}: they must sum to 1.")
    if weights.min() < 0:
        raise UserError(f"{name}: an attention weight is {weights.min():.6g}: none may be negative.")


@lru_cache(maxsize=1)
def classifier(shape: Shape, model: Model, variant: Variant, last: Last) -> keras.Model:
    """Return a variant's classifier, built once in a process, to be given trained weights."""
    return build(shape, model, variant, SeedSequence(0), last).classifier


def get_weights(model: keras.Model) -> Weights:
    """Return copies of a model's weights by the path of their variables."""
    return {variable.path: np.array(variable) for variable in model.weights}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the weights that `get_weights` returned."""
    for variable in model.weights:
        variable.assign(weights[variable.path])


@contextmanager
def _keras_draws(seed: int) -> Iterator[None]:
    """Make Keras draw the seeds that a layer leaves open from a seed; Keras uses Python's global generator for them."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _line(error: Exception) -> str:
    """Return an error's message in one line, without what Keras puts around it."""
    message = str(error).rpartition("Error encountered:")[2].partition("Arguments received")[0]
    return shorten(message, 300, placeholder=" …").rstrip(".")

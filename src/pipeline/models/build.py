"""Models built from a variant. Importing this module imports TensorFlow."""

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import KerasTensor
from numpy.random import SeedSequence

from pipeline.models import masking, portable_algebra
from pipeline.models.output import PROBABILITY, Last
from pipeline.models.weighing import attention_layer, weigh
from pipeline.results.stage_files import Weights
from pipeline.settings.project import UserError
from pipeline.settings.schema import Model, Shape, Variant

# Matrix products this small gain nothing from a second thread; a second process does.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
portable_algebra.use()

READER_UNITS = 64  # of the article's prequel

Layers = Callable[[KerasTensor, KerasTensor | None], KerasTensor]  # which steps are valid; None: all


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


def build(  # noqa: PLR0913, PLR0917 (each decides what the model is)
    shape: Shape, model: Model, variant: Variant, seed: SeedSequence, last: Last = PROBABILITY, padded: bool = False
) -> AttentionModel:
    """Build a variant with the initial weights of a seed.

    - before: input, attention layer, LSTM, dense sigmoid (for more than two classes, softmax);
    - after: input, LSTM with all its states, attention layer over them, flatten, the same dense layer.

    Where the attention layer gives one vector instead of one for each step, the dense layer follows it directly. With
    `reader: dense`, a variant has a dense layer of 64 units over all steps instead of the LSTM.

    Args:
        shape: number of time steps and of features.
        model: the recurrent layers, LSTMs or others, their sizes and dropout.
        variant: the attention layer and its placement.
        seed: of the initial weights: Keras' default initializers, each with a draw of its own.
        last: the last layer; by default, it gives the probability of label 1.
        padded: whether steps that hold `PADDING` are passed over. They hold it in what is attended to, too, and in the
            attention layer's output, if that has steps; a dense layer over all steps reads zeros there.

    Raises:
        UserError: if the variant's attention layer cannot be used in this way.

    Source: `attention_lstm.py` and `attention_dense.py` of https://github.com/philipperemy/keras-attention (2017).
    """
    draws = [int(draw) for draw in seed.generate_state(6 + 6 * len(model.layers)) >> 1]  # Keras takes seeds of 31 bits
    before = variant.placement == "before"
    reader = _dense_reader(draws) if variant.reader == "dense" else recurrent_layers(model, not before, draws)
    kernel = keras.initializers.GlorotUniform(draws[3])
    output = keras.layers.Dense(*last, kernel_initializer=kernel, name="output")
    inputs = keras.Input((shape.time_steps, shape.input_dim), name="sequence")
    values = inputs if before else _passing_over(reader, inputs, padded)
    layer = attention_layer(variant, draws[0])
    weighted, weights = weigh(layer, values, variant, draws[0], padded)
    flatten = keras.layers.Flatten(name="flatten")
    after: Layers = reader if before else lambda states, _: flatten(states)

    def head(states: KerasTensor) -> KerasTensor:
        return output(states if weighted.ndim == 2 else after(*masking.opened(states, padded)))

    part, attended = keras.Input(weighted.shape[1:], name="weighted"), keras.Input(values.shape[1:], name="values")
    return AttentionModel(
        classifier=keras.Model(inputs, head(weighted), name=variant.name),
        attention=keras.Model(inputs, weights),
        values=keras.Model(inputs, values),
        attend=keras.Model(attended, weigh(layer, attended, variant, draws[0], padded)),
        head=keras.Model(part, head(part)),
    )


def _passing_over(reader: Layers, inputs: KerasTensor, padded: bool) -> KerasTensor:
    """Return the states of a reader, with the padding where its inputs have it."""
    values, valid = masking.opened(inputs, padded)
    return masking.closed(reader(values, valid), valid)


def _dense_reader(draws: list[int]) -> Layers:
    flatten = keras.layers.Flatten(name="flatten")
    kernel = keras.initializers.GlorotUniform(draws[1])
    dense = keras.layers.Dense(READER_UNITS, kernel_initializer=kernel, name="dense")
    return lambda weighted, _: dense(flatten(weighted))


def recurrent_layers(model: Model, sequences: bool, draws: list[int]) -> Layers:
    """Return the recurrent layers of a model, one after the other: each reads all states of the one before.

    With `sequences` the last one returns all its states, (batch, steps, units), else the last state. Of `draws`, the
    second and third are the seeds of the first layer's initial weights, the fifth and sixth those of its other
    direction; six more follow for each layer, of which the first takes only those of its dropout.
    """
    layers = []
    for number, units in enumerate(model.layers):
        own = draws[6 + 6 * number :][:6]
        seeds = [draws[1], draws[2], own[2], draws[4], draws[5], own[5]] if number == 0 else own
        last = number == len(model.layers) - 1
        name = f"{model.cell}{number + 1 if number else ''}"
        layers.append(_recurrent_layer(model, units, sequences or not last, seeds, name))
    return lambda values, valid: reduce(lambda states, layer: layer(states, mask=valid), layers, values)


def _recurrent_layer(model: Model, units: int, sequences: bool, seeds: list[int], name: str) -> keras.layers.Layer:
    """Return a recurrent layer; "bidirectional" is two LSTMs of its size, one for each direction.

    The seeds are those of kernel, recurrent kernel and dropout, then the same of the other direction.
    """
    cell = keras.layers.GRU if model.cell == "gru" else keras.layers.LSTM

    def one_way(name: str, seeds: list[int], reverse: bool = False) -> keras.layers.Layer:
        kernel, recurrent, dropout = seeds
        return cell(
            units,
            return_sequences=sequences,
            kernel_initializer=keras.initializers.GlorotUniform(kernel),
            recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent),
            dropout=model.dropout or 0.0,
            recurrent_dropout=model.recurrent_dropout or 0.0,
            seed=dropout,
            go_backwards=reverse,
            name=name,
        )

    if model.cell != "bidirectional":
        return one_way(name, seeds[:3])
    backward = one_way("backward", seeds[3:], reverse=True)
    return keras.layers.Bidirectional(one_way("forward", seeds[:3]), backward_layer=backward, name=name)


@lru_cache(maxsize=1)
def classifier(shape: Shape, model: Model, variant: Variant, last: Last, padded: bool = False) -> keras.Model:
    """Return a variant's classifier, built once in a process, to be given trained weights."""
    return build(shape, model, variant, SeedSequence(0), last, padded).classifier


def get_weights(model: keras.Model) -> Weights:
    """Return copies of a model's weights, those that training does not change by gradients included, by their names.

    A name is the path of the variable without the numbers that Keras gives layers without a name, which count all such
    layers of the process. Of variables that would have the same name, the second ends in `_2`, and so on.
    """
    return {name: np.array(variable) for name, variable in _named(model)}


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the weights that `get_weights` returned for it, or for a model that it is a part of.

    A `UserError` if one is missing, as for a layer that was changed.
    """
    for name, variable in _named(model):
        if name not in weights or weights[name].shape != tuple(variable.shape):
            wanted = f"{name} of shape {tuple(variable.shape)}"
            raise UserError(f"The stored weights have no {wanted}: the model was changed; train it again.")
        variable.assign(weights[name])


def _named(model: keras.Model) -> list[tuple[str, keras.Variable]]:
    seen: Counter[str] = Counter()
    named = []
    for variable in model.weights:
        name = re.sub(r"_\d+(?=/|$)", "", variable.path)
        seen[name] += 1
        named.append((name if seen[name] == 1 else f"{name}_{seen[name]}", variable))
    return named

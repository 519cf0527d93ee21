"""The parts of a model: its attention layer, the article's or another, and its recurrent layer."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import KerasTensor, ops

from pipeline.attention import StepAttention
from pipeline.config import Model, UserError, Variant
from pipeline.targets import TARGET, locate


def recurrent_layer(model: Model, sequences: bool, draws: list[int]) -> keras.layers.Layer:
    """Return the recurrent layer of a model, which gives all states, or the last one.

    Args:
        model: gives the cell and its size; "bidirectional" is two LSTMs of that size, one for each direction.
        sequences: whether it gives all states, (batch, steps, units).
        draws: seeds of initial weights, of which it takes the second and third, and the fifth and sixth.
    """
    cell = keras.layers.GRU if model.cell == "gru" else keras.layers.LSTM
    two_way = model.cell == "bidirectional"
    forward, backward = (
        cell(
            model.lstm_units,
            return_sequences=sequences,
            kernel_initializer=keras.initializers.GlorotUniform(kernel),
            recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent),
            go_backwards=reverse,
            name="backward" if reverse else "forward" if two_way else model.cell,
        )
        for kernel, recurrent, reverse in ((draws[1], draws[2], False), (draws[4], draws[5], True))
    )
    return keras.layers.Bidirectional(forward, backward_layer=backward, name=model.cell) if two_way else forward


def attention_layer(variant: Variant, seed: int) -> keras.layers.Layer:
    """Return the attention layer of a variant; a `UserError` if the class it names does not take its arguments.

    Args:
        variant: the article's attention, or another layer by its class.
        seed: of its initial weights.
    """
    if variant.attention is None:
        kernel = "zeros" if variant.uniform else keras.initializers.GlorotUniform(seed)
        return StepAttention(variant.sharing == "shared", kernel, name="attention", trainable=not variant.uniform)
    target = variant.attention[TARGET]
    arguments = {name: value for name, value in variant.attention.items() if not name.startswith("_")}
    made = locate(target, f"variant.attention.{TARGET}")
    try:
        with _keras_draws(seed):
            layer = made(**arguments, name="attention")
    except Exception as error:  # whatever a layer of the user's own raises
        raise UserError(f"variant {variant.name}: {target} cannot be made with {arguments}: {_line(error)}.") from error
    if not isinstance(layer, keras.layers.Layer):
        raise UserError(f"variant {variant.name}: {target} gives a {type(layer).__name__}: it must be a Keras layer.")
    return layer


def weigh(
    layer: keras.layers.Layer, values: KerasTensor, variant: Variant, seed: int
) -> tuple[KerasTensor, KerasTensor]:
    """Return what an attention layer gives for values (batch, steps, features), and its weights, (batch, steps, k).

    Raises:
        UserError: if it does not give a pair of such.
    """
    steps, whose = values.shape[1], f"variant {variant.name}: its attention layer"
    try:
        with _keras_draws(seed):
            weighted, weights = layer(values, return_attention_scores=True)
    except Exception as error:  # whatever a layer of the user's own raises
        raise UserError(f"{whose} cannot give (output, weights) for {tuple(values.shape)}: {_line(error)}.") from error
    if len(weights.shape) not in (2, 3) or weights.shape[1] != steps:
        wanted = f"(batch, {steps}) or (batch, {steps}, features)"
        raise UserError(f"{whose} gives weights of shape {tuple(weights.shape)}: it must be {wanted}.")
    if len(weighted.shape) not in (2, 3) or None in weighted.shape[1:]:
        wanted = "(batch, units) or (batch, steps, features)"
        raise UserError(f"{whose} gives an output of shape {tuple(weighted.shape)}: it must be {wanted}.")
    return weighted, weights if len(weights.shape) == 3 else ops.expand_dims(weights, -1)


@contextmanager
def _keras_draws(seed: int) -> Iterator[None]:
    """Have Keras draw the seeds that a layer leaves open from a seed; it draws them by Python's own generator."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _line(error: Exception) -> str:
    """Return what an error says in one line, without what Keras puts around it."""
    said = str(error).rpartition("Error encountered:")[2].partition("Arguments received")[0]
    return " ".join(said.split()).rstrip(".")[:300]

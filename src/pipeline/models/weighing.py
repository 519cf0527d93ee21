"""The attention layer of a variant, the user's included: created, called, and its weights checked."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from textwrap import shorten
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops
from numpy.typing import NDArray

from pipeline.models import masking
from pipeline.models.attention_layers import StepAttention
from pipeline.settings.project import UserError
from pipeline.settings.schema import Shape, Variant
from pipeline.settings.user_code import TARGET, locate

TOLERANCE = 1e-5  # of the sum of a sample's attention weights, in float32
ASKS = "return_attention_scores"  # the argument of Keras' own layers
# Keras' own layers, called as self-attention: every value is query, key and value.
OF_TENSORS = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)  # queries and values as two arguments
OF_LISTS = (keras.layers.Attention, keras.layers.AdditiveAttention)  # as a list


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
    layer: keras.layers.Layer, values: KerasTensor, variant: Variant, seed: int, padded: bool = False
) -> tuple[KerasTensor, KerasTensor]:
    """Return the output of an attention layer for values (batch, steps, features), and its weights (batch, steps, k).

    Weights (batch, heads, queries, steps) become their mean over the queries, with k heads: the attention that each
    step receives. So do the weights (batch, queries, steps) of Keras' own layers, and of a layer whose weights sum to 1
    over the last axis and not over the one before.

    With `padded`, padded steps hold `PADDING`. The layer gets zeros there, and which steps are valid if it takes that;
    padded queries are in no mean; the output holds `PADDING` again.

    A `UserError` if the layer does not return such a pair.
    """
    steps, subject = values.shape[1], f"variant {variant.name}: its attention layer"
    try:
        with _keras_draws(seed):
            weighted, weights, valid = _called(layer, values, padded)
    except Exception as error:  # a user's layer may raise anything
        reason = f"cannot give (output, weights) for {tuple(values.shape)}: {_line(error)}."
        raise UserError(f"{subject} {reason}") from error
    shape = tuple(weights.shape)
    by_heads = len(shape) == 4 and shape[2:] == (steps, steps)
    if not by_heads and (len(shape) not in (2, 3) or shape[1] != steps):
        wanted = f"(batch, {steps}), (batch, {steps}, features) or (batch, heads, {steps}, {steps})"
        raise UserError(f"{subject} gives weights of shape {shape}: it must be {wanted}.")
    if len(weighted.shape) not in (2, 3) or None in weighted.shape[1:]:
        wanted = "(batch, units) or (batch, steps, features)"
        raise UserError(f"{subject} gives an output of shape {tuple(weighted.shape)}: it must be {wanted}.")
    if by_heads:
        return weighted, ops.transpose(_received(weights, 2, valid), (0, 2, 1))
    if shape[1:] == (steps, steps) and _of_queries(layer, values, subject):
        return weighted, ops.expand_dims(_received(weights, 1, valid), -1)
    return weighted, weights if len(shape) == 3 else ops.expand_dims(weights, -1)


def _called(
    layer: keras.layers.Layer, values: KerasTensor, padded: bool
) -> tuple[KerasTensor, KerasTensor, KerasTensor | None]:
    """Return output and weights of a layer, and which steps are valid; None if all are."""
    values, valid = masking.opened(values, padded)
    if isinstance(layer, OF_TENSORS):
        output, weights = _pair(layer, values, values, **({"value_mask": valid} if padded else {}))
    elif isinstance(layer, OF_LISTS):
        output, weights = _pair(layer, [values, values], **({"mask": [valid, valid]} if padded else {}))
    else:
        masks = {}
        if padded and "mask" in _arguments(layer):
            masks, layer.supports_masking = {"mask": valid}, True  # else Keras warns that no other layer sees it
        output, weights = _pair(layer, values, **masks)
    return masking.closed(output, valid), weights, valid


def _pair(layer: keras.layers.Layer, *inputs: Any, **masks: Any) -> tuple[KerasTensor, KerasTensor]:
    """Return output and weights of a layer, which is asked for them if it takes `return_attention_scores`."""
    arguments = _arguments(layer)
    takes_any = Parameter.VAR_KEYWORD in (argument.kind for argument in arguments.values())
    asked = {ASKS: True} if ASKS in arguments or takes_any else {}
    result = layer(*inputs, **masks, **asked)
    if not isinstance(result, tuple | list) or len(result) != 2:
        number = len(result) if isinstance(result, tuple | list) else "one tensor"
        raise TypeError(f"its call returns {number}, not a pair")
    output, weights = result
    return output, weights


def _arguments(layer: keras.layers.Layer) -> Mapping[str, Parameter]:
    return signature(layer.call).parameters


def _received(weights: KerasTensor, axis: int, valid: KerasTensor | None) -> KerasTensor:
    """Return the mean of weights (batch, [heads, ]queries, steps) over the valid queries, whose axis is given."""
    if valid is not None:
        valid = ops.expand_dims(valid, -1) if axis == 1 else ops.expand_dims(ops.expand_dims(valid, 1), -1)
    return masking.mean_over_steps(weights, axis, valid)


def _of_queries(layer: keras.layers.Layer, values: KerasTensor, subject: str) -> bool:
    """Return whether weights (batch, steps, steps) have a row for each query, rather than a column for each feature.

    A `UserError` if they may be either: with as many features as steps, a softmax over the features looks the same.
    """
    if isinstance(layer, OF_LISTS):
        return True
    steps, features = values.shape[1:]
    noise = np.random.default_rng(0).standard_normal((8, steps, features), dtype=np.float32)
    weights = np.array(_pair(layer, noise)[1])
    if sum_to_one(weights) or not sum_to_one(weights.swapaxes(1, 2)):
        return False
    if features == steps:
        wanted = f"return (batch, 1, {steps}, {steps}), heads first, if the rows are queries"
        raise UserError(f"{subject} gives weights that sum to 1 over the last of two equal axes: {wanted}.")
    return True


def gives_relevance(attention: Callable[[NDArray[np.float32]], KerasTensor], shape: Shape, name: str) -> bool:
    """Return whether a variant's weights are relevance: weights of any sum, such as those of a sigmoid.

    Its untrained `attention` (batch, steps, features) -> weights is tried on noise. A `UserError` if a weight is
    negative, infinite or NaN.
    """
    samples = (8, shape.time_steps, shape.input_dim)
    weights = np.array(attention(np.random.default_rng(0).standard_normal(samples, dtype=np.float32)))
    check_weights(weights, name, relevance=True)
    return not sum_to_one(weights)


def sum_to_one(weights: NDArray[np.floating]) -> bool:
    """Return whether weights (samples, steps, features) sum to 1 over the steps in each sample and feature."""
    return bool((np.abs(_sums(weights) - 1) <= TOLERANCE).all())


def check_weights(weights: NDArray[np.floating], name: str, relevance: bool) -> None:
    """Raise a `UserError` unless a variant's weights (samples, steps, features) are finite, and none is negative.

    Unless they are `relevance`, which has any sums, they must also sum to 1 over the steps.
    """
    if not np.isfinite(weights).all():
        sample, step, feature = np.argwhere(~np.isfinite(weights))[0]
        where = f"of sample {sample}, step {step}, feature {feature} is {weights[sample, step, feature]}"
        raise UserError(f"{name}: the attention weight {where}: it must be a finite number.")
    if weights.min() < 0:
        raise UserError(f"{name}: an attention weight is {weights.min():.6g}: none may be negative.")
    if not relevance and not sum_to_one(weights):
        sums = _sums(weights)
        sample, feature = np.argwhere(np.abs(sums - 1) > TOLERANCE)[0]
        where = f"of sample {sample}, feature {feature} sum to {sums[sample, feature]:.6g}"
        raise UserError(f"{name}: the attention weights {where}: before training they summed to 1 over the steps.")


def _sums(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = weights.sum(axis=1, dtype=np.float64)  # in float32, thousands of steps would add up
    return sums


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

"""Models as functions of arrays, for any number of samples. Importing this module imports TensorFlow."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.random import SeedSequence
from numpy.typing import NDArray

from pipeline.models.build import AttentionModel, build
from pipeline.settings.schema import Model, Shape, Variant

Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Functions(NamedTuple):
    """A model's parts as functions of arrays, with the weights that the model was given last.

    `attention`, `values` and `weighted` are those of `AttentionModel`; `logit` maps samples to logits (samples,),
    `head` does so for the output of the attention layer and `tail` for its input, and `gradient` maps samples to the
    gradient of each one's logit with respect to its input, of the same shape.
    """

    model: AttentionModel
    attention: Function
    values: Function
    weighted: Function
    logit: Function
    head: Function
    tail: Function
    gradient: Function


@lru_cache(maxsize=8)  # the controls read a variant that was trained on several kinds of samples
def functions(shape: Shape, model: Model, variant: Variant) -> Functions:
    """Return a variant's functions, traced once in a process for all its weights."""
    built = build(shape, model, variant, SeedSequence(0), "linear")
    logit, head = _numbers(built.classifier), _numbers(built.head)
    tail = logit if built.tail is built.classifier else _numbers(built.tail)
    attention, values, weighted = map(in_batches, (built.attention, built.values, built.weighted))
    gradient = in_batches(_input_gradient(built.classifier))
    return Functions(built, attention, values, weighted, logit, head, tail, gradient)


def _numbers(model: keras.Model) -> Function:
    """Return a model with one output as a function to (samples,)."""
    output = in_batches(model)
    return lambda x: output(x)[:, 0]


def in_batches(model: Callable[[tf.Tensor], tf.Tensor], batch: int = 1000) -> Function:
    """Return a function that gives a model's output for any number of samples, a large batch at a time.

    XLA compiles it: TensorFlow's own kernels use instructions whose last digit differs from processor to processor.
    """
    call = tf.function(model, jit_compile=True, autograph=False)  # AutoGraph leaves files behind

    def output(x: NDArray[np.float32]) -> NDArray[np.float32]:
        size = min(batch, len(x))
        padded = np.concatenate([x, np.zeros((-len(x) % size, *x.shape[1:]), x.dtype)])  # one program for all batches
        outputs = [call(tf.constant(padded[start : start + size])).numpy() for start in range(0, len(x), size)]
        return np.concatenate(outputs)[: len(x)]

    return output


def _input_gradient(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = tf.reduce_sum(model(x))  # a sample's output depends on that sample alone
        return tape.gradient(output, x)

    return gradient

"""Models as functions of arrays, for any number of samples. Importing this module imports TensorFlow."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.random import SeedSequence
from numpy.typing import NDArray

from pipeline.models.build import AttentionModel, build
from pipeline.models.weighing import gives_relevance
from pipeline.settings.schema import Model, Shape, Variant

Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Attend = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
BATCH = 1000  # samples in a batch, at most
NUMBERS = 2**22  # in the samples of a batch, at most: long sequences must fit in memory


class Functions(NamedTuple):
    """A model's parts as functions of arrays, with the weights that the model was given last.

    `values` maps samples (samples, steps, features) to what attention weighs, `attend` maps that to the output of the
    attention layer and to the attention weights (samples, steps, features), and `head` maps that output to logits
    (samples,), or to the numbers that a regression predicts. `gradient` maps samples to the gradient of each one's
    logit with respect to its input, of the same shape. `relevance` is what `weighing.gives_relevance` says.

    The other functions are composed of these, so that XLA compiles each layer no more than twice.
    """

    model: AttentionModel
    values: Function
    attend: Attend
    head: Function
    gradient: Function
    relevance: bool

    def attention(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the attention weights of samples."""
        return self.attend(self.values(x))[1]

    def tail(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of values that attention weighs."""
        return self.head(self.attend(values)[0])

    def logit(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of samples."""
        return self.tail(self.values(x))


@lru_cache(maxsize=8)  # the controls read a variant that was trained on several kinds of samples
def functions(shape: Shape, model: Model, variant: Variant) -> Functions:
    """Return a variant's functions, traced once in a process for all its weights."""
    built = build(shape, model, variant, SeedSequence(0), "linear")
    values = in_batches(built.values) if variant.placement == "after" else np.asarray
    gradient = in_batches(_input_gradient(built.classifier))
    attend, head = in_batches(built.attend), in_batches(lambda x: built.head(x)[:, 0])
    return Functions(built, values, attend, head, gradient, gives_relevance(built.attention, shape, variant.name))


def in_batches(model: Callable[[tf.Tensor], Any]) -> Callable[[NDArray[np.float32]], Any]:
    """Return a function that gives a model's output, or outputs, for any number of samples, a large batch at a time.

    XLA compiles it: TensorFlow's own kernels use instructions whose last digit differs from processor to processor.
    """
    call = tf.function(model, jit_compile=True, autograph=False)  # AutoGraph leaves files behind

    def output(x: NDArray[np.float32]) -> Any:
        size = min(BATCH, len(x), max(1, NUMBERS // prod(x.shape[1:])))
        whole: list[NDArray[np.float32]] = []  # of all samples, an array for each output
        for start in range(0, len(x), size):
            part = x[start : start + size]
            if len(part) < size:  # one program for all batches
                part = np.concatenate([part, np.zeros((size - len(part), *x.shape[1:]), x.dtype)])
            outputs = call(tf.constant(part))
            arrays = [array.numpy()[: len(x) - start] for array in tf.nest.flatten(outputs)]
            whole = whole or [np.empty((len(x), *array.shape[1:]), array.dtype) for array in arrays]
            for target, array in zip(whole, arrays, strict=True):
                target[start : start + size] = array
        return tf.nest.pack_sequence_as(outputs, whole)

    return output


def _input_gradient(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = tf.reduce_sum(model(x))  # a sample's output depends on that sample alone
        return tape.gradient(output, x)

    return gradient

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
from pipeline.models.output import Last, Output
from pipeline.models.output_kinds import TWO_CLASSES
from pipeline.models.weighing import gives_relevance
from pipeline.settings.schema import Model, Shape, Variant

Function = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Gradient = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
Attend = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
BATCH = 1000  # samples in a batch, at most
NUMBERS = 2**22  # in the samples of a batch, at most: long sequences must fit in memory


class Functions(NamedTuple):
    """A model's parts as functions of arrays, with the weights that the model was given last.

    `values` maps samples (samples, steps, features) to what attention weighs, `attend` maps that to the output of the
    attention layer and to the attention weights (samples, steps, features), and `head` maps that output to logits
    (samples,), those of more than two classes (samples, classes), or to the numbers that a regression predicts. These
    are the model's outputs. `gradient_of` maps samples, and for each a class one-hot (samples, units), to the gradient
    of `Output.explained` with respect to the input, of the same shape as the samples. `relevance` is what
    `weighing.gives_relevance` says; with a `recurrent_head`, no output is a sum of what each step adds.

    The other functions are composed of these, so that XLA compiles each layer no more than twice.
    """

    model: AttentionModel
    values: Function
    attend: Attend
    head: Function
    gradient_of: Gradient
    relevance: bool
    output: Output = TWO_CLASSES.output
    recurrent_head: bool = False

    def attention(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the attention weights of samples."""
        return self.attend(self.values(x))[1]

    def tail(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs for values that attention weighs."""
        return self.head(self.attend(values)[0])

    def logit(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs for samples."""
        return self.tail(self.values(x))

    def explained(self, classes: NDArray[np.int64]) -> tuple[Function, Function]:
        """Return what maps samples to the number that explanations explain, (samples,), and to its gradient.

        `classes` (samples,) is the class of each sample that is meant.
        """
        chosen = (np.arange(self.output.last.units) == classes[:, None]).astype(np.float32)
        return (
            lambda x: np.asarray(self.output.explained(self.logit(x), classes)),
            lambda x: self.gradient_of(x, chosen),
        )


@lru_cache(maxsize=8)  # the controls read a variant that was trained on several kinds of samples
def functions(
    shape: Shape, model: Model, variant: Variant, output: Output = TWO_CLASSES.output, padded: bool = False
) -> Functions:
    """Return a variant's functions, traced once in a process for all its weights; `padded` is that of `build`."""
    built = build(shape, model, variant, SeedSequence(0), Last(output.last.units, "linear"), padded)
    values = in_batches(built.values) if variant.placement == "after" else np.asarray
    attend, relevance = in_batches(built.attend), gives_relevance(built.attention, shape, variant.name)
    recurrent = any(isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)) for layer in built.head.layers)
    if output.last.units > 1:
        gradient: Gradient = in_batches(_gradient_of_log_odds(built.classifier))
        return Functions(built, values, attend, in_batches(built.head), gradient, relevance, output, recurrent)
    of_output = in_batches(_input_gradient(built.classifier))
    head = in_batches(lambda x: built.head(x)[:, 0])
    return Functions(built, values, attend, head, lambda x, _: of_output(x), relevance, output, recurrent)


def in_batches(model: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives a model's output, or outputs, for any number of samples, a large batch at a time.

    It takes as many arrays (samples, ...) as the model.

    XLA compiles it: TensorFlow's own kernels use instructions whose last digit differs from processor to processor.
    """
    call = tf.function(model, jit_compile=True, autograph=False)  # AutoGraph leaves files behind

    def output(*arrays: NDArray[np.float32]) -> Any:
        samples = len(arrays[0])
        size = min(BATCH, samples, max(1, NUMBERS // prod(arrays[0].shape[1:])))
        whole: list[NDArray[np.float32]] = []  # of all samples, an array for each output
        for start in range(0, samples, size):
            parts = [x[start : start + size] for x in arrays]
            if len(parts[0]) < size:  # one program for all batches
                parts = [np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)]) for x in parts]
            outputs = call(*map(tf.constant, parts))
            found = [array.numpy()[: samples - start] for array in tf.nest.flatten(outputs)]
            whole = whole or [np.empty((samples, *array.shape[1:]), array.dtype) for array in found]
            for target, array in zip(whole, found, strict=True):
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


def _gradient_of_log_odds(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    def gradient(x: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = model(x)
            others = tf.reduce_logsumexp(tf.where(chosen > 0, -np.inf, logits), axis=1)
            output = tf.reduce_sum(chosen * logits) - tf.reduce_sum(others)
        return tape.gradient(output, x)

    return gradient

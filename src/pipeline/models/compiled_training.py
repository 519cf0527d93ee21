"""Training steps, many of them compiled into one program."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Steps = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[float, float]]


def training_steps(classifier: keras.Model, optimizer: keras.Optimizer, variance: float | None = None) -> Steps:
    """Return a function that trains a classifier on several batches, in one program compiled by XLA.

    It takes `x` (group, batch, steps, features), `y` (group, batch, 1) and the number of batches in them; the rest is
    padding. It returns the sums over these batches of binary cross-entropy (nats) and accuracy. For a regression,
    `variance` is that of all labels, and the sums are of mean squared error and coefficient of determination. Losses
    that layers add are minimized, too, but not in these sums. Starting a program takes half as long as a training step,
    so the whole group is one program.
    """
    loss_of = keras.losses.binary_crossentropy if variance is None else keras.losses.mean_squared_error
    variables, others = classifier.trainable_variables, classifier.non_trainable_variables

    def train_group(x: tf.Tensor, y: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def step(index: tf.Tensor, loss: tf.Tensor, score: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # As values: what the loop over the time steps reads from a variable, it keeps once for each step.
            values, states = ([tf.convert_to_tensor(variable) for variable in part] for part in (variables, others))
            with tf.GradientTape() as tape:
                tape.watch(values)
                p, states, added = classifier.stateless_call(
                    values, states, x[index], training=True, return_losses=True
                )
                batch_loss = tf.reduce_mean(loss_of(y[index], p))
                minimized = sum(added, batch_loss)
            optimizer.apply(tape.gradient(minimized, values), variables)
            for variable, state in zip(others, states, strict=True):
                variable.assign(state)
            reached = _accuracy(y[index], p) if variance is None else 1 - batch_loss / variance
            return index + 1, loss + batch_loss, score + reached

        _, loss, score = tf.while_loop(lambda index, *_: index < count, step, (0, 0.0, 0.0))
        return loss, score

    compiled = tf.function(train_group, jit_compile=True, autograph=False)

    def steps(x: NDArray[np.float32], y: NDArray[np.float32], count: int) -> tuple[float, float]:
        loss, score = compiled(tf.constant(x), tf.constant(y), tf.constant(count))
        return float(loss), float(score)

    return steps


def _accuracy(y: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast((p > 0.5) == (y > 0.5), tf.float32))

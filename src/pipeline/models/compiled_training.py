"""Training steps, many of them compiled into one program."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.models.output import Goal
from pipeline.models.output_kinds import TWO_CLASSES

Steps = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[float, float]]


def training_steps(classifier: keras.Model, optimizer: keras.Optimizer, goal: Goal = TWO_CLASSES) -> Steps:
    """Return a function that trains a classifier on several batches, in one program compiled by XLA.

    It takes `x` (group, batch, steps, features), `y` (group, batch, 1) and the number of batches in them; the rest is
    padding. It returns the sums over these batches of loss and score as the output of the `goal` defines them:
    cross-entropy (nats) and accuracy, or mean squared error and coefficient of determination. In the loss, samples of
    each class count as the class weights of the goal say. Losses that layers add are minimized, too, but not in these
    sums. Starting a program takes half as long as a training step, so the whole group is one program.
    """
    output, class_weights = goal
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
                losses = output.losses(y[index], p)
                if class_weights is not None:
                    losses *= tf.gather(tf.constant(class_weights, tf.float32), tf.cast(y[index][:, 0], tf.int32))
                batch_loss = tf.reduce_mean(losses)
                minimized = sum(added, batch_loss)
            optimizer.apply(tape.gradient(minimized, values), variables)
            for variable, state in zip(others, states, strict=True):
                variable.assign(state)
            return index + 1, loss + batch_loss, score + output.batch_score(y[index], p)

        _, loss, score = tf.while_loop(lambda index, *_: index < count, step, (0, 0.0, 0.0))
        return loss, score

    compiled = tf.function(train_group, jit_compile=True, autograph=False)

    def steps(x: NDArray[np.float32], y: NDArray[np.float32], count: int) -> tuple[float, float]:
        loss, score = compiled(tf.constant(x), tf.constant(y), tf.constant(count))
        return float(loss), float(score)

    return steps

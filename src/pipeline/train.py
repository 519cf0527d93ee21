"""Train a variant with every seed. `python -m pipeline.train +variant=after_unshared`"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline import dataset, runtime, storage, terminal, tracking
from pipeline.command import command
from pipeline.config import Config, Data, Model, Train, Variant
from pipeline.dataset import Split
from pipeline.results import Point, TrainedSeed, write_training

if TYPE_CHECKING:
    import keras

SHUFFLED_BATCHES = 64  # batches read, shuffled and handed over at a time
Observer = Callable[[list[Point]], None]
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def shuffled_batches(split: Split, train: Train, rng: Generator) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the samples of all epochs in random order, some full batches at a time.

    Stretches of `SHUFFLED_BATCHES` batches are taken in random order, and the samples within each are shuffled:
    memory stays flat in the number of samples. What fills no batch at the end of a stretch is left out.

    Yields:
        `x` (batches, batch_size, steps, features) and `y` (batches, batch_size, 1).
    """
    size = train.batch_size
    starts = np.arange(0, split.samples, SHUFFLED_BATCHES * size)
    for start in np.concatenate([rng.permutation(starts) for _ in range(train.epochs)]):
        x, y = (split.rows(name, start, start + SHUFFLED_BATCHES * size) for name in ("x", "y"))
        order = rng.permutation(len(x))[: len(x) // size * size]
        yield x[order].reshape(-1, size, *x.shape[1:]), y[order].reshape(-1, size, 1)


def train_seed(config: Config, seed: int, split: Split, held_out: Split, observe: Observer) -> TrainedSeed:
    """Train one model and evaluate it.

    Args:
        config: what to train; its `seeds` play no part.
        seed: of the initial weights and of the data order, the same order for every variant.
        split: the samples to train on.
        held_out: the samples to evaluate on.
        observe: is handed the new points of the training curve about ten times an epoch.
    """
    from pipeline import models

    initial, order = SeedSequence(seed).spawn(2)
    compiled = _compiled(config.data, config.model, config.train, config.chosen_variant())
    start = models.build(config.data, config.model, config.chosen_variant(), initial)
    compiled.model.set_weights(start.classifier.get_weights())
    for variable, value in zip(compiled.model.optimizer.variables, compiled.optimizer_state, strict=True):
        variable.assign(value)
    curve = _fit(compiled.model, split, config, default_rng(order), observe)
    loss, accuracy = evaluate(compiled.predict, held_out)
    return TrainedSeed(models.get_weights(compiled.model), curve, loss, accuracy)


class _Compiled(NamedTuple):
    """A model compiled once for all seeds of a process, and what is needed to start it anew for each."""

    model: "keras.Model"
    optimizer_state: list[NDArray[Any]]  # before the first step
    predict: Predict


@lru_cache(maxsize=1)
def _compiled(data: Data, model: Model, train: Train, variant: Variant) -> _Compiled:
    import keras

    from pipeline import models

    classifier = models.build(data, model, variant, SeedSequence(0)).classifier
    optimizer = keras.optimizers.Adam(train.learning_rate)
    classifier.compile(
        optimizer,
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,  # "auto" would leave XLA off for an LSTM without cuDNN
        steps_per_execution=train.log_every,
    )
    optimizer.build(classifier.trainable_variables)
    return _Compiled(classifier, [np.array(v) for v in optimizer.variables], models.in_batches(classifier))


def _fit(model: "keras.Model", split: Split, config: Config, rng: Generator, observe: Observer) -> list[Point]:
    """Train on the batches in their random order, and return the training curve."""
    import keras
    import tensorflow as tf

    train, data = config.train, config.data
    batches = batches_per_epoch(split.samples, train.batch_size) * train.epochs
    curve: list[Point] = []
    unseen: list[Point] = []

    def add_point(last: int, logs: dict[str, float]) -> None:
        seen = min(last + 1, batches)  # Keras counts the last steps_per_execution in full
        unseen.append((seen, float(logs["loss"]), float(logs["accuracy"])))
        model.reset_metrics()  # so that each point stands for the batches since the last one
        if seen == batches or len(unseen) * train.log_every * 10 * train.epochs >= batches:
            observe(unseen)
            curve.extend(unseen)
            unseen.clear()

    x_spec = tf.TensorSpec((None, train.batch_size, data.time_steps, data.input_dim), tf.float32)
    y_spec = tf.TensorSpec((None, train.batch_size, 1), tf.float32)
    stretches = tf.data.Dataset.from_generator(
        lambda: shuffled_batches(split, train, rng), output_signature=(x_spec, y_spec)
    )
    stream = stretches.unbatch().apply(tf.data.experimental.assert_cardinality(batches))
    options = tf.data.Options()
    options.autotune.enabled = False  # the tuner's period would be an epoch's least time
    options.threading.private_threadpool_size = 1
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=add_point)
    model.fit(stream.with_options(options), verbose=0, shuffle=False, callbacks=[watch])
    return curve


def batches_per_epoch(samples: int, size: int) -> int:
    """Return how many full batches `shuffled_batches` yields in an epoch."""
    stretches, rest = divmod(samples, SHUFFLED_BATCHES * size)
    return stretches * SHUFFLED_BATCHES + rest // size


def evaluate(predict: Predict, split: Split) -> tuple[float, float]:
    """Return the mean binary cross-entropy (nats) and the accuracy at a threshold of 1/2 over all samples."""
    loss, right = 0.0, 0
    for start in range(0, split.samples, dataset.CHUNK):
        x, y = (split.rows(name, start, start + dataset.CHUNK) for name in ("x", "y"))
        p = predict(x)[:, 0].astype(np.float64)
        likelihood = np.clip(np.where(y == 1, p, 1 - p), 1e-7, 1)  # the bound that Keras' loss has, too
        loss -= float(np.log(likelihood).sum())
        right += int(((p > 0.5) == (y == 1)).sum())
    return loss / split.samples, right / split.samples


def _train_tracked(config: Config, split: Split, held_out: Split, seed: int) -> TrainedSeed:
    """Train a seed in a worker process, under a live run if its result is not tracked yet."""
    runtime.import_tensorflow()
    with tracking.live(config.tracking, storage.values(config, "models"), seed) as run:
        result = train_seed(config, seed, split, held_out, run.log_curve)
        run.finish(result)
    return result


def stage(config: Config) -> None:
    """Train every seed, write the results, and have MLflow show them."""
    variant = config.chosen_variant()
    split, held_out = dataset.load(config, "train"), dataset.load(config, "validation")
    with tracking.prepared(config.tracking), storage.writing(config, "models") as folder:
        work = partial(_train_tracked, config, split, held_out)
        trained = runtime.each_seed(work, config.seeds, config.workers, f"train {variant.name}")
        write_training(folder, trained)
    tracking.ensure(config.tracking, storage.values(config, "models"), trained)
    terminal.show_training(trained)
    terminal.show_where(storage.folder(config, "models"), config.tracking)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.train").main()

"""Train a variant with every seed. `python -m pipeline.train +variant=after_unshared`"""

from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline import cluster, dataset, evaluation, fingerprint, live, runtime, storage, terminal, tracking, unfinished
from pipeline.batches import batches_per_epoch, groups
from pipeline.command import command
from pipeline.config import Config, Data, Model, Train, Variant
from pipeline.dataset import Split
from pipeline.evaluation import Predict
from pipeline.results import Point, Snapshots, TrainedSeed, read_training, write_training
from pipeline.weights import check_sums

if TYPE_CHECKING:
    import keras

    from pipeline.models import AttentionModel
    from pipeline.steps import Steps

Observer = Callable[[list[Point]], None]


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
    variant, output = config.chosen_variant(), models.output_of(config.regression)
    compiled = _compiled(config.data.shape, config.model, config.train, variant, config.regression)
    start = models.build(config.data, config.model, variant, initial, output)
    classifier = compiled.model.classifier
    for variable, value in zip(classifier.variables, start.classifier.variables, strict=True):
        variable.assign(value)
    for variable, value in zip(compiled.optimizer.variables, compiled.optimizer_state, strict=True):
        variable.assign(value)
    curve, snapshots = _fit(compiled, split, config.train, default_rng(order), observe)
    evaluate = evaluation.regression if config.regression else evaluation.classification
    loss, score = evaluate(compiled.predict, held_out)
    return TrainedSeed(models.get_weights(classifier), snapshots, curve, loss, score)


class _Compiled(NamedTuple):
    """A model compiled once for all seeds of a process, and what is needed to start it anew for each."""

    model: "AttentionModel"
    optimizer: "keras.Optimizer"
    optimizer_state: list[NDArray[Any]]  # before the first step
    steps: "Steps"
    predict: Predict


@lru_cache(maxsize=1)
def _compiled(data: Data, model: Model, train: Train, variant: Variant, regression: bool) -> _Compiled:
    import keras

    from pipeline import models, steps

    built = models.build(data, model, variant, SeedSequence(0), models.output_of(regression))
    noise = default_rng(0).standard_normal((8, data.time_steps, data.input_dim), dtype=np.float32)
    check_sums(np.array(built.attention(noise)), variant.name)  # before it is trained for minutes
    optimizer = keras.optimizers.Adam(train.learning_rate)
    optimizer.build(built.classifier.trainable_variables)
    state = [np.array(variable) for variable in optimizer.variables]
    compiled = steps.training_steps(built.classifier, optimizer, regression)
    return _Compiled(built, optimizer, state, compiled, models.in_batches(built.classifier))


def snapshot_points(batches: int, train: Train) -> NDArray[np.int64]:
    """Return after how many batches the attention is kept: 0, and at most `train.snapshots` points of the curve."""
    points = np.minimum(np.arange(1, -(-batches // train.log_every) + 1) * train.log_every, batches)
    chosen = np.linspace(len(points) - 1, 0, min(train.snapshots, len(points))).round().astype(int)
    return np.concatenate([[0], points[chosen[::-1]]])


def _fit(
    compiled: _Compiled, split: Split, train: Train, rng: Generator, observe: Observer
) -> tuple[list[Point], Snapshots]:
    """Train on the batches in their random order, and return the training curve and snapshots on the way."""
    from pipeline import models

    batches = batches_per_epoch(split.samples, train.batch_size) * train.epochs
    wanted, attention = snapshot_points(batches, train), compiled.model.attention
    kept = [models.get_weights(attention)]
    curve: list[Point] = []
    seen = told = 0
    sums = np.zeros(2)  # of loss and score over the batches since the last point
    for x, y, count in groups(split, train, rng):
        sums += compiled.steps(x, y, count)
        seen += count
        if seen % train.log_every == 0 or seen == batches:
            loss, score = sums / ((seen - 1) % train.log_every + 1)
            curve.append((seen, float(loss), float(score)))
            sums[:] = 0
            if seen in wanted:
                kept.append(models.get_weights(attention))
            if seen == batches or (seen - curve[told][0]) * 10 * train.epochs >= batches:
                observe(curve[told:])
                told = len(curve)
    return curve, Snapshots(wanted, {path: np.stack([w[path] for w in kept]) for path in kept[0]})


def _train_tracked(config: Config, split: Split, held_out: Split, seed: int) -> TrainedSeed:
    """Train a seed in a worker process, under a live run if its result is not tracked yet."""
    with live.run_of(live.of_workers(config), storage.values(config, "models"), seed) as run:

        def observe(points: list[Point]) -> None:
            cluster.check_wanted()
            run.log_curve(points)

        result = train_seed(config, seed, split, held_out, observe)
        run.finish(result)
    return result


def stage(config: Config) -> None:
    """Train every seed that was not finished before, write the results, and have MLflow show them."""
    variant, values = config.chosen_variant(), storage.values(config, "models")
    split, held_out = dataset.load(config, "train"), dataset.load(config, "validation")
    decided = partial(fingerprint.of, config, "models", split, held_out)
    pool = runtime.Pool(
        config.workers,
        f"train {variant.name}",
        "seeds",
        prepare=partial(tracking.prepare, config.tracking),
        cluster=config.cluster,
        fingerprint=decided,
    )
    files = unfinished.Files[int, TrainedSeed](
        lambda folder, seed, result: write_training(folder, {seed: result}, split.sha256, config.score),
        lambda folder, seed: read_training(folder)[seed],
    )
    with (
        live.none_left_open(config.tracking),
        unfinished.folder_of(decided()) as parts,
        storage.writing(config, "models") as folder,
    ):
        work, tasks = partial(_train_tracked, config, split, held_out), {seed: (seed,) for seed in config.seeds}
        trained = unfinished.each(parts, files, work, tasks, pool)
        write_training(folder, trained, split.sha256, config.score)
    tracking.ensure(config.tracking, values, trained)  # where a worker could not
    live.close_abandoned(config, values)
    terminal.show_training(trained, config.score)
    terminal.show_where(storage.folder(config, "models"), config.tracking)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.train").main()

"""One seed of a variant trained and scored. TensorFlow is imported at the first call."""

from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline.models.batches import groups
from pipeline.models.held_out_score import Predict
from pipeline.models.output import Goal
from pipeline.models.output_kinds import class_weights, output_of
from pipeline.results.splits import Split
from pipeline.results.stage_files import Point, Snapshots, TrainedSeed, Weights
from pipeline.settings.project import UserError
from pipeline.settings.schema import Model, Shape, Study, Train, Variant
from pipeline.settings.validation import refused

if TYPE_CHECKING:
    import keras

    from pipeline.models.build import AttentionModel
    from pipeline.models.compiled_training import Steps

Observer = Callable[[list[Point]], None]
REPORTS = 10  # times an epoch that the observer of a training gets new points


def train_seed(study: Study, seed: int, split: Split, held_out: Split, observe: Observer) -> TrainedSeed:
    """Train one model and score it.

    Args:
        study: what to train; its `seeds` play no part.
        seed: of the initial weights and of the data order; the order is the same for every variant.
        split: the samples to train on.
        held_out: the samples to score it on.
        observe: receives the new points of the training curve about ten times an epoch.

    Raises:
        UserError: if the loss becomes NaN or infinite.
    """
    from pipeline.models.build import build, get_weights

    initial, order = SeedSequence(seed).spawn(2)
    shape, variant, y = study.data.shape, study.chosen_variant(), split.rows("y")
    variance = float(y.var(dtype=np.float64)) if study.regression else 1.0
    output = output_of(study.regression, split.classes, variance)
    goal = Goal(output, class_weights(y, output, study.train.class_weights))
    compiled = _compiled(shape, study.model, study.train, variant, goal, study.padded)
    start = build(shape, study.model, variant, initial, output.last, study.padded)
    compiled.reset(start.classifier)
    curve, snapshots = _fit(compiled, split, study.train, default_rng(order), observe)
    loss, scores = output.held_out(compiled.predict, held_out)
    _check_finite(loss, variant.name, study.train)
    weights = get_weights(compiled.model.classifier)
    return TrainedSeed(weights, snapshots, curve, loss, scores, split.sha256, split.classes)


class _Compiled(NamedTuple):
    """A model compiled once in a process for all seeds."""

    model: "AttentionModel"
    optimizer: "keras.Optimizer"
    optimizer_state: list[NDArray[Any]]  # before the first step
    steps: "Steps"
    predict: Predict

    def reset(self, start: "keras.Model") -> None:
        """Give the model the weights of another, and the optimizer its initial state."""
        for variable, value in zip(self.model.classifier.variables, start.variables, strict=True):
            variable.assign(value)
        for variable, value in zip(self.optimizer.variables, self.optimizer_state, strict=True):
            variable.assign(value)


@lru_cache(maxsize=8)  # the controls train a variant on several kinds of samples
def _compiled(  # noqa: PLR0913, PLR0917 (each decides what is compiled)
    shape: Shape, model: Model, train: Train, variant: Variant, goal: Goal, padded: bool
) -> _Compiled:
    import keras

    from pipeline.models.build import build
    from pipeline.models.compiled_training import training_steps
    from pipeline.models.functions import in_batches
    from pipeline.models.weighing import gives_relevance

    built = build(shape, model, variant, SeedSequence(0), goal.output.last, padded)
    gives_relevance(built.attention, shape, variant.name)  # wrong weights are told before minutes of training
    optimizer = keras.optimizers.Adam(train.learning_rate)
    optimizer.build(built.classifier.trainable_variables)
    state = [np.array(variable) for variable in optimizer.variables]
    steps = training_steps(built.classifier, optimizer, goal)
    return _Compiled(built, optimizer, state, steps, in_batches(built.classifier))


def _check_finite(loss: float, variant: str, train: Train) -> None:
    if not isfinite(loss):
        words = f"smaller, since training diverged: the loss of {variant} is {loss}"
        raise UserError(refused("train.learning_rate", train.learning_rate, words))


def snapshot_points(batches: int, train: Train) -> NDArray[np.int64]:
    """Return after how many batches the attention is kept: 0, and at most `train.snapshots` points of the curve."""
    points = np.minimum(np.arange(1, -(-batches // train.log_every) + 1) * train.log_every, batches)
    chosen = np.linspace(len(points) - 1, 0, min(train.snapshots, len(points))).round().astype(int)
    return np.concatenate([[0], points[chosen[::-1]]])


def _fit(
    compiled: _Compiled, split: Split, train: Train, rng: Generator, observe: Observer
) -> tuple[list[Point], Snapshots]:
    """Train on the batches in random order; return the training curve and the snapshots."""
    from pipeline.models.build import get_weights

    batches = split.samples // train.batch_size * train.epochs
    wanted, attention = snapshot_points(batches, train), compiled.model.attention
    kept: list[Weights] = [get_weights(attention)]
    curve: list[Point] = []
    seen = reported = 0
    sums = np.zeros(2)  # of loss and score over the batches since the last point
    for x, y, count in groups(split, train, rng):
        sums += compiled.steps(x, y, count)
        seen += count
        if seen % train.log_every and seen < batches:
            continue
        _check_finite(sums[0], compiled.model.classifier.name, train)
        loss, score = sums / ((seen - 1) % train.log_every + 1)
        curve.append((seen, float(loss), float(score)))
        sums[:] = 0
        if seen in wanted:
            kept.append(get_weights(attention))
        if seen == batches or (seen - curve[reported][0]) * REPORTS * train.epochs >= batches:
            observe(curve[reported:])
            reported = len(curve)
    return curve, Snapshots(wanted, {path: np.stack([weights[path] for weights in kept]) for path in kept[0]})

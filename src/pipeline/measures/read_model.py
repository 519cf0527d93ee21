"""Attention read from a trained model, and everything that it is compared with: explanations and controls."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.measures import attention_measures, attribution, cost
from pipeline.measures.attribution import baseline, mean_of_valid
from pipeline.measures.model_measures import Samples, TrainedModel, value_weighted
from pipeline.models.fit import train_seed
from pipeline.models.output import Output
from pipeline.models.output_kinds import TWO_CLASSES, output_of
from pipeline.results.padding import Valid, some_valid, valid_steps
from pipeline.results.splits import Split
from pipeline.results.stage_files import (
    PADDING_MASS,
    UNIFORM_MASS,
    UNTRAINED,
    VALUE_WEIGHTED,
    WEIGHT_SUM,
    AttendedSeed,
    ControlRun,
    ExplainedSeed,
    Snapshots,
    TrainedSeed,
    Weights,
)
from pipeline.settings.schema import Data, Explain, Study, Variant
from pipeline.settings.validation import explained_class

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vectors = NDArray[np.float64]


class AnalyzedSeed(NamedTuple):
    """Everything read from one seed's model; `attention` is (samples, steps), averaged over features or heads."""

    attention: Array
    attended: AttendedSeed
    explained: ExplainedSeed


def samples_of(split: Split, start: int = 0, stop: int | None = None) -> Samples:
    """Return some rows of a split; `x` is a view of its file."""
    y, mask = (split.rows(name, start, stop) for name in ("y", "mask"))
    return Samples(split.mapped("x", start, stop), y, mask)


def analyze_seed(study: Study, probe: Split, training: Split, seed: int, trained: TrainedSeed) -> AnalyzedSeed:
    """Return the attention of a seed's model on the probe samples, and what it is compared with.

    A linear readout of what attention weighs is fitted on training samples. What takes many passes through the model
    is done with the first samples only, if they are large: see `Data.explained_samples`. A `UserError` if
    `explain.target` is no class.
    """
    output = output_of(study.regression, trained.classes)
    explained = explained_class(study.explain.target, trained.classes)
    samples, settings, snapshots = samples_of(probe), study.explain, trained.snapshots
    few = samples.first(study.data.explained_samples)
    fitting = samples_of(training, 0, cost.fitted(study))
    functions = _functions(study, output)
    cost.announce(study, functions, few.x, len(samples.x), len(snapshots.batches))
    untrained, vectors, masses = learning(study, snapshots, few, output)
    intervening, occluding = (default_rng(child) for child in SeedSequence((settings.seed, seed)).spawn(2))
    weights, averaged, result = read(study, trained, samples, fitting, intervening)
    valid = few.valid
    classes, count = few.y if output.classes else None, output.classes
    targets = few.y.astype(np.int64) if explained is None else np.full(len(few.y), explained)
    others: dict[str, NDArray[np.floating]] = {
        VALUE_WEIGHTED: value_weighted(functions.values(few.x), weights, valid),
        UNTRAINED: untrained,
        **explanations(functions, few.x, targets, settings, occluding),
    }
    scores = {
        name: attention_measures.summarize(other, few.mask, classes, count, valid)
        | attention_measures.agreement(other, averaged[: len(few.x)], classes, count, valid)
        for name, other in others.items()
    }
    return AnalyzedSeed(averaged, result, ExplainedSeed(scores, snapshots.batches, vectors, masses))


def learning(study: Study, snapshots: Snapshots, samples: Samples, output: Output) -> tuple[Array, Vectors, Vectors]:
    """Return attention before training (samples, steps), and in it mean vectors (points, steps), key mass (points,)."""
    untrained, vectors, masses, relevance = None, [], [], _functions(study, output).relevance
    for point in tqdm(range(len(snapshots.batches)), "attention during training", **attribution.PROGRESS):
        weights = by_step(attention(study, snapshots.at(point), samples.x, output), relevance)
        untrained = weights if untrained is None else untrained
        vectors.append(weights.mean(axis=0, dtype=np.float64))
        masses.append(attention_measures.mean(attention_measures.key_mass(weights, samples.mask)))
    assert untrained is not None  # there is a point before training
    return untrained, np.stack(vectors), np.array(masses)


def attention(study: Study, weights: Weights, x: Array, output: Output = TWO_CLASSES.output) -> Array:
    """Return attention weights on the samples `x`, both (samples, steps, features).

    `weights` are those of the study's model, or only those that determine attention; `output` is what the model puts
    out. A `UserError` if a weight is not finite or negative, or if weights that summed to 1 over the steps before
    training no longer do.
    """
    from pipeline.models.build import set_weights
    from pipeline.models.weighing import check_weights

    functions = _functions(study, output)
    set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_weights(read, study.chosen_variant().name, functions.relevance)
    return read


def read(
    study: Study, trained: TrainedSeed, samples: Samples, fitting: Samples, rng: Generator
) -> tuple[Array, Array, AttendedSeed]:
    """Return the attention weights of a trained model on the first samples, of all by step, and all measures.

    The weights are (samples, steps, features) and (samples, steps), as `by_step` averages them.

    `fitting` are other samples, on which the linear readout is fitted; `rng` draws permutations and random steps.
    Measures that need many passes through the model are those of as many samples as `Data.explained_samples` says.
    """
    from pipeline.models.build import set_weights

    output = output_of(study.regression, trained.classes)
    functions = _functions(study, output)
    set_weights(functions.model.classifier, trained.weights)
    weights, averaged, sums = _in_parts(study, trained.weights, samples.x, output)
    classes = samples.y if output.classes else None
    result = attended(averaged, samples.mask, classes, output.classes, samples.valid)
    model = TrainedModel(functions, samples.first(len(weights)), weights, output, study.explain)
    at_peak, readouts = model.readout(fitting, samples, averaged)
    others, shares = model.measured(rng)
    measures = at_peak | others
    if study.padded:
        measures = of_lengths(averaged, samples) | measures
    if functions.relevance:
        measures = {WEIGHT_SUM: float(sums.mean())} | measures
    return weights, averaged, result._replace(measures=result.measures | measures, steps=readouts | shares)


def _in_parts(study: Study, weights: Weights, x: Array, output: Output) -> tuple[Array, Array, Vectors]:
    """Return the attention weights on the first samples, those of all by step, and the sums over the steps of all.

    They are (samples, steps, features), (samples, steps) and (samples, features). Some samples are read at a time,
    since the weights of all of them may exceed memory.
    """
    size, relevance = study.data.explained_samples, _functions(study, output).relevance
    first = attention(study, weights, x[:size], output)
    means, sums = [], []
    for start in range(0, len(x), size):
        part = attention(study, weights, x[start : start + size], output) if start else first
        means.append(by_step(part, relevance))
        sums.append(part.sum(axis=1, dtype=np.float64))
    return first, np.concatenate(means), np.concatenate(sums)


def by_step(weights: Array, relevance: bool) -> Array:
    """Return the weight of each step, (samples, steps), summing to 1: the mean of weights over features or heads.

    `relevance` is divided by its sum over the steps; a sample in which it is 0 everywhere gets equal weights.
    """
    mean: Array = weights.mean(axis=2)
    return attribution.importance(mean).astype(np.float32) if relevance else mean


def of_lengths(weights: Array, samples: Samples) -> dict[str, float]:
    """Return the mean attention on padded steps, given weights (samples, steps), and the key mass of uniform ones."""
    valid, mask = valid_steps(samples.x), samples.mask
    uniform = attention_measures.key_mass(valid / valid.sum(axis=1, keepdims=True), mask)
    on_padding = float(attention_measures.padding_mass(weights, valid).mean())
    return {PADDING_MASS: on_padding, UNIFORM_MASS: attention_measures.mean(uniform) if mask.any() else 0.0}


def attended(weights: Array, mask: Mask, classes: Array | None, count: int = 2, valid: Valid = None) -> AttendedSeed:
    """Return mean vector and measures of attention weights (samples, steps).

    `classes` are labels of a number of classes, None in a regression; `valid` is false at padded steps.
    """
    vector = weights.mean(axis=0, dtype=np.float64)
    return AttendedSeed(vector, mask.mean(axis=0), attention_measures.summarize(weights, mask, classes, count, valid))


def explanations(
    functions: "Functions", x: Array, targets: NDArray[np.int64], settings: Explain, rng: Generator
) -> dict[str, NDArray[np.float64]]:
    """Return explanation -> weights (samples, steps), each at least 0, summing to 1 over the steps.

    `functions` are those of a trained model, `x` is (samples, steps, features), `targets` (samples,) the class whose
    log-odds are explained, `settings` the numbers of integration steps and of permutations; `rng` draws the
    permutations of occlusion. With two classes, the logit is explained: those are the log-odds of either, up to sign.
    """
    (logit, gradient), points = functions.explained(targets), settings.integration_steps
    valid = some_valid(x)
    mean = baseline(x.mean(axis=0) if valid is None else mean_of_valid(x, valid), x)
    zero = baseline(np.zeros_like(x[0]), x)
    attributions: dict[str, Callable[[], NDArray[np.floating]]] = {
        "gradient x input": lambda: attribution.gradient_x_input(gradient, x),
        "integrated gradients from the mean": lambda: attribution.integrated_gradients(gradient, x, mean, points),
        "integrated gradients from zero": lambda: attribution.integrated_gradients(gradient, x, zero, points),
        "occlusion": lambda: attribution.occlusion(logit, x, rng, settings.permutations, valid),
    }
    # Each is made when its turn comes: not all of them are in memory at once.
    return {name: attribution.importance(make(), valid) for name, make in attributions.items()}


def control_seed(
    study: Study,
    changed: tuple[str, Variant, Data],
    seed: int,
    samples: tuple[Split, Split],
    observe: Callable[[object], None],
) -> ControlRun:
    """Train a control of a study with one seed, and read its attention on held-out samples.

    `changed` is its name, and the variant and data that it trains with, `samples` are those to train on and those held
    out; `observe` is called about ten times an epoch.
    """
    name, variant, data = changed
    study = dataclasses.replace(study, variant=variant, data=data)
    trained = train_seed(study, seed, *samples, observe)
    fitting = samples_of(samples[0], 0, cost.fitted(study))
    probe = samples_of(samples[1], 0, study.controls.probe_samples)
    *_, result = read(study, trained, probe, fitting, default_rng((study.explain.seed, seed)))
    return ControlRun(name, variant, seed, trained.loss, trained.scores, result, trained.curve)


def _functions(study: Study, output: Output) -> "Functions":
    from pipeline.models.functions import functions

    return functions(study.data.shape, study.model, study.chosen_variant(), output, study.padded)

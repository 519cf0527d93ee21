"""Attention read from a trained model, and everything that it is compared with: explanations and controls."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.measures import attention_measures, attribution, cost
from pipeline.measures.model_measures import Samples, TrainedModel, value_weighted
from pipeline.models.fit import train_seed
from pipeline.results.splits import Split
from pipeline.results.stage_files import (
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

    A linear readout of what attention weighs is fitted on training samples.
    """
    samples, settings, snapshots = samples_of(probe), study.explain, trained.snapshots
    fitting = samples_of(training, 0, settings.readout_samples)
    cost.announce(study.chosen_variant().name, _functions(study), samples.x, settings, len(snapshots.batches))
    untrained, vectors, masses = learning(study, snapshots, samples)
    intervening, occluding = (default_rng(child) for child in SeedSequence((settings.seed, seed)).spawn(2))
    weights, result = read(study, trained.weights, samples, fitting, intervening)
    averaged, classes, functions = by_step(study, weights), _classes(study, samples), _functions(study)
    others: dict[str, NDArray[np.floating]] = {
        VALUE_WEIGHTED: value_weighted(functions.values(samples.x), weights),
        UNTRAINED: untrained,
        **explanations(functions, samples.x, settings, occluding),
    }
    scores = {
        name: attention_measures.summarize(other, samples.mask, classes)
        | attention_measures.agreement(other, averaged, classes)
        for name, other in others.items()
    }
    return AnalyzedSeed(averaged, result, ExplainedSeed(scores, snapshots.batches, vectors, masses))


def learning(study: Study, snapshots: Snapshots, samples: Samples) -> tuple[Array, Vectors, Vectors]:
    """Return attention before training (samples, steps), and in it mean vectors (points, steps), key mass (points,)."""
    untrained, vectors, masses = None, [], []
    for point in tqdm(range(len(snapshots.batches)), "attention during training", **attribution.PROGRESS):
        weights = by_step(study, attention(study, snapshots.at(point), samples.x))
        untrained = weights if untrained is None else untrained
        vectors.append(weights.mean(axis=0, dtype=np.float64))
        masses.append(attention_measures.mean(attention_measures.key_mass(weights, samples.mask)))
    assert untrained is not None  # there is a point before training
    return untrained, np.stack(vectors), np.array(masses)


def attention(study: Study, weights: Weights, x: Array) -> Array:
    """Return attention weights on the samples `x`, both (samples, steps, features).

    `weights` are those of the study's model, or only those that determine attention. A `UserError` if a
    weight is not finite or negative, or if weights that summed to 1 over the steps before training no longer do.
    """
    from pipeline.models.build import set_weights
    from pipeline.models.weighing import check_weights

    functions = _functions(study)
    set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_weights(read, study.chosen_variant().name, functions.relevance)
    return read


def read(
    study: Study, trained: Weights, samples: Samples, fitting: Samples, rng: Generator
) -> tuple[Array, AttendedSeed]:
    """Return the attention weights of a trained model (samples, steps, features), and all measures of them.

    `fitting` are other samples, on which the linear readout is fitted; `rng` draws permutations and random steps.
    """
    from pipeline.models.build import set_weights

    functions = _functions(study)
    set_weights(functions.model.classifier, trained)
    weights = attention(study, trained, samples.x)
    result = attended(by_step(study, weights), samples.mask, _classes(study, samples))
    model = TrainedModel(functions, samples, weights, study.regression, study.explain)
    measures, steps = model.measured(fitting, rng)
    if functions.relevance:
        measures = {WEIGHT_SUM: float(weights.sum(axis=1, dtype=np.float64).mean())} | measures
    return weights, result._replace(measures=result.measures | measures, steps=steps)


def by_step(study: Study, weights: Array) -> Array:
    """Return the weight of each step, (samples, steps), summing to 1: the mean of weights over features or heads.

    Relevance is divided by its sum over the steps; a sample in which it is 0 everywhere gets equal weights.
    """
    mean: Array = weights.mean(axis=2)
    return attribution.importance(mean).astype(np.float32) if _functions(study).relevance else mean


def attended(weights: Array, mask: Mask, classes: Array | None) -> AttendedSeed:
    """Return mean vector and measures of attention weights (samples, steps); `classes` are labels 0 and 1, if any."""
    vector = weights.mean(axis=0, dtype=np.float64)
    return AttendedSeed(vector, mask.mean(axis=0), attention_measures.summarize(weights, mask, classes))


def explanations(functions: "Functions", x: Array, settings: Explain, rng: Generator) -> dict[str, NDArray[np.float64]]:
    """Return explanation -> weights (samples, steps), each at least 0, summing to 1 over the steps.

    `functions` are those of a trained model, `x` is (samples, steps, features), `settings` the numbers of integration
    steps and of permutations; `rng` draws the permutations of occlusion.
    """
    gradient, points = functions.gradient, settings.integration_steps
    mean, zero = x.mean(axis=0), np.zeros_like(x[0])
    attributions: dict[str, Callable[[], NDArray[np.floating]]] = {
        "gradient x input": lambda: attribution.gradient_x_input(gradient, x),
        "integrated gradients from the mean": lambda: attribution.integrated_gradients(gradient, x, mean, points),
        "integrated gradients from zero": lambda: attribution.integrated_gradients(gradient, x, zero, points),
        "occlusion": lambda: attribution.occlusion(functions.logit, x, rng, settings.permutations),
    }
    return {name: attribution.importance(make()) for name, make in attributions.items()}  # one at a time in memory


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
    fitting, probe = (
        samples_of(samples[0], 0, study.explain.readout_samples),
        samples_of(samples[1], 0, study.controls.probe_samples),
    )
    _, result = read(study, trained.weights, probe, fitting, default_rng((study.explain.seed, seed)))
    return ControlRun(name, variant, seed, trained.loss, trained.scores, result, trained.curve)


def _classes(study: Study, samples: Samples) -> Array | None:
    """Return the labels of a classification."""
    return None if study.regression else samples.y


def _functions(study: Study) -> "Functions":
    from pipeline.models.functions import functions

    return functions(study.data.shape, study.model, study.chosen_variant())

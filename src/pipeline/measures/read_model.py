"""Attention read from a trained model, and everything that it is compared with: explanations and controls."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from pipeline.measures import attention_measures, attribution
from pipeline.measures.model_measures import Samples, TrainedModel, value_weighted
from pipeline.models.fit import train_seed
from pipeline.models.output import Output
from pipeline.models.output_kinds import TWO_CLASSES, output_of
from pipeline.results.splits import Split
from pipeline.results.stage_files import (
    UNTRAINED,
    VALUE_WEIGHTED,
    AttendedSeed,
    ControlRun,
    ExplainedSeed,
    TrainedSeed,
    Weights,
)
from pipeline.settings.schema import Data, Explain, Study, Variant
from pipeline.settings.validation import explained_class

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class AnalyzedSeed(NamedTuple):
    """Everything read from one seed's model; `attention` is (samples, steps), averaged over features or heads."""

    attention: Array
    attended: AttendedSeed
    explained: ExplainedSeed


def samples_of(split: Split, start: int = 0, stop: int | None = None) -> Samples:
    """Return some rows of a split."""
    x, y, mask = (split.rows(name, start, stop) for name in ("x", "y", "mask"))
    return Samples(x, y, mask)


def analyze_seed(study: Study, probe: Split, training: Split, seed: int, trained: TrainedSeed) -> AnalyzedSeed:
    """Return the attention of a seed's model on the probe samples, and what it is compared with.

    A linear readout of what attention weighs is fitted on training samples. A `UserError` if `explain.target` is no
    class.
    """
    output = output_of(study.regression, trained.classes)
    explained = explained_class(study.explain.target, trained.classes)
    samples, settings, snapshots = samples_of(probe), study.explain, trained.snapshots
    fitting = samples_of(training, 0, settings.readout_samples)
    points = (snapshots.at(point) for point in range(len(snapshots.batches)))
    history = [attention(study, weights, samples.x, output).mean(axis=2) for weights in points]
    intervening, occluding = (default_rng(child) for child in SeedSequence((settings.seed, seed)).spawn(2))
    weights, result = read(study, trained, samples, fitting, intervening)
    averaged, functions = weights.mean(axis=2), _functions(study, output)
    classes, count = samples.y if output.classes else None, output.classes
    targets = samples.y.astype(np.int64) if explained is None else np.full(len(samples.y), explained)
    others = {
        VALUE_WEIGHTED: value_weighted(functions.values(samples.x), weights),
        UNTRAINED: history[0],
        **explanations(functions, samples.x, targets, settings, occluding),
    }
    scores = {
        name: attention_measures.summarize(other, samples.mask, classes, count)
        | attention_measures.agreement(other, averaged, classes, count)
        for name, other in others.items()
    }
    vectors = np.stack([point.mean(axis=0, dtype=np.float64) for point in history])
    masses = np.array([attention_measures.mean(attention_measures.key_mass(point, samples.mask)) for point in history])
    return AnalyzedSeed(averaged, result, ExplainedSeed(scores, snapshots.batches, vectors, masses))


def attention(study: Study, weights: Weights, x: Array, output: Output = TWO_CLASSES.output) -> Array:
    """Return attention weights on the samples `x`, both (samples, steps, features).

    `weights` are those of the study's model, or only those that determine attention. A `UserError` if the attention
    weights of a sample do not sum to 1 in each feature. `output` is what the model puts out.
    """
    from pipeline.models.build import check_sums, set_weights

    functions = _functions(study, output)
    set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_sums(read, study.chosen_variant().name)
    return read


def read(
    study: Study, trained: TrainedSeed, samples: Samples, fitting: Samples, rng: Generator
) -> tuple[Array, AttendedSeed]:
    """Return the attention weights of a trained model (samples, steps, features), and all measures of them.

    `fitting` are other samples, on which the linear readout is fitted; `rng` draws permutations and random steps.
    """
    from pipeline.models.build import set_weights

    output = output_of(study.regression, trained.classes)
    functions = _functions(study, output)
    set_weights(functions.model.classifier, trained.weights)
    weights = attention(study, trained.weights, samples.x, output)
    classes = samples.y if output.classes else None
    result = attended(weights.mean(axis=2), samples.mask, classes, output.classes)
    model = TrainedModel(functions, samples, weights, output, study.explain)
    measures, steps = model.measured(fitting, rng)
    return weights, result._replace(measures=result.measures | measures, steps=steps)


def attended(weights: Array, mask: Mask, classes: Array | None, count: int = 2) -> AttendedSeed:
    """Return mean vector and measures of attention weights (samples, steps).

    `classes` are labels of a number of classes, None in a regression.
    """
    vector = weights.mean(axis=0, dtype=np.float64)
    return AttendedSeed(vector, mask.mean(axis=0), attention_measures.summarize(weights, mask, classes, count))


def explanations(
    functions: "Functions", x: Array, targets: NDArray[np.int64], settings: Explain, rng: Generator
) -> dict[str, NDArray[np.float64]]:
    """Return explanation -> weights (samples, steps), each at least 0, summing to 1 over the steps.

    `functions` are those of a trained model, `x` is (samples, steps, features), `targets` (samples,) the class whose
    log-odds are explained, `settings` the numbers of integration steps and of permutations; `rng` draws the
    permutations of occlusion. With two classes, the logit is explained: those are the log-odds of either, up to sign.
    """
    (logit, gradient), points = functions.explained(targets), settings.integration_steps
    mean, zero = x.mean(axis=0), np.zeros_like(x[0])
    attributions = {
        "gradient x input": attribution.gradient_x_input(gradient, x),
        "integrated gradients from the mean": attribution.integrated_gradients(gradient, x, mean, points),
        "integrated gradients from zero": attribution.integrated_gradients(gradient, x, zero, points),
        "occlusion": attribution.occlusion(logit, x, rng, settings.permutations),
    }
    return {name: attribution.importance(values) for name, values in attributions.items()}


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
    _, result = read(study, trained, probe, fitting, default_rng((study.explain.seed, seed)))
    return ControlRun(name, variant, seed, trained.loss, trained.scores, result, trained.curve)


def _functions(study: Study, output: Output) -> "Functions":
    from pipeline.models.functions import functions

    return functions(study.data.shape, study.model, study.chosen_variant(), output)

"""Attention read from a trained model, and everything that it is compared with: explanations and controls."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.measures import attention_measures, attribution
from pipeline.models.fit import train_seed
from pipeline.results.splits import Split
from pipeline.results.stage_files import UNTRAINED, AttendedSeed, ControlRun, ExplainedSeed, TrainedSeed, Weights
from pipeline.settings.schema import Data, Explain, Study, Variant

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


class AnalyzedSeed(NamedTuple):
    """Everything read from one seed's model; `attention` is (samples, steps), averaged over features or heads."""

    attention: Array
    attended: AttendedSeed
    explained: ExplainedSeed


def analyze_seed(study: Study, probe: Split, seed: int, trained: TrainedSeed) -> AnalyzedSeed:
    """Return the attention of a seed's model on the probe samples, and what it is compared with."""
    from pipeline.models.build import set_weights

    x, y, mask = (probe.rows(name) for name in ("x", "y", "mask"))
    functions, settings, snapshots = _functions(study), study.explain, trained.snapshots
    shuffling, occluding = (default_rng(child) for child in SeedSequence((settings.seed, seed)).spawn(2))
    history = [attention(study, snapshots.at(point), x).mean(axis=2) for point in range(len(snapshots.batches))]
    weights = attention(study, trained.weights, x)  # (samples, steps, features)
    set_weights(functions.model.classifier, trained.weights)
    shuffled = _shuffled(study, functions, (x, y), weights, shuffling)
    averaged, classes = weights.mean(axis=2), None if study.regression else y
    result = attended(averaged, mask, classes)
    others = {UNTRAINED: history[0], **explanations(functions, x, settings, occluding)}
    scores = {
        name: attention_measures.summarize(other, mask, classes)
        | attention_measures.agreement(other, averaged, classes)
        for name, other in others.items()
    }
    vectors = np.stack([point.mean(axis=0, dtype=np.float64) for point in history])
    masses = np.array([attention_measures.mean(attention_measures.key_mass(point, mask)) for point in history])
    explained = ExplainedSeed(scores, snapshots.batches, vectors, masses)
    return AnalyzedSeed(averaged, result._replace(measures=result.measures | shuffled), explained)


def attention(study: Study, weights: Weights, x: Array) -> Array:
    """Return attention weights on the samples `x`, both (samples, steps, features).

    `weights` are those of the study's model, or only those that determine attention. A `UserError` if the attention
    weights of a sample do not sum to 1 in each feature.
    """
    from pipeline.models.build import check_sums, set_weights

    functions = _functions(study)
    set_weights(functions.model.attention, weights)
    read = functions.attention(x)
    check_sums(read, study.chosen_variant().name)
    return read


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
    attributions = {
        "gradient x input": attribution.gradient_x_input(gradient, x),
        "integrated gradients from the mean": attribution.integrated_gradients(gradient, x, mean, points),
        "integrated gradients from zero": attribution.integrated_gradients(gradient, x, zero, points),
        "occlusion": attribution.occlusion(functions.logit, x, rng, settings.permutations),
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
    x, y, mask = (samples[1].rows(part, 0, study.controls.probe_samples) for part in ("x", "y", "mask"))
    weights = attention(study, trained.weights, x).mean(axis=2)
    result = attended(weights, mask, None if study.regression else y)
    return ControlRun(name, variant, seed, trained.loss, trained.score, result)


def _functions(study: Study) -> "Functions":
    from pipeline.models.functions import functions

    return functions(study.data.shape, study.model, study.chosen_variant())


def _shuffled(
    study: Study, functions: "Functions", samples: tuple[Array, Array], weights: Array, rng: Generator
) -> dict[str, float]:
    """Return how predictions change when attention is shuffled over the steps, if the layer multiplies by its weights.

    These are the mean absolute change of the prediction (the probability in a classification), and the score.
    """
    x, y = samples
    values, weighted = functions.values(x), functions.weighted(x)
    if not values.shape == weights.shape == weighted.shape or not np.allclose(weighted, values * weights, atol=1e-5):
        return {}
    shuffled = attribution.permuted_attention(functions.head, values, weights, rng, study.explain.permutations)
    before = functions.logit(x)
    if study.regression:
        score = 1 - float(np.square(shuffled - y).mean() / y.var())
    else:
        before, shuffled = expit(before), expit(shuffled)
        score = float(((shuffled > 0.5) == (y == 1)).mean())
    change = float(np.abs(shuffled - before).mean(dtype=np.float64))
    return {"permuted_change": change, f"permuted_{study.score}": score}

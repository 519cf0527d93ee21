"""Samples explained by a trained model: which step and which feature made it say so."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import attention_measures, attribution, read_model
from pipeline.models.output_kinds import output_of
from pipeline.results.explained_files import MAPS, Explained, Row
from pipeline.results.padding import some_valid
from pipeline.results.stage_files import TrainedSeed
from pipeline.settings.schema import Study
from pipeline.settings.validation import explained_class

Array = NDArray[np.float32]
Weights = NDArray[np.float64]
EQUAL = "equal weights"  # the map that finds nothing
MEASURED = (
    attention_measures.key_mass,
    attention_measures.key_skill,
    attention_measures.hit_rate,
    attention_measures.average_precision,
)


def explain(study: Study, trained: TrainedSeed, x: Array, training: Array) -> Explained:
    """Return what a trained model says of samples, by sample, step and feature.

    Args:
        study: what was trained, with its variant.
        trained: the trained model.
        x: the samples, (samples, steps, features), on the scale on which it was trained.
        training: training samples of the same shape, whose mean is the baseline of integrated gradients, and whose
            values replace those of the samples.

    Raises:
        UserError: if `explain.target` is no class.
    """
    from pipeline.models.build import set_weights
    from pipeline.models.functions import functions

    output = output_of(study.regression, trained.classes)
    model = functions(study.data.shape, study.model, study.chosen_variant(), output, study.padded)
    set_weights(model.model.classifier, trained.weights)
    attention, logits = read_model.attention(study, trained.weights, x, output), model.logit(x)
    named = explained_class(study.explain.target, trained.classes)
    if output.classes > 2:
        target = logits.argmax(axis=1) if named is None else np.full(len(x), named)
    else:
        target = np.full(len(x), output.classes // 2)  # label 1; a regression has none
    explained, gradient = model.explained(target)
    mean = attribution.baseline(attribution.mean_of_valid(training, some_valid(training)), x)
    integrated = attribution.integrated_gradients(gradient, x, mean, study.explain.integration_steps)
    occluded = attribution.occlusion_by_feature(explained, x, training, study.explain.permutations)
    by_input, prediction = gradient(x), output.prediction(logits)
    return Explained(x, prediction, target, explained(x), attention, by_input, x * by_input, integrated, occluded)


def measured(explained: Explained, mask: NDArray[np.bool_], attends_features: bool) -> list[Row]:
    """Return how well each map finds what a mask marks, a row for each map and for equal weights.

    Means over the samples of measures in `attention_measures`, of weights that are at least 0 and sum to 1: `over`
    steps, of which each has the sum of its features, without its sign, or its mean attention; and, if the mask marks
    features, over steps and features, each without its sign.

    Args:
        explained: the maps.
        mask: true where the label is determined: (samples, steps), or (samples, steps, features).
        attends_features: whether attention has a weight for each feature of the input.
    """
    maps = {name: np.asarray(getattr(explained, name)) for name in MAPS}
    valid = np.asarray(~np.isnan(explained.x).all(axis=2))
    steps = {name: attribution.importance(values, valid) for name, values in maps.items()}
    steps[EQUAL] = attribution.importance(np.zeros(valid.shape), valid)
    marked = mask if mask.ndim == 2 else np.asarray(mask.any(axis=2))
    rows = [_row(name, "steps", weights, marked, valid) for name, weights in steps.items()]
    if mask.ndim == 2:
        return rows
    each = _flat(np.repeat(valid[:, :, None], mask.shape[2], axis=2))
    by_feature = [name for name in MAPS if name != "attention" or attends_features]
    cells = {name: attribution.importance(_flat(maps[name]), each) for name in by_feature}
    cells[EQUAL] = attribution.importance(np.zeros(each.shape), each)
    return rows + [_row(name, "steps and features", weights, _flat(mask), each) for name, weights in cells.items()]


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)


def _row(name: str, over: str, weights: Weights, mask: NDArray[np.bool_], valid: NDArray[np.bool_]) -> Row:
    found = {kind.__name__: attention_measures.mean(kind(weights, mask, valid)) for kind in MEASURED}
    return {"map": name, "over": over} | found

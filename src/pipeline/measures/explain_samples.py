"""Samples explained by a trained model: which step and which feature made it say so."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.measures import attribution, read_model
from pipeline.models.output_kinds import output_of
from pipeline.results.explained_files import Explained
from pipeline.results.padding import padded, some_valid
from pipeline.results.stage_files import TrainedSeed
from pipeline.settings.schema import Study
from pipeline.settings.validation import explained_class

Array = NDArray[np.float32]


def explain(study: Study, trained: TrainedSeed, x: Array, training: Array, rng: Generator) -> Explained:
    """Return what a trained model says of samples, by sample, step and feature.

    Args:
        study: what was trained, with its variant.
        trained: the trained model.
        x: the samples, (samples, steps, features), on the scale on which it was trained.
        training: training samples of the same shape, whose mean is the baseline of integrated gradients, and whose
            values replace those of the samples.
        rng: draws which training samples replace a sample's values.

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
    baseline = attribution.mean_of_valid(training, some_valid(training)).astype(np.float32)
    baseline = padded(np.broadcast_to(baseline, x.shape), some_valid(x))
    integrated = attribution.integrated_gradients(gradient, x, baseline, study.explain.integration_steps)
    occluded = attribution.occlusion_by_feature(explained, x, training, rng, study.explain.permutations)
    by_input, prediction = gradient(x), output.prediction(logits)
    return Explained(x, prediction, target, explained(x), attention, by_input, x * by_input, integrated, occluded)

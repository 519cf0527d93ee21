"""Samples explained by a trained model: which step and which feature made it say so."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from pipeline.measures import attribution, read_model
from pipeline.results.explained_files import Explained
from pipeline.results.stage_files import Weights
from pipeline.settings.schema import Study

Array = NDArray[np.float32]


def explain(study: Study, weights: Weights, x: Array, training: Array, rng: Generator) -> Explained:
    """Return what a trained model says of samples, by sample, step and feature.

    Args:
        study: what was trained, with its variant.
        weights: of the trained model.
        x: the samples, (samples, steps, features).
        training: training samples of the same shape, whose mean is the baseline of integrated gradients, and whose
            values replace those of the samples.
        rng: draws which training samples replace a sample's values.
    """
    from pipeline.models.build import set_weights
    from pipeline.models.functions import functions

    model = functions(study.data.shape, study.model, study.chosen_variant())
    set_weights(model.model.classifier, weights)
    attention, output, gradient = read_model.attention(study, weights, x), model.logit(x), model.gradient(x)
    baseline = training.mean(axis=0, dtype=np.float64).astype(np.float32)
    integrated = attribution.integrated_gradients(model.gradient, x, baseline, study.explain.integration_steps)
    occluded = attribution.occlusion_by_feature(model.logit, x, training, rng, study.explain.permutations)
    prediction = output if study.regression else expit(output)
    return Explained(x, prediction, output, attention, gradient, x * gradient, integrated, occluded)

"""What an analysis costs: said before it begins, and bounded where samples are large."""

import sys
import time
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.measures.attribution import stretches
from pipeline.settings.schema import LEAST, Study

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
FITTED = 2**25  # numbers in the samples on which a linear readout is fitted, at most
LARGE = 2**19  # numbers in the samples, from which the time is measured
LONG = 30  # seconds, from which it is told


def fitted(study: Study) -> int:
    """Return the number of training samples on which a linear readout is fitted."""
    return min(study.explain.readout_samples, max(LEAST, FITTED // prod(study.data.shape)))


def announce(study: Study, functions: "Functions", x: Array, probed: int, points: int) -> None:
    """Print how many samples of the `probed` ones are explained, if not all, and how long that takes, if long.

    Args:
        study: what is analyzed, with its variant.
        functions: those of a model, which are timed once if the samples are large.
        x: the samples that are explained, (samples, steps, features).
        probed: number of samples on which attention is read.
        points: number of snapshots whose attention is read.
    """
    name, settings = study.chosen_variant().name, study.explain
    if len(x) < probed:
        few = f"explanations and attention during training are those of the first {len(x)} of {probed} probe samples"
        tqdm.write(f"{name}: {few}, since these are large.", file=sys.stderr)
    if x.size < LARGE:
        return
    replaced, integrated = len(stretches(x.shape[1])) * settings.permutations, 2 * settings.integration_steps + 1
    _, gradient = functions.explained(np.zeros(len(x), np.int64))
    times = {
        f"attention at {points} points of the training": points * _seconds(functions.attention, x),
        f"{integrated} gradients": integrated * _seconds(gradient, x),
        f"{replaced} replacements": replaced * _seconds(functions.logit, x),
    }
    if sum(times.values()) >= LONG:
        parts = ", ".join(f"{what}: {seconds:.0f} s" for what, seconds in times.items())
        fewer = "train.snapshots, explain.integration_steps or explain.permutations"
        told = f"{name}: a seed takes about {sum(times.values()):.0f} s ({parts}); less with fewer {fewer}."
        tqdm.write(told, file=sys.stderr)


def _seconds(function: Callable[[Array], Array], x: Array) -> float:
    """Return how long the second call takes: the first one compiles."""
    function(x)
    start = time.perf_counter()
    function(x)
    return time.perf_counter() - start

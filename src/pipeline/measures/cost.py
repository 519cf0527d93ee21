"""How long a seed's analysis will take, said before it begins."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.measures.attribution import stretches
from pipeline.settings.schema import Explain

if TYPE_CHECKING:
    from pipeline.models.functions import Functions

Array = NDArray[np.float32]
LARGE = 2**21  # numbers in the samples, from which the time is measured
LONG = 30  # seconds, from which it is told


def announce(name: str, functions: "Functions", x: Array, settings: Explain, points: int) -> None:
    """Print how long the analysis of a model on samples `x` (samples, steps, features) takes, if that is long.

    Args:
        name: of the model.
        functions: those of the model, which are timed once.
        x: the samples; few numbers are not timed.
        settings: the numbers of integration steps and of replacements.
        points: number of snapshots whose attention is read.
    """
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
        fewer = "probe.samples, train.snapshots, explain.integration_steps or explain.permutations"
        told = f"{name}: a seed takes about {sum(times.values()):.0f} s ({parts}); less with fewer {fewer}."
        tqdm.write(told, file=sys.stderr)


def _seconds(function: Callable[[Array], Array], x: Array) -> float:
    """Return how long the second call takes: the first one compiles."""
    function(x)
    start = time.perf_counter()
    function(x)
    return time.perf_counter() - start

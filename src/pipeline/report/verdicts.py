"""What one run shows, in a word."""

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.schema import Thresholds

NOT_LEARNED, CORRECT, LATE, DIFFUSE, SILENT = "not learned", "correct", "late-shifted", "diffuse", "silent failure"
VERDICTS = (CORRECT, LATE, DIFFUSE, SILENT, NOT_LEARNED)
UNJUDGED = "unjudged"  # beside diffuse and not learned, where no mask tells the key steps


def verdict(
    learned: bool,
    measures: dict[str, float],
    vector: NDArray[np.floating],
    key: NDArray[np.floating],
    limits: Thresholds,
) -> str:
    """Return the verdict on a run.

    - not learned: attention then means nothing;
    - correct: the mean vector's largest step is a key step, and `key_lift` reaches `limits.lift`;
    - diffuse: no step stands out: `entropy` reaches `limits.entropy`, or the largest step's lift misses `limits.lift`;
    - late-shifted: the largest step lies after the key, and key and later steps hold most of the attention;
    - silent failure: a step that carries nothing stands out;
    - unjudged: a step stands out, and without a mask nobody knows whether it should.

    Args:
        learned: whether the held-out score reaches its limit.
        measures: of `pipeline.metrics`.
        vector: (steps,), attention averaged over samples.
        key: (steps,), share of samples with a key at each step.
        limits: where the lines are drawn.
    """
    peak = int(vector.argmax())
    if not learned:
        return NOT_LEARNED
    if key[peak] > 0 and measures["key_lift"] >= limits.lift:
        return CORRECT
    if measures["entropy"] >= limits.entropy or vector[peak] * len(vector) < limits.lift:
        return DIFFUSE
    if not key.any():
        return UNJUDGED
    if peak > np.flatnonzero(key)[-1] and measures["key_mass"] + measures["late_mass"] > limits.mass:
        return LATE
    return SILENT

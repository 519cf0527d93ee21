"""The verdict on a run: one term for what its attention shows."""

import numpy as np
from numpy.typing import NDArray

from pipeline.settings.schema import Thresholds

NOT_LEARNED, CORRECT, LATE, DIFFUSE, SILENT = "not learned", "correct", "late-shifted", "diffuse", "silent failure"
VERDICTS = (CORRECT, LATE, DIFFUSE, SILENT, NOT_LEARNED)
UNJUDGED = "unjudged"  # besides diffuse and not learned, the only verdict without a mask


def verdict(
    learned: bool,
    measures: dict[str, float],
    vector: NDArray[np.floating],
    key: NDArray[np.floating],
    limits: Thresholds,
) -> str:
    """Return the verdict on a run.

    - not learned: the model missed the task, so its attention means nothing;
    - correct: the mean vector peaks at a key step, and `key_lift` reaches `limits.lift`;
    - diffuse: no step stands out: `entropy` reaches `limits.entropy`, or the lift of the peak is below `limits.lift`;
    - late-shifted: the peak is after the key, and key and later steps hold most of the attention;
    - silent failure: a step without information stands out;
    - unjudged: a step stands out, and without a mask nobody knows whether it should.

    `learned` is whether the held-out score reaches its limit, `measures` the result of `attention_measures.summarize`,
    `vector` (steps,) attention averaged over samples, `key` (steps,) the share of samples with a key at each step.
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

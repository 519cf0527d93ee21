"""The verdict on a run: one term for what its attention shows."""

from math import isnan

from pipeline.settings.schema import Thresholds

NOT_LEARNED, CORRECT, LATE, DIFFUSE, SILENT = "not learned", "correct", "late-shifted", "diffuse", "silent failure"
VERDICTS = (CORRECT, LATE, DIFFUSE, SILENT, NOT_LEARNED)
UNJUDGED = "unjudged"  # besides diffuse and not learned, the only verdict without a mask


def verdict(learned: bool, measures: dict[str, float], over_states: bool, limits: Thresholds) -> str:
    """Return the verdict on a run.

    Samples are judged one by one, relative to their own keys, so that keys that move are judged like keys that do not.
    A sample's peak is its largest weight.

    - not learned: the model missed the task, so its attention means nothing;
    - correct: most samples peak on a key step, and the attention on the key stands out (`key_skill`);
    - diffuse: no peak stands out: `entropy` is high, or `peak_skill` low;
    - late-shifted: attention is over states, most samples that do not peak on a key peak after their last one, and a
      linear readout of the states at the peaks still tells the label;
    - silent failure: what stands out is a step that does not tell the label;
    - unjudged: a step stands out, and there is no mask, or it marks all steps.

    Args:
        learned: whether the held-out score reaches its limit.
        measures: those of `read_model.read`.
        over_states: whether attention weighs states, which can carry the key on, and not the input.
        limits: what counts as enough.
    """
    if not learned:
        return NOT_LEARNED
    if measures["hit_rate"] > 0.5 and measures["key_skill"] >= limits.skill:
        return CORRECT
    if measures["entropy"] >= limits.entropy or measures["peak_skill"] < limits.skill:
        return DIFFUSE
    if isnan(measures["key_skill"]):
        return UNJUDGED
    late = measures["late_hit"] > (1 - measures["hit_rate"]) / 2
    return LATE if over_states and late and measures["readout_at_peak"] >= limits.readout else SILENT

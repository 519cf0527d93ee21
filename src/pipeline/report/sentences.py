"""Sentences of the report that follow from its numbers."""

import numpy as np
from pandas import DataFrame, Series

from pipeline.report.tables import VariantResult
from pipeline.report.titles import Score, counted
from pipeline.report.verdicts import CORRECT
from pipeline.results.stage_files import OTHER_CODING
from pipeline.settings.schema import Thresholds


def listed(words: list[str]) -> str:
    """Return words as a list in a sentence."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def coding(runs: DataFrame, controls: DataFrame) -> str:
    """Return how many runs get another verdict with the other coding of the key, and how many are correct with each."""
    names = ["variant", "seed"]
    other = controls[controls["control"] == OTHER_CODING].set_index(names)["verdict"]
    here = runs.set_index(names)["verdict"].reindex(other.index)
    if here.isna().any():
        return ""
    changed = int((here != other).sum())
    by_variant = [
        f"{variant} {(own == CORRECT).sum()} and {(other[own.index] == CORRECT).sum()} of {len(own)}"
        for variant, own in here.groupby("variant", sort=False)
    ]
    return (
        f"Of {counted(len(here), 'pair')} of runs with the same variant and seed, {changed} "
        f"{'gets' if changed == 1 else 'get'} another verdict with the other coding. Correct with this coding and with "
        f"the other: {', '.join(by_variant)}."
    )


def readable(results: list[VariantResult], limits: Thresholds, score: Score) -> list[str]:
    """Return for each placement from which steps a linear readout reads the label, on average over seeds."""
    places: dict[str, list[VariantResult]] = {}
    for result in results:
        places.setdefault(result.variant.placement, []).append(result)
    return [_readable(placement, found, limits, score) for placement, found in places.items()]


def _readable(placement: str, results: list[VariantResult], limits: Thresholds, score: Score) -> str:
    seeds = [attended.steps["readout"] for result in results for attended in result.attended.values()]
    mean = np.mean(seeds, axis=0)
    steps = np.flatnonzero(mean >= limits.readout)
    what = "the input" if placement == "before" else "the states"
    start = f"{placement.capitalize()} the LSTM, attention weighs {what}, of which a linear readout reads the label "
    if not len(steps):
        return f"{start}at no step ({score.short} below {limits.readout} everywhere)."
    rest = np.delete(mean, steps)
    others = f", and at the others of at most {rest.max():.2f}" if len(rest) else ""
    return (
        f"{start}at {'step' if len(steps) == 1 else 'steps'} {listed([str(step) for step in steps])} "
        f"({score.short} of at least {mean[steps].min():.2f}{others}, averaged over seeds)."
    )


def late_peaks(places: DataFrame, key_step: int) -> str:
    """Return how often a model decides where it attends, and what stands at peaks that are not at the key step.

    `places` is the table of `place_tables.places`.
    """
    deciding = places[places["logit_share_at_key"].notna()]
    if deciding.empty:
        return "In none of these variants is the output a sum over time steps, so no share of it is known."
    same = int((deciding["decided_at"] == deciding["peak_step"]).sum())
    first = (
        f"In {same} of {counted(len(deciding), 'run')} whose output is a sum over time steps, the step with the most "
        "attention is also the one with the largest share of the logit."
    )
    late = deciding[deciding["peak_step"] != key_step]
    if late.empty:
        return f"{first} None of them peaks away from step {key_step}."
    return f"{first} {_late(late, key_step)}"


def _late(late: DataFrame, key_step: int) -> str:
    readout, gain = _ranges(late, "readout"), int((late["gain_at_peak"] > late["gain_at_key"]).sum())
    peaks = counted(len(late), "run")
    return (
        f"{peaks} of them {'peaks' if len(late) == 1 else 'peak'} away from step {key_step}. There, a linear readout "
        f"reads the label with a score of {readout} (at step {key_step}: {_ranges(late, 'readout', 'key')}), the states "
        f"of the two labels are further apart than at step {key_step} in {gain} of {len(late)}, and the step's share "
        f"of the logit is {_ranges(late, 'logit_share')} (at step {key_step}: {_ranges(late, 'logit_share', 'key')})."
    )


def _ranges(table: DataFrame, name: str, where: str = "peak") -> str:
    values: Series[float] = table[f"{name}_at_{where}"]
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"

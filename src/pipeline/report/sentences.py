"""Sentences of the report that follow from its numbers."""

from typing import Any

import numpy as np
from pandas import DataFrame, Series

from pipeline.report import markdown_tables, paired_tests, place_tables
from pipeline.report.effects import PLACEMENT, SIGNIFICANCE, UNSHARING, cells_of
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.titles import CURVES, SCORES, Score, counted
from pipeline.report.verdicts import CORRECT, NOT_LEARNED
from pipeline.results.stage_files import NO_ATTENTION, OTHER_CODING, UNIFORM
from pipeline.settings.schema import Compare, Study, Thresholds


def listed(words: list[str]) -> str:
    """Return words as a list in a sentence."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def answer(tables: Tables, study: Study, where: str = "the planted step") -> list[str]:
    """Return the answer to the article's question in up to three sentences, each with its numbers and interval.

    They say whether attention finds the key; what placement and sharing change, if the study has all four combinations;
    and whether a model needs its attention, if the study has controls that tell. `where` names the key steps.
    """
    runs, settings = tables.runs, study.compare
    learned = (runs["verdict"] != NOT_LEARNED).sum()
    start = f"Of {counted(len(runs), 'run')} {learned} learned the task"
    if runs["key_mass"].isna().all():
        return [f"{start}. No mask tells where their attention should peak."]
    other = tables.controls[tables.controls["control"] == OTHER_CODING]
    recoded = "" if other.empty else f"; with the other coding of the key, in {_share_correct(other, settings)}"
    found = f"{start}, and attention finds {where} (verdict *correct*) in {_share_correct(runs, settings)}{recoded}."
    effects = "" if tables.effects.empty else _effects_sentence(runs, tables.effects, settings)
    return list(filter(None, [found, effects, _needed(tables, study)]))


def _share_correct(runs: DataFrame, settings: Compare) -> str:
    """Return in how many seeds each variant is correct, with the interval; variants with the same numbers together."""
    alike: dict[tuple[int, int], list[str]] = {}
    for variant, own in runs.groupby("variant", sort=False):
        alike.setdefault(((own["verdict"] == CORRECT).sum(), len(own)), []).append(str(variant))
    parts: list[str] = []
    for (correct, seeds), variants in alike.items():
        low, high = paired_tests.proportion_interval(correct, seeds, settings.confidence)
        interval = f"{'' if parts else f'exact {settings.confidence:.0%} interval '}{low:.0%} to {high:.0%}"
        parts.append(f"{correct} of {counted(seeds, 'seed')} of {listed(variants)} ({interval})")
    return listed(parts)


def _needed(tables: Tables, study: Study) -> str:
    """Return how many runs learn the task without trained attention, and keep their score with the mean attention."""
    limit, parts = getattr(study.compare.thresholds, study.score), []
    fixed = f"with every attention weight fixed at 1/{'T of its T steps' if study.padded else study.data.time_steps}"
    for control, words in ((UNIFORM, fixed), (NO_ATTENTION, "without attention")):
        runs = tables.controls[tables.controls["control"] == control]
        if not runs.empty:
            share = _share((runs["verdict"] != NOT_LEARNED).sum(), len(runs), study.compare)
            parts.append(f"{words}, {share} runs learn the task")
    trained = tables.runs[tables.runs["verdict"] != NOT_LEARNED]
    if "mean_attention_score" in trained and len(trained):
        share = _share((trained["mean_attention_score"] >= limit).sum(), len(trained), study.compare)
        score = SCORES[study.score].short
        kept = f"trained models keep a {score} of at least {limit}"
        parts.append(f"with the mean attention of all samples for each, {share} {kept}")
    words = "; ".join(parts)
    return f"{words[0].upper()}{words[1:]}." if parts else ""


def _share(count: int, total: int, settings: Compare) -> str:
    low, high = paired_tests.proportion_interval(count, total, settings.confidence)
    return f"{count} of {total} (exact {settings.confidence:.0%} interval {low:.0%} to {high:.0%})"


def _effects_sentence(runs: DataFrame, effects: DataFrame, settings: Compare) -> str:
    """Return the effects of placement, beside the means that it averages over, and of unsharing on key mass."""
    before, before_unshared, after, after_unshared = (cell["key_mass"].mean() for cell in cells_of(runs))
    placement, *unsharing = (
        _effect(markdown_tables.effect_row(effects, effect, "key_mass"), pair, settings)
        for effect, pair in {
            PLACEMENT: "after > before",
            **dict.fromkeys(UNSHARING.values(), "unshared > shared"),
        }.items()
    )
    return (
        f"Placement after the LSTM instead of before it changes the key mass by {placement}, from {before:.3f} to "
        f"{after:.3f} shared and from {before_unshared:.3f} to {after_unshared:.3f} unshared; unsharing changes it by "
        f"{unsharing[0]} before the LSTM, and by {unsharing[1]} after it (interquartile means of differences within a "
        "seed, corrected p)."
    )


def _effect(row: "Series[Any]", pair: str, settings: Compare) -> str:
    """Return an effect with interval, probability and corrected p."""
    chance = "" if row["p_holm"] < SIGNIFICANCE else ", not to be told from chance"
    return (
        f"{row['iqm']:+.3f} ({settings.confidence:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, "
        f"P({pair}) = {row['p_a_over_b']:.2f}, p = {row['p_holm']:.2g}{chance})"
    )


def order_of_curves(learning: DataFrame, runs: DataFrame) -> list[str]:
    """Return a sentence for each placement: which curve is first more often at each part of the way, in how many runs.

    The arguments are tables of `tables`. Runs that lack one of the curves do not count.
    """
    placements = runs.drop_duplicates("variant").set_index("variant")["placement"]
    table = markdown_tables.first_curves(learning).dropna(subset="first")
    groups = table.groupby(table["variant"].map(placements), sort=False)
    return [_order(str(placement), own) for placement, own in groups]


def _order(placement: str, table: DataFrame) -> str:
    mass, score = (title for name, title in CURVES.items() if name in table)
    leading: dict[str, list[str]] = {}
    for part, first in table.groupby("part")["first"]:
        counts = {mass: (first == mass).sum(), score: (first == score).sum()}
        low, high = sorted(counts.values())
        leader = max(counts, key=lambda name: counts[name]) if high > low else "neither"
        leading.setdefault(leader, []).append(f"{part:.0%} ({high} to {low})")
    said = ", ".join(f"{name} at {listed(parts)}" for name, parts in leading.items())
    runs = counted(len(table[["variant", "seed"]].drop_duplicates()), "run")
    return f"{placement.capitalize()} the LSTM ({runs}), the curve that is first in more runs is {said} of the way."


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


def late_peaks(places: DataFrame, key_step: int, labels: str = "two labels") -> str:
    """Return how often a model decides where it attends, and what stands at peaks that are not at the key step.

    `places` is the table of `place_tables.places`; `labels` names what the states at a step tell apart.
    """
    deciding = places[places["logit_share_at_key"].notna()]
    if deciding.empty:
        return "In none of these variants is the output a sum over time steps, so no share of it is known."
    same = int((deciding["decided_at"] == deciding["peak_step"]).sum())
    first = (
        f"In {same} of {counted(len(deciding), 'run')} whose output is a sum over time steps, the step with the most "
        "attention is also the one with the largest share of the logit."
    )
    late = place_tables.late(places, [key_step])
    if late.empty:
        return f"{first} None of the {len(deciding)} peaks away from step {key_step}."
    return f"{first} {len(late)} of the {len(deciding)} {_late(late, key_step, labels)}"


def _late(late: DataFrame, key_step: int, labels: str) -> str:
    there = {name: _ranges(late, name) for name in ("readout", "logit_share")}
    at_key = {name: f"(at step {key_step}: {_ranges(late, name, 'key')})" for name in there}
    further, peak = (late["gain_at_peak"] > late["gain_at_key"]).sum(), "peaks" if len(late) == 1 else "peak"
    return (
        f"{peak} away from step {key_step}. There, a linear readout reads the label with a "
        f"score of {there['readout']} {at_key['readout']}, the states of the {labels} are further apart than at step "
        f"{key_step} in {further} of {len(late)}, and the step's share of the logit is {there['logit_share']} "
        f"{at_key['logit_share']}."
    )


def _ranges(table: DataFrame, name: str, where: str = "peak") -> str:
    values: Series[float] = table[f"{name}_at_{where}"]
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"

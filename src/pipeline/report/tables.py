"""The tables of a comparison: rows of names and numbers, worked out from what the stages wrote."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.verdicts import UNJUDGED, VERDICTS, verdict
from pipeline.results.evidence_files import UNTRAINED, ControlRun, ExplainedSeed
from pipeline.results.stage_files import AttendedSeed, TrainedSeed
from pipeline.settings.schema import Thresholds, Variant

Row = dict[str, Any]
ATTENTION = "attention"  # stands among the explanations
SCORES = ("key_mass", "key_mass_y0", "key_mass_y1", "hit_rate", "mean_hit", "average_precision", "late_mass", "entropy")
AGREEMENT = ("kendall_tau", "kendall_tau_y0", "kendall_tau_y1")


class VariantResult(NamedTuple):
    """All that is known of a variant: seed -> what training and analysis gave; `data` is the hash of its samples."""

    variant: Variant
    data: str
    trained: dict[int, TrainedSeed]
    attended: dict[int, AttendedSeed]
    explained: dict[int, ExplainedSeed]

    def vectors(self) -> NDArray[np.float64]:
        """Return the attention vectors, shape (seeds, steps)."""
        return np.stack([result.vector for result in self.attended.values()])

    def key(self) -> NDArray[np.float64]:
        """Return the share of samples with a key at each step, shape (steps,)."""
        return next(iter(self.attended.values())).key


class Tables(NamedTuple):
    """The tables of a comparison; see the functions that make them, and `effects.effect_rows`."""

    runs: list[Row]
    summary: list[Row]
    effects: list[Row]
    controls: list[Row]
    explanations: list[Row]
    learning: list[Row]


def run_rows(results: list[VariantResult], limits: Thresholds, score: str = "accuracy") -> list[Row]:
    """Return a row for each (variant, seed): verdict, held-out loss and score, mean vector's peak, every measure."""
    rows = []
    for result in results:
        for seed, trained in result.trained.items():
            judged = _judged(trained.loss, (score, trained.score), result.attended[seed], limits)
            rows.append(_named(result.variant, seed) | judged)
    return rows


def _named(variant: Variant, seed: int) -> Row:
    return {"variant": variant.name, "placement": variant.placement, "sharing": variant.sharing or "", "seed": seed}


def _judged(loss: float, score: tuple[str, float], attended: AttendedSeed, limits: Thresholds) -> Row:
    name, reached = score
    word = verdict(reached >= getattr(limits, name), attended.measures, attended.vector, attended.key, limits)
    peak = int(attended.vector.argmax())
    return {"verdict": word, "peak_step": peak, "loss": loss, name: reached} | attended.measures


def control_rows(controls: list[ControlRun], limits: Thresholds, score: str = "accuracy") -> list[Row]:
    """Return a row for each run of a control, told like those of the study."""
    return [
        {"control": run.control}
        | _named(run.variant, run.seed)
        | _judged(run.loss, (score, run.score), run.attended, limits)
        for run in controls
    ]


def summary_rows(results: list[VariantResult], runs: list[Row]) -> list[Row]:
    """Return a row for each variant: seeds for each verdict, mean and standard deviation of every number of a run.

    Both are over the seeds, the deviation with n - 1; `peak_step` is that of the vector averaged over the seeds.
    """
    rows = []
    for result in results:
        own = [run for run in runs if run["variant"] == result.variant.name]
        row: Row = {name: own[0][name] for name in ("variant", "placement", "sharing")}
        row |= {"seeds": len(own), "peak_step": int(result.vectors().mean(axis=0).argmax())}
        verdicts = VERDICTS if result.key().any() else (*VERDICTS, UNJUDGED)
        row |= {name: sum(run["verdict"] == name for run in own) for name in verdicts}
        names = [name for name, value in own[0].items() if isinstance(value, float)]
        rows.append(row | _spreads(own, names))
    return rows


def _spreads(rows: list[Row], names: list[str]) -> Row:
    spreads: Row = {}
    for name in names:
        numbers = np.array([row[name] for row in rows])
        deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
        spreads |= {f"{name}_mean": float(numbers.mean()), f"{name}_sd": deviation}
    return spreads


def explanation_rows(results: list[VariantResult]) -> list[Row]:
    """Return a row for each variant and explanation, attention the first: means and deviations of scores over seeds."""
    rows = []
    for result in results:
        own = [name for name in AGREEMENT if name in next(iter(result.explained.values())).scores[UNTRAINED]]
        itself = [seen.measures | dict.fromkeys(own, 1.0) for seen in result.attended.values()]
        scores = {ATTENTION: itself}
        for explained in result.explained.values():
            for name, scored in explained.scores.items():
                scores.setdefault(name, []).append(scored)
        for name, seeds in scores.items():
            row: Row = {"variant": result.variant.name, "explanation": name, "seeds": len(seeds)}
            rows.append(row | _spreads(seeds, [name for name in (*SCORES, *AGREEMENT) if name in seeds[0]]))
    return rows


def learning_rows(results: list[VariantResult], limits: Thresholds, score: str = "accuracy") -> list[Row]:
    """Return for each (variant, seed) when the task was learned, and when attention found the key.

    `learned_at` is the first point of the training curve whose score reaches its limit; `found_at` the first
    from which on the mean vector always peaks at a key step, with a lift of at least `limits.lift`. Both are in batches
    seen, NaN if that never came about.
    """
    rows = []
    for result in results:
        for seed, trained in result.trained.items():
            learned = [batch for batch, _, reached in trained.curve if reached >= getattr(limits, score)]
            found = _found_at(result.explained[seed], result.attended[seed].key, limits.lift)
            row: Row = {"variant": result.variant.name, "seed": seed}
            rows.append(row | {"learned_at": float(learned[0]) if learned else math.nan, "found_at": found})
    return rows


def _found_at(explained: ExplainedSeed, key: NDArray[np.float64], lift: float) -> float:
    at_key = key[explained.vectors.argmax(axis=1)] > 0
    correct = at_key & (explained.key_mass * len(key) >= lift * key.sum())
    missed = np.flatnonzero(~correct)
    first = missed[-1] + 1 if len(missed) else 0
    return float(explained.batches[first]) if first < len(correct) else math.nan

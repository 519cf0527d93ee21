"""The tables of a comparison, computed from the results of the stages."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series
from pandas.api.typing import DataFrameGroupBy

from pipeline.report import paired_tests
from pipeline.report.titles import by_label
from pipeline.report.verdicts import CORRECT, UNJUDGED, VERDICTS, verdict
from pipeline.results.file_formats import write_text
from pipeline.results.stage_files import UNTRAINED, AttendedSeed, ControlRun, ExplainedSeed, TrainedSeed
from pipeline.settings.schema import Thresholds, Variant

ATTENTION = "attention"  # its name among the explanations
# Columns of the table of explanations, besides key mass and agreement with attention: measures of their weights.
SHOWN = ("hit_rate", "mean_hit", "average_precision", "late_mass", "entropy")
KEY_MASS = "key mass"  # the curve over training that is compared with that of the score
PARTS = (0.1, 0.5, 0.9)  # of the way from the first to the last point of a curve


Array = NDArray[np.float64]


class VariantResult(NamedTuple):
    """The results of a variant by seed, from training and analysis; `data` is the hash of its training samples."""

    variant: Variant
    data: str
    trained: dict[int, TrainedSeed]
    attended: dict[int, AttendedSeed]
    explained: dict[int, ExplainedSeed]

    def key(self) -> NDArray[np.float64]:
        """Return the share of samples with a key at each step, shape (steps,)."""
        return next(iter(self.attended.values())).key

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes; none if labels are 0 and 1, or numbers."""
        return next(iter(self.trained.values())).classes

    def course(self) -> tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.floating]]:
        """Return batches (points,), attention averaged over seeds (points, steps), and key mass (seeds, points)."""
        seeds = list(self.explained.values())
        return seeds[0].batches, np.mean([s.vectors for s in seeds], axis=0), np.stack([s.key_mass for s in seeds])

    def curves(self, score: str = "accuracy") -> dict[str, tuple[Array, Array]]:
        """Return curve -> batches seen (points,), and its share of its way (seeds, points), for key mass and score.

        The score is "accuracy" or "r2", that of the batches since the point before.
        """
        scores = np.array([seed.curve for seed in self.trained.values()], np.float64)
        batches, _, masses = self.course()
        found = {KEY_MASS: (batches, masses), score: (scores[0, :, 0], scores[:, :, 2])}
        return {name: (seen.astype(np.float64), share_of_way(values)) for name, (seen, values) in found.items()}


class Tables(NamedTuple):
    """The tables of a comparison, each by the function of its name: here, in `control_tables`, or in `place_tables`.

    `effects` is by `effects.estimate`, `samples` by `control_tables.samples_needed`.
    """

    runs: DataFrame
    summary: DataFrame
    effects: DataFrame
    controls: DataFrame
    explanations: DataFrame
    learning: DataFrame
    coding: DataFrame
    samples: DataFrame
    places: DataFrame


def write(path: Path, table: DataFrame) -> None:
    """Write a table as CSV; floats with nine significant digits, which is what a float32 holds."""
    write_text(path, table.to_csv(index=False, float_format="%.9g", na_rep="nan", lineterminator="\n"))


def read(path: Path) -> DataFrame:
    """Return a table that `write` wrote."""
    text = {"variant": str, "sharing": str}  # a variant may be called `null` or `007`, and sharing be empty
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values="nan")


def runs(results: list[VariantResult], limits: Thresholds, score: str = "balanced_accuracy") -> DataFrame:
    """Return a row for each (variant, seed): verdict, peak of the mean vector, held-out loss and score, measures."""
    return DataFrame(
        _names(result.variant, seed) | _judged(trained, result.attended[seed], result.variant.placement, limits, score)
        for result in results
        for seed, trained in result.trained.items()
    )


def controls(control_runs: list[ControlRun], limits: Thresholds, score: str = "balanced_accuracy") -> DataFrame:
    """Return a row for each run of a control, with the columns of `runs`."""
    return DataFrame(
        {"control": run.control}
        | _names(run.variant, run.seed)
        | _judged(run, run.attended, run.variant.placement, limits, score)
        for run in control_runs
    )


def _names(variant: Variant, seed: int) -> dict[str, Any]:
    return {"variant": variant.name, "placement": variant.placement, "sharing": variant.sharing or "", "seed": seed}


def _judged(
    trained: TrainedSeed | ControlRun, attended: AttendedSeed, placement: str, limits: Thresholds, score: str
) -> dict[str, Any]:
    word = verdict(learned(trained, limits, score), attended.measures, placement == "after", limits)
    peak = int(attended.vector.argmax())
    return {"verdict": word, "peak_step": peak, "loss": trained.loss} | trained.scores | attended.measures


def learned(trained: TrainedSeed | ControlRun, limits: Thresholds, score: str) -> bool:
    """Return whether a model has learned its task; never if its score is NaN."""
    return bool(trained.scores[score] >= getattr(limits, score))


def summary(results: list[VariantResult], runs: DataFrame, confidence: float) -> DataFrame:
    """Return a row for each variant: seeds for each verdict, mean and standard deviation (n - 1) over the seeds.

    `peak_step` is that of the vector averaged over the seeds. `correct_low` and `correct_high` are the exact interval
    of the share of correct seeds, NaN without a mask. Only then, the verdict "unjudged" is a column.
    """
    groups = runs.groupby(["variant", "placement", "sharing"], sort=False)
    words = VERDICTS if results[0].key().any() else (*VERDICTS, UNJUDGED)
    counts = groups["verdict"].value_counts().unstack(fill_value=0).reindex(columns=words, fill_value=0)
    vectors = [np.mean([seed.vector for seed in result.attended.values()], axis=0) for result in results]
    table = groups.size().to_frame("seeds").assign(peak_step=[vector.argmax() for vector in vectors]).join(counts)
    intervals = _share_correct(table, confidence)
    return table.join([intervals, _spreads(groups, runs.select_dtypes("float").columns.tolist())]).reset_index()


def _share_correct(counts: DataFrame, confidence: float) -> DataFrame:
    intervals = [
        (np.nan, np.nan) if UNJUDGED in counts else paired_tests.proportion_interval(correct, seeds, confidence)
        for correct, seeds in zip(counts[CORRECT], counts["seeds"], strict=True)
    ]
    return DataFrame(intervals, counts.index, ["correct_low", "correct_high"])


def explanations(results: list[VariantResult]) -> DataFrame:
    """Return a row for each variant and explanation, attention first: mean and deviation of its scores over seeds."""
    rows = []
    key_mass, agreement = ([name, *by_label(name, results[0].classes())] for name in ("key_mass", "kendall_tau"))
    for result in results:
        for seed, explained in result.explained.items():
            perfect = {name: 1.0 for name in agreement if name in explained.scores[UNTRAINED]}
            scores = {ATTENTION: result.attended[seed].measures | perfect} | explained.scores
            rows += [{"variant": result.variant.name, "explanation": name} | row for name, row in scores.items()]
    table = DataFrame(rows)
    groups = table.groupby(["variant", "explanation"], sort=False)
    shown = [name for name in (*key_mass, *SHOWN, *agreement) if name in table]
    return groups.size().to_frame("seeds").join(_spreads(groups, shown)).reset_index()


def _spreads(groups: "DataFrameGroupBy[Any, Any]", columns: list[str]) -> DataFrame:
    """Return mean and standard deviation over the seeds of each group; NaN if a seed has NaN."""

    def mean(values: "Series[float]") -> float:
        return values.mean(skipna=False)

    def sd(values: "Series[float]") -> float:
        return values.std(skipna=False)

    spreads = groups[columns].agg([mean, sd])
    return spreads.set_axis(["_".join(names) for names in spreads.columns], axis=1)


def share_of_way(values: NDArray[np.floating]) -> Array:
    """Return how far curves (..., points) have gone from their first (0) to their last point (1), and beyond.

    NaN where the two are equal, or one of them is NaN.
    """
    first, way = values[..., :1], values[..., -1:] - values[..., :1]
    return np.asarray((values - first) / np.where(way == 0, np.nan, way), np.float64)


def learning(results: list[VariantResult], score: str = "accuracy") -> DataFrame:
    """Return a row for each (variant, seed, curve, part): the batches that the curve takes for that part of its way.

    It is the first point at which its share of the way reaches the part; NaN if there is no such point. The curves are
    those of `VariantResult.curves`.
    """
    return DataFrame(
        {"variant": result.variant.name, "seed": seed, "curve": curve, "part": part, "batches": _first(batches, gone)}
        for result in results
        for curve, (batches, shares) in result.curves(score).items()
        for seed, share in zip(result.trained, shares, strict=True)
        for part in PARTS
        for gone in [share >= part]
    )


def _first(batches: Array, gone: NDArray[np.bool_]) -> float:
    return float(batches[gone.argmax()]) if gone.any() else np.nan

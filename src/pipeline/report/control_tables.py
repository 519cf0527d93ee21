"""What of a result is the coding of the key, and how many samples a task takes with and without attention."""

from collections.abc import Iterable

from pandas import DataFrame, Series, concat

from pipeline.report.markdown_tables import markdown, median_and_range
from pipeline.report.tables import VariantResult
from pipeline.report.titles import counted
from pipeline.report.verdicts import CORRECT
from pipeline.results.stage_files import NO_ATTENTION, OTHER_CODING, UNIFORM, ControlRun, Point
from pipeline.settings.schema import Data

CODINGS = {"zero_one": "0 and 1", "plus_minus": "−1 and 1"}
TRAINED = "trained attention"
COMPARED = ("key_mass", "key_mass_y0", "key_mass_y1", "value_weighted_mass", "hit_rate")


def coding(runs: DataFrame, controls: DataFrame, data: Data) -> DataFrame:
    """Return a row for each variant and coding of the key: seeds, those that are correct, means of some measures.

    `runs` and `controls` are the tables of `tables`; it is empty without the control that uses the other coding.
    """
    other = controls[controls["control"] == OTHER_CODING]
    if other.empty:
        return DataFrame()
    here, there = (CODINGS[data.key_coding], *(name for key, name in CODINGS.items() if key != data.key_coding))
    both = concat([runs.assign(coding=here), other.assign(coding=there)])
    both = both[both["variant"].isin(other["variant"])].assign(correct=lambda table: table["verdict"] == CORRECT)
    groups = both.groupby(["variant", "coding"], sort=False)
    shown = [name for name in COMPARED if name in both]
    table = groups.size().to_frame("seeds").join(groups["correct"].sum()).join(groups[shown].mean())
    return table.reset_index().sort_values("variant", key=lambda v: v.map(_order(runs["variant"])), kind="stable")


def _order(names: "Series[str]") -> dict[str, int]:
    return {name: place for place, name in enumerate(names.unique())}


def coding_table(table: DataFrame) -> str:
    """Return `coding` in Markdown."""
    titles = {
        "key_mass": "key mass",
        "key_mass_y0": "label 0",
        "key_mass_y1": "label 1",
        "value_weighted_mass": "value-weighted",
        "hit_rate": "hit rate",
    }
    columns = {"variant": table["variant"], "key coded as": table["coding"]}
    columns["correct"] = table["correct"].astype(str) + " of " + table["seeds"].astype(str)
    columns |= {title: table[name].map("{:.3f}".format) for name, title in titles.items() if name in table}
    return markdown(DataFrame(columns))


def samples_needed(
    results: list[VariantResult], controls: list[ControlRun], batch_size: int, limit: float
) -> DataFrame:
    """Return a row for each (placement, attention, seed): samples seen before the training score reaches a limit.

    The attention is trained, frozen uniform, or none. The number is that of the first point of the training curve whose
    score reaches the limit; NaN if none does.
    """
    rows = []
    for placement, attention, seed, curve in _curves(results, controls):
        reached = (batch for batch, _, score in curve if score >= limit)
        needed = next(reached, float("nan")) * batch_size
        rows.append({"placement": placement, "attention": attention, "seed": seed, "samples": needed})
    return DataFrame(rows)


def learning_curves(results: list[VariantResult], controls: list[ControlRun], batch_size: int) -> DataFrame:
    """Return a row for each point of the training curves compared by `samples_needed`: samples seen, and score."""
    rows = [
        {"placement": placement, "attention": attention, "seed": seed, "samples": batch * batch_size, "score": score}
        for placement, attention, seed, curve in _curves(results, controls)
        for batch, _, score in curve
    ]
    return DataFrame(rows)


def _curves(results: list[VariantResult], controls: list[ControlRun]) -> Iterable[tuple[str, str, int, list[Point]]]:
    """Yield placement, attention, seed and training curve of the controls, and of the variants that they change."""
    without = [run for run in controls if run.control in (UNIFORM, NO_ATTENTION)]
    seeds = {(run.variant.name, run.seed) for run in without}
    for result in results:
        for seed, trained in result.trained.items():
            if (result.variant.name, seed) in seeds:
                yield result.variant.placement, TRAINED, seed, trained.curve
    for run in without:
        yield run.variant.placement, run.control, run.seed, run.curve


def samples_table(table: DataFrame) -> str:
    """Return `samples_needed` in Markdown: median and range over seeds."""
    rows = [
        [
            f"{placement} the LSTM",
            attention,
            median_and_range(seeds["samples"], ",.0f", f"never, in {counted(len(seeds), 'seed')}"),
        ]
        for placement, part in table.groupby("placement", sort=False)
        for attention, seeds in part.groupby("attention", sort=False)
    ]
    return markdown(DataFrame(rows, columns=["placement", "attention", "samples seen"]))

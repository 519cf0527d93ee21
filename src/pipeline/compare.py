"""Compare the variants: tables, figure and report. `python -m pipeline.compare`"""

import dataclasses
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import report, storage, terminal, tracking
from pipeline.command import command
from pipeline.config import Config, Study, Thresholds, UserError, Variant, load_variant
from pipeline.effects import Row, effect_rows
from pipeline.results import AttendedSeed, TrainedSeed, read_attention, read_training, write_curves, write_vectors
from pipeline.storage import write_csv, write_text
from pipeline.verdicts import VERDICTS, verdict


class VariantResult(NamedTuple):
    """All that is known of a variant: seed -> what training and analysis gave."""

    variant: Variant
    trained: dict[int, TrainedSeed]
    attended: dict[int, AttendedSeed]

    def vectors(self) -> NDArray[np.float64]:
        """Return the attention vectors, shape (seeds, steps)."""
        return np.stack([result.vector for result in self.attended.values()])

    def key(self) -> NDArray[np.float64]:
        """Return the share of samples with a key at each step, shape (steps,)."""
        return next(iter(self.attended.values())).key


def load(study: Study) -> list[VariantResult]:
    """Return the results of all variants of a study.

    Raises:
        UserError: if one is missing, was made from other values, or does not hold all seeds.
    """
    results = []
    for name in study.variants:
        config = dataclasses.replace(study, variant=load_variant(name))
        with storage.reading(config, "models") as folder:
            trained = read_training(folder)
        with storage.reading(config, "attention") as folder:
            attended = read_attention(folder)
        if not list(trained) == list(attended) == study.seeds:
            where = storage.shown(storage.folder(config, "attention"))
            raise UserError(f"{where} does not hold seeds {study.seeds}: {storage.remedy(config, 'attention')}")
        results.append(VariantResult(config.chosen_variant(), trained, attended))
    return results


def run_rows(results: list[VariantResult], limits: Thresholds) -> list[Row]:
    """Return a row for each (variant, seed): verdict, held-out loss and accuracy, mean vector's peak, every measure."""
    rows = []
    for variant, trained, attended in results:
        for seed, result in trained.items():
            vector, key, measures = attended[seed]
            row: Row = {"variant": variant.name, "placement": variant.placement, "sharing": variant.sharing}
            row |= {"seed": seed, "verdict": verdict(result.accuracy, measures, vector, key, limits)}
            row |= {"peak_step": int(vector.argmax()), "loss": result.loss, "accuracy": result.accuracy}
            rows.append(row | measures)
    return rows


def summary_rows(results: list[VariantResult], runs: list[Row]) -> list[Row]:
    """Return a row for each variant: seeds for each verdict, mean and standard deviation of every number of a run.

    Both are over the seeds, the deviation with n - 1; `peak_step` is that of the vector averaged over the seeds.
    """
    rows = []
    for result in results:
        own = [run for run in runs if run["variant"] == result.variant.name]
        row: Row = {name: own[0][name] for name in ("variant", "placement", "sharing")}
        row |= {"seeds": len(own), "peak_step": int(result.vectors().mean(axis=0).argmax())}
        row |= {name: sum(run["verdict"] == name for run in own) for name in VERDICTS}
        for name in [name for name, value in own[0].items() if isinstance(value, float)]:
            numbers = np.array([run[name] for run in own])
            spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
            row |= {f"{name}_mean": float(numbers.mean()), f"{name}_sd": spread}
        rows.append(row)
    return rows


def write(folder: Path, study: Study, results: list[VariantResult]) -> None:
    """Write tables, figure, report, what `dvc metrics show` prints and what `dvc plots show` draws."""
    from pipeline import figures

    runs = run_rows(results, study.compare.thresholds)
    summary, effects = summary_rows(results, runs), effect_rows(runs, study.compare)
    for name, rows in (("runs", runs), ("summary", summary), ("effects", effects)):
        write_csv(folder / f"{name}.csv", list(rows[0]), [list(row.values()) for row in rows])
    write_text(folder / "metrics.json", json.dumps(headline(summary), indent=2) + "\n")
    write_text(folder / "report.md", report.render(study, runs, summary, effects))
    panels = [(result.variant.name.replace("_", ", "), result.vectors(), result.key()) for result in results]
    figures.save(figures.attention(panels), folder / "figures" / "attention.png")
    figures.save(figures.forest(effects), folder / "figures" / "effects.png")
    for result in results:
        write_curves(folder / "training" / f"{result.variant.name}.csv", result.trained)
        write_vectors(folder / "attention" / f"{result.variant.name}.csv", result.attended)


def headline(summary: list[Row]) -> dict[str, dict[str, float]]:
    """Return variant -> the few means that tables of experiments show."""
    names = ("key_mass", "hit_rate", "late_mass", "accuracy")
    return {row["variant"]: {name: round(row[f"{name}_mean"], 6) for name in names} for row in summary}


def stage(config: Config) -> None:
    """Write the comparison, and have MLflow show it."""
    results = load(config)
    with storage.writing(config, "comparison") as folder:
        write(folder, config, results)
    target = storage.folder(config, "comparison")
    tracking.ensure_comparison(config.tracking, target)
    terminal.show_study(target, {result.variant.name: result.attended for result in results}, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

"""Compare the variants: tables, figure and report. `python -m pipeline.compare`"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import report, storage, terminal, tracking
from pipeline.command import command
from pipeline.config import Config, Study, UserError, Variant, load_variant
from pipeline.results import AttendedSeed, TrainedSeed, read_attention, read_training, write_curves, write_vectors
from pipeline.storage import write_csv, write_text


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
        trained = read_training(storage.made(config, "models"))
        attended = read_attention(storage.made(config, "attention"))
        if not list(trained) == list(attended) == study.seeds:
            where = storage.shown(storage.folder(config, "attention"))
            raise UserError(f"{where} does not hold seeds {study.seeds}: {storage.remedy(config, 'attention')}")
        results.append(VariantResult(config.chosen_variant(), trained, attended))
    return results


def run_rows(results: list[VariantResult]) -> list[dict[str, Any]]:
    """Return a row for each (variant, seed): held-out loss and accuracy, the mean vector's peak, every measure."""
    return [
        {
            "variant": result.variant.name,
            "placement": result.variant.placement,
            "sharing": result.variant.sharing,
            "seed": seed,
            "loss": trained.loss,
            "accuracy": trained.accuracy,
            "peak_step": int(result.attended[seed].vector.argmax()),
            **result.attended[seed].measures,
        }
        for result in results
        for seed, trained in result.trained.items()
    ]


def summary_rows(results: list[VariantResult]) -> list[dict[str, Any]]:
    """Return a row for each variant: mean and standard deviation (n - 1) over the seeds of every number of a run.

    `peak_step` is that of the attention vector averaged over the seeds.
    """
    rows = []
    for result in results:
        runs = run_rows([result])
        row: dict[str, Any] = {name: runs[0][name] for name in ("variant", "placement", "sharing")}
        row |= {"seeds": len(runs), "peak_step": int(result.vectors().mean(axis=0).argmax())}
        for name in runs[0]:
            if name not in ("variant", "placement", "sharing", "seed", "peak_step"):
                numbers = np.array([run[name] for run in runs])
                spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
                row |= {f"{name}_mean": float(numbers.mean()), f"{name}_sd": spread}
        rows.append(row)
    return rows


def write(folder: Path, study: Study, results: list[VariantResult]) -> None:
    """Write tables, figure, report, what `dvc metrics show` prints and what `dvc plots show` draws."""
    from pipeline import figures

    runs, summary = run_rows(results), summary_rows(results)
    for name, rows in (("runs", runs), ("summary", summary)):
        write_csv(folder / f"{name}.csv", list(rows[0]), [list(row.values()) for row in rows])
    write_text(folder / "metrics.json", json.dumps(headline(summary), indent=2) + "\n")
    write_text(folder / "report.md", report.render(study, runs, summary))
    panels = [(result.variant.name.replace("_", ", "), result.vectors(), result.key()) for result in results]
    figures.save(figures.attention(panels), folder / "figures" / "attention.png")
    for result in results:
        write_curves(folder / "training" / f"{result.variant.name}.csv", result.trained)
        write_vectors(folder / "attention" / f"{result.variant.name}.csv", result.attended)


def headline(summary: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
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
    terminal.show_comparison(summary_rows(results))
    for result in results:
        terminal.show_attention(result.variant.name, result.attended)
    terminal.show_where(target, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

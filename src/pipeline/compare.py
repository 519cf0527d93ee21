"""Compare the variants: tables, figures and report. `python -m pipeline.compare`"""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from pipeline import page, report, storage, tables, terminal, tracking
from pipeline.choices import load_variant
from pipeline.command import command
from pipeline.config import Config, Study, UserError
from pipeline.effects import effect_rows
from pipeline.evidence import ONE_FEATURE, ControlRun, read_controls, read_explanations
from pipeline.formats import write_rows, write_text
from pipeline.results import read_attention, read_dataset, read_training, write_curves, write_vectors
from pipeline.tables import Row, Tables, VariantResult


def load(study: Study) -> list[VariantResult]:
    """Return the results of all variants of a study.

    Raises:
        UserError: if one is missing, was made from other values or data, or does not hold all seeds.
    """
    results: list[VariantResult] = []
    for name in study.variants:
        config = dataclasses.replace(study, variant=load_variant(name))
        result = load_variant_result(config)
        if results and result.data != results[0].data:
            where = storage.shown(storage.folder(config, "models"))
            raise UserError(f"{where} was trained on other data than {study.variants[0]}: run `dvc repro`.")
        results.append(result)
    return results


def load_variant_result(config: Study) -> VariantResult:
    """Return the results of one variant; a `UserError` if they are missing, made from other values, or not whole."""
    with storage.reading(config, "models") as folder:
        trained, data = read_training(folder), read_dataset(folder)
    with storage.reading(config, "attention") as folder:
        attended, explained = read_attention(folder), read_explanations(folder)
    if not list(trained) == list(attended) == list(explained) == config.seeds:
        where = storage.shown(storage.folder(config, "attention"))
        raise UserError(f"{where} does not hold seeds {config.seeds}: {storage.remedy(config, 'attention')}")
    return VariantResult(config.chosen_variant(), data, trained, attended, explained)


def load_controls(study: Study) -> list[ControlRun]:
    """Return the runs of a study's controls; a `UserError` if they are missing or were made from other values."""
    with storage.reading(study, "controls") as folder:
        return read_controls(folder)


def tabulate(study: Study, results: list[VariantResult], controls: list[ControlRun]) -> Tables:
    """Return all tables of a comparison."""
    limits, score = study.compare.thresholds, study.score
    runs = tables.run_rows(results, limits, score)
    return Tables(
        runs=runs,
        summary=tables.summary_rows(results, runs),
        effects=effect_rows(runs, study.compare, score),
        controls=tables.control_rows(controls, limits, score),
        explanations=tables.explanation_rows(results),
        learning=tables.learning_rows(results, limits, score),
    )


def write(folder: Path, study: Study, results: list[VariantResult], controls: list[ControlRun]) -> None:
    """Write tables, figures, report, what `dvc metrics show` prints and what `dvc plots show` draws."""
    made = tabulate(study, results, controls)
    for name, rows in made._asdict().items():
        if rows:
            write_rows(folder / f"{name}.csv", rows)
    write_text(folder / "metrics.json", json.dumps(headline(made.summary, study.score), indent=2) + "\n")
    for result in results:
        name = f"{result.variant.name}.csv"
        write_curves(folder / "training" / name, result.trained, study.score)
        write_vectors(folder / "attention" / name, result.attended)
        write_rows(folder / "learning" / name, _key_masses(result))
        write_rows(folder / "heatmap" / name, _mean_courses(result))
    for name in dict.fromkeys(run.variant.name for run in controls if run.control == ONE_FEATURE):
        seeds = {r.seed: r.attended for r in controls if (r.control, r.variant.name) == (ONE_FEATURE, name)}
        write_vectors(folder / "one_feature" / f"{name}.csv", seeds)
    from pipeline import figures, gallery

    for path, figure in gallery.draw(folder).items():
        figures.save(figure, folder / path)
    text = report.render(study, made, results[0])
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", page.html(text, folder))


def _key_masses(result: VariantResult) -> list[Row]:
    return [
        {"seed": seed, "batch": int(batch), "key_mass": float(mass)}
        for seed, explained in result.explained.items()
        for batch, mass in zip(explained.batches, explained.key_mass, strict=True)
    ]


def _mean_courses(result: VariantResult) -> list[Row]:
    """Return the attention at points of training, averaged over the seeds, a row for each point and time step."""
    explained = list(result.explained.values())
    mean = np.mean([seed.vectors for seed in explained], axis=0)
    return [
        {"batch": int(batch), "step": step, "attention": float(weight)}
        for batch, vector in zip(explained[0].batches, mean, strict=True)
        for step, weight in enumerate(vector)
    ]


def headline(summary: list[Row], score: str) -> dict[str, dict[str, float]]:
    """Return variant -> the few means that tables of experiments show."""
    names = ("key_mass", "hit_rate", "late_mass", score)
    means = {row["variant"]: {name: round(row[f"{name}_mean"], 6) for name in names} for row in summary}
    return {variant: {k: v for k, v in row.items() if not math.isnan(v)} for variant, row in means.items()}


def stage(config: Config) -> None:
    """Write the comparison, and have MLflow show it."""
    results, controls = load(config), load_controls(config)
    with storage.writing(config, "comparison") as folder:
        write(folder, config, results, controls)
    target = storage.folder(config, "comparison")
    tracking.ensure_comparison(config.tracking, target)
    terminal.show_study(target, {result.variant.name: result.attended for result in results}, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

"""The comparison of all variants of a study: loaded, tabulated and written."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from pipeline.report import html_page, render, tables
from pipeline.report.effects import effect_rows
from pipeline.report.tables import Row, Tables, VariantResult
from pipeline.results import folders
from pipeline.results.evidence_files import ONE_FEATURE, ControlRun, read_controls, read_explanations
from pipeline.results.file_formats import write_rows, write_text
from pipeline.results.stage_files import read_attention, read_dataset, read_training, write_curves, write_vectors
from pipeline.settings.errors import UserError
from pipeline.settings.schema import Study
from pipeline.settings.study import load_variant


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
            where = folders.shown(folders.folder(config, "models"))
            raise UserError(f"{where} was trained on other data than {study.variants[0]}: run `dvc repro`.")
        results.append(result)
    return results


def load_variant_result(config: Study) -> VariantResult:
    """Return the results of one variant; a `UserError` if they are missing, made from other values, or not whole."""
    with folders.reading(config, "models") as folder:
        trained, data = read_training(folder), read_dataset(folder)
    with folders.reading(config, "attention") as folder:
        attended, explained = read_attention(folder), read_explanations(folder)
    if not list(trained) == list(attended) == list(explained) == config.seeds:
        where = folders.shown(folders.folder(config, "attention"))
        raise UserError(f"{where} does not hold seeds {config.seeds}: {folders.remedy(config, 'attention')}")
    return VariantResult(config.chosen_variant(), data, trained, attended, explained)


def load_controls(study: Study) -> list[ControlRun]:
    """Return the runs of a study's controls; a `UserError` if they are missing or were made from other values."""
    with folders.reading(study, "controls") as folder:
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
    from pipeline.report import comparison_figures, figures

    for path, figure in comparison_figures.draw(folder).items():
        figures.save(figure, folder / path)
    text = render.render(study, made, results[0])
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", html_page.html(text, folder))


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

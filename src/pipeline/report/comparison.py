"""The comparison of all variants of a study: results loaded, tables computed, everything written."""

import dataclasses
import json
from math import isnan
from pathlib import Path

import numpy as np
from pandas import DataFrame, concat

from pipeline.report import control_tables, effects, html_page, place_tables, relevance, render, tables
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.titles import CURVES, SCORES, trained_score
from pipeline.results import folders, stage_files
from pipeline.results.file_formats import write_text
from pipeline.results.stage_files import ONE_FEATURE, AttendedSeed, ControlRun
from pipeline.settings.project import UserError
from pipeline.settings.schema import Study
from pipeline.settings.study import load_variant


def load(study: Study) -> list[VariantResult]:
    """Return the results of all variants; a `UserError` if one is missing, outdated, of other data, or lacks a seed."""
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
    """Return the results of one variant; a `UserError` if they are missing, corrupt, outdated, or lack a seed."""
    with folders.reading(config, "models") as folder:
        trained = stage_files.read_training_without_weights(folder)
        data = stage_files.read_dataset(folder)
    with folders.reading(config, "attention") as folder:
        attended, explained = stage_files.read_attention(folder), stage_files.read_explanations(folder)
    if not list(trained) == list(attended) == list(explained) == config.seeds:
        where = folders.shown(folders.folder(config, "attention"))
        raise UserError(f"{where} does not hold seeds {config.seeds}: {folders.remedy(config, 'attention')}")
    return VariantResult(config.chosen_variant(), data, trained, attended, explained)


def tabulate(study: Study, results: list[VariantResult], controls: list[ControlRun]) -> Tables:
    """Return all tables of a comparison."""
    limits, score, confidence = study.compare.thresholds, study.score, study.compare.confidence
    runs, changed = tables.runs(results, limits, score), tables.controls(controls, limits, score)
    size = study.train.batch_size
    return Tables(
        runs=runs,
        summary=tables.summary(results, runs, confidence),
        effects=effects.estimate(runs, study.compare) if len(study.seeds) > 1 else DataFrame(),
        controls=changed,
        explanations=tables.explanations(results),
        learning=tables.learning(results, trained_score(study.regression)),
        coding=control_tables.coding(runs, changed, study.data),
        samples=control_tables.samples_needed(results, controls, size, getattr(limits, score)),
        places=place_tables.places(results),
    )


def write(folder: Path, study: Study, results: list[VariantResult], controls: list[ControlRun]) -> None:
    """Write tables, figures and report, and the files for `dvc metrics show` and `dvc plots show`."""
    computed, names = tabulate(study, results, controls), relevance.shown_names(results)
    for name, table in computed._asdict().items():
        if not table.empty:
            tables.write(folder / f"{name}.csv", table)
    write_text(folder / "metrics.json", json.dumps(headline(computed.summary, study.score), indent=2) + "\n")
    for result in results:
        name = f"{result.variant.name}.csv"
        tables.write(folder / "training" / name, _training_curves(result, trained_score(study.regression)))
        tables.write(folder / "attention" / name, _vectors(result.attended))
        masses = [{"seed": s, "batch": e.batches, "key_mass": e.key_mass} for s, e in result.explained.items()]
        tables.write(folder / "learning" / name, concat(map(DataFrame, masses)))
        tables.write(folder / "heatmap" / name, _mean_courses(result))
    for name, seeds in _one_feature(controls).items():
        tables.write(folder / "one_feature" / f"{name}.csv", _vectors(seeds))
    shown = [relevance.renamed(result, names) for result in results]
    shown_tables = relevance.renamed_tables(computed, names)
    shown_controls = [relevance.renamed(run, names) for run in controls]
    _write_figures(folder / "figures", study, shown, shown_controls, shown_tables)
    text = render.render(study, shown_tables, shown)
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", html_page.html(text, folder))


def _training_curves(result: VariantResult, score: str) -> DataFrame:
    points = [(seed, *point) for seed, trained in result.trained.items() for point in trained.curve]
    return DataFrame(points, columns=["seed", "batch", "loss", score])


def _vectors(attended: dict[int, AttendedSeed]) -> DataFrame:
    return DataFrame(row for seed, one in attended.items() for row in stage_files.vector_rows(one, seed=seed))


def _write_figures(
    folder: Path,
    study: Study,
    results: list[VariantResult],
    controls: list[ControlRun],
    computed: Tables,
) -> None:
    # Here, since matplotlib takes a third of a second that `show` does not need.
    from pipeline.report import figures, model_figures

    key, score = results[0].key(), trained_score(study.regression)
    drawn = {
        "attention": figures.attention({result.variant.name: result.attended for result in results}),
        "by_step": model_figures.by_step(results, SCORES[study.score]),
        "learning": figures.learning([(r.variant.name, *r.course()[:2], r.curves(score)) for r in results], key),
    }
    if key.any():
        drawn["explanations"] = figures.explanations(
            computed.explanations, next(iter(results[0].attended.values())).uniform_mass, results[0].classes()
        )
    if not computed.effects.empty:
        drawn["effects"] = figures.forest(computed.effects, effects.SIGNIFICANCE)
    if one_feature := _one_feature(controls):
        drawn["one_feature"] = figures.attention(one_feature)
    if not computed.samples.empty:
        curves = control_tables.learning_curves(results, controls, study.train.batch_size)
        drawn["samples"] = model_figures.samples_seen(curves, CURVES[score])
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")


def _one_feature(controls: list[ControlRun]) -> dict[str, dict[int, AttendedSeed]]:
    """Return variant -> seed -> attention of the control with one feature."""
    runs = [run for run in controls if run.control == ONE_FEATURE]
    return {run.variant.name: {r.seed: r.attended for r in runs if r.variant == run.variant} for run in runs}


def _mean_courses(result: VariantResult) -> DataFrame:
    """Return the attention during training, averaged over seeds, a row for each point and time step."""
    batches, mean, _ = result.course()
    points, steps = mean.shape
    batch, step = np.repeat(batches, steps), np.tile(np.arange(steps), points)
    return DataFrame({"batch": batch, "step": step, "attention": mean.ravel()})


def headline(summary: DataFrame, score: str) -> dict[str, dict[str, float]]:
    """Return variant -> the few means that tables of experiments show."""
    names = ("key_mass", "hit_rate", "late_mass", score)
    means = {row["variant"]: {name: row[f"{name}_mean"] for name in names} for row in summary.to_dict("records")}
    return {variant: {k: round(v, 6) for k, v in row.items() if not isnan(v)} for variant, row in means.items()}

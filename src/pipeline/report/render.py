"""The report of a comparison in Markdown: the text is in report.md.j2, the numbers come from the tables."""

from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from pandas import DataFrame

from pipeline.report import control_tables, markdown_tables, place_tables, published, relevance, sentences
from pipeline.report.effects import SIGNIFICANCE
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.titles import CURVES, SCORES, counted, score_in, trained_score
from pipeline.report.verdicts import NOT_LEARNED
from pipeline.results import folders, made_on
from pipeline.results.stage_files import NO_ATTENTION, NULL_KEY, STRETCHES, UNIFORM
from pipeline.settings.schema import CLASSIFICATION, Data, Model, Study, Train
from pipeline.settings.study import task_options

# The article's settings, for which there are published numbers.
TASK = {"_target_": "pipeline.tasks.planted_key", "kind": CLASSIFICATION, "feature": None, "noise": 0.0}
DATA = Data(300_000, 0.1, 20, 2, 10, "zero_one", 0)
ARTICLE = (TASK | {"name": "planted_key"}, DATA, Model(32, "lstm"), Train(1, 64, 0.001, 64, 64))


def render(study: Study, tables: Tables, results: list[VariantResult]) -> str:
    """Return the report in Markdown, given the tables and the results from which they were computed."""
    key, limits, score = results[0].key(), study.compare.thresholds, SCORES[study.score]  # all have the same samples
    fixed = [int(step) for step in np.flatnonzero(key == 1)]  # key steps in all samples
    where = "the planted step" if len(fixed) == 1 else "a key step"
    controls = dict(list(tables.controls.groupby("control", sort=False)))
    uniform, without = (
        {place: _learning(runs) for place, runs in controls[name].groupby("placement", sort=False)}
        if name in controls
        else {}
        for name in (UNIFORM, NO_ATTENTION)
    )
    environment = Environment(loader=PackageLoader("pipeline.report", "."), undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("report.md.j2").render(
        study=study,
        counted=counted,
        tables=tables,
        markdown_tables=markdown_tables,
        published=published,
        control_tables=control_tables,
        place_tables=place_tables,
        sentences=sentences,
        classes=results[0].classes(),
        limits=limits,
        limit=getattr(limits, study.score),
        score=score,
        trained=CURVES[trained_score(study.regression)],
        significance=SIGNIFICANCE,
        options=task_options(study.task),
        uniform_mass=next(iter(results[0].attended.values())).uniform_mass,
        fixed=fixed,
        where=where,
        answer=sentences.answer(tables, study, where),
        families=dict(list(tables.effects.groupby("family", sort=False))) if len(tables.effects) else {},
        order=sentences.order_of_curves(tables.learning, tables.runs),
        not_learned=(tables.runs["verdict"] == NOT_LEARNED).sum(),
        readable=sentences.readable(results, limits, score),
        late=place_tables.late(tables.places, fixed),
        uniform=uniform,
        without=without,
        null=_learning(controls[NULL_KEY]),
        article=(study.task, study.data, study.model, study.train) == ARTICLE,
        values=_flat(folders.values(study, "comparison")),
        relevance=relevance.NOTE if any(seed.relevance for r in results for seed in r.attended.values()) else "",
        stretches=STRETCHES,
        dataset=results[0].data,
        versions=made_on.versions(),
    )


def _learning(control: DataFrame) -> dict[str, Any]:
    """Return number of runs of a control, how many learned the task, lowest and highest score."""
    scores = control[score_in(control).column]
    learned = (control["verdict"] != NOT_LEARNED).sum()
    return {"n": len(control), "learned": learned, "low": scores.min(), "high": scores.max()}


def _flat(values: Any, name: str = "") -> list[str]:
    """Return nested values as lines `section.name: value`; of variants only their names."""
    if isinstance(values, dict):
        return [line for key, value in values.items() for line in _flat(value, f"{name}.{key}".lstrip("."))]
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return [f"{name}: {', '.join(value['name'] for value in values)}"]
    return [f"{name}: {values}"]

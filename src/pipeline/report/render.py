"""The report of a comparison in Markdown: the text is in report.md.j2, the numbers come from the tables."""

from importlib.metadata import version
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.random import default_rng
from pandas import DataFrame, Series

from pipeline.report import markdown_tables, paired_tests, published
from pipeline.report.effects import SIGNIFICANCE
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.titles import SCORES, counted, score_in
from pipeline.report.verdicts import CORRECT, NOT_LEARNED
from pipeline.results import folders
from pipeline.results.stage_files import NULL_KEY, UNIFORM
from pipeline.settings.schema import CLASSIFICATION, Compare, Data, Model, Study, Train
from pipeline.settings.study import task_options

PACKAGES = ("tensorflow", "keras", "numpy", "scipy")  # that compute the numbers

# The article's settings, for which there are published numbers.
TASK = {"_target_": "pipeline.tasks.planted_key", "kind": CLASSIFICATION, "feature": None, "noise": 0.0}
DATA = Data(300_000, 0.1, 20, 2, 10, "zero_one", 0)
ARTICLE = (TASK | {"name": "planted_key"}, DATA, Model(32, "lstm"), Train(1, 64, 0.001, 64, 64))


def render(study: Study, tables: Tables, first: VariantResult) -> str:
    """Return the report in Markdown.

    The samples of the `first` variant, described by hash and key steps, are those of all variants.
    """
    key = first.key()
    fixed = [int(step) for step in np.flatnonzero(key == 1)]  # key steps in all samples
    where = "the planted step" if len(fixed) == 1 else "a key step"
    controls = dict(list(tables.controls.groupby("control", sort=False)))
    uniform = controls[UNIFORM].groupby("placement", sort=False) if UNIFORM in controls else ()
    environment = Environment(loader=PackageLoader("pipeline.report", "."), undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("report.md.j2").render(
        study=study,
        counted=counted,
        tables=tables,
        markdown_tables=markdown_tables,
        published=published,
        limits=study.compare.thresholds,
        limit=getattr(study.compare.thresholds, study.score),
        score=SCORES[study.score],
        significance=SIGNIFICANCE,
        options=task_options(study.task),
        uniform_mass=key.sum() / len(key),
        fixed=fixed,
        where=where,
        answer=answer(tables.runs, tables.effects, study.compare, where),
        uniform={placement: _learning(runs) for placement, runs in uniform},
        null=_learning(controls[NULL_KEY]),
        article=(study.task, study.data, study.model, study.train) == ARTICLE,
        values=_flat(folders.values(study, "comparison")),
        dataset=first.data,
        versions={name: version(name) for name in PACKAGES},
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


def answer(runs: DataFrame, effects: DataFrame, settings: Compare, where: str = "the planted step") -> str:
    """Return the answer to the article's question in up to three sentences, each with its numbers and interval.

    `runs` is the table of `tables.runs`, `effects` that of `effects.estimate`: if it is empty, the answer is the first
    sentence only. `where` names the steps that attention should find.
    """
    learned = runs[runs["verdict"] != NOT_LEARNED]
    start = f"Of {counted(len(runs), 'run')} {len(learned)} learned the task"
    if runs["key_mass"].isna().all():
        return f"{start}. No mask tells where their attention should peak."
    peaks = f"the attention vector, averaged over samples, peaks at {where}"
    sentences = [f"{start}, and in {_share_correct(learned, settings)} {peaks}."]
    words = {
        "placement": ("After the LSTM, attention puts", f"on {where} than before it", "after > before"),
        "sharing": ("Unshared, it puts", "there than shared", "unshared > shared"),
    }
    for effect, parts in {} if effects.empty else words.items():
        row = markdown_tables.effect_row(effects, effect, "key_mass")
        sentences.append(_effect_sentence(row, parts, settings.confidence))
    return " ".join(sentences)


def _share_correct(learned: DataFrame, settings: Compare) -> str:
    """Return how many of the runs that learned the task are correct, with the interval over seeds."""
    correct = learned["verdict"] == CORRECT
    shares = correct.groupby(learned["seed"], sort=False).mean().to_numpy()
    if len(shares) < 2:
        return f"{correct.sum()} of these"
    options = (settings.confidence, settings.resamples)
    low, high = paired_tests.bootstrap_interval(shares, default_rng(settings.seed), np.mean, *options)
    interval = f"{settings.confidence:.0%} interval {low:.0%} to {high:.0%}"
    return f"{correct.sum()} of these ({shares.mean():.0%} of them, {interval})"


def _effect_sentence(row: "Series[Any]", words: tuple[str, str, str], confidence: float) -> str:
    start, end, pair = words
    more = "more" if row["iqm"] > 0 else "less"
    chance = "" if row["p_holm"] < SIGNIFICANCE else ", which cannot be told from chance"
    return (
        f"{start} {abs(row['iqm']):.3f} {more} of its weight {end} (interquartile mean of {row['n']} paired "
        f"differences, {confidence:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, "
        f"P({pair}) = {row['p_a_over_b']:.2f}, p = {row['p_holm']:.2g}){chance}."
    )

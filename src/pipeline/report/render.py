"""The comparison told in words and tables: the words in report.md.j2, the numbers from the tables."""

import math
from importlib.metadata import version
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.random import default_rng

from pipeline.report import markdown_tables, paired_tests, published
from pipeline.report.tables import Row, Tables, VariantResult
from pipeline.report.verdicts import CORRECT, NOT_LEARNED
from pipeline.results import folders
from pipeline.results.evidence_files import NULL_KEY, UNIFORM
from pipeline.settings.schema import CLASSIFICATION, Compare, Data, Model, Study, Train
from pipeline.settings.study import task_options

LEVEL = 0.05  # of significance
PACKAGES = ("tensorflow", "keras", "numpy", "scipy")  # that make the numbers

# The article's set-up, for which there are published numbers.
TASK = {"_target_": "pipeline.tasks.planted_key", "kind": CLASSIFICATION, "feature": None, "noise": 0.0}
DATA = Data(300_000, 0.1, 20, 2, 10, "zero_one", 0)
ARTICLE = (TASK | {"name": "planted_key"}, DATA, Model(32, "lstm"), Train(1, 64, 0.001, 64, 64))


def render(study: Study, tables: Tables, first: VariantResult) -> str:
    """Return the report in Markdown.

    Args:
        study: what was run.
        tables: what came out.
        first: the results of a variant, which tell of the samples: their hash, and which steps are key steps.
    """
    key = first.key()
    fixed = [int(step) for step in np.flatnonzero(key == 1)]  # key steps in all samples
    where = "the planted step" if len(fixed) == 1 else "a key step"
    environment = Environment(loader=PackageLoader("pipeline.report", "."), undefined=StrictUndefined, trim_blocks=True)
    environment.filters["f3"] = lambda number: f"{number:.3f}"
    return environment.get_template("report.md.j2").render(
        study=study,
        limits=study.compare.thresholds,
        uniform_mass=key.sum() / len(key),
        score=markdown_tables.SCORES[study.score],
        limit=getattr(study.compare.thresholds, study.score),
        options=task_options(study.task),
        where=where,
        answer=answer(tables.runs, tables.effects, study.compare, where),
        results=markdown_tables.results_table(tables.summary),
        effects=markdown_tables.effects_table(tables.effects) if tables.effects else "",
        pairs=tables.effects[0]["n"] if tables.effects else 0,
        smallest_p=tables.effects[0]["smallest_p"] if tables.effects else 1,
        level=LEVEL,
        verdicts=markdown_tables.verdicts_table(tables.summary),
        peaks=markdown_tables.peaks_table(tables.runs, *fixed) if fixed else "",
        controls=markdown_tables.controls_table(tables.controls),
        uniform=[_told(tables.controls, UNIFORM, placement) for placement in _placements(tables.controls)],
        null=_told(tables.controls, NULL_KEY),
        checks=markdown_tables.checks_table(tables),
        explanations=markdown_tables.explanations_table(tables.explanations),
        learning=markdown_tables.learning_table(tables.learning),
        one_feature=published.one_feature_table(tables.controls),
        article=(study.task, study.data, study.model, study.train) == ARTICLE,
        published=published.published_table(tables.summary),
        values=_flat(folders.values(study, "comparison")),
        dataset=first.data,
        versions={name: version(name) for name in PACKAGES},
    )


def _placements(controls: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["placement"] for row in controls if row["control"] == UNIFORM))


def _told(controls: list[Row], control: str, placement: str = "") -> Row:
    """Return what the template tells of a control: number of runs, how many learned, lowest and highest score."""
    own = [row for row in controls if row["control"] == control and placement in ("", row["placement"])]
    scores = [row[markdown_tables.score_in(row)] for row in own]
    learned = sum(row["verdict"] != NOT_LEARNED for row in own)
    return {"placement": placement, "n": len(own), "learned": learned, "low": min(scores), "high": max(scores)}


def _flat(values: Any, name: str = "") -> list[str]:
    if isinstance(values, dict):
        return [line for key, value in values.items() for line in _flat(value, f"{name}.{key}".lstrip("."))]
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return [f"{name}: {', '.join(value['name'] for value in values)}"]
    return [f"{name}: {values}"]


def _share_correct(runs: list[Row], settings: Compare, where: str) -> str:
    """Return the sentence on how many of the runs that learned the task are correct, with its interval over seeds."""
    learned = [run for run in runs if run["verdict"] != NOT_LEARNED]
    correct = sum(run["verdict"] == CORRECT for run in learned)
    by_seed: dict[int, list[bool]] = {}
    for run in learned:
        by_seed.setdefault(run["seed"], []).append(run["verdict"] == CORRECT)
    interval = ""
    if len(by_seed) > 1:
        shares = [float(np.mean(verdicts)) for verdicts in by_seed.values()]
        low, high = paired_tests.bootstrap_interval(
            shares, default_rng(settings.seed), np.mean, settings.confidence, settings.resamples
        )
        interval = f" ({np.mean(shares):.0%} of them, {settings.confidence:.0%} interval {low:.0%} to {high:.0%})"
    return (
        f"Of {len(runs)} runs {len(learned)} learned the task, and in {correct} of these{interval} the attention "
        f"vector, averaged over samples, peaks at {where}."
    )


def answer(runs: list[Row], effects: list[Row], settings: Compare, where: str = "the planted step") -> str:
    """Return the answer to the article's question in three sentences, each with its numbers and interval.

    Without effects it is the first of them alone. `where` is what attention is to find.
    """
    confidence = settings.confidence
    said = {
        "placement": ("After the LSTM, attention puts", f"on {where} than before it", "after > before"),
        "sharing": ("Unshared, it puts", "there than shared", "unshared > shared"),
    }
    if math.isnan(runs[0]["key_mass"]):
        learned = sum(run["verdict"] != NOT_LEARNED for run in runs)
        return f"Of {len(runs)} runs {learned} learned the task. No mask tells where their attention should peak."
    sentences = [_share_correct(runs, settings, where)]
    for effect, (start, end, pair) in said.items() if effects else ():
        row = markdown_tables.effect_row(effects, effect, "key_mass")
        more = "more" if row["iqm"] > 0 else "less"
        told = "" if row["p_holm"] < LEVEL else ", which cannot be told from chance"
        sentences.append(
            f"{start} {abs(row['iqm']):.3f} {more} of its weight {end} (interquartile mean of {row['n']} paired "
            f"differences, {confidence:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, "
            f"P({pair}) = {row['p_a_over_b']:.2f}, p = {row['p_holm']:.2g}){told}."
        )
    return " ".join(sentences)

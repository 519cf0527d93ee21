"""The report of a comparison in Markdown: the text is in report.md.j2, the numbers come from the tables."""

from importlib.metadata import version
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from pandas import DataFrame, Series

from pipeline.report import markdown_tables, paired_tests, published
from pipeline.report.effects import PLACEMENT, SIGNIFICANCE, UNSHARING, cells_of
from pipeline.report.tables import Tables, VariantResult
from pipeline.report.titles import CURVES, SCORES, counted, score_in
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
        families=dict(list(tables.effects.groupby("family", sort=False))) if len(tables.effects) else {},
        order=order_of_curves(tables.learning, tables.runs),
        not_learned=(tables.runs["verdict"] == NOT_LEARNED).sum(),
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
    learned = (runs["verdict"] != NOT_LEARNED).sum()
    start = f"Of {counted(len(runs), 'run')} {learned} learned the task"
    if runs["key_mass"].isna().all():
        return f"{start}. No mask tells where their attention should peak."
    sentences = [f"{start}, and attention finds {where} (verdict *correct*) in {_share_correct(runs, settings)}."]
    if not effects.empty:
        sentences += [_placement_sentence(runs, effects, settings), _unsharing_sentence(effects, settings)]
    return " ".join(sentences)


def _share_correct(runs: DataFrame, settings: Compare) -> str:
    """Return in how many seeds each variant is correct, with the interval; variants with the same numbers together."""
    alike: dict[tuple[int, int], list[str]] = {}
    for variant, own in runs.groupby("variant", sort=False):
        alike.setdefault(((own["verdict"] == CORRECT).sum(), len(own)), []).append(str(variant))
    parts: list[str] = []
    for (correct, seeds), variants in alike.items():
        low, high = paired_tests.proportion_interval(correct, seeds, settings.confidence)
        interval = f"{'' if parts else f'exact {settings.confidence:.0%} interval '}{low:.0%} to {high:.0%}"
        parts.append(f"{correct} of {counted(seeds, 'seed')} of {_listed(variants)} ({interval})")
    return _listed(parts)


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _placement_sentence(runs: DataFrame, effects: DataFrame, settings: Compare) -> str:
    """Return the effect of placement on key mass, after the means that it averages over sharing."""
    before, before_unshared, after, after_unshared = (cell["key_mass"].mean() for cell in cells_of(runs))
    row = markdown_tables.effect_row(effects, PLACEMENT, "key_mass")
    return (
        f"Shared, the mean key mass is {before:.3f} before the LSTM and {after:.3f} after it; unshared, it is "
        f"{before_unshared:.3f} and {after_unshared:.3f}: over both, placement after the LSTM changes it by "
        f"{_effect(row, 'after > before', settings)}, as the interquartile mean of {row['n']} paired differences."
    )


def _unsharing_sentence(effects: DataFrame, settings: Compare) -> str:
    """Return the simple effects of unsharing on key mass, one for each placement."""
    rows = (markdown_tables.effect_row(effects, effect, "key_mass") for effect in UNSHARING.values())
    before, after = (_effect(row, "unshared > shared", settings) for row in rows)
    return f"Unsharing attention changes it by {before} before the LSTM, and by {after} after it."


def _effect(row: "Series[Any]", pair: str, settings: Compare) -> str:
    """Return an effect with interval, probability and corrected p."""
    chance = "" if row["p_holm"] < SIGNIFICANCE else ", not to be told from chance"
    return (
        f"{row['iqm']:+.3f} ({settings.confidence:.0%} interval {row['low']:+.3f} to {row['high']:+.3f}, "
        f"P({pair}) = {row['p_a_over_b']:.2f}, corrected p = {row['p_holm']:.2g}{chance})"
    )


def order_of_curves(learning: DataFrame, runs: DataFrame) -> list[str]:
    """Return a sentence for each placement: which curve is first more often at each part of the way, in how many runs.

    The arguments are tables of `tables`. Runs that lack one of the curves do not count.
    """
    placements = runs.drop_duplicates("variant").set_index("variant")["placement"]
    table = markdown_tables.first_curves(learning).dropna(subset="first")
    groups = table.groupby(table["variant"].map(placements), sort=False)
    return [_order(str(placement), own) for placement, own in groups]


def _order(placement: str, table: DataFrame) -> str:
    mass, score = (title for name, title in CURVES.items() if name in table)
    leading: dict[str, list[str]] = {}
    for part, first in table.groupby("part")["first"]:
        counts = {mass: (first == mass).sum(), score: (first == score).sum()}
        low, high = sorted(counts.values())
        leader = max(counts, key=lambda name: counts[name]) if high > low else "neither"
        leading.setdefault(leader, []).append(f"{part:.0%} ({high} to {low})")
    said = ", ".join(f"{name} at {_listed(parts)}" for name, parts in leading.items())
    runs = counted(len(table[["variant", "seed"]].drop_duplicates()), "run")
    return f"{placement.capitalize()} the LSTM ({runs}), the curve that is first in more runs is {said} of the way."

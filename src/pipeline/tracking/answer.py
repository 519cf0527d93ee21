"""The answer of a comparison in MLflow: the verdict on each run, the experiment's description, and the saved views."""

import json
import sys
from functools import cache
from math import isnan
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

from pipeline.results.file_formats import read_csv
from pipeline.results.folders import PARAMS, SECTIONS
from pipeline.settings.schema import score_of
from pipeline.settings.study import digest
from pipeline.tracking import descriptions, provenance, views
from pipeline.tracking.descriptions import NOTE
from pipeline.tracking.mlflow_client import REFUSALS, Metrics, Tracker, Values

if TYPE_CHECKING:
    from mlflow.entities import Run

ANALYSIS = [name for name in SECTIONS["attention"] if name != "seeds"]  # what a seed's attention depends on
HASHES = ("config_hash", "weights_hash", "attention_hash")  # tags by which the run of a result is found
WRITTEN = "attention-pipeline.description"  # tag of an experiment: the hash of the description that the project wrote
Made = dict[str, tuple[str, ...]]  # `analysis_hash` -> values of the tags `HASHES`


class Judgement(NamedTuple):
    """What a comparison says about a run; `learned` is the key mass over the batches while its model trained."""

    values: Values
    seed: int
    verdict: str
    learned: Metrics


def analysis_hash(values: Values, seed: int) -> str:
    """Return a hash of what a seed's attention is computed from."""
    return digest({name: values[name] for name in ANALYSIS} | {"seed": seed})


def show(tracker: Tracker, folder: Path, made: Made, content: str) -> None:
    """Tag the runs of a comparison with their verdicts; the study's comparison describes the experiment, too.

    Args:
        tracker: where the runs are.
        folder: of the comparison.
        made: the results that there are, some of them those that were compared.
        content: the hash of the study's comparison; empty for one by hand, whose verdicts do not replace the study's.
    """
    values: Values = json.loads((folder / PARAMS).read_text(encoding="utf-8"))
    judgements = _judgements(folder, values, made)
    for run in tracker.find(kind="seed"):
        judgement = judgements.get(tuple(run.data.tags.get(name, "") for name in HASHES))
        if judgement and (content or "comparison" not in run.data.tags):
            _judge(tracker, run, judgement, content)
    if content:
        shown = views.tags(score_of(values["task"]), len(values["variants"]), content)
        _describe(tracker, shown, (folder / "report.md").read_text(encoding="utf-8"))


def offer_views(tracker: Tracker) -> None:
    """Save those views that an experiment lacks, as before the first comparison."""
    known = tracker.experiment_tags()
    publish(tracker, known, {tag: view for tag, view in views.tags().items() if tag not in known})


def _judgements(folder: Path, values: Values, made: Made) -> dict[tuple[str, ...], Judgement]:
    """Return values of `HASHES` -> what a comparison says about that result, as far as the result is still there."""
    defined = {variant["name"]: variant for variant in values["variants"]}
    learned = {name: _learned(folder, name) for name in defined}
    found = {}
    for row in read_csv(folder / "runs.csv"):
        seed, analyzed = row["seed"], {**values, "variant": defined[row["variant"]]}
        if hashes := made.get(analysis_hash(analyzed, int(seed))):
            course = learned[row["variant"]].get(seed, [])
            found[hashes] = Judgement(analyzed, int(seed), row["verdict"], course)
    return found


def _learned(folder: Path, variant: str) -> dict[str, Metrics]:
    """Return seed -> the key mass while it was learned, as a metric over the batches."""
    found: dict[str, Metrics] = {}
    for row in read_csv(folder / "learning" / f"{variant}.csv"):
        if not isnan(mass := float(row["key_mass"])):
            found.setdefault(row["seed"], []).append((views.KEY_MASS_LEARNED, mass, int(row["batch"])))
    return found


def _judge(tracker: Tracker, run: "Run", judgement: Judgement, content: str) -> None:
    """Add to a run what a comparison says about it, in one request, or none if it is there."""
    tags, (values, seed, verdict, learned) = run.data.tags, judgement
    commit = tags.get("git_commit", provenance.UNKNOWN)
    note = tags.get(NOTE) or descriptions.of_run(values, seed, commit)
    wanted = {name: value for name, value in provenance.source("seed", commit).items() if name not in tags}
    wanted |= {"verdict": verdict, NOTE: descriptions.with_verdict(note, verdict)}
    wanted |= {"comparison": content} if content else {}
    changed = {name: value for name, value in wanted.items() if tags.get(name) != value}
    metrics = [] if views.KEY_MASS_LEARNED in run.data.metrics else learned
    if changed or metrics:
        tracker.log(run.info.run_id, metrics, tags=changed)


def _describe(tracker: Tracker, shown: dict[str, str], report: str) -> None:
    """Save the views and describe the experiment, unless a user wrote its description."""
    known = tracker.experiment_tags()
    links = views.links("", tracker.experiment_id, shown) if tracker.shows_views() else {}
    note, written = descriptions.of_experiment(report, links), known.get(NOTE, "")
    own = {NOTE: note, WRITTEN: digest(note)} if not written or digest(written) == known.get(WRITTEN) else {}
    publish(tracker, known, {**shown, **own})


def publish(tracker: Tracker, known: dict[str, str], tags: dict[str, str]) -> None:
    """Set those tags of the experiment that are not among the known ones; a sentence says if the server refuses.

    Views are left out where MLflow's pages, being those of another version, could not read them.
    """
    from mlflow.exceptions import MlflowException

    if any(name.startswith(views.VIEW) for name in tags) and not tracker.shows_views():
        _say(f"MLflow's pages are not those of version {views.FORM}x, so the saved views are left out.")
        tags = {name: value for name, value in tags.items() if not name.startswith(views.VIEW)}
    try:
        tracker.tag_experiment({name: value for name, value in tags.items() if known.get(name) != value})
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        reason = shorten(str(error), 150, placeholder=" …")
        _say(f"MLflow refused the experiment's description and views ({reason}); the runs are complete.")


@cache
def _say(sentence: str) -> None:
    """Print a sentence once."""
    print(sentence, file=sys.stderr)

"""Which runs belong to a sweep, noted in outputs/, and the view that shows them over a swept value."""

import dataclasses
import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pandas import DataFrame

from pipeline.report import sweep_tables
from pipeline.report.sweep_tables import Point
from pipeline.results import folders
from pipeline.results.file_formats import write_text
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Study
from pipeline.tracking import answer, views
from pipeline.tracking.answer import HASHES, Made
from pipeline.tracking.mlflow_client import Tracker

NOTES = f"{folders.OUTPUTS}/sweeps"
SETTINGS = ("experiment", *(field.name for field in dataclasses.fields(Study)))  # the words that change a result


class Sweep(NamedTuple):
    """A sweep: `name`, `command` that runs it, `along`, the swept value along x, `score`, and its `points`.

    A point is the swept values, name -> value as written, and the `analysis_hash` of each seed.
    """

    name: str
    command: str
    along: str
    score: str
    points: list[tuple[dict[str, str], list[str]]]


def note(content: str, points: list[Point], words: Iterable[str]) -> None:
    """Note what the results of a sweep, which have this hash, are of; `words` are those of its command line."""
    from pipeline.report import sweep_figures

    swept = [point.swept for point in points]
    kept = [shlex.quote(word) for word in words if word.lstrip("+~").partition("=")[0].split(".")[0] in SETTINGS]
    sweep = Sweep(
        name=name_of(points),
        command=" ".join(["python -m pipeline.sweep", *kept]),
        along=sweep_figures.along(DataFrame(swept), list(swept[0])),
        score=points[0].study.score,
        points=[(point.swept, _analyses(point.study)) for point in points],
    )
    write_text(_path(content), json.dumps(sweep._asdict(), indent=2) + "\n")


def name_of(points: list[Point]) -> str:
    """Return the name of a sweep: that of the folder for its results, unless the user named another one."""
    return sweep_tables.folder_of(points, None).name


def noted(content: str) -> Sweep | None:
    """Return what the results of a sweep with this hash are of; None if that was not noted, or the note is damaged."""
    try:
        return Sweep(**json.loads(_path(content).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def show(tracker: Tracker, sweep: Sweep, made: Made) -> None:
    """Tag the runs of a sweep with its name, give them the swept values as params, and save the view of them.

    `made` are the results that there are, some of them those of the sweep.
    """
    runs = {tuple(run.data.tags.get(name, "") for name in HASHES): run for run in tracker.find(kind="seed")}
    for swept, analyses in sweep.points:
        title = " ".join(f"{name}={value}" for name, value in swept.items()) or sweep.along
        for run in filter(None, (runs.get(made.get(analysis, ())) for analysis in analyses)):
            params = {name: value for name, value in swept.items() if name not in run.data.params}
            if params or run.data.tags.get(sweep.name) != title:
                tracker.log(run.info.run_id, [], params, {sweep.name: title})
    answer.publish(tracker, tracker.experiment_tags(), views.of_sweep(sweep.name, sweep.along, sweep.score))


def _analyses(study: Study) -> list[str]:
    values = folders.values(study, "attention")
    return [answer.analysis_hash(values, seed) for seed in study.seeds]


def _path(content: str) -> Path:
    return ROOT / NOTES / f"{content}.json"

"""MLflow as a view of the result files, which can be filled in from them again at any time.

There is one FINISHED run for each distinct result of a (variant, seed), identified by the tags `config_hash` (what it
was made from), `weights_hash` and `attention_hash` (the results), and one for each distinct control, comparison and
sweep; the tag `kind` tells them apart.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from pipeline.results import folders, made_on
from pipeline.results.made_on import Machine
from pipeline.results.stage_files import (
    AttendedSeed,
    ControlRun,
    TrainedSeed,
    read_attention,
    read_controls,
    read_training,
)
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Study, Tracking
from pipeline.settings.study import digest
from pipeline.tracking import answer, descriptions, sweeps
from pipeline.tracking.answer import Made
from pipeline.tracking.connection import connection, tracker_of
from pipeline.tracking.mlflow_client import Tracker, Values
from pipeline.tracking.provenance import git_commit

if TYPE_CHECKING:
    from pipeline.report.tables import VariantResult

Machines = tuple[Machine, Machine]  # on which a result was trained and analyzed
UNKNOWN: Machines = ({}, {})


def ensure(
    settings: Tracking,
    values: Values,
    trained: Mapping[int, TrainedSeed],
    attended: Mapping[int, AttendedSeed] | None = None,
    machines: Machines = UNKNOWN,
) -> int:
    """Ensure that each seed's result has a FINISHED run; return how many were added or completed from the results.

    `values` are what the results were made from, `trained` and `attended` seed -> result of training and of analysis.
    `machines` are those on which both were made, for the tags of runs that are added.
    """
    added = 0
    if tracker := tracker_of(settings):
        for seed, result in trained.items():
            results = (result, attended[seed] if attended else None)
            added += bool(connection.attempt(partial(ensure_seed, tracker, values, seed, results, machines)))
    return added


def ensure_seed(
    tracker: Tracker,
    values: Values,
    seed: int,
    results: tuple[TrainedSeed, AttendedSeed | None],
    machines: Machines = UNKNOWN,
) -> bool:
    """Ensure that one seed's result has a FINISHED run; return whether one was added or completed."""
    trained, attended = results
    runs = tracker.find(**result_tags(values, seed, trained))
    hashes = [run.data.tags.get("attention_hash", "") for run in runs]
    if runs and (attended is None or attended.attention_hash() in hashes):
        return False
    name, tags = name_and_tags(values, seed)
    if "" in hashes:
        run_id = runs[hashes.index("")].info.run_id
    else:
        with tracker.run(name, {**tags, **machines[0]}) as run_id:
            tracker.log_curve(run_id, values, trained.curve)
            tracker.log_training(run_id, values, seed, trained)
    if attended is not None:
        tracker.log_attention(run_id, values, name, attended, machines[1])
    return True


def ensure_controls(settings: Tracking, folder: Path) -> int:
    """Ensure that each control in a folder has a FINISHED run, of a kind of its own; return how many were added."""
    made, values, machine = controls_of(folder), values_of(folder), made_on.of_folder(folder)

    def add(tracker: Tracker) -> int:
        known = {run.data.tags.get("control_hash") for run in tracker.find(kind="control")}
        missing = {name: run for name, run in made.items() if name not in known}
        for name, run in missing.items():
            variant, commit = run.variant, git_commit()
            tags = {"variant": variant.name, "placement": variant.placement, "sharing": variant.sharing or ""}
            tags |= {"kind": "control", "control": run.control, "control_hash": name, "seed": str(run.seed)}
            note = descriptions.of_control(run.control, variant.name, run.seed, commit, folder == ROOT / "controls")
            title = f"{run.control}: {variant.name}, seed {run.seed}"
            with tracker.run(title, {**tags, descriptions.NOTE: note, **machine}) as run_id:
                tracker.log_control(run_id, values, run)
        return len(missing)

    tracker = tracker_of(settings)
    return (tracker and connection.attempt(partial(add, tracker))) or 0


def controls_of(folder: Path) -> dict[str, ControlRun]:
    """Return the controls in a folder by the hash that their runs have as a tag."""
    content = hash_of_folder(folder)
    return {digest([content, run.control, run.variant.name, run.seed]): run for run in read_controls(folder)}


def ensure_sweep(settings: Tracking, folder: Path, made: Made) -> bool:
    """Ensure that a sweep has a FINISHED run with its files, and a view of its runs; return whether a run was added.

    `made` are the results that there are, some of them those of the sweep.
    """
    content = hash_of_folder(folder)
    sweep = sweeps.noted(content)
    note = {descriptions.NOTE: descriptions.of_sweep(sweep.command, git_commit())} if sweep else {}
    added = _ensure_folder(settings, "sweep", folder, content, note)
    if sweep and (tracker := tracker_of(settings)):
        connection.attempt(partial(sweeps.show, tracker, sweep, made))
    return added


def ensure_comparison(settings: Tracking, folder: Path, made: Made) -> bool:
    """Ensure that a comparison has a FINISHED run, and that MLflow shows its answer; return whether a run was added.

    `made` are the results whose runs get the verdicts of the comparison, and perhaps others.
    """
    content, note = hash_of_folder(folder), {descriptions.NOTE: descriptions.of_comparison(git_commit())}
    added = _ensure_folder(settings, "comparison", folder, content, note)
    if tracker := tracker_of(settings):
        of_study = content if folder == ROOT / "comparison" else ""
        connection.attempt(partial(answer.show, tracker, folder, made, of_study))
    return added


def _ensure_folder(settings: Tracking, kind: str, folder: Path, content: str, note: dict[str, str]) -> bool:
    """Ensure that a folder, whose content has this hash, has a FINISHED run; return whether it was added."""
    identity = {f"{kind}_hash": content}

    def add(tracker: Tracker) -> bool:
        if tracker.find(**identity):
            return False
        with tracker.run(kind, {"kind": kind, **identity, **note, **made_on.of_folder(folder)}) as run_id:
            tracker.log_folder(run_id, folder)
        return True

    tracker = tracker_of(settings)
    return bool(tracker and connection.attempt(partial(add, tracker)))


def made_from(studies: "Iterable[Study]", results: "Iterable[VariantResult]") -> Made:
    """Return the hashes of the results that a comparison or a sweep was made from, given the study of each."""
    found: Made = {}
    for study, result in zip(studies, results, strict=True):
        values = folders.values(dataclasses.replace(study, variant=result.variant), "attention")
        found |= _hashes(values, result.trained, result.attended)
    return found


def _hashes(values: Values, trained: Mapping[int, TrainedSeed], attended: dict[int, AttendedSeed]) -> Made:
    """Return the hashes of the results of some seeds, by which their runs are found."""
    return {
        answer.analysis_hash(values, seed): (*result_tags(values, seed, trained[seed]).values(), found.attention_hash())
        for seed, found in attended.items()
        if seed in trained
    }


def hash_of_folder(folder: Path) -> str:
    """Return a hash of the files of a comparison or a sweep, by which its run is found."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def fill_from_files(settings: Tracking) -> int:
    """Ensure that every result in the project's folders and in outputs/ has a run; return how many runs were added.

    A folder that is damaged is named and left out.
    """
    added, made = 0, Made()
    analyses: dict[str, list[tuple[Values, Path]]] = {}
    for folder in results("attention/*"):
        with _left_out_if_damaged(folder):
            values = values_of(folder)
            analyses.setdefault(_training_of(values), []).append((values, folder))
    for folder in results("models/*"):
        with _left_out_if_damaged(folder):
            values, trained, machine = values_of(folder), read_training(folder), made_on.of_folder(folder)
            for analysis_values, analysis in analyses.get(_training_of(values), []):
                with _left_out_if_damaged(analysis):
                    machines, attended = (machine, made_on.of_folder(analysis)), read_attention(analysis)
                    added += ensure(settings, analysis_values, trained, attended, machines)
                    made |= _hashes(analysis_values, trained, attended)
            added += ensure(settings, values, trained, machines=(machine, {}))
    for folder in results("controls"):
        with _left_out_if_damaged(folder):
            added += ensure_controls(settings, folder)
    for folder in results("comparison"):
        with _left_out_if_damaged(folder):
            added += ensure_comparison(settings, folder, made)
    for folder in sweep_folders():
        with _left_out_if_damaged(folder):
            added += ensure_sweep(settings, folder, made)
    if tracker := tracker_of(settings):
        connection.attempt(partial(answer.offer_views, tracker))
    return added


def results(pattern: str) -> list[Path]:
    """Return the folders of a kind of result that are not empty."""
    bases = (ROOT, *sorted(ROOT.glob(f"{folders.OUTPUTS}/*")))
    found = [path for base in bases for path in sorted(base.glob(pattern)) if not path.name.endswith(".part")]
    return [path for path in found if path.is_dir() and any(path.iterdir())]


def sweep_folders() -> list[Path]:
    """Return the folders with the results of sweeps."""
    return sorted(path.parent for path in ROOT.glob(f"{folders.OUTPUTS}/sweep-*/summary.csv"))


def values_of(folder: Path) -> Values:
    """Return the values that a result was made from."""
    values: Values = json.loads((folder / folders.PARAMS).read_text(encoding="utf-8"))
    return values


def _training_of(values: Values) -> str:
    """Return a hash of the values of a training, given those of the training or of its analysis."""
    return digest({name: values[name] for name in folders.TRAINING})


@contextmanager
def _left_out_if_damaged(folder: Path) -> Iterator[None]:
    """Name a folder whose files cannot be used, whatever is wrong with them, and go on."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        said = f"{folders.shown(folder)} is damaged, so its runs are left out; make it again"
        print(f"{said} ({shorten(reason, 150, placeholder=' …')}).", file=sys.stderr)


def config_hash(values: Values, seed: int) -> str:
    """Return a hash of what a seed's model is made from."""
    return digest({name: values[name] for name in ("task", "data", "model", "train", "variant")} | {"seed": seed})


def name_and_tags(values: Values, seed: int) -> tuple[str, dict[str, str]]:
    """Return the name of a seed's run, and the tags that say what it is a run of."""
    variant = values["variant"]
    tags = {"variant": variant["name"], "placement": variant["placement"], "sharing": variant.get("sharing", "")}
    tags |= {"task": values["task"]["name"]}
    tags |= {"kind": "seed", "seed": str(seed), "config_hash": config_hash(values, seed)}
    tags |= {descriptions.NOTE: descriptions.of_run(values, seed, git_commit())}
    return f"{variant['name']}, seed {seed}", tags


def result_tags(values: Values, seed: int, result: TrainedSeed) -> dict[str, str]:
    """Return the tags that distinguish a seed's result from all others."""
    return {"config_hash": config_hash(values, seed), "weights_hash": result.weights_hash()}

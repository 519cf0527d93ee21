"""From a run in MLflow to the files of its result, and from a result to its run."""

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.results import folders
from pipeline.results.folders import CORRUPT
from pipeline.results.stage_files import AttendedSeed, TrainedSeed, read_attention, read_training
from pipeline.settings.project import UserError
from pipeline.settings.schema import Config, Data, Model, Study, Tracking, Train, Variant
from pipeline.settings.study import load_task
from pipeline.tracking import sync
from pipeline.tracking.address import database_file, page_of
from pipeline.tracking.connection import tracker_of
from pipeline.tracking.mlflow_client import Tracker, Values

if TYPE_CHECKING:
    from mlflow.entities import Run

SHOWN = 5  # runs that a message names, at most


class Found(NamedTuple):
    """A run: its id, name and link, the folders of its result, and of the run of a seed the seed and its attention."""

    run_id: str
    name: str
    link: str
    folders: list[Path]
    attended: AttendedSeed | None = None
    seed: int | None = None


def run_of(settings: Tracking, values: Values, seed: int, attention_hash: str, port: int) -> Found | None:
    """Return the run of a seed's result, without its files; None if it has none, or MLflow cannot be used.

    `values` are what the result was made from, and `port` is that of the UI of an embedded database.
    """
    if tracker := _existing(settings):
        hashes = {"config_hash": sync.config_hash(values, seed), "attention_hash": attention_hash}
        for run in tracker.find(**hashes):
            return Found(run.info.run_id, str(run.info.run_name), _link(tracker, run, port), [])
    return None


def result_of(settings: Tracking, run_id: str, port: int) -> Found:
    """Return the run whose id has some first characters, and the files of its result.

    A `UserError` names runs that exist if there is not exactly one.
    """
    tracker = _existing(settings)
    runs = tracker.find() if tracker else []
    fitting = [run for run in runs if run.info.run_id.startswith(run_id)]
    if not tracker or not runs:
        raise UserError(f"run is {run_id}: there are no finished runs in MLflow; `make ui` adds those of the results.")
    if not run_id or len(fitting) != 1:
        some = [f"{run.info.run_id} ({run.info.run_name})" for run in (fitting or runs)[:SHOWN]]
        what = "the id of several runs begins so" if fitting else "it is no run"
        left = len(fitting or runs) - SHOWN
        more = f" and {left} more" if left > 0 else ""
        raise UserError(f"run is {run_id}: {what}; there are {', '.join(some)}{more}.")
    (run,) = fitting
    places, attended = _files(run)
    seed = int(run.data.tags["seed"]) if run.data.tags.get("kind") == "seed" else None
    return Found(run.info.run_id, str(run.info.run_name), _link(tracker, run, port), places, attended, seed)


def model_of(config: Config) -> tuple[Study, int, TrainedSeed]:
    """Return the study, the seed and the model that the run `config.run` shows.

    The model is read from a folder here; if it is in none, from MLflow. A `UserError` says so if the run is not that of
    a seed, if there is no model or none of its samples, or if its attention layer has changed since.
    """
    found = result_of(config.tracking, str(config.run), config.port)
    if found.seed is None:
        raise UserError(f"run is {config.run}: {found.name} is not the run of a seed, so it has no model.")
    models = [folder for folder in found.folders if folder.parent.name == "models"]
    tracker, page = _existing(config.tracking), f"its page says how to make it again: {found.link}"
    logged = tracker.logged_model(found.run_id) if tracker and not models else None
    if not models and not logged:
        where = "neither in a folder here nor logged"
        raise UserError(f"run is {config.run}: the model of {found.name} is {where}; {page}")
    values = logged[0] if logged else sync.values_of(models[0])
    study = _study_of(config, values)
    if folders.values(study, "models")["variant"] != values["variant"]:
        raise UserError(f"run is {config.run}: the attention layer of {found.name} has changed since it was trained.")
    if not folders.exists(study, "data/train"):
        raise UserError(f"run is {config.run}: the samples that {found.name} was trained on are not here; {page}")
    if tracker and logged:
        return study, found.seed, tracker.logged_weights(found.run_id, *logged)
    return study, found.seed, read_training(models[0])[found.seed]


def _study_of(config: Config, values: Values) -> Study:
    """Return the configuration with the values that a model was made from."""
    return dataclasses.replace(
        config,
        task=load_task(values["task"]["name"]) | values["task"],
        data=Data(**values["data"]),
        model=Model(**values["model"]),
        train=Train(**values["train"]),
        seeds=values["seeds"],
        variant=Variant(**values["variant"]),
    )


def _existing(settings: Tracking) -> Tracker | None:
    """Return the tracker of a store, without creating one; None if there is none, or it cannot be used."""
    file = database_file(settings)
    with suppress(UserError):
        return None if file and not file.exists() else tracker_of(settings)
    return None


def _link(tracker: Tracker, run: "Run", port: int) -> str:
    store = tracker.uri if tracker.uri.startswith("http") else f"http://127.0.0.1:{port}"
    return f"{page_of(store)}/#/experiments/{tracker.experiment_id}/runs/{run.info.run_id}"


def _files(run: "Run") -> tuple[list[Path], AttendedSeed | None]:
    """Return the folders with the result of a run, and the attention if it is the run of a seed."""
    tags = run.data.tags
    for kind, places in (("comparison", sync.results("comparison")), ("sweep", sync.sweep_folders())):
        if content := tags.get(f"{kind}_hash"):
            return [path for path in places if sync.hash_of_folder(path) == content], None
    if name := tags.get("control_hash"):
        found = ((path, sync.controls_of(path).get(name)) for path in sync.results("controls"))
        return next((([path], control.attended) for path, control in found if control), ([], None))
    seed = int(tags.get("seed", -1))
    models: list[Path] = []
    attention: list[Path] = []
    attended = None
    for folder in sync.results("models/*") + sync.results("attention/*"):
        with suppress(*CORRUPT):  # damaged, so not the result of this run
            if sync.config_hash(sync.values_of(folder), seed) != tags.get("config_hash"):
                continue
            if folder.parent.name == "models":
                trained = read_training(folder).get(seed)
                models += [folder] if trained and trained.weights_hash() == tags.get("weights_hash") else []
            else:
                result = read_attention(folder).get(seed)
                if result and result.attention_hash() == tags.get("attention_hash"):
                    attention, attended = [*attention, folder], result
    return models + attention, attended

"""How results are logged to MLflow; only this room knows MLflow."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.metadata import version
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.execution.signals import completed_first
from pipeline.execution.start_tensorflow import import_tensorflow
from pipeline.results.made_on import Machine, version_of
from pipeline.results.stage_files import AttendedSeed, ControlRun, Point, Snapshots, TrainedSeed
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Data, Model, Tracking, Variant, score_of
from pipeline.settings.study import digest
from pipeline.tracking import provenance, views
from pipeline.tracking.address import deleted, store_of

if TYPE_CHECKING:
    import keras
    from mlflow.entities import Dataset, DatasetInput, Experiment, Run

NAMED = "attention-pipeline.experiment"  # tag of an experiment: its name in the settings
MADE_FROM, CLASSES = "made_from", "classes"  # in the metadata of a logged model
REFUSALS = ("PERMISSION_DENIED", "INVALID_PARAMETER_VALUE", "BAD_REQUEST")  # of a server that answers
SILENCE = 3600  # seconds without a sign of life after which a run of another machine is given up
Values = dict[str, Any]  # sections of the configuration, as params.json of a result holds them
Metrics = list[tuple[str, float, int]]  # name, value, step


class Tracker:
    """MLflow at the address that a file of conf/tracking/ names; its paths are relative to the project's root.

    Database and experiment are created if need be: create one tracker before starting processes that create theirs.
    """

    def __init__(self, settings: Tracking) -> None:
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints tracebacks of what it raises
        self.uri = store_of(settings)
        mlflow.set_tracking_uri(self.uri)
        self.client = mlflow.MlflowClient()
        self.experiment_id = self._experiment_of(settings)

    def _experiment_of(self, settings: Tracking) -> str:
        """Return the id of the experiment, whatever it is called in MLflow now; a `UserError` if it was deleted."""
        known = self.client.get_experiment_by_name(settings.experiment) or self._renamed(settings.experiment)
        if known is None:
            return self._create_experiment(settings)
        if known.lifecycle_stage == "deleted":
            raise deleted(settings, known.experiment_id)
        if NAMED not in known.tags:
            self._note_name(known.experiment_id, settings.experiment)
        return str(known.experiment_id)

    def _note_name(self, number: str, name: str) -> None:
        """Note by which name the settings know the experiment; a server that refuses that will not find it renamed."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.set_experiment_tag(number, NAMED, name)
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise

    def shows_views(self) -> bool:
        """Return whether MLflow's pages are of a version that can read the project's views."""
        return self.version.startswith(views.FORM)

    @cached_property
    def version(self) -> str:
        """The version of MLflow's pages: that of the server, of which old ones do not tell; else that installed."""
        from mlflow.utils import credentials, rest_utils

        if not self.uri.startswith("http"):
            return version("mlflow")
        request: Any = rest_utils.http_request
        who: Any = credentials.get_default_host_creds
        answer = request(who(self.uri), "/version", "GET", raise_on_status=False)
        return answer.text.strip() if answer.ok else "unknown"

    def _renamed(self, name: str) -> "Experiment | None":
        """Return the one experiment that had a name before a user renamed it in MLflow."""
        found = self.client.search_experiments(filter_string=f"tags.`{NAMED}` LIKE '%'")
        renamed = [experiment for experiment in found if experiment.tags[NAMED] == name]
        return renamed[0] if len(renamed) == 1 else None

    def _create_experiment(self, settings: Tracking) -> str:
        from mlflow.exceptions import MlflowException

        # A server stores the artifacts itself, also if the settings are those of an embedded database.
        local = settings.artifacts and not self.uri.startswith("http")
        location = (ROOT / str(settings.artifacts)).as_uri() if local else None
        # The UI then shows the pages for training models, not those for language models.
        tags = {"mlflow.experimentKind": "custom_model_development", NAMED: settings.experiment}
        tags |= views.tags() if self.shows_views() else {}
        try:
            return str(self.client.create_experiment(settings.experiment, location, tags))
        except MlflowException:
            if known := self.client.get_experiment_by_name(settings.experiment):  # another process was first
                return str(known.experiment_id)
            raise

    def find(self, **tags: str) -> "list[Run]":
        """Return the FINISHED runs that have these tags."""
        words = [f"tags.{name} = '{value}'" for name, value in tags.items()] + ["attributes.status = 'FINISHED'"]
        runs: list[Run] = []
        token: str | None = None
        while token != "":
            page = self.client.search_runs([self.experiment_id], " and ".join(words), page_token=token)
            runs += page
            token = page.token or ""
        return runs

    def experiment_tags(self) -> dict[str, str]:
        """Return the tags of the experiment."""
        return dict(self.client.get_experiment(self.experiment_id).tags)

    @completed_first()
    def tag_experiment(self, tags: dict[str, str]) -> None:
        """Set tags of the experiment."""
        for name, value in tags.items():
            self.client.set_experiment_tag(self.experiment_id, name, value)

    @contextmanager
    def run(self, name: str, tags: dict[str, str]) -> Iterator[str]:
        """Start a run and yield its id; it ends as FINISHED, after Ctrl-C as KILLED; after an error it is deleted."""
        run_id = ""
        try:
            with completed_first():
                run_id = self.start(name, tags)
            yield run_id
        except BaseException as error:
            if run_id:
                self.end(run_id, error)
            if run_id and isinstance(error, Exception):
                self.delete(run_id)  # each attempt to add it from the files would leave another one
            raise
        self.end(run_id)

    def start(self, name: str, tags: dict[str, str]) -> str:
        """Start a run and return its id."""
        tags = {"started_by": provenance.process_identity(), **tags}
        commit = provenance.git_commit()
        tags |= {"git_commit": commit, "process": provenance.process_identity(), **provenance.dvc_experiment()}
        tags |= provenance.source(tags["kind"], commit) if tags.get("kind") in provenance.STAGES else {}
        return str(self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)

    @completed_first()
    def end(self, run_id: str, error: BaseException | None = None) -> None:
        """Mark a run as FINISHED, or after an error as FAILED, after Ctrl-C as KILLED."""
        status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
        self.client.set_terminated(run_id, status)

    @completed_first()
    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self.client.delete_run(run_id)

    def log_curve(self, run_id: str, values: Values, points: list[Point]) -> None:
        """Log points of the training curve over the number of batches seen, and thereby a sign of life."""
        names = ("train_loss", "train_r2" if score_of(values["task"]) == "r2" else "train_accuracy")
        metrics = [(name, point[i], point[0]) for i, name in enumerate(names, 1) for point in points]
        self.log(run_id, metrics, tags={"alive": str(time.time())})

    @completed_first()
    def log_training(self, run_id: str, values: Values, seed: int, result: TrainedSeed) -> None:
        """Log everything about a training but its curve: parameters, data, scores and model."""
        from mlflow.entities import Dataset, DatasetInput

        params = {f"{s}.{name}": v for s in ("task", "data", "model", "train") for name, v in values[s].items()}
        params |= {"variant": values["variant"]["name"], "seed": seed}
        what, source = {name: values[name] for name in ("task", "data")}, '{"uri": "data/train"}'
        data = Dataset(values["task"]["name"], digest(what), "local", source, profile=json.dumps(what))
        self._log_dataset(run_id, DatasetInput(data))
        classes = {f"class_{label}": name for label, name in enumerate(result.classes)}
        self.log(run_id, [], params, {"weights_hash": result.weights_hash(), **classes})
        self._log_model(run_id, values, result, data)  # last: it marks the run as FINISHED

    def _log_dataset(self, run_id: str, data: "DatasetInput") -> None:
        """Log the data; try again if another process is creating the same entry, which MLflow refuses."""
        from mlflow.exceptions import MlflowException

        for pause in (0.1, 1.0, 5.0):
            with suppress(MlflowException):
                return self.client.log_inputs(run_id, [data])
            time.sleep(pause)
        return self.client.log_inputs(run_id, [data])

    def _log_model(self, run_id: str, values: Values, result: TrainedSeed, data: "Dataset") -> None:
        """Log the model, and its scores, by which MLflow links it to its data."""
        import_tensorflow()
        import mlflow.tensorflow
        from mlflow.entities import Metric
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from pipeline.models import build

        model = _classifier(values, result.classes)
        build.set_weights(model, result.weights)
        float32 = np.dtype(np.float32)
        inputs, outputs = (
            TensorSpec(float32, (-1, *tensor.shape[1:]), name)
            for tensor, name in ((model.input, "sequence"), (model.output, "output"))
        )
        signature = ModelSignature(Schema([inputs]), Schema([outputs]))
        packages = [f"{name}=={version_of(name)}" for name in ("tensorflow", "keras", "numpy")]
        with mlflow.start_run(run_id):
            logged = mlflow.tensorflow.log_model(
                model,
                name="model",
                custom_objects={kind.__name__: kind for kind in map(type, model.layers) if not _is_of_keras(kind)},
                signature=signature,
                pip_requirements=packages,
                metadata={MADE_FROM: values, CLASSES: list(result.classes)},
            )
            link = {"model_id": logged.model_id, "dataset_name": data.name, "dataset_digest": data.digest}
            scores, now = {"loss": result.loss, **result.scores}, int(time.time() * 1000)
            linked = [Metric(name, value, now, 0, run_id=run_id, **link) for name, value in scores.items()]
            self.client.log_batch(run_id, linked)

    def logged_model(self, run_id: str) -> tuple[Values, tuple[str, ...]] | None:
        """Return what the model of a run was made from, and the names of its classes; None if it has no such model."""
        from mlflow.exceptions import MlflowException
        from mlflow.models import get_model_info

        with suppress(MlflowException):
            made: Any = get_model_info(f"runs:/{run_id}/model").metadata or {}
            return (made[MADE_FROM], tuple(made[CLASSES])) if MADE_FROM in made else None
        return None

    def logged_weights(self, run_id: str, values: Values, classes: tuple[str, ...]) -> TrainedSeed:
        """Return the model of a run, given what `logged_model` returns; of its training, nothing else is kept there.

        The model is built from the code that is here, and gets the weights that were logged: nothing in the files is
        run.
        """
        from mlflow.artifacts import download_artifacts

        model = _classifier(values, classes)
        from pipeline.models import build

        with TemporaryDirectory() as folder:
            files = Path(download_artifacts(f"runs:/{run_id}/model", dst_path=folder))
            model.load_weights(next(files.rglob("*.keras")))
        nothing = Snapshots(np.zeros(0, np.int64), {})
        return TrainedSeed(build.get_weights(model), nothing, [], float("nan"), {}, classes=classes)

    def log_attention(self, run_id: str, values: Values, title: str, result: AttendedSeed, machine: Machine) -> None:
        """Log the attention vector over the time steps, also as table and figure; its measures; where it was made."""
        from pipeline.report import figures

        lines = [f"{step},{weight:.9g}" for step, weight in enumerate(result.vector)]
        self.client.log_text(run_id, "\n".join(["step,attention", *lines, ""]), "attention/vector.csv")
        drawn = figures.attention({title: {0: result}})
        self.client.log_figure(run_id, drawn, "attention/vector.png")
        metrics = _metrics_of(result)
        tags = {f"attention_{name}": value for name, value in {**machine, "hash": result.attention_hash()}.items()}
        self.log(run_id, metrics, {"probe.samples": values["probe"]["samples"]}, tags)

    @completed_first()
    def log_control(self, run_id: str, values: Values, result: ControlRun) -> None:
        """Log training curve, scores and attention of a control; `values` are what all controls were made from."""
        self.log_curve(run_id, values, result.curve)
        metrics = [(name, value, 0) for name, value in {"loss": result.loss, **result.scores}.items()]
        params = {"control": result.control, "variant": result.variant.name, "seed": result.seed}
        self.log(run_id, metrics + _metrics_of(result.attended), params)

    def log_folder(self, run_id: str, folder: Path) -> None:
        """Log the files of a comparison or a sweep; to a comparison's page, add a note on commit and Python."""
        from pipeline.report import html_page

        self.client.log_artifacts(run_id, str(folder))
        if not (folder / "report.html").exists():
            return
        html = (folder / "report.html").read_text(encoding="utf-8")
        self.client.log_text(run_id, html_page.with_note(html, provenance.note()), "report.html")
        headline = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        self.log(run_id, [(f"{variant}.{name}", v, 0) for variant, row in headline.items() for name, v in row.items()])

    @completed_first()
    def log(
        self, run_id: str, metrics: Metrics, params: Values | None = None, tags: dict[str, str] | None = None
    ) -> None:
        """Log metrics, params and tags, the tags with the last of the metrics."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        entities = [Metric(name, value, now, step) for name, value, step in metrics]
        *full, last = [
            entities[start : start + 800] for start in range(0, len(entities) or 1, 800)
        ]  # MLflow takes 1000
        for part in full:
            self.client.log_batch(run_id, metrics=part)
        words = [Param(name, str(value)) for name, value in (params or {}).items()]
        self.client.log_batch(run_id, last, words, [RunTag(name, value) for name, value in (tags or {}).items()])

    @completed_first()
    def close_left_open(self, started_by: str = "") -> None:
        """Mark RUNNING runs as KILLED whose process is gone, or that a process started, with all its workers.

        Runs that this project did not start are left alone. A process of another machine is taken to be gone after an
        hour without a sign of life; should it be training nevertheless, it marks its run as FINISHED in the end.
        """
        ours = "attributes.status = 'RUNNING' and tags.kind LIKE '%' and tags.process LIKE '%'"
        for run in self.client.search_runs([self.experiment_id], ours):
            tags = run.data.tags
            silent = time.time() - float(tags.get("alive", run.info.start_time / 1000)) > SILENCE
            gone = provenance.has_ended(tags["process"])
            if tags.get("started_by") == started_by or (silent if gone is None else gone):
                self.end(run.info.run_id, KeyboardInterrupt())


def _classifier(values: Values, classes: tuple[str, ...]) -> "keras.Model":
    """Return the classifier that values describe, to be given weights; `classes` are the names of its labels."""
    import_tensorflow()
    from pipeline.models import build
    from pipeline.models.output_kinds import output_of

    shape, last = Data(**values["data"]).shape, output_of(score_of(values["task"]) == "r2", classes).last
    padded = bool(values["task"].get("padded", False))
    return build.classifier(shape, Model(**values["model"]), Variant(**values["variant"]), last, padded)


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "keras"


def _metrics_of(result: AttendedSeed) -> Metrics:
    """Return name, value and step of the attention vector, of the other values by step, and of all measures."""
    by_step = {"attention": result.vector, **{f"{name}_by_step": values for name, values in result.steps.items()}}
    metrics = [(name, float(value), step) for name, column in by_step.items() for step, value in enumerate(column)]
    metrics += [(name, value, 0) for name, value in result.measures.items()]
    return [metric for metric in metrics if not isnan(metric[1])]

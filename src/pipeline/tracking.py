"""What MLflow shows: a view of the result files, which can be filled in from them again at any time.

Only this module knows MLflow. There is one FINISHED run for each distinct result of a (variant, seed), told apart by
the tags `config_hash` (what it was made from), `weights_hash` and `attention_hash` (what came out), and one for each
distinct comparison.
"""

import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline import runtime
from pipeline.config import ROOT, Data, Model, Tracking, Variant, digest
from pipeline.results import AttendedSeed, Point, TrainedSeed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Values = dict[str, Any]  # sections of the configuration, as params.json of a result holds them


class Tracker:
    """MLflow at the place that a file of conf/tracking/ names.

    Args:
        settings: where; paths in it are relative to the project's root. Database and experiment are made if need be:
            make a tracker before starting processes that make theirs.
    """

    def __init__(self, settings: Tracking) -> None:
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        uri = str(settings.uri)
        if uri.startswith("sqlite:///"):
            path = ROOT / uri.removeprefix("sqlite:///")
            path.parent.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{path.as_posix()}"
        mlflow.set_tracking_uri(uri)
        self.uri = uri
        self.client: MlflowClient = mlflow.MlflowClient()
        known = self.client.get_experiment_by_name(settings.experiment)
        location = (ROOT / settings.artifacts).as_uri() if settings.artifacts else None
        self.experiment_id: str = (
            known.experiment_id if known else self.client.create_experiment(settings.experiment, location)
        )

    def find(self, **tags: str) -> "list[Run]":
        """Return the FINISHED runs that have these tags."""
        words = [f"tags.{name} = '{value}'" for name, value in tags.items()] + ["attributes.status = 'FINISHED'"]
        return list(self.client.search_runs([self.experiment_id], " and ".join(words)))

    def start(self, name: str, tags: dict[str, str]) -> str:
        """Start a run and return its id."""
        tags = {**tags, "git_commit": _git_commit(), "process": _process()}
        return str(self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)

    def log_curve(self, run_id: str, points: list[Point]) -> None:
        """Log points of the training curve over the number of batches seen."""
        names = ("train_loss", "train_accuracy")
        self._log(run_id, [(n, v, batch) for batch, *pair in points for n, v in zip(names, pair, strict=True)])

    def log_training(self, run_id: str, values: Values, seed: int, result: TrainedSeed) -> None:
        """Log what was trained from what, and what came out, but for the training curve, and mark it as FINISHED."""
        from mlflow.entities import Dataset, DatasetInput, Param

        params = {f"{section}.{key}": v for section in ("data", "model", "train") for key, v in values[section].items()}
        params |= {"variant": values["variant"]["name"], "seed": seed}
        self.client.log_batch(run_id, params=[Param(name, str(value)) for name, value in params.items()])
        source, profile = json.dumps({"uri": "data/train"}), json.dumps(values["data"])
        data = Dataset("planted_key", digest(values["data"]), "local", source, profile=profile)
        self.client.log_inputs(run_id, [DatasetInput(data)])
        self._log(run_id, [("loss", result.loss, 0), ("accuracy", result.accuracy, 0)])
        self.client.set_tag(run_id, "weights_hash", result.weights_hash())
        self._log_model(run_id, values, result)

    def _log_model(self, run_id: str, values: Values, result: TrainedSeed) -> None:
        runtime.import_tensorflow()
        import mlflow.tensorflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from pipeline import models

        data, variant = Data(**values["data"]), Variant(**values["variant"])
        model = models.build(data, Model(**values["model"]), variant, np.random.SeedSequence(0)).classifier
        models.set_weights(model, result.weights)
        shape, float32 = (-1, data.time_steps, data.input_dim), np.dtype(np.float32)
        signature = ModelSignature(
            Schema([TensorSpec(float32, shape, "sequence")]), Schema([TensorSpec(float32, (-1, 1), "output")])
        )
        packages = [f"{name}=={version(name)}" for name in ("tensorflow", "keras", "numpy")]
        with mlflow.start_run(run_id):  # the end of the block ends the run
            mlflow.tensorflow.log_model(model, name="model", signature=signature, pip_requirements=packages)

    def log_attention(self, run_id: str, values: Values, seed: int, result: AttendedSeed) -> None:
        """Log the attention vector over the time steps, its measures, and both as files."""
        from mlflow.entities import Param

        from pipeline import figures

        self.client.log_batch(run_id, params=[Param("probe.samples", str(values["probe"]["samples"]))])
        self._log(run_id, [("attention", float(weight), step) for step, weight in enumerate(result.vector)])
        self._log(run_id, [(name, value, 0) for name, value in result.measures.items() if value == value])
        lines = [f"{step},{weight:.9g}" for step, weight in enumerate(result.vector)]
        self.client.log_text(run_id, "\n".join(["step,attention", *lines, ""]), "attention/vector.csv")
        figure = figures.attention([(_title(values, seed), result.vector[None], result.key)])
        self.client.log_figure(run_id, figure, "attention/vector.png")
        self.client.set_tag(run_id, "attention_hash", _attention_hash(result))

    def _log(self, run_id: str, metrics: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entities: list[Metric] = [Metric(name, value, now, step) for name, value, step in metrics]
        for start in range(0, len(entities), 1000):  # the most that MLflow takes at once
            self.client.log_batch(run_id, metrics=entities[start : start + 1000])

    def close_left_open(self) -> None:
        """Mark runs as KILLED whose process ended without doing so."""
        for run in self.client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'"):
            if not _alive(run.data.tags.get("process", "")):
                self.client.set_terminated(run.info.run_id, "KILLED")


class LiveRun:
    """A run that is filled while its seed trains; without a tracker it does nothing."""

    def __init__(self, tracker: Tracker | None, values: Values, seed: int) -> None:
        self.tracker, self.values, self.seed = tracker, values, seed
        self.run_id = tracker.start(*_name_and_tags(values, seed)) if tracker else ""

    def log_curve(self, points: list[Point]) -> None:
        """Log new points of the training curve."""
        if self.tracker:
            self.tracker.log_curve(self.run_id, points)

    def finish(self, result: TrainedSeed) -> None:
        """Log the result; a run that another process finished meanwhile with the same result makes way for it."""
        if self.tracker:
            if self.tracker.find(**_result_tags(self.values, self.seed, result)):
                self.tracker.client.delete_run(self.run_id)
            else:
                self.tracker.log_training(self.run_id, self.values, self.seed, result)


@contextmanager
def live(settings: Tracking, values: Values, seed: int) -> Iterator[LiveRun]:
    """Yield the run under which a seed trains: none if a run with the same values is finished already.

    An error marks the run as FAILED.
    """
    tracker = tracker_of(settings)
    if tracker and tracker.find(config_hash=_config_hash(values, seed)):
        tracker = None
    run = LiveRun(tracker, values, seed)
    try:
        yield run
    except BaseException:
        if tracker:
            tracker.client.set_terminated(run.run_id, "FAILED")
        raise


@cache
def tracker_of(settings: Tracking) -> Tracker | None:
    """Return the process's tracker for these settings, or none if they turn tracking off."""
    return Tracker(settings) if settings.uri else None


@contextmanager
def prepared(settings: Tracking) -> Iterator[None]:
    """Make database and experiment ready for worker processes, and leave no run of theirs RUNNING after the block."""
    tracker = tracker_of(settings)
    try:
        yield
    finally:
        if tracker:
            tracker.close_left_open()


def ensure(
    settings: Tracking, values: Values, trained: dict[int, TrainedSeed], attended: dict[int, AttendedSeed] | None = None
) -> int:
    """Have a FINISHED run for each seed's result, made from the files where there is none yet.

    Args:
        settings: where to.
        values: what the results were made from.
        trained: seed -> result of training.
        attended: seed -> result of the analysis, if there is one.

    Returns:
        How many runs were added or completed.
    """
    tracker = tracker_of(settings)
    if tracker is None:
        return 0
    tracker.close_left_open()
    return sum(_ensure_seed(tracker, values, s, r, attended[s] if attended else None) for s, r in trained.items())


def _ensure_seed(
    tracker: Tracker, values: Values, seed: int, trained: TrainedSeed, attended: AttendedSeed | None
) -> bool:
    runs = tracker.find(**_result_tags(values, seed, trained))
    hashes = [run.data.tags.get("attention_hash", "") for run in runs]
    if runs and (attended is None or _attention_hash(attended) in hashes):
        return False
    if "" in hashes:
        run_id = runs[hashes.index("")].info.run_id
    else:
        run_id = tracker.start(*_name_and_tags(values, seed))
        tracker.log_curve(run_id, trained.curve)
        tracker.log_training(run_id, values, seed, trained)
    if attended is not None:
        tracker.log_attention(run_id, values, seed, attended)
    return True


def ensure_comparison(settings: Tracking, folder: Path) -> bool:
    """Have a FINISHED run for a comparison, with its tables, report and figures; return whether it was added."""
    tracker = tracker_of(settings)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    if tracker is None or tracker.find(comparison_hash=content):
        return False
    run_id = tracker.start("comparison", {"kind": "comparison", "comparison_hash": content})
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    flat = [(f"{variant}.{name}", value, 0) for variant, row in metrics.items() for name, value in row.items()]
    tracker._log(run_id, flat)
    tracker.client.log_artifacts(run_id, str(folder))
    tracker.client.set_terminated(run_id, "FINISHED")
    return True


def serve(settings: Tracking, port: int) -> None:
    """Serve the MLflow UI on 127.0.0.1 until it is ended."""
    tracker = tracker_of(settings)
    assert tracker is not None
    words = ["--backend-store-uri", tracker.uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *words])


def _config_hash(values: Values, seed: int) -> str:
    return digest({name: values[name] for name in ("data", "model", "train", "variant")} | {"seed": seed})


def _name_and_tags(values: Values, seed: int) -> tuple[str, dict[str, str]]:
    variant = values["variant"]
    tags = {"variant": variant["name"], "placement": variant["placement"], "sharing": variant["sharing"]}
    tags |= {"kind": "seed", "seed": str(seed), "config_hash": _config_hash(values, seed)}
    return _title(values, seed), tags


def _title(values: Values, seed: int) -> str:
    return f"{values['variant']['name']}, seed {seed}"


def _result_tags(values: Values, seed: int, result: TrainedSeed) -> dict[str, str]:
    return {"config_hash": _config_hash(values, seed), "weights_hash": result.weights_hash()}


def _attention_hash(result: AttendedSeed) -> str:
    return digest([[f"{weight:.9g}" for weight in result.vector], {k: f"{v:.9g}" for k, v in result.measures.items()}])


@cache
def _git_commit() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "none"


@cache
def _process() -> str:
    """Return what tells this process from all others, past ones included."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def _alive(process: str) -> bool:
    """Return whether a process is running; one on another machine is taken to be."""
    host, pid, created = (process.split() + ["", "0", "0"])[:3]
    if host != socket.gethostname():
        return bool(host)
    return psutil.pid_exists(int(pid)) and str(psutil.Process(int(pid)).create_time()) == created

"""On real servers, no result is lost whichever process dies, and a missing server is reported at once."""

import os
import re
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import SMALL, Project, error_of, wait_for
from mlflow import MlflowClient
from services import free_port, mlflow_server, postgresql, runs_of, tracked_by

from pipeline.tracking import views

pytestmark = pytest.mark.service
TRAIN = ("train", "+variant=after_unshared", "tracking=server")


@pytest.fixture(scope="module")
def database():
    with postgresql() as uri:
        yield uri


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("artifacts"), database, workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small project with data, and the bytes of a variant trained without tracking."""
    project = Project(tmp_path_factory.mktemp("project"), SMALL | {"train": SMALL["train"] | {"epochs": 1000}})
    project.stage("dataset")
    project.stage("train", "+variant=after_unshared", "tracking=off")
    return project, project.bytes("models")


LOG = """
import json, sys
from pathlib import Path
from pipeline.tracking import sync
from pipeline.settings.schema import Tracking
from pipeline.results.stage_files import read_training
uri, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
values = json.loads((folder / "params.json").read_text("utf-8"))
values["data"]["seed"] = number
print(sync.ensure(Tracking(uri, None, "eight at once"), values, read_training(folder)))
"""


def test_eight_processes_that_log_at_once_lose_no_run_and_no_metric(server, fresh):
    fresh.change({"train": SMALL["train"] | {"epochs": 40}})
    fresh.stage("dataset")
    fresh.stage("train", "+variant=after_unshared", "tracking=off")
    words = (sys.executable, "-c", LOG, server.address, str(fresh.root / "models/after_unshared"))
    options = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | tracked_by(server.address)}
    started = [subprocess.Popen([*words, str(n)], **options) for n in range(8)]
    assert [process.communicate(timeout=400)[0] for process in started] == ["2\n"] * 8
    client, runs = runs_of(server.address, "eight at once")
    logged = sorted((run.data.params["data.seed"], run.data.tags["seed"]) for run in runs)
    assert logged == [(number, seed) for number in "01234567" for seed in "07"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert {"loss", "accuracy", "train_loss"} <= run.data.metrics.keys()
        assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 225  # of 1,800 batches, every eighth
        models = client.search_logged_models([run.info.experiment_id], f"source_run_id='{run.info.run_id}'")
        assert [model.name for model in models] == ["model"]


def curve_shown(server, experiment):
    """Return whether a RUNNING run shows a point of its training curve."""
    _, runs = runs_of(server.address, experiment)
    return any(run.info.status == "RUNNING" and "train_loss" in run.data.metrics for run in runs)


@pytest.mark.parametrize(
    ("what_happens", "workers"), [("killed, comes back", 1), ("killed", 2), ("answers no more", 2)]
)
def test_training_goes_on_when_the_server_is_lost(database, tmp_path, trained, what_happens, workers):
    project, expected = trained
    experiment, comes_back = what_happens.replace(", ", " and "), "comes back" in what_happens
    words = ["tracking=server", f"tracking.experiment={experiment}"]
    with mlflow_server(tmp_path, database) as server:
        train = ("python", "-m", "pipeline.train", "+variant=after_unshared", *words, f"workers={workers}")
        seconds = 4 if what_happens == "answers no more" else 30
        with project.started(*train, env=tracked_by(server.address, seconds)) as process:
            wait_for(lambda: curve_shown(server, experiment), process)
            server.stop() if what_happens == "answers no more" else server.kill()
            if comes_back:
                time.sleep(3)  # it is missed meanwhile: the curve is sent every two seconds
                os.killpg(process.pid, signal.SIGSTOP)  # training must not end before a slow machine has it back
                server.start()
                os.killpg(process.pid, signal.SIGCONT)
            _, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
        assert project.bytes("models") == expected
        assert error.count("MLflow was lost") == (0 if comes_back else 1)
        assert "Traceback" not in error
        server.kill()
        server.start()
        out = project.stage("ui", *words, env=tracked_by(server.address)).stdout.splitlines()
        assert out[:2] == [
            f"Runs added from the result files: {0 if comes_back else 2}.",
            f"MLflow UI: {server.address}",
        ]
        assert [line.split("  ")[1] for line in out[2:]] == [view.title for view in views.VIEWS.values()]
        runs = runs_of(server.address, experiment)[1]
        finished = [run for run in runs if run.info.status == "FINISHED"]
        assert sorted(run.data.tags["seed"] for run in finished) == ["0", "7"]
        assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on to `server`, but for those whose path ends with a key of `answers`: status and text."""

    server_address: str
    answers: dict[str, tuple[int, bytes]]

    def do_GET(self):
        status, text = next((a for end, a in self.answers.items() if self.path.split("?")[0].endswith(end)), (0, b""))
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not status:
            sent = Request(f"{self.server_address}{self.path}", content or None, method=self.command)
            sent.add_header("Content-Type", self.headers.get("Content-Type", "application/json"))
            try:
                with urlopen(sent) as answer:
                    status, text = answer.status, answer.read()
            except HTTPError as error:
                status, text = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            {"/set-experiment-tag": (403, b"Permission denied")},
            r"MLflow refused the experiment's description and views \(.*\); the runs are complete\.\n",
        ),
        ({"/version": (200, b"2.9.2")}, r"MLflow's pages are not those of version 3\.17\.x, so the .* left out\.\n"),
    ],
)
def test_a_server_that_takes_no_views_is_named_once_and_all_else_goes_on(server, trained, answers, said):
    project, _ = trained
    experiment = "-".join(["takes", "no", *answers]).replace("/", "")
    MlflowClient(server.address).create_experiment(experiment)  # by someone else, without the project's tags
    proxy = type("Forbidding", (Proxy,), {"server_address": server.address, "answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), proxy) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        env = tracked_by(f"http://127.0.0.1:{httpd.server_port}")
        done = project.stage("ui", "tracking=server", f"tracking.experiment={experiment}", env=env)
        httpd.shutdown()
    assert re.fullmatch(said, done.stderr)
    assert done.stdout.splitlines() == [
        "Runs added from the result files: 2.",
        f"MLflow UI: {env['MLFLOW_TRACKING_URI']}",
    ]
    finished = [run for run in runs_of(server.address, experiment)[1] if run.info.status == "FINISHED"]
    assert sorted(run.data.tags["seed"] for run in finished) == ["0", "7"]


@pytest.mark.parametrize("kind", ["http://", "postgresql+psycopg2://user:***@"])
def test_a_server_that_is_not_there(trained, kind):
    project, _ = trained
    before = project.bytes("models", "mlruns")
    address = f"{kind}127.0.0.1:{free_port()}"
    env = {"MLFLOW_TRACKING_URI": address.replace("***", "secret")}
    error = error_of(project.stage, *TRAIN, "train.epochs=1", env=env)
    assert error.startswith(f"error: tracking.uri is {address}: MLflow cannot use it")
    assert "Connection refused" in error
    assert project.bytes("models", "mlruns") == before


def test_a_password_that_is_wrong(tmp_path, trained):
    project, _ = trained
    config = tmp_path / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        "admin_username = admin\nadmin_password = right-for-a-test\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    secrets = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for a test"}
    with mlflow_server(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", "--app-name", "basic-auth", **secrets) as server:
        user = tracked_by(server.address) | {"MLFLOW_TRACKING_USERNAME": "admin"}
        words = (*TRAIN, "train.epochs=1", "seeds=[7]")
        wrong = error_of(project.stage, *words, env=user | {"MLFLOW_TRACKING_PASSWORD": "wrong"})
        assert wrong.startswith(f"error: tracking.uri is {server.address}: MLflow cannot use it")
        project.stage(*words, env=user | {"MLFLOW_TRACKING_PASSWORD": "right-for-a-test"})

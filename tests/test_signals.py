"""Ctrl-C, termination and a kill while a stage trains: no process, file or running MLflow run is left behind."""

import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest

pytestmark = pytest.mark.slow


def ask(project, query):
    """Return the first column of a query to a project's MLflow database; nothing while there is no such table.

    MLflow's client would create the database, and so disturb the process that is creating it.
    """
    try:
        with closing(sqlite3.connect(f"file:{project.root}/mlruns/mlflow.db?mode=ro", uri=True)) as store:
            return [row[0] for row in store.execute(query)]
    except sqlite3.OperationalError:
        return []


@pytest.mark.parametrize(
    ("number", "to_group", "workers"),
    [(signal.SIGINT, True, 2), (signal.SIGTERM, False, 1), (signal.SIGKILL, True, 2)],
)
def test_training_that_is_interrupted_leaves_nothing_behind(untrained, number, to_group, workers):
    words = ("python", "-m", "pipeline.train", "+variant=after_shared", "train.epochs=2000", f"workers={workers}")
    with untrained.started(*words) as process:
        deadline = time.monotonic() + 120
        while not ask(untrained, "SELECT run_uuid FROM metrics LIMIT 1"):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, error = process.communicate(timeout=60)
    if number == signal.SIGKILL:  # the next stage finds that the run was killed
        untrained.stage("train", "+variant=after_shared", "seeds=[0]")
        assert set(ask(untrained, "SELECT status FROM runs")) == {"KILLED", "FINISHED"}
    else:
        assert process.returncode == 130, error
        assert "error: interrupted" in error
        assert "Traceback" not in error
        assert set(ask(untrained, "SELECT status FROM runs")) == {"KILLED"}
        assert not list(untrained.root.rglob("*.part"))

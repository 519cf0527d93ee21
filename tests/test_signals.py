"""Ctrl-C, termination and a kill while a stage trains: no process, file or running MLflow run is left behind."""

import os
import signal

import pytest
from conftest import wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "to_group", "workers"),
    [(signal.SIGINT, True, 2), (signal.SIGTERM, False, 1), (signal.SIGKILL, True, 2)],
)
def test_training_that_is_interrupted_leaves_nothing_behind(untrained, number, to_group, workers):
    words = ("python", "-m", "pipeline.train", "+variant=after_shared", "train.epochs=2000", f"workers={workers}")
    with untrained.started(*words) as process:
        wait_for(lambda: untrained.query("SELECT run_uuid FROM metrics LIMIT 1"), process)
        (os.killpg if to_group else os.kill)(process.pid, number)
        _, error = process.communicate(timeout=60)
    if number == signal.SIGKILL:  # the next stage finds that the run was killed
        untrained.stage("train", "+variant=after_shared", "seeds=[0]")
        assert set(untrained.query("SELECT status FROM runs")) == {("KILLED",), ("FINISHED",)}
    else:
        assert process.returncode == 130, error
        assert "error: interrupted" in error
        assert "Traceback" not in error
        assert set(untrained.query("SELECT status FROM runs")) == {("KILLED",)}
        assert not list(untrained.root.rglob("*.part"))

"""Ctrl-C, termination and a kill while a stage trains: no process, file or running MLflow run is left behind."""

import os
import signal
import time

import psutil
import pytest
from conftest import wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("imported", ["pipeline", "numpy", "pipeline.settings.schema", "hydra"])
def test_imports_that_are_interrupted_print_no_traceback(fresh, imported):
    with fresh.started("python", "-X", "importtime", "-m", "pipeline.train") as process:
        next(line for line in process.stderr if line.split("|")[-1].strip() == imported)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in error


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


def statuses(project):
    return set(project.query("SELECT status FROM runs"))


@pytest.mark.parametrize(
    ("numbers", "to_group", "workers"),
    [
        ([signal.SIGINT], True, 1),
        pytest.param([signal.SIGHUP], True, 2, marks=pytest.mark.long),  # a closed terminal
        pytest.param([signal.SIGINT, signal.SIGINT], True, 2, marks=pytest.mark.long),
        pytest.param([signal.SIGTERM, signal.SIGINT], False, 2, marks=pytest.mark.long),
        pytest.param([signal.SIGKILL], False, 2, marks=pytest.mark.long),
    ],
)
def test_training_that_is_ended_leaves_nothing_behind_and_prints_no_traceback(untrained, numbers, to_group, workers):
    words = ("python", "-m", "pipeline.train", "+variant=after_shared", "train.epochs=2000", f"workers={workers}")
    with untrained.started(*words) as process:
        wait_for(lambda: untrained.query("SELECT run_uuid FROM metrics LIMIT 1"), process)
        started = workers_of(process)
        for number in numbers:
            (os.killpg if to_group else os.kill)(process.pid, number)
            time.sleep(0.05)
        _, error = process.communicate(timeout=60)
        assert workers == 1 or len(started) >= workers
        psutil.wait_procs(started, timeout=10)
        assert not [worker for worker in started if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in error
    if numbers == [signal.SIGKILL]:  # the next stage finds that the runs were killed
        untrained.stage("train", "+variant=after_shared", "seeds=[0]")
        assert statuses(untrained) == {("KILLED",), ("FINISHED",)}
    else:
        assert process.returncode == 130, error
        assert error.splitlines()[-1].startswith("error: interrupted")
        assert statuses(untrained) == {("KILLED",)}
        assert not list(untrained.root.rglob("*.part"))

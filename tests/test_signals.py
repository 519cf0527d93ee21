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


@pytest.mark.service  # takes half a minute
@pytest.mark.parametrize(
    ("numbers", "to_group"),
    [
        ([signal.SIGHUP], True),  # a closed terminal
        ([signal.SIGINT, signal.SIGINT], True),
        ([signal.SIGTERM, signal.SIGINT], False),
        ([signal.SIGKILL], False),
    ],
)
def test_no_process_outlives_a_stage_that_is_ended_and_none_prints_a_traceback(untrained, numbers, to_group):
    words = ("python", "-m", "pipeline.train", "+variant=after_shared", "train.epochs=2000", "workers=2")
    with untrained.started(*words) as process:
        wait_for(lambda: untrained.query("SELECT run_uuid FROM metrics LIMIT 1"), process)
        workers = workers_of(process)
        for number in numbers:
            (os.killpg if to_group else os.kill)(process.pid, number)
            time.sleep(0.05)
        _, error = process.communicate(timeout=60)
        assert workers
        psutil.wait_procs(workers, timeout=10)
        assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in error
    if numbers != [signal.SIGKILL]:
        assert process.returncode == 130
        assert error.splitlines()[-1].startswith("error: interrupted")


@pytest.mark.parametrize(
    ("number", "to_group", "workers"),
    [
        (signal.SIGINT, True, 1),
        pytest.param(signal.SIGINT, True, 2, marks=pytest.mark.service),  # workers take 20 seconds to start
        pytest.param(signal.SIGTERM, False, 1, marks=pytest.mark.service),
        pytest.param(signal.SIGKILL, True, 2, marks=pytest.mark.service),
    ],
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

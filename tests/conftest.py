"""A small copy of the project, in which tests run the real commands, and how tests are spread over two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile("untimed", deadline=None)  # a test does not fail because the machine is slow
settings.load_profile("untimed")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = {
    "seeds": [0, 7],
    "data": {"samples": 800, "time_steps": 6, "key_step": 3},
    "model": {"lstm_units": 4},
    "train": {"batch_size": 16, "log_every": 8, "learning_rate": 0.01},
    "probe": {"samples": 40},
    "explain": {"integration_steps": 4, "permutations": 2},
    "controls": {"seeds": [0, 7], "null_key_samples": 400, "probe_samples": 40},
    "compare": {"resamples": 200},
}
ELSEWHERE = ("PROJECT_ROOT", "MLFLOW_TRACKING_URI", "DASK_SCHEDULER_ADDRESS")  # would lead out of a copy
SHARE_PROJECT = ("test_pipeline.py", "test_tracking.py")  # use the fixture `project`, which takes a minute


class Project:
    """A copy of the project in another folder, with small values."""

    def __init__(self, root: Path, changes: dict) -> None:
        self.root = root
        for name in ("conf", "src", ".dvc/plots"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
            shutil.copy(REPOSITORY / name, root / name)
        (root / "mlruns").mkdir()
        config = root / "conf/config.yaml"  # a second process would cost more than so few samples gain
        config.write_text(config.read_text(encoding="utf-8").replace("workers: null", "workers: 1"), encoding="utf-8")
        self.change(changes)

    def change(self, changes: dict) -> None:
        """Write new values into params.yaml."""
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section, value in changes.items():
            values[section] = {**values[section], **value} if isinstance(value, dict) else value
        path.write_text("# @package _global_\n" + yaml.safe_dump(values), encoding="utf-8")

    @contextmanager
    def started(self, *words: str, **options) -> Iterator[subprocess.Popen]:
        """Start a command in the copy, with the copy's code; its process group is killed at the end of the block."""
        inherited = {k: v for k, v in os.environ.items() if k not in ELSEWHERE}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**inherited, "PATH": path, "PYTHONPATH": str(self.root / "src"), **options.pop("env", {})}
        options = {"cwd": self.root, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(words, env=env, text=True, encoding="utf-8", start_new_session=True, **options)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def run(self, *words: str, code: int | None = 0, **options) -> subprocess.CompletedProcess:
        """Run a command, and check its exit code, unless that is None."""
        with self.started(*words, **options) as process:
            out, err = process.communicate(timeout=400)
        assert code is None or process.returncode == code, f"{words} ended with {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def stage(self, name: str, *words: str, code: int = 0, **options) -> subprocess.CompletedProcess:
        """Run a stage by hand, in a process of its own."""
        return self.run("python", "-m", f"pipeline.{name}", *words, code=code, **options)

    @contextmanager
    def one_process(self) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
        """Yield what `stage` is, but for stages in one process, which imports TensorFlow and MLflow once.

        It also takes "dvc" and the words of a DVC command.
        """
        driver = str(REPOSITORY / "tests/one_process.py")
        with self.started("python", driver, stdin=subprocess.PIPE, stderr=None) as process:

            def stage(*words: str, code: int = 0) -> subprocess.CompletedProcess:
                print(json.dumps(words), file=process.stdin, flush=True)
                returned, out, err = json.loads(process.stdout.readline())
                assert returned == code, f"{words} ended with {returned}\n{out}\n{err}"
                return subprocess.CompletedProcess(words, returned, out, err)

            yield stage

    def repro(self, *words: str) -> list[str]:
        """Run `dvc repro`, and return the stages that it ran; others it skipped or restored."""
        return self.ran(self.run("dvc", "repro", *words).stdout)

    @staticmethod
    def ran(out: str) -> list[str]:
        """Return the stages that DVC ran, given its output."""
        return [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")]

    def bytes(self, *folders: str) -> dict[str, bytes]:
        """Return path -> content of all files in some folders."""
        files = [path for folder in folders for path in sorted((self.root / folder).rglob("*")) if path.is_file()]
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files}


def write_user_samples(path: Path, samples: int, steps: int, features: int, key_step: int) -> Path:
    """Write a file of samples as a user could: noise, with the label in the first feature of a step, and a mask."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((samples, steps, features)), rng.integers(0, 2, samples)
    x[:, key_step, 0] = y
    np.savez(path, x=x, y=y, mask=np.broadcast_to(np.arange(steps) == key_step, (samples, steps)))
    return path


class ByFile(LoadFileScheduling):
    """Runs all tests of a file in one process, and those of the files that share the small project in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "project" if file.endswith(SHARE_PROJECT) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    config.option.loadscopereorder = False  # in the order of `pytest_collection_modifyitems`
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first, so that both processes finish at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in SHARE_PROJECT, item.path not in slow))


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A small project in which nothing has been run."""
    return Project(tmp_path, SMALL)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder data/ of a small project."""
    made = Project(tmp_path_factory.mktemp("drawn"), SMALL)
    made.stage("dataset")
    return made.root / "data"


@pytest.fixture
def untrained(fresh: Project, drawn: Path) -> Project:
    """A small project with data, in which nothing else has been run."""
    shutil.copytree(drawn, fresh.root / "data")
    return fresh


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project in git, in which `dvc repro` has run; a test that changes it must restore it."""
    made = Project(tmp_path_factory.mktemp("project"), SMALL)
    made.run("git", "init", "-q")
    made.run("git", "config", "user.name", "Test")
    made.run("git", "config", "user.email", "test@example.org")
    made.first_stages = made.repro()
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "A study")
    return made


@pytest.fixture(scope="module")
def run(project):
    """Run a stage or a DVC command in the project, all in one process."""
    with project.one_process() as stage:
        yield stage

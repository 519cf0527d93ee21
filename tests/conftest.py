"""A small copy of the project, in which tests run the real commands, and how tests are spread over two processes."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import fork_server
import numpy as np
import pytest
import yaml
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from pipeline.execution import machine
from pipeline.results.file_formats import read_rows
from pipeline.settings.project import UserError
from pipeline.settings.study import digest

settings.register_profile("untimed", deadline=None)  # a test does not fail because the machine is slow
settings.load_profile("untimed")
# A shell's background job and `nohup` ignore these, and so would all processes that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = {
    "seeds": [0, 7],
    "data": {"samples": 800, "time_steps": 6, "key_step": 3},
    "model": {"lstm_units": 4},
    "train": {"batch_size": 16, "log_every": 8, "learning_rate": 0.01},
    "probe": {"samples": 40},
    # As many samples for the readout as in the probe, so that a program is compiled once.
    "explain": {"integration_steps": 4, "permutations": 2, "readout_samples": 40},
    "controls": {"seeds": [0], "null_key_samples": 400, "probe_samples": 40},
    "compare": {"resamples": 200},
}
ELSEWHERE = ("PROJECT_ROOT", "MLFLOW_TRACKING_URI", "DASK_SCHEDULER_ADDRESS")  # would lead out of a copy
RESULTS = ("data", "definitions", "models", "attention", "controls", "comparison")
SLOW = ("slow", "long", "service")  # marks
MONTH = 30 * 24 * 3600  # seconds
# These use `project`, which takes a minute to make.
SHARE_PROJECT = ("test_browser.py", "test_dvc_services.py", "test_pipeline.py", "test_tracking.py", "test_verify.py")


class Project:
    """A copy of the project in another folder, with small values."""

    def __init__(self, root: Path, changes: dict) -> None:
        self.root = root
        for name in ("conf", "src", ".dvc/plots"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
            shutil.copy(REPOSITORY / name, root / name)
        (root / "mlruns").mkdir()
        # A second process would cost more than so few samples gain.
        self.replace("conf/config.yaml", "workers: null", "workers: 1")
        self.change(changes)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ELSEWHERE}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return inherited | {"PATH": path, "PYTHONPATH": str(self.root / "src")}

    @property
    def forked(self) -> dict[str, str]:
        """What to set in the environment so that the fork server runs a command."""
        if sys.platform != "linux":
            return {}
        return {"PATH": f"{fork_server.commands()}{os.pathsep}{self.environment['PATH']}"}

    def clone(self, root: Path) -> "Project":
        """Return a clone by git in another folder."""
        self.run("git", "clone", "-q", ".", str(root))
        cloned = copy(self)
        cloned.root = root
        return cloned

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def rows(self, name: str) -> list[dict]:
        return read_rows(self.root / name)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace some words of a file, which must be there."""
        text = self.read(name)
        assert old in text
        self.write(name, text.replace(old, new))

    def change(self, changes: dict) -> None:
        """Write new values into params.yaml."""
        values = yaml.safe_load(self.read("params.yaml"))
        for section, value in changes.items():
            values[section] = {**values[section], **value} if isinstance(value, dict) else value
        self.write("params.yaml", "# @package _global_\n" + yaml.safe_dump(values))

    @contextmanager
    def started(self, *words: str, **options) -> Iterator[subprocess.Popen]:
        """Start a command in the copy, with the copy's code; its process group is killed at the end of the block."""
        env = self.environment | options.pop("env", {})
        options = {"cwd": self.root, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with subprocess.Popen(words, env=env, encoding="utf-8", start_new_session=True, **options) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, *words: str, code: int | None = 0, env: dict | None = None, **options) -> subprocess.CompletedProcess:
        """Run a command by the fork server, and check its exit code, unless that is None."""
        # What `preexec_fn` sets would not reach the server's processes.
        env = ({} if "preexec_fn" in options else self.forked) | (env or {})
        with self.started(*words, env=env, **options) as process:
            out, err = process.communicate(timeout=400)
        assert code is None or process.returncode == code, f"{words} ended with {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def stage(self, name: str, *words: str, code: int = 0, **options) -> subprocess.CompletedProcess:
        """Run a stage by hand."""
        return self.run("python", "-m", f"pipeline.{name}", *words, code=code, **options)

    def repro(self, *words: str) -> list[str]:
        """Run `dvc repro`, and return the stages that it ran; others it skipped or restored."""
        return self.ran(self.run("dvc", "repro", *words).stdout)

    def status(self) -> dict[str, list]:
        """Return name -> what has changed, of all stages that DVC would run."""
        return json.loads(self.run("dvc", "status", "--json").stdout)

    @staticmethod
    def ran(out: str) -> list[str]:
        """Return the stages that DVC ran, given its output; those that need not wait for another come in any order."""
        return [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")]

    def query(self, sql: str) -> list[tuple]:
        """Ask the MLflow database, which MLflow's client would create; nothing while there is no such table."""
        try:
            with closing(sqlite3.connect(f"file:{self.root}/mlruns/mlflow.db?mode=ro", uri=True)) as store:
                return store.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []

    def bytes(self, *folders: str) -> dict[str, bytes]:
        """Return path -> content of all files in some folders."""
        files = [path for folder in folders for path in sorted((self.root / folder).rglob("*")) if path.is_file()]
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files}

    def results(self) -> dict[str, bytes]:
        """Return path -> content of all that a study leaves, and dvc.lock."""
        return self.bytes(*RESULTS) | {"dvc.lock": (self.root / "dvc.lock").read_bytes()}


def user_samples(samples: int, steps: int, features: int, key_step: int) -> dict[str, np.ndarray]:
    """Return samples as a user could have them: noise, with the label at one step, which a mask marks."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((samples, steps, features)), rng.integers(0, 2, samples)
    x[:, key_step] = y[:, None]
    return {"x": x, "y": y, "mask": np.tile(np.arange(steps) == key_step, (samples, 1))}


def code_blocks(page: str) -> list[str]:
    """Return the contents of the code blocks of a page in docs/."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    return [block.split("```")[0].split("\n", 1)[1] for block in text.split("\n```")[1::2]]


def one_sentence(said: str) -> pytest.RaisesExc:
    """Expect a user error of one line that contains some words."""
    return pytest.raises(UserError, match=rf"\A.*{re.escape(said)}.*\Z")


def error_of(run: Callable, *words: str, **options) -> str:
    """Return the one line that a stage which cannot run writes."""
    error = run(*words, code=1, **options).stderr
    assert re.fullmatch("error: .*\n", error), error
    return error


def wait_for(found: Callable, process: subprocess.Popen | None = None, seconds: int = 200) -> None:
    """Wait until a function returns something, while a process runs."""
    deadline = time.monotonic() + seconds
    while not found():
        assert not process or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Restore a file or folder at the end of the block."""
    copied = shutil.copytree if path.is_dir() else shutil.copy2
    with TemporaryDirectory() as folder:
        copied(path, original := Path(folder, path.name))
        try:
            yield
        finally:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            copied(original, path)


class ByFile(LoadFileScheduling):
    """Runs all tests of a file in one process, and those of the files that share the small project in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "project" if file.endswith(SHARE_PROJECT) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> ByFile:
    config.option.loadscopereorder = False  # in the order of `pytest_collection_modifyitems`
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Share what XLA compiles, and the fork server: compiling and importing take most of the time of a small stage.

    Programs are kept for the next tests, too. XLA takes one for the same operations only; its flags and the machine are
    in the folder's name.
    """
    if config.cache and "TF_XLA_FLAGS" not in os.environ:
        folder = config.cache.mkdir(f"programs-{digest(machine.description())}")
        for path in folder.parent.glob("programs-*/*"):
            if path.stat().st_mtime < time.time() - MONTH:
                path.unlink()
        os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"  # for xdist's processes, too
    if sys.platform == "linux" and config.option.numprocesses:
        fork_server.commands()  # one for all of xdist's processes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first, so that both processes finish at about the same time."""
    slow = Counter(item.path for item in items for name in SLOW if item.get_closest_marker(name))
    items.sort(key=lambda item: (item.path.name not in SHARE_PROJECT, -slow[item.path]))


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
    for words in ("init -q", "config user.name Test", "config user.email test@example.org"):
        made.run("git", *words.split())
    made.first_stages = made.repro()
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "A study")
    return made


@pytest.fixture
def restored(project: Project) -> Iterator[Project]:
    """The small project, which the test may change: values, results and runs are then restored.

    Old values rerun no stage but `compare`: DVC's run cache keeps no run of a stage whose outputs are all in git.
    """
    before = project.results()
    with kept(project.root / "mlruns"), kept(project.root / "outputs"):
        yield project
        project.run("git", "checkout", "-q", "params.yaml", "conf")
        assert set(project.repro()) <= {"compare"}
    assert project.results() == before

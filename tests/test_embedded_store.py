"""The states in which people leave MLflow's database: each is mended, or refused in one sentence before any work."""

import os
import shlex
import shutil
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import one_sentence, wait_for
from filelock import FileLock

from pipeline.results import folders
from pipeline.settings.project import UserError
from pipeline.settings.schema import Tracking
from pipeline.tracking import address, embedded_store, mlflow_client
from pipeline.tracking.address import ShownOnly
from pipeline.tracking.connection import check_tracking
from pipeline.tracking.mlflow_client import Tracker

STORE = Tracking("sqlite:///mlruns/mlflow.db", "mlruns/artifacts", "attention")


@contextmanager
def root(folder):
    """Let a folder be the project's root."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (address, embedded_store, mlflow_client, folders):
            patch.setattr(module, "ROOT", folder)
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project with a database of MLflow that holds a run with an artifact, and a model."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "mlruns").mkdir()
    with root(folder):
        tracker = Tracker(STORE)
        with tracker.run("run", {"kind": "seed"}) as run_id:
            tracker.client.log_text(run_id, "text", "note.txt")
        tracker.client.create_logged_model(tracker.experiment_id, "model", run_id)
    return folder


@pytest.fixture
def database(original, tmp_path, capsys):
    """The path of the database in a copy of that project, which has been used there."""
    shutil.copytree(original, folder := tmp_path / "copy")
    with root(folder):
        check_tracking(STORE)
        capsys.readouterr()
        yield folder / "mlruns/mlflow.db"


def change(database, sql):
    with closing(sqlite3.connect(database)) as store:
        store.executescript(sql)


def content(database):
    with closing(sqlite3.connect(database)) as store:
        return "\n".join(store.iterdump())


@pytest.mark.parametrize("name", ["another", "ein Ordner, größer #1"])
def test_the_runs_of_a_project_that_was_moved_follow_it(database, tmp_path, capsys, name):
    before = database.parents[1]
    shutil.move(before, moved := tmp_path / name)
    with root(moved):
        check_tracking(STORE)
        assert capsys.readouterr().err == f"This project was in {before}: its runs in MLflow now name {moved}.\n"
        found = content(moved / "mlruns/mlflow.db")
        assert f"{before}/" not in found
        assert before.as_uri() not in found
        tracker = Tracker(STORE)
        [run] = tracker.find(kind="seed")
        assert [file.path for file in tracker.client.list_artifacts(run.info.run_id)] == ["note.txt"]
        with tracker.run("another", {"kind": "seed"}) as run_id:
            tracker.client.log_text(run_id, "text", "note.txt")
        assert list((moved / "mlruns/artifacts").glob(f"{run_id}/*/note.txt"))
        check_tracking(STORE)
    assert capsys.readouterr().err == ""
    assert not before.exists()


def test_a_copy_of_a_project_leaves_the_original_alone(database, tmp_path):
    before = content(database)
    shutil.copytree(database.parents[1], copy := tmp_path / "another")
    with root(copy):
        check_tracking(STORE)
        with Tracker(STORE).run("another", {"kind": "seed"}):
            pass
    assert content(database) == before


@pytest.mark.parametrize("changes", [{"artifacts": "elsewhere/artifacts"}, {"artifacts": "/elsewhere"}, {}])
def test_paths_that_no_move_made_wrong_stay(database, tmp_path, changes):
    """Artifacts in a folder of the user's choice, and a database outside the project, which others may use."""
    before = content(database)
    where = {"uri": f"sqlite:///{database}"} if not changes else {}
    with root(database.parents[1] if changes else tmp_path / "project"):
        check_tracking(Tracking(**{**vars_of(STORE), **changes, **where}))
    assert content(database) == before


def vars_of(settings):
    return {name: getattr(settings, name) for name in ("uri", "artifacts", "experiment")}


UNUSABLE = {
    "made by a newer MLflow": lambda path: change(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'"),
    "damaged (database disk image": lambda path: os.truncate(path, path.stat().st_size // 2),
    "damaged (file is not a database)": lambda path: path.write_bytes(bytes(4096)),
    "damaged (Page 5": lambda path: zero_a_page(path, 5),
    "is incomplete": lambda path: change(path, "DROP TABLE IF EXISTS alembic_version"),
}


def zero_a_page(path, number):
    with path.open("r+b") as file:
        file.seek(4096 * (number - 1))
        file.write(bytes(4096))


@pytest.mark.parametrize("said", UNUSABLE)
def test_a_database_that_cannot_be_used_is_kept_and_replaced(database, capsys, said):
    for number in (1, 2):
        UNUSABLE[said](database)
        before = database.read_bytes()
        started = time.monotonic()
        check_tracking(STORE)
        assert time.monotonic() - started < 2
        error = capsys.readouterr().err
        assert error.startswith("mlruns/mlflow.db ")
        assert said in error
        assert error.count("\n") == 1
        assert f"kept as mlruns/mlflow.db.unusable-{number}" in error
        kept = database.with_name(f"mlflow.db.unusable-{number}")
        assert kept.read_bytes() == before
        assert not database.exists()
        check_tracking(STORE)  # MLflow is about to create it
        assert capsys.readouterr().err == ""
        shutil.copy(kept, database)


def test_a_database_that_cannot_be_used_is_not_touched_outside_the_project(database, tmp_path):
    os.truncate(database, 5000)
    with root(tmp_path / "project"), one_sentence(f"start a new one: `mv {database} {database}.unusable-1`."):
        check_tracking(Tracking(f"sqlite:///{database}", None, "attention"))
    assert database.stat().st_size == 5000


def test_a_database_of_another_program_is_refused(database):
    database.unlink()
    change(database, "CREATE TABLE photos (id)")
    with one_sentence("tracking.uri is sqlite:///mlruns/mlflow.db: that is not a database of MLflow"):
        check_tracking(STORE)
    assert "photos" in content(database)


@pytest.mark.parametrize("begun", ["CREATE TABLE experiments (id)", "", None])
def test_a_database_whose_creation_was_interrupted_is_created_again(database, begun):
    """As on a full disk, or by a kill. MLflow goes on where it was, and fails: "duplicate column name"."""
    database.unlink()
    database.touch() if begun is None else change(database, f"{begun}; VACUUM;")
    check_tracking(STORE)
    assert not database.exists() or database.stat().st_size == 0


@pytest.mark.long
def test_a_database_of_an_older_mlflow_is_upgraded_after_a_copy(database, capsys):
    from alembic import command
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    database.unlink()
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as config.attributes["connection"]:
        command.upgrade(config, "75868b020152")
    change(database, "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'attention', 'active')")
    before = content(database)
    check_tracking(STORE)
    assert "mlflow.db.before-upgrade-1 is as it was before." in capsys.readouterr().err
    assert content(database.with_name("mlflow.db.before-upgrade-1")) == before
    assert Tracker(STORE).experiment_id == "7"


@contextmanager
def unprivileged():
    """Need permission to write, as users do and root does not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("folder", [0o555, 0o777])
def test_a_database_that_cannot_be_written_can_be_shown(original, folder):
    with TemporaryDirectory() as name:
        store = Path(name, "mlruns")
        shutil.copytree(original / "mlruns", store)
        (store / "mlflow.db").chmod(0o444)
        store.chmod(folder)
        Path(name).chmod(0o755)
        started = time.monotonic()
        with (
            root(Path(name)),
            unprivileged(),
            pytest.raises(ShownOnly, match=r"cannot be written.*tracking=off") as caught,
        ):
            check_tracking(STORE)
        assert "\n" not in str(caught.value)
        assert time.monotonic() - started < 2
        store.chmod(0o755)


def test_a_deleted_experiment_is_found_before_any_work_and_the_advice_helps(database, monkeypatch):
    from click.testing import CliRunner
    from mlflow.experiments import commands

    tracker = Tracker(STORE)
    tracker.client.delete_experiment(tracker.experiment_id)
    with pytest.raises(
        ShownOnly, match=r"^tracking.experiment is attention: it was deleted in MLflow; .*\.$"
    ) as caught:
        check_tracking(STORE)
    with pytest.raises(ShownOnly):
        Tracker(STORE)  # as with a server
    monkeypatch.chdir(database.parents[1])
    variable, *words = shlex.split(str(caught.value).split("`")[1])
    assert variable == "MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db"
    assert words[:2] == ["mlflow", "experiments"]
    assert CliRunner().invoke(commands, words[2:], env=dict([variable.split("=", 1)])).exit_code == 0
    check_tracking(STORE)
    assert len(Tracker(STORE).find(kind="seed")) == 1


def test_a_renamed_experiment_is_the_same(database):
    tracker = Tracker(STORE)
    tracker.client.rename_experiment(tracker.experiment_id, "paper")
    assert Tracker(STORE).experiment_id == tracker.experiment_id
    tracker.client.create_experiment("attention")
    assert Tracker(STORE).experiment_id != tracker.experiment_id


def test_one_process_at_a_time_creates_the_database(database):
    """Two at once would undo each other's work."""
    database.unlink()
    lock = FileLock(f"{database}.lock")
    with lock:
        waiting = threading.Thread(target=check_tracking, args=[STORE])
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


@pytest.mark.parametrize(
    "uri", ["./mlruns", "mlruns", "/home/me/mlruns", "file:///home/me/mlruns", "sqlite://mlflow.db"]
)
def test_a_folder_is_refused_by_the_name_of_what_says_it(monkeypatch, uri):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with one_sentence(f"tracking.uri is {uri}: it must be a database or a server, such as sqlite:///mlruns/mlflow.db"):
        check_tracking(Tracking(uri, None, "attention"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=r"\AMLFLOW_TRACKING_URI is .* unset MLFLOW_TRACKING_URI\.\Z"):
        check_tracking(Tracking(uri, None, "attention"))


FIRST_START = """
from pipeline.settings.schema import Tracking
from pipeline.tracking.connection import tracker_of
print(tracker_of(Tracking("sqlite:///mlruns/mlflow.db", "mlruns/artifacts", "attention")).experiment_id)
"""


@pytest.mark.long
def test_first_starts_at_once_and_first_starts_that_are_killed(fresh):
    database, words = fresh.root / "mlruns/mlflow.db", ("python", "-c", FIRST_START)
    with ExitStack() as stack:
        started = [stack.enter_context(fresh.started(*words)) for _ in range(3)]
        assert [process.communicate() for process in started] == [("1\n", "")] * 3
    for pause in (0, 0.2):
        database.unlink()
        with fresh.started(*words) as process:
            wait_for(database.exists, process)
            time.sleep(pause)
        assert fresh.run(*words).stdout == "1\n"

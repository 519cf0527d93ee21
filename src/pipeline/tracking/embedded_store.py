"""The embedded database, checked and mended before any work, without MLflow, whose import takes seconds.

The result files are the truth, so a database that MLflow cannot use is kept under another name, and a new one is filled
in from the files.
"""

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from pipeline.results.folders import shown
from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Tracking
from pipeline.tracking.address import ShownOnly, database_file, deleted, named

PATIENCE = 60  # seconds for another process to create the database, which takes five
TABLES = {"experiments", "alembic_version"}  # every database of MLflow has them
LOCATIONS = {  # table -> columns with absolute paths
    "experiments": ["artifact_location"],
    "runs": ["artifact_uri"],
    "logged_models": ["artifact_location"],
    "model_versions": ["source", "storage_location"],
}
NEVER_FINISHED = "holds nothing, because its creation was interrupted"
OFF = "or run without MLflow: tracking=off"


@contextmanager
def ready(settings: Tracking) -> Iterator[None]:
    """Mend the embedded database, if it is one; let no other process create it while the block does.

    A `UserError` if nothing can be logged to it.
    """
    database = database_file(settings)
    if database is None:
        yield
        return
    with _locked(database, settings) as lock:
        if _mend(database, settings):
            lock.release()
        yield


@contextmanager
def _locked(database: Path, settings: Tracking) -> Iterator[FileLock]:
    lock = FileLock(f"{database}.lock", timeout=PATIENCE)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(f"{named(settings)}: another process has been creating it for {PATIENCE} seconds.") from None
    except OSError as error:
        kind = ShownOnly if database.is_file() else UserError
        reason = f"{shown(database.parent)} cannot be written ({error.strerror})"
        raise kind(f"{named(settings)}: {reason}: make it writable, {OFF}.") from error
    try:
        yield lock
    finally:
        lock.release()


def _mend(database: Path, settings: Tracking) -> bool:
    """Return whether the database is complete, after mending what can be mended."""
    if not database.exists() or (database.is_file() and not database.stat().st_size):
        return False
    try:
        with closing(_connect(database)) as store:
            _check_writable(store, settings)  # first: a program that is creating the database locks it
            fault = _fault(store, settings)
            if not fault:
                _check_experiment(store, settings)
                _follow_move(store, database, settings)
                fault = _upgrade(database) if _is_older(store) else ""
    except sqlite3.OperationalError as error:
        raise UserError(f"{named(settings)}: it cannot be read ({error}): {_way_out(error)}.") from error
    except sqlite3.DatabaseError as error:
        fault = f"is damaged ({error})"
    if fault:
        _set_aside(database, fault, settings)
    return not fault


def _way_out(error: sqlite3.OperationalError) -> str:
    ways = {"locked": "end the program that uses it", "full": "free some space"}
    return f"{next((way for word, way in ways.items() if word in str(error)), 'make it writable')}, {OFF}"


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, isolation_level=None)


def _fault(store: sqlite3.Connection, settings: Tracking) -> str:
    """Return in words why this MLflow cannot use a database; nothing if it can."""
    [state] = store.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        return f"is damaged ({state.splitlines()[-1]})"
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and not tables & TABLES:
        raise UserError(f"{named(settings)}: that is not a database of MLflow; name another file.")
    if "experiments" not in tables or not _rows(store, "SELECT 1 FROM experiments"):
        return NEVER_FINISHED
    if "alembic_version" not in tables or not _revision(store):
        return "is incomplete"
    return "" if _revision(store) <= _revisions().keys() else "was made by a newer MLflow"


def _revision(store: sqlite3.Connection) -> set[str]:
    return set(_rows(store, "SELECT version_num FROM alembic_version"))


def _rows(store: sqlite3.Connection, query: str, *values: str) -> list[str]:
    """Return the first column of what a query finds."""
    return [row[0] for row in store.execute(query, values)]


@cache
def _revisions() -> dict[str, str | None]:
    """Return the revisions of the database that the installed MLflow knows, each with the one before it."""
    spec = find_spec("mlflow")
    folder = Path(str(spec and spec.origin)).parent / "store/db_migrations/versions"
    texts = {path.name.partition("_")[0]: path.read_text(encoding="utf-8") for path in folder.glob("*_*.py")}
    before = {name: re.search(r"^down_revision = [\"'](\w+)", text, re.MULTILINE) for name, text in texts.items()}
    return {name: match and match[1] for name, match in before.items()}


def _is_older(store: sqlite3.Connection) -> bool:
    return not _revision(store).isdisjoint(_revisions().values())


def _check_writable(store: sqlite3.Connection, settings: Tracking) -> None:
    try:
        store.execute("BEGIN IMMEDIATE")
        store.execute("CREATE TABLE written (rolled_back)")
        store.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise ShownOnly(f"{named(settings)}: it cannot be written ({error}): {_way_out(error)}.") from error


def _check_experiment(store: sqlite3.Connection, settings: Tracking) -> None:
    query = "SELECT experiment_id FROM experiments WHERE lifecycle_stage = 'deleted' AND name = ?"
    for number in _rows(store, query, settings.experiment):
        raise deleted(settings, number)


def _follow_move(store: sqlite3.Connection, database: Path, settings: Tracking) -> None:
    """Let the runs of a project that was moved or copied name its new folder, in a database inside of it."""
    folder = ROOT / str(settings.artifacts)
    if not (settings.artifacts and folder.is_relative_to(ROOT) and database.is_relative_to(ROOT)):
        return
    tail = folder.as_uri().removeprefix(ROOT.as_uri())
    found = _rows(store, "SELECT DISTINCT artifact_location FROM experiments")
    for root in {uri.removesuffix(tail) for uri in found if uri and uri.startswith("file:") and uri.endswith(tail)}:
        if root != ROOT.as_uri():
            path = url2pathname(urlsplit(root).path)
            _replace(store, {root: ROOT.as_uri(), path: str(ROOT)})
            print(f"This project was in {path}: its runs in MLflow now name {ROOT}.", file=sys.stderr)


def _replace(store: sqlite3.Connection, folders: dict[str, str]) -> None:
    """Replace folders, old -> new, at the beginning of all absolute paths."""
    store.execute("BEGIN IMMEDIATE")
    for table, columns in LOCATIONS.items():
        for column in set(columns) & set(_rows(store, "SELECT name FROM pragma_table_info(?)", table)):
            for old, new in folders.items():
                change = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                store.execute(change, (new, len(old) + 1, len(old) + 1, f"{old}/"))
    store.execute("COMMIT")


def _upgrade(database: Path) -> str:
    """Upgrade a database of an older MLflow, after copying it; return what is wrong if it cannot be upgraded."""
    copy = _free_name(database, "before-upgrade")
    shutil.copy2(database, copy)
    words = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{database.as_posix()}"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return "was made by an older MLflow, and cannot be upgraded"
    print(
        f"{shown(database)} was upgraded to the installed MLflow; {shown(copy)} is as it was before.", file=sys.stderr
    )
    return ""


def _set_aside(database: Path, fault: str, settings: Tracking) -> None:
    """Rename a database that cannot be used; outside the project, a `UserError` says that the user should."""
    kept = _free_name(database, "unusable")
    if not database.is_relative_to(ROOT):
        raise UserError(f"{named(settings)}: it {fault}; start a new one: `mv {database} {kept}`.")
    parts = [(Path(f"{database}{suffix}"), Path(f"{kept}{suffix}")) for suffix in ("", "-journal", "-wal", "-shm")]
    try:
        for part, target in parts:
            if part.exists():
                part.unlink() if fault == NEVER_FINISHED else part.rename(target)
    except OSError as error:
        raise UserError(f"{named(settings)}: it {fault}, and cannot be renamed ({error.strerror}).") from error
    what_happens = "it is created again" if fault == NEVER_FINISHED else f"it is kept as {shown(kept)}, and replaced"
    print(f"{shown(database)} {fault}: {what_happens}; `make ui` fills it in from the result files.", file=sys.stderr)


def _free_name(database: Path, reason: str) -> Path:
    names = (database.with_name(f"{database.name}.{reason}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())

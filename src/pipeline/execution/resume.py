"""Finished parts of a stage, kept so that an interrupted stage resumes, and that added seeds are trained alone."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import psutil

from pipeline.execution import fingerprint as fingerprints
from pipeline.execution import machine, worker_pool
from pipeline.results import folders
from pipeline.results.file_formats import write_text
from pipeline.results.made_on import Machine
from pipeline.results.on_demand import OnDemand
from pipeline.settings.project import ROOT
from pipeline.settings.study import digest

KEPT = 30 * 24 * 3600  # seconds that finished parts wait for their stage to be started again
MADE_BY = "made_by.json"  # code and packages that made the parts, and the process that is at work on them

Key = TypeVar("Key", int, str)
Result = TypeVar("Result")
MACHINE = "machine.json"  # in the folder of a part: where it was made
STARTED, FINISHED = "started.json", "finished.json"  # the tasks that a stage was started with, and finished


class Files(NamedTuple, Generic[Result]):
    """How the result of a task is written to a folder, and read from it."""

    write: Callable[[Path, Result], object]
    read: Callable[[Path], Result]


@contextmanager
def folder_of(fingerprint: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folder for the finished parts of a stage, which are kept for a time when the block succeeds, too.

    `fingerprint` is what the results depend on, from `fingerprint.of`: if any of it changes, so does the folder.
    Folders of others are removed if no stage can resume from them any more.
    """
    folder = ROOT / folders.OUTPUTS / "parts" / digest(dict(fingerprint))
    environment = {name: fingerprint.get(name) for name in fingerprints.environment()}
    write_text(folder / MADE_BY, json.dumps(environment | {"pid": os.getpid()}) + "\n")
    for other in folder.parent.iterdir():
        if other != folder and not _can_resume(other, environment):
            shutil.rmtree(other, ignore_errors=True)
    yield folder
    with suppress(FileNotFoundError):  # the same stage at the same time
        (folder / STARTED).replace(folder / FINISHED)


def _can_resume(folder: Path, environment: Mapping[str, str | None]) -> bool:
    """Return whether a stage is at work on a folder, or the same code and packages could go on with it soon."""
    try:
        made_by = json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
        at_work, age = psutil.pid_exists(made_by.pop("pid")), time.time() - (folder / MADE_BY).stat().st_mtime
    except (*folders.CORRUPT, TypeError, AttributeError):
        return False
    return at_work or (age < KEPT and made_by == environment)


def each(
    folder: Path,
    files: Files[Result],
    work: Callable[..., Result],
    tasks: Mapping[Key, tuple[Any, ...]],
    pool: worker_pool.Pool,
) -> Mapping[Key, Result]:
    """Return key -> `work(*arguments)` for each task, but run only those whose results are not in the folder yet.

    A result stays in the folder, and is read when it is asked for. A stage that is started again with exactly the tasks
    that it finished last time runs all of them again: nobody starts it so but to see whether the results are the same.
    """
    _forget_if_finished(folder, list(map(str, tasks)))
    before = [key for key in tasks if _is_finished(folder / str(key), files)]
    if before:
        print(f"{pool.title}: {len(before)} of {len(tasks)} {pool.unit} were finished before.", flush=True)

    def keep(key: Key, result: Result) -> None:
        with folders.replacing(folder / str(key)) as aside:
            files.write(aside, result)
            write_text(aside / MACHINE, json.dumps(machine.of_workers(pool.cluster)))

    if left := {key: arguments for key, arguments in tasks.items() if key not in before}:
        worker_pool.each(work, left, pool._replace(received=keep))
    return OnDemand(tasks, lambda key: files.read(folder / str(key)))


def machine_of(folder: Path, tasks: Iterable[Key]) -> Machine:
    """Return the machine on which the parts in a folder were made; empty if they were made on several, or on others."""
    found = [json.loads((folder / str(key) / MACHINE).read_text(encoding="utf-8")) for key in tasks]
    return dict(found[0]) if all(other == found[0] for other in found) else {}


def _forget_if_finished(folder: Path, tasks: list[str]) -> None:
    """Remove the parts of some tasks if exactly these were finished last; note that a stage has started with them."""
    try:
        finished = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    except folders.CORRUPT:
        finished = None
    if finished == tasks:
        for task in tasks:
            shutil.rmtree(folder / task, ignore_errors=True)
    (folder / FINISHED).unlink(missing_ok=True)
    write_text(folder / STARTED, json.dumps(tasks) + "\n")


def _is_finished(path: Path, files: Files[Result]) -> bool:
    """Return whether there is a result in a folder; what cannot be read is made again."""
    try:
        files.read(path)
    except folders.CORRUPT:
        return False
    return True

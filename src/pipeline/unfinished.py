"""What is finished of a stage before all of it is: kept, so that a stage that was ended goes on where it was."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pipeline import runtime, storage
from pipeline.choices import digest
from pipeline.config import ROOT

Key = TypeVar("Key", int, str)
Result = TypeVar("Result")


class Files(NamedTuple, Generic[Key, Result]):
    """How the result of a task is written to a folder, and read back from it."""

    write: Callable[[Path, Key, Result], object]
    read: Callable[[Path, Key], Result]


@contextmanager
def folder_of(told: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folder of what is finished of a stage; it goes when the block has ended well.

    `told` is what decides the results, by `fingerprint.of`: if any of it has changed, it is another folder.
    """
    folder = ROOT / storage.OUTPUTS / "unfinished" / digest(dict(told))
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def each(
    folder: Path,
    files: Files[Key, Result],
    work: Callable[..., Result],
    tasks: Mapping[Key, tuple[Any, ...]],
    pool: runtime.Pool,
) -> dict[Key, Result]:
    """Return what `runtime.each` does, of which only those tasks are worked off that were not finished before."""
    before = {key: result for key in tasks if (result := _read(folder / str(key), files, key)) is not None}
    if before:
        print(f"{pool.title}: {len(before)} of {len(tasks)} {pool.unit} were finished before.", flush=True)

    def keep(key: Key, result: Result) -> None:
        with storage.replacing(folder / str(key)) as aside:
            files.write(aside, key, result)
        pool.received(key, result)

    left = {key: arguments for key, arguments in tasks.items() if key not in before}
    done = runtime.each(work, left, pool._replace(received=keep)) if left else {}
    return {key: done[key] if key in done else before[key] for key in tasks}


def _read(path: Path, files: Files[Key, Result], key: Key) -> Result | None:
    """Return what was written to a folder; nothing if there is none, or it is damaged."""
    try:
        return files.read(path, key)
    except storage.DAMAGE:
        return None

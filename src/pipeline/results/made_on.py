"""On which machine results were made: a note in outputs/ for each content, since no result file may name a machine.

A note is found by the hash of the content. It cannot become outdated, and no copy of other results inherits it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.results.file_formats import File, write_text
from pipeline.results.folders import OUTPUTS
from pipeline.settings.project import ROOT

Machine = Mapping[str, str]  # name -> processor, caches, versions, flags: `execution.machine.description`
Files = Mapping[str, File]  # path inside an output -> file
NOTES = f"{OUTPUTS}/machines"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy")  # that compute the numbers


def versions() -> dict[str, str]:
    """Return the versions of the packages that compute the numbers."""
    return {name: version_of(name) for name in PACKAGES}


def version_of(package: str) -> str:
    """Return the version of a package, or of its build for processors alone, such as tensorflow-cpu."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-cpu")


def files_in(folder: Path) -> dict[str, Path]:
    """Return path inside a folder -> file, for all files in it; empty if there is no such folder."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def content_hash(files: Files) -> str:
    """Return the hash of the files of an output, as dvc.lock states it.

    Source: https://doc.dvc.org/user-guide/project-structure/internal-files#directories
    """
    listed = [{"md5": _md5(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def _md5(path: File) -> str:
    file: Any  # for mypy, the common type of both kinds of files cannot be hashed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def note(machine: Machine, *folders: Path) -> None:
    """Note that the content of some folders was made on a machine, unless that is unknown, and so empty."""
    for folder in folders if machine else ():
        write_text(_path(content_hash(files_in(folder))), json.dumps(dict(machine), indent=2) + "\n")


def machine_of(content: str) -> Machine:
    """Return on which machine a content with this hash was made; empty if there is no note, or it is incomplete."""
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads(_path(content).read_text(encoding="utf-8")))
    return {}


def of_folder(folder: Path) -> Machine:
    """Return on which machine the content of a folder was made; empty if it was not noted."""
    return machine_of(content_hash(files_in(folder)))


def _path(content: str) -> Path:
    return ROOT / NOTES / f"{content.removesuffix('.dir')}.json"

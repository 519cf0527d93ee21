"""Code and data of the user that settings name: functions and classes by dotted path, and data files."""

import hashlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.settings.project import ROOT, UserError

TARGET, SOURCE = "_target_", "_source_"  # keys of a dotted path, and of `source_hash` of it
CONTENT = "_content_"  # key of `content_hash`


def locate(path: str, where: str) -> Any:
    """Return what a dotted path such as "package.module.name" names, in the environment or the project's root.

    A `UserError` names the parameter `where` it is, if there is no such thing or what it needs cannot be imported.
    """
    try:
        with _root_on_path():
            return pkgutil.resolve_name(path)
    except Exception as error:  # whatever a user's own module raises
        raise UserError(f"{where} is {path}: it cannot be imported ({' '.join(str(error).split())}).") from error


@cache
def source_hash(path: str) -> str | None:
    """Return a hash of the user's file or package that a dotted path leads into; None for an installed package.

    It distinguishes the results of a user's layer from those before the layer was changed. It is cached, since a
    process imports a file only once.
    """
    with _root_on_path():
        spec = find_spec(path.split(".", maxsplit=1)[0])
    origin = Path(spec.origin) if spec and spec.origin else Path(sys.prefix)
    installed = origin.is_relative_to(sys.prefix) or origin.is_relative_to(Path(__file__).parents[1])
    if installed or not origin.is_relative_to(ROOT):
        return None
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def content_hash(path: str | None) -> str | None:
    """Return a hash of a file, or of the arrays in a folder, by its path from the project's root; None if not there."""
    if path is None:
        return None
    hashes = {file.name: _hash(file, file.stat().st_mtime_ns) for file in files_at(path)}
    if (ROOT / path).is_file():
        return next(iter(hashes.values()))
    listed = "\n".join(f"{name} {content}" for name, content in hashes.items())
    return hashlib.sha256(listed.encode()).hexdigest()[:12] if hashes else None


def files_at(path: str) -> list[Path]:
    """Return a file, or the .npy files of a folder, given by its path from the project's root; none if not there."""
    place = ROOT / path
    return sorted(place.glob("*.npy")) if place.is_dir() else [place] * place.is_file()


@lru_cache
def _hash(path: Path, changed: int) -> str:
    del changed  # only a part of the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@contextmanager
def _root_on_path() -> Iterator[None]:
    sys.path.append(str(ROOT))  # last, so that a file there hides no package
    try:
        yield
    finally:
        sys.path.remove(str(ROOT))

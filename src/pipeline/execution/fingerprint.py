"""What a result depends on besides its settings: code, packages, machine and data."""

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from pipeline.results import folders, made_on
from pipeline.results.splits import Split
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Study
from pipeline.settings.study import digest, plain

ARITHMETIC = (  # set in `pipeline/__init__.py`
    "TF_ENABLE_ONEDNN_OPTS",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL",
    "NPY_DISABLE_CPU_FEATURES",
    "XLA_FLAGS",
)
SOURCE = Path(__file__).resolve().parents[1]
ROOMS = ("settings", "results", "tasks", "models", "measures")  # no other code changes a result of a worker


@cache
def environment() -> dict[str, str]:
    """Return name -> code, packages, processor and arithmetic of this process.

    The code is hashed at the first call: a long-lived process goes on with the code that it imported.
    """
    files = [SOURCE / "__init__.py", *(path for room in ROOMS for path in sorted((SOURCE / room).rglob("*.py")))]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    arithmetic = {name: os.environ.get(name, "") for name in ARITHMETIC}
    return {"code": code.hexdigest()[:12], **made_on.versions(), "processor": platform.machine(), **arithmetic}


def of(study: Study, kind: str, *splits: Split) -> dict[str, str]:
    """Return name -> what a seed's or a control's result of a kind depends on, given the splits that it is made from.

    Which other seeds there are changes nothing.
    """
    data = {split.folder.as_posix(): split.sha256 for split in splits}
    settings = {name: value for name, value in folders.values(study, kind).items() if name != "seeds"}
    return {**environment(), **data, "settings, or your own code": digest(settings)}


def of_combinations(path: str, tasks_and_variants: list[Any]) -> dict[str, str]:
    """Return name -> what the combinations of a sweep depend on, if a worker runs each in the project's folder.

    `path` is that of a file in that folder, from `shared_folder`.
    """
    folder = "that of the sweep" if (ROOT / path).exists() else f"another one ({ROOT})"
    return {**environment(), "project folder": folder, "your own code or files": digest(plain(tasks_and_variants))}


@contextmanager
def shared_folder() -> Iterator[str]:
    """Yield the path of a file, from the project's root, by which a process knows whether it sees the same folder."""
    folder = ROOT / folders.OUTPUTS
    folder.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="seen-") as file:
        yield f"{folders.OUTPUTS}/{Path(file.name).name}"

"""What decides a result beside its values: the code, the packages and the machine it runs on, and its data."""

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from pipeline import storage
from pipeline.choices import digest, plain
from pipeline.config import ROOT, Study
from pipeline.dataset import Split

PACKAGES = ("tensorflow", "keras", "numpy", "scipy")
ARITHMETIC = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS")  # set in `pipeline/__init__.py`


@cache
def surroundings() -> dict[str, str]:
    """Return name -> what this process runs on.

    Of the code it is a hash of what it was when this was first asked: a long-lived process goes on with that.
    """
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    packages = {name: version(name) for name in PACKAGES}
    settings = {name: os.environ.get(name, "") for name in ARITHMETIC}
    return {"code": code.hexdigest()[:12], **packages, "processor": platform.machine(), **settings}


class Jobs(NamedTuple):
    """What decides the jobs of a sweep that workers run as a whole: they must share the project's folder.

    `path` is a file in it, and `named` are the tasks and variants of the jobs, as conf/ describes them.
    """

    path: str
    named: list[Any]

    def told(self) -> dict[str, str]:
        """Return name -> what decides the jobs."""
        folder = "that of the sweep" if (ROOT / self.path).exists() else f"another one ({ROOT})"
        return {**surroundings(), "project folder": folder, "code or files of your own": digest(plain(self.named))}


@contextmanager
def shared_folder() -> Iterator[str]:
    """Yield the path of a file, from the project's root, by which it is known whether another sees the same folder."""
    folder = ROOT / storage.OUTPUTS
    folder.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="seen-") as file:
        yield f"{storage.OUTPUTS}/{Path(file.name).name}"


def of(config: Study, kind: str, *splits: Split) -> dict[str, str]:
    """Return name -> what decides a kind of result that is made from some splits of the data."""
    data = {split.folder.as_posix(): split.sha256 for split in splits}
    return {**surroundings(), **data, "values, or code of your own": digest(storage.values(config, kind))}

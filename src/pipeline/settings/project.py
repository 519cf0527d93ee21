"""The project: where it is, which files its conf/ offers, and the one exception for mistakes that users can correct."""

import os
from pathlib import Path


class UserError(Exception):
    """A user error; the message says in one sentence how to fix it."""


def _find_root() -> Path:
    """Return the project's root: PROJECT_ROOT, else the working folder or one above it, else this checkout."""
    if "PROJECT_ROOT" in os.environ:
        return Path(os.environ["PROJECT_ROOT"]).resolve()
    checkout = Path(__file__).resolve().parents[3]
    around = (Path.cwd(), *Path.cwd().parents)
    return next((p for p in around if (p / "dvc.yaml").is_file() and (p / "conf/config.yaml").is_file()), checkout)


ROOT = _find_root()


def names_in(group: str) -> list[str]:
    """Return the names of the files in a folder of conf/, such as variant or task."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))

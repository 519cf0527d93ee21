"""Where a result was made, which none of its files may hold: they are the same wherever that was."""

import platform
import subprocess
from functools import cache

from pipeline.config import ROOT


@cache
def git_commit() -> str:
    """Return the commit that is checked out, "none" outside a repository."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "none"


def note() -> str:
    """Return a sentence that names commit, Python and system."""
    return f"Logged from commit {git_commit()} by Python {platform.python_version()} on {platform.platform()}."

"""Where a result was made. No result file holds any of it: the files are the same wherever they were made."""

import platform
import socket
import subprocess
from functools import cache

import psutil

from pipeline.settings.project import ROOT


@cache
def git_commit() -> str:
    """Return the commit that is checked out, "none" outside a repository or without git."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "none"
    return found.stdout.strip() or "none"


def note() -> str:
    """Return a sentence that names commit, Python and system."""
    return f"Logged from commit {git_commit()} by Python {platform.python_version()} on {platform.platform()}."


@cache
def process_identity() -> str:
    """Return what distinguishes this process from all others, past ones included: machine, number, start time."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def is_running(identity: str) -> bool:
    """Return whether the process with this `process_identity` is running; on another machine, it is taken to be."""
    host, _, rest = identity.partition(" ")
    if host != socket.gethostname():
        return bool(host)
    pid, created = rest.split()
    return psutil.pid_exists(int(pid)) and str(psutil.Process(int(pid)).create_time()) == created

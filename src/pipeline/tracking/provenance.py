"""Where a result was made. No result file holds any of it: the files are the same wherever they were made."""

import platform
import re
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from pipeline.settings.project import ROOT

CLOCK = 10  # seconds by which the start time of a process may change when the machine's clock is set


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
    return f"{_machine()} {me.pid} {me.create_time()}"


def has_ended(identity: str) -> bool | None:
    """Return whether the process with this `process_identity` has ended; None for a process of another machine."""
    match = re.fullmatch(r"(\S+) (\d+) (\d+\.\d+)", identity)
    if not match:
        return False  # another program's tag
    machine, number, created = match.groups()
    if machine != _machine():
        return None
    try:
        process = psutil.Process(int(number))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True  # killed, and nobody has waited for it yet
        return abs(process.create_time() - float(created)) > CLOCK
    except psutil.Error:
        return True


@cache
def _machine() -> str:
    """Return the name of the machine, and of its space of process numbers: each container has its own."""
    with suppress(OSError):
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()

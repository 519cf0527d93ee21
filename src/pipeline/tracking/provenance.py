"""Where a result was made. No result file holds any of it: the files are the same wherever they were made."""

import os
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


UNKNOWN = "none"  # in place of a commit
PROGRAM = "attention-pipeline"  # named as the user of a server that asks for none
STAGES = {
    "seed": "train",
    "control": "controls",
    "comparison": "compare",
    "sweep": "sweep",
}  # kind of run -> module that makes it


@cache
def git_commit() -> str:
    """Return the commit that is checked out, "none" outside a repository, without git, or before the first commit."""
    return _git("rev-parse", "--verify", "HEAD").strip() or UNKNOWN


@cache
def has_changes(*paths: str) -> bool:
    """Return whether files of the project are not as they were committed."""
    return bool(_git("status", "--porcelain", "--", *paths))


@cache
def committed(commit: str, path: str) -> str:
    """Return the text of a file of the project as of a commit; empty if that is not known."""
    return _git("show", f"{commit}:./{path}")


def _git(*words: str) -> str:
    """Return what git prints; nothing if it fails."""
    try:
        found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    except OSError:
        return ""
    return "" if found.returncode else found.stdout.decode(errors="replace")


def source(kind: str, commit: str) -> dict[str, str]:
    """Return the tags in which MLflow looks for a run's source, version and user.

    The user is the one whom the server knows anyway: no login or machine is named.
    """
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"pipeline.{STAGES[kind]}"}
    tags |= {"mlflow.user": os.environ.get("MLFLOW_TRACKING_USERNAME") or PROGRAM}
    return tags | ({} if commit == UNKNOWN else {"mlflow.source.git.commit": commit})


def dvc_experiment() -> dict[str, str]:
    """Return the tag with the name of the DVC experiment that this process is a stage of; nothing outside of one."""
    name = os.environ.get("DVC_EXP_NAME", "")
    return {"dvc_experiment": name} if name else {}


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

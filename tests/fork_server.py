"""Start commands of the project in a process that has imported TensorFlow, MLflow and DVC already (Linux).

These imports take four of the six seconds of processor time of a small stage. The server imports them once and forks
for each command. `commands` starts it and returns a folder that holds `python` and `dvc`, to be put into PATH:
`python -m pipeline.NAME` and `dvc` run in a fork, with their own working folder, environment, streams and the code
that PYTHONPATH names; anything else runs as usual. A command that comes before the server is ready waits.
"""

import atexit
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp

IMPORTS = (
    *("dvc.cli", "dvc.commands.repro", "dvc.repo.reproduce", "hydra", "joblib.externals.loky", "pandas"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "mlflow.store.tracking.sqlalchemy_store"),
    *("mlflow.tensorflow", "scipy.stats"),
)
FOLDER = "FORK_SERVER_COMMANDS"  # variable by which child processes find the folder
COMMAND = """#!/bin/sh
exec '{python}' -IS '{client}' '{socket}' {name} "$@"
"""


@cache
def commands() -> Path:
    """Start the server, which ends with this process, unless a parent has; return the folder of its commands."""
    if FOLDER in os.environ:
        return Path(os.environ[FOLDER])
    folder = Path(mkdtemp(prefix="fork_server"))
    for name in ("python", "dvc"):
        words = {"python": sys.executable, "client": Path(__file__).with_name("fork_client.py"), "name": name}
        (folder / name).write_text(COMMAND.format(socket=folder / "socket", **words), encoding="utf-8")
        (folder / name).chmod(0o755)
    words = (sys.executable, __file__, folder / "socket")
    server = subprocess.Popen(words, stdin=subprocess.PIPE)
    atexit.register(server.communicate)  # it ends when its standard input does
    os.environ[FOLDER] = str(folder)
    return folder


def _import() -> None:
    from pipeline.execution.start_tensorflow import import_tensorflow, importing

    import_tensorflow()
    with importing():
        for name in IMPORTS:
            import_module(name)


def _serve(listener: socket.socket) -> list[str]:
    """Fork for each request; return the words of a command in the process that is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes of finished requests
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not os.fork():
            listener.close()
            return _start(connection)
        connection.close()
    os._exit(0)  # the tests are over


def _start(connection: socket.socket) -> list[str]:
    """Fork once more: the child becomes the command; the parent passes signals on, and reports how the child ends."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
    child = os.fork()
    if not child:
        connection.close()
        return _become(json.loads(text), streams)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for stream in (*streams, 0, 1, 2):
        os.close(stream)
    ended = os.pidfd_open(child)
    while ended not in select.select([ended, connection], [], [])[0]:
        number = connection.recv(1) or bytes([signal.SIGKILL])  # nothing: the client was killed
        os.killpg(0, number[0])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.send(status.to_bytes(4, signed=True))
    os._exit(0)


def _become(request: dict, streams: list[int]) -> list[str]:
    """Take over the client's streams, working folder, environment and code."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:1] = [request["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    for name in [name for name in sys.modules if name.split(".")[0] == "pipeline"]:
        del sys.modules[name]
    return request["words"]


if __name__ == "__main__":
    _import()
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen()
    sys.argv = _serve(server)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

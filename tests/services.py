"""Real servers on 127.0.0.1, for tests: PostgreSQL, MLflow, S3, and the project's own UI."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from conftest import wait_for


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(page: str, process: subprocess.Popen) -> None:
    """Wait until a process answers at an address."""

    def answers() -> bool:
        with suppress(OSError), urllib.request.urlopen(page, timeout=5):
            return True
        return False

    wait_for(answers, process)


class Server:
    """A program that listens on 127.0.0.1, in a process group of its own."""

    def __init__(self, words: list[str], page: str, **options) -> None:
        self.words, self.page, self.options = words, page, options
        self.address = "/".join(page.split("/")[:3])
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers, if it has a page."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.words, start_new_session=True, **quiet, **self.options)
        if self.page:
            listening(self.page, self.process)

    def stop(self) -> None:
        """Have it answer no more, although it keeps its connections."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, with all its processes."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the address of an empty database on a PostgreSQL server that ends with the block."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    with TemporaryDirectory(prefix="postgresql-") as name:
        folder, port = Path(name), free_port()
        options = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        if os.geteuid() == 0:  # as whom it refuses to run
            owner = pwd.getpwnam("postgres")
            options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        control, data = [found[-1] / "pg_ctl", "-w", "-D", folder / "data"], folder / "data"
        settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"

        run = partial(subprocess.run, **options)
        run([found[-1] / "initdb", "-D", data, "-U", "mlflow", "-A", "trust"])
        run([*control, "-l", folder / "log", "-o", settings, "start"])
        try:
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        finally:
            run([*control, "-m", "immediate", "stop"])


def mlflow_server(folder: Path, store: str, *words: str, workers: int = 1, **environment: str) -> Server:
    """Return an MLflow server on a store, which keeps the artifacts in a folder itself."""
    port = free_port()
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    kept = ["--backend-store-uri", store, "--artifacts-destination", str(folder)]
    command = [sys.executable, "-m", "mlflow", "server", *place, *kept, *words]
    jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # for language models, in eight more processes
    return Server(command, f"http://127.0.0.1:{port}/health", env={**os.environ, **jobs, **environment}, cwd=folder)


def tracked_by(address: str, seconds: int = 30) -> dict[str, str]:
    """Return what to set in the environment for stages that log to a server, which a busy machine may make slow."""
    return {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}


def s3_server(folder: Path) -> Server:
    """Return an S3 server that keeps its buckets in memory."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return Server(command, f"http://127.0.0.1:{port}/moto-api/", cwd=folder)


class Cluster:
    """A Dask scheduler and its nodes."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, port, page = folder, free_port(), free_port()
        self.address, self.nodes = f"tcp://127.0.0.1:{port}", []
        place = ["--host", "127.0.0.1", "--port", str(port), "--dashboard-address", f"127.0.0.1:{page}"]
        words = [sys.executable, "-m", "dask", "scheduler", *place, "--no-dashboard"]
        blind = folder / "blind"  # where it finds none of this project, which is at home on the workers
        blind.mkdir()
        (blind / "pipeline.py").write_text("raise ImportError", encoding="utf-8")
        env = {**os.environ, "PYTHONPATH": str(blind), **environment}
        self.scheduler = Server(words, f"http://127.0.0.1:{page}/health", cwd=folder, env=env)
        self.environment = {"DASK_SCHEDULER_ADDRESS": self.address}

    def join(self, name: str, project, threads: int = 1) -> Server:
        """Start a node, a nanny and its worker that see a project's folder, and wait until it has joined."""
        from distributed import Client

        place = "--host 127.0.0.1 --dashboard-address 127.0.0.1:0 --no-dashboard --nworkers 1 --memory-limit 4GiB"
        words = [sys.executable, "-m", "dask", "worker", self.address, *place.split(), "--nthreads", str(threads)]
        words += ["--name", name, "--local-directory", str(self.folder / name)]
        node = Server(words, "", env=project.environment, cwd=project.root)
        self.nodes.append(node)
        node.start()
        with Client(self.address) as client:
            client.wait_for_workers(sum(other.process is not None for other in self.nodes), timeout=120)
        return node

    def __enter__(self) -> "Cluster":
        self.scheduler.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (*self.nodes, self.scheduler):
            server.kill()


def runs_of(uri: str, experiment: str = "attention"):
    """Return a client of an MLflow store, and all runs of an experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    return client, client.search_runs([found.experiment_id], max_results=1000) if found else []


def stored(project):
    """Return what tells the finished runs apart, read from the database: MLflow's client keeps a lost one open."""
    runs = {}
    for run_id, key, value in project.query(
        "SELECT run_uuid, key, value FROM tags JOIN runs USING (run_uuid) WHERE status = 'FINISHED'"
    ):
        if key in ("kind", "variant", "seed") or key.endswith("_hash"):
            runs.setdefault(run_id, set()).add((key, value))
    return {frozenset(tags) for tags in runs.values()}


def serve(project):
    """Run the UI until its page can be read, end it by Ctrl-C, and return the first line it says."""
    port = free_port()
    with project.started("python", "-m", "pipeline.ui", f"port={port}", env=project.forked) as server:
        listening(f"http://127.0.0.1:{port}/", server)
        os.killpg(server.pid, signal.SIGINT)
        out, error = server.communicate(timeout=30)  # it ends when all processes have that write to it
    assert server.returncode == 0
    assert "Traceback" not in error
    return out.splitlines()[0]

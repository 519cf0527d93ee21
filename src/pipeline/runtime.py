"""Worker processes, and TensorFlow imported without its start-up chatter."""

import ctypes
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import joblib
import psutil
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from pipeline.config import UserError

Result = TypeVar("Result")
Item = TypeVar("Item")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Silence what native code prints to standard error; no environment variable reaches all of it.

    Python's own messages and exceptions after the block are shown as ever.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _keep_freed_memory() -> None:
    """Have glibc keep what a training step frees for the next step.

    It would hand it back to the system and fault it in again, some 450 pages a step: nearly half of the training time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, size in ((_M_TOP_PAD, 64 * 2**20), (_M_TRIM_THRESHOLD, 2**30), (_M_MMAP_THRESHOLD, 32 * 2**20)):
            libc.mallopt(option, size)


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def import_tensorflow() -> None:
    """Import TensorFlow, quietly; later imports of it cost nothing."""
    _keep_freed_memory()
    with quiet_start():
        import tensorflow  # noqa: F401


def each_seed(work: Callable[[int], Result], seeds: list[int], workers: int | None, title: str) -> dict[int, Result]:
    """Return seed -> `work(seed)`, worked out in processes side by side, with a progress bar.

    Args:
        work: what to do for a seed; it must not depend on which seeds its process did before.
        seeds: the seeds.
        workers: processes; None means one for each core.
        title: what the progress bar says.
    """
    processes = min(workers or joblib.cpu_count(), len(seeds))
    tasks = (joblib.delayed(_one)(work, seed, os.getpid()) for seed in seeds)
    try:
        results = joblib.Parallel(processes, backend="loky", return_as="generator_unordered")(tasks)
        done = dict(_progress(results, title, len(seeds)))
    except TerminatedWorkerError:
        raise UserError("a worker process died, perhaps for want of memory: try again with workers=1.") from None
    except BaseException:
        _end_children()
        raise
    return {seed: done[seed] for seed in seeds}


def _end_children() -> None:
    """End all processes that this one started; what they were at is given up."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=10)


def _one(work: Callable[[int], Result], seed: int, parent: int) -> tuple[int, Result]:
    if os.getpid() != parent:  # joblib works a single process off in the parent itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too, and ends its workers
    return seed, work(seed)


def _progress(items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
    """Yield the items under a progress bar that shows the time left."""
    form = "{desc} {bar:24} {n_fmt}/{total_fmt} seeds, {elapsed} gone, {remaining} left"
    return iter(tqdm(items, title, total, bar_format=form, file=sys.stderr))


@cache
def process_identity() -> str:
    """Return what tells this process from all others, past ones included: machine, number, time of its start."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time()}"


def is_running(identity: str) -> bool:
    """Return whether the process that `process_identity` told is running; one on another machine is taken to be."""
    host, _, rest = identity.partition(" ")
    if host != socket.gethostname():
        return bool(host)
    pid, created = rest.split()
    return psutil.pid_exists(int(pid)) and str(psutil.Process(int(pid)).create_time()) == created

"""Worker processes, and TensorFlow imported without its start-up chatter."""

import ctypes
import gc
import os
import platform
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar

import joblib
import psutil
from joblib.externals.loky import process_executor
from tqdm import tqdm

from pipeline.config import UserError

Result = TypeVar("Result")
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


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


@contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """Have imports of modules fail as if they were not installed, but for those that were imported before."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def importing() -> Iterator[None]:
    """Do not look for garbage in a block that imports large packages: it takes a third of the time to find none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor later among what was imported
        gc.enable()


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, quietly; later imports of them cost nothing.

    Without what Keras takes along, where it is installed, for its plots and its scikit-learn wrappers: no stage uses
    these, and they make up a third of the time.
    """
    if "keras" in sys.modules:
        return
    _keep_freed_memory()
    with quiet_start(), importing(), _hidden("matplotlib.pyplot", "sklearn"):
        import keras  # noqa: F401 (and with it TensorFlow, its backend)


class Pool(NamedTuple):
    """Processes that work side by side, with a progress bar.

    `workers` is their number, None one for each core; `title` is what the bar says, `unit` what it counts. `prepare`
    is done while they start, `received` with the key and the result of each task, as soon as it is there.

    `cluster` is the address of a cluster whose workers do it instead, and `fingerprint` what these must agree about.
    """

    workers: int | None
    title: str
    unit: str
    prepare: Callable[[], object] = lambda: None
    received: Callable[[Any, Any], object] = lambda key, result: None
    cluster: str | None = None
    fingerprint: Callable[[], Mapping[str, str]] = dict


def each(work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], pool: Pool) -> dict[Key, Result]:
    """Return key -> `work(*arguments)` for each task, worked out in the processes of a pool.

    Args:
        work: what to do; it must not depend on what its process did before. TensorFlow is imported for it.
        tasks: key -> arguments.
        pool: which processes.

    Raises:
        UserError: if a worker process was ended from outside, or the cluster cannot do the work.
    """
    from pipeline import cluster

    done = {}
    with (cluster.results if pool.cluster else _on_own_cores)(work, tasks, pool) as results:
        for key, result in _progress(results, pool, len(tasks)):
            done[key] = result
            pool.received(key, result)
    return {key: done[key] for key in tasks}


@contextmanager
def _on_own_cores(
    work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], pool: Pool
) -> Iterator[Iterator[tuple[Key, Result]]]:
    """Yield an iterator over (key, result) of all tasks, in the order in which they are done."""
    processes = min(pool.workers or joblib.cpu_count(), len(tasks))
    calls = (joblib.delayed(_one)(work, key, arguments, os.getpid()) for key, arguments in tasks.items())
    try:
        parallel = joblib.Parallel(processes, backend="loky", return_as="generator_unordered", batch_size=1)
        started = parallel(joblib.delayed(_start)() for _ in range(processes))
        pool.prepare()
        deque(started, maxlen=0)
        yield parallel(calls)
    except process_executor.TerminatedWorkerError:
        raise UserError("a worker process died, perhaps for want of memory: try again with workers=1.") from None
    except BaseException:
        _end_children()
        raise


def _start() -> None:
    """Make a worker process ready; it stays, although joblib would take what TensorFlow keeps for a leak."""
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    import_tensorflow()


def _end_children() -> None:
    """End all processes that this one started; what they were at is given up."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=10)


def _one(work: Callable[..., Result], key: Key, arguments: tuple[Any, ...], parent: int) -> tuple[Key, Result]:
    if os.getpid() != parent:  # joblib works a single process off in the parent itself
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C too, and ends its workers
    import_tensorflow()  # costs nothing where it was before the work came
    return key, work(*arguments)


def _progress(items: Iterable[Item], pool: Pool, total: int) -> Iterator[Item]:
    """Yield the items under a progress bar that shows the time left."""
    form = f"{{desc}} {{bar:24}} {{n_fmt}}/{{total_fmt}} {pool.unit}, {{elapsed}} gone, {{remaining}} left"
    return iter(tqdm(items, pool.title, total, bar_format=form, file=sys.stderr))


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

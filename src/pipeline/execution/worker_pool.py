"""Tasks spread over worker processes, on this machine's cores or on a cluster, with a progress bar."""

import os
import signal
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from itertools import islice
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from joblib.externals import loky
from joblib.externals.loky import process_executor
from tqdm import tqdm

from pipeline.execution import dask_cluster
from pipeline.execution.signals import completed_first, ignored_by_children
from pipeline.execution.start_tensorflow import import_tensorflow
from pipeline.settings.project import UserError

Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)

IDLE = 300  # seconds that a worker process waits for its next task before it ends
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Pool(NamedTuple):
    """Where tasks run, and what the progress bar shows.

    Attributes:
        workers: number of processes; None: one for each core.
        title: text of the progress bar.
        unit: what it counts.
        prepare: is called while the workers start, before any task does.
        received: is called with key and result of each task as soon as it is finished; what it returns is kept.
        cluster: address of a Dask cluster that runs the tasks instead.
        fingerprint: returns what the workers of a cluster must have in common with this process.
    """

    workers: int | None
    title: str
    unit: str
    prepare: Callable[[], object] = lambda: None
    received: Callable[[Any, Any], Any] = lambda key, result: result
    cluster: str | None = None
    fingerprint: Callable[[], Mapping[str, str]] = dict


def each(work: Callable[..., Any], tasks: Mapping[Key, tuple[Any, ...]], pool: Pool) -> dict[Key, Any]:
    """Return what `pool.received` makes of `work(*arguments)`, for each task, key -> arguments.

    `work` must not depend on what its process did before; TensorFlow is imported for it. The arguments of a task are
    asked for shortly before a worker needs them, and nothing but what `pool.received` returns is kept of its result: so
    the memory of this process need not grow with the number of tasks. A `UserError` if a worker process was killed from
    outside, or the cluster cannot do the work.
    """
    done: dict[Key, Any] = {}
    bar = f"{{desc}} {{bar:24}} {{n_fmt}}/{{total_fmt}} {pool.unit}, {{elapsed}} elapsed, {{remaining}} left"
    with _started(work, tasks, pool) as results:
        for key, result in tqdm(results, pool.title, len(tasks), bar_format=bar, file=sys.stderr):
            done[key] = pool.received(key, result)
    return {key: done[key] for key in tasks}


@contextmanager
def _started(
    work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], pool: Pool
) -> Iterator[Iterator[tuple[Key, Result]]]:
    """Yield an iterator over (key, result) of all tasks, in the order in which they finish."""
    processes = min(pool.workers or loky.cpu_count(), len(tasks))
    if pool.cluster:
        with dask_cluster.results(work, tasks, pool.title, pool.cluster, pool.fingerprint) as results:
            pool.prepare()
            yield results
    elif processes == 1:
        import_tensorflow()
        pool.prepare()
        yield ((key, work(*arguments)) for key, arguments in tasks.items())
    else:
        with ignored_by_children():  # this process receives Ctrl-C, and ends its workers
            executor = loky.get_reusable_executor(processes, timeout=IDLE, initializer=_start_worker, env=ONE_THREAD)
            executor.submit(int)  # starts them
        try:
            pool.prepare()
            yield _submitted(executor, work, tasks, dask_cluster.AHEAD * processes)
        except process_executor.TerminatedWorkerError:
            reason = "a worker process died, perhaps because memory ran out"
            raise UserError(f"{reason}: try again with workers=1.") from None
        except BaseException:
            with completed_first():  # a second Ctrl-C would leave workers behind, at work
                executor.shutdown(kill_workers=True)
            raise


def _submitted(
    executor: Any, work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], most: int
) -> Iterator[tuple[Key, Result]]:
    """Submit no more than a number of tasks at a time; yield key and result of each as soon as it is finished."""
    waiting = iter(tasks.items())
    running: dict[Any, Key] = {}
    while True:
        for key, arguments in islice(waiting, most - len(running)):
            running[executor.submit(work, *arguments)] = key
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _start_worker() -> None:
    """Prepare a worker process for its tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited (Windows)
    # loky replaces a worker whose memory grows, which is no leak here: TensorFlow keeps what it compiled.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    import_tensorflow()


def _end_with(parent: int) -> None:
    """End this worker once its parent has died: a parent that is killed cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)

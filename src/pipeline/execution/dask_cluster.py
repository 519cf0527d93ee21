"""Tasks run by the workers of a Dask cluster; only this module knows Dask.

The results are the same bytes as on this machine's own cores: a worker that would give others is refused.
"""

import asyncio
import logging
import os
import sys
from asyncio import CancelledError
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

from pipeline.execution.start_tensorflow import import_tensorflow
from pipeline.settings.project import UserError

if TYPE_CHECKING:
    from distributed import Client

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Fingerprint = Callable[[], Mapping[str, str]]
AHEAD = 2  # tasks that each worker is given at a time, so that it need not wait for the next
CONNECT = 4  # seconds for a cluster to answer, and again for it to have a worker
ANSWER = 6  # seconds for its workers to answer
ADVICE = "start its workers in this project's environment and folder (docs/scale.md)"


@contextmanager
def results(
    work: Callable[..., Result],
    tasks: Mapping[Key, tuple[Any, ...]],
    title: str,
    address: str,
    fingerprint: Fingerprint,
) -> Iterator[Iterator[tuple[Key, Result]]]:
    """Yield an iterator over (key, result) of all tasks, in the order in which they finish.

    A task whose worker dies goes to another worker. When the block or this process ends, waiting tasks are withdrawn,
    and a running one ends at its next call of `check_wanted`. A `UserError` if the cluster cannot be used or is lost,
    or a worker would give other results.

    Args:
        work: what to do.
        tasks: key -> arguments.
        title: names the tasks on the cluster's dashboard.
        address: of the cluster's scheduler.
        fingerprint: what a worker must have in common with this process.
    """
    name = f"cluster is {address}"
    with _connected(address, name) as client:
        agreement = _Agreement(name, fingerprint, fingerprint())
        answering = client.sync(_answering, client, name)
        try:
            client.run(agreement.check, workers=answering)  # busy ones too; and again at each task: workers may join
        except UserError:
            raise
        except Exception as error:  # Dask sends what it can of an error that occurred before the check
            raise UserError(f"{name}: a worker cannot load this project ({error}); {ADVICE}.") from error
        group = f"{title}-{uuid4().hex}"
        calls = (((group, str(key)), partial(_run_task, agreement, work, key, *tasks[key])) for key in tasks)
        yield _finished(client, calls, name)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let no other task of the cluster be in a block of the same name at the same time; elsewhere, do nothing."""
    if _worker() is None:
        yield
    else:
        from distributed import Lock

        with Lock(name):
            yield


def check_wanted(*_: object) -> None:
    """Give up this worker's current task if nobody waits for it any more; outside a cluster, do nothing."""
    if worker := _worker():
        task = worker.state.tasks.get(worker.get_current_task())
        if task is None or task.state == "cancelled":
            raise CancelledError


@contextmanager
def _connected(address: str, name: str) -> Iterator["Client"]:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(f"{name}: that takes Dask: pip install 'attention-pipeline[cluster]'.") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        asyncio.run(_reach(address))  # a client that could not connect would take ten seconds more to end
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the last two if TLS is not set up
        raise UserError(f"{name}: it cannot be reached ({str(error).rstrip('.')}).") from error
    with client:
        try:
            client.wait_for_workers(1, CONNECT)
        except TimeoutError:
            raise UserError(f"{name}: it has no workers; {ADVICE}.") from None
        yield client


async def _reach(address: str) -> None:
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=CONNECT, **Security().get_connection_args("client"))
    await comm.close()


async def _answering(client: "Client", name: str) -> list[str]:
    """Return the addresses of the workers that answer, and report the others; a `UserError` if none answers."""
    workers: Any = await client.nthreads()  # awaitable, like all methods of a client, in its event loop
    calls = [asyncio.wait_for(client.run(os.getpid, workers=[worker]), ANSWER) for worker in workers]
    answers = zip(workers, await asyncio.gather(*calls, return_exceptions=True), strict=True)
    answering = [worker for worker, answer in answers if not isinstance(answer, BaseException)]
    if not answering:
        raise UserError(f"{name}: none of its workers answers; {ADVICE}.")
    for worker in (worker for worker in workers if worker not in answering):
        print(f"{name}: its worker {worker} does not answer; its tasks wait until Dask gives it up.", file=sys.stderr)
    return answering


def _submit(client: "Client", call: Callable[[], Any], name: tuple[str, str]) -> Any:
    """Have a worker call a function; it is sent as bytes, because the scheduler may not have this project."""
    import cloudpickle

    return client.submit(lambda packed: cloudpickle.loads(packed)(), cloudpickle.dumps(call), key=name)


def _finished(client: "Client", calls: Iterator[tuple[tuple[str, str], Callable[[], Any]]], name: str) -> Iterator[Any]:
    """Yield the result of each call, given with a name of its own; only a few for each worker are made ahead."""
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    submitted = as_completed([])
    try:
        while True:
            workers = client.scheduler_info(n_workers=-1)["workers"]  # more may join
            for key, call in islice(calls, max(1, AHEAD * len(workers) - submitted.count())):
                submitted.add(_submit(client, call, key))
            if submitted.is_empty():
                return
            yield next(submitted).result()
    except KilledWorker as error:
        reason = "workers died again and again, perhaps because memory ran out"
        raise UserError(f"{name}: {reason} ({error}).") from error
    except (FutureCancelledError, CommClosedError) as error:
        reason = "the connection was lost; finished work is kept: run the same command again"
        raise UserError(f"{name}: {reason}.") from error


class _Agreement(NamedTuple):
    """What a worker must have in common with the process whose tasks it runs."""

    name: str
    fingerprint: Fingerprint
    wanted: Mapping[str, str]

    def check(self, dask_worker: Any = None) -> None:
        """Raise a `UserError` on a worker that would give other results; outside tasks, Dask passes the worker."""
        worker = dask_worker or _worker()
        subject = f"{self.name}: its worker {worker.address}"
        if worker.state.nthreads != 1:
            raise UserError(f"{subject} has {worker.state.nthreads} threads: it must have 1; {ADVICE}.")
        try:
            found = self.fingerprint()
        except OSError as error:
            raise UserError(f"{subject} does not see {error.filename}; {ADVICE}.") from None
        for part, value in self.wanted.items():
            if found.get(part) != value:
                raise UserError(f"{subject} differs in {part}: {found.get(part)}, not {value}; {ADVICE}.")


def _run_task(agreement: _Agreement, work: Callable[..., Result], key: Key, *arguments: Any) -> tuple[Key, Result]:
    agreement.check()
    import_tensorflow()
    return key, work(*arguments)


def _worker() -> Any:
    """Return the Dask worker that runs this call, if any; on a worker, Dask is imported."""
    dask = sys.modules.get("distributed")
    with suppress(ValueError):
        return dask and dask.get_worker()
    return None

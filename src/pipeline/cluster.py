"""Tasks worked off by the workers of a Dask cluster; only this module knows Dask.

Results are those of this machine's own cores, to the byte: a worker that would give others is refused.
"""

import asyncio
import logging
import os
import sys
from asyncio import CancelledError
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

from pipeline import runtime
from pipeline.config import UserError

if TYPE_CHECKING:
    from distributed import Client

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
PATIENCE = 4  # seconds for a cluster to answer, and again for it to have a worker
LISTENING = 6  # seconds for its workers to answer
ADVICE = "start its workers in this project's environment and folder (docs/scale.md)"


@contextmanager
def results(
    work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], pool: runtime.Pool
) -> Iterator[Iterator[tuple[Key, Result]]]:
    """Yield an iterator over (key, result) of all tasks, in the order in which they are done.

    A task whose worker dies is given to another. When the block ends, or this process, tasks that wait are taken back,
    and one that a worker is at ends with its next call of `check_wanted`.

    Raises:
        UserError: if the cluster cannot be used or is lost, or a worker would give other results.
    """
    name = f"cluster is {pool.cluster}"
    with _connected(str(pool.cluster), name) as client:
        agreement = _Agreement(name, pool.fingerprint, pool.fingerprint())
        there = client.sync(_answering, client, name)
        try:
            client.run(agreement.check, workers=there)  # now, even at work; and at each task: workers may join later
        except UserError:
            raise
        except Exception as error:  # Dask sends what it can of an error that it met on its way to the check
            raise UserError(f"{name}: a worker cannot load this project ({error}); {ADVICE}.") from error
        title = f"{pool.title}-{uuid4().hex}"
        futures = [
            _submit(client, partial(_work_off, agreement, work, key, arguments), (title, str(key)))
            for key, arguments in tasks.items()
        ]
        pool.prepare()
        yield _done(futures, name)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Have no other task of a cluster in a block of the same name meanwhile; outside clusters, do nothing."""
    if _worker() is None:
        yield
    else:
        from distributed import Lock

        with Lock(name):
            yield


def check_wanted(*_: object) -> None:
    """Give up the task that this worker is at, if nobody waits for it any more; elsewhere, do nothing."""
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
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the latter two of TLS that is not set up
        raise UserError(f"{name}: it cannot be reached ({str(error).rstrip('.')}).") from error
    with client:
        try:
            client.wait_for_workers(1, PATIENCE)
        except TimeoutError:
            raise UserError(f"{name}: it has no workers; {ADVICE}.") from None
        yield client


async def _reach(address: str) -> None:
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
    await comm.close()


async def _answering(client: "Client", name: str) -> list[str]:
    """Return the addresses of the workers that answer, and say which do not; a `UserError` if none does."""
    workers: Any = await client.nthreads()  # awaitable, like all methods of a client, in its event loop
    calls = [asyncio.wait_for(client.run(os.getpid, workers=[worker]), LISTENING) for worker in workers]
    answers = zip(workers, await asyncio.gather(*calls, return_exceptions=True), strict=True)
    there = [worker for worker, answer in answers if not isinstance(answer, BaseException)]
    if not there:
        raise UserError(f"{name}: none of its workers answers; {ADVICE}.")
    for worker in (worker for worker in workers if worker not in there):
        fate = "what it is given waits until Dask gives it up"
        print(f"{name}: its worker {worker} does not answer; {fate}.", file=sys.stderr)
    return there


def _submit(client: "Client", call: Callable[[], Any], name: tuple[str, str]) -> Any:
    """Have a function called by a worker; the scheduler, which may know nothing of this project, gets it as bytes."""
    import cloudpickle

    return client.submit(lambda packed: cloudpickle.loads(packed)(), cloudpickle.dumps(call), key=name)


def _done(futures: list[Any], name: str) -> Iterator[Any]:
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError

    try:
        for future in as_completed(futures):
            yield future.result()
    except KilledWorker as error:
        raise UserError(f"{name}: workers died over and over, perhaps for want of memory ({error}).") from error
    except FutureCancelledError as error:
        raise UserError(f"{name}: it was lost; what was finished is kept: run the same once more.") from error


class _Agreement(NamedTuple):
    """What a worker must agree about with the program whose task it is given."""

    name: str
    fingerprint: Callable[[], Mapping[str, str]]
    wanted: Mapping[str, str]

    def check(self, dask_worker: Any = None) -> None:
        """Raise a `UserError` on a worker whose results would be others; Dask tells which, outside of tasks."""
        worker = dask_worker or _worker()
        where = f"{self.name}: its worker {worker.address}"
        if worker.state.nthreads != 1:
            raise UserError(f"{where} has {worker.state.nthreads} threads: it must have 1; {ADVICE}.")
        try:
            found = self.fingerprint()
        except OSError as error:
            raise UserError(f"{where} does not see {error.filename}; {ADVICE}.") from None
        for what, value in self.wanted.items():
            if found.get(what) != value:
                raise UserError(f"{where} differs in {what}: {found.get(what)}, not {value}; {ADVICE}.")


def _work_off(
    agreement: _Agreement, work: Callable[..., Result], key: Key, arguments: tuple[Any, ...]
) -> tuple[Key, Result]:
    agreement.check()
    runtime.import_tensorflow()
    return key, work(*arguments)


def _worker() -> Any:
    """Return the worker that this is called on, if it is on one: there, Dask is imported."""
    dask = sys.modules.get("distributed")
    with suppress(ValueError):
        return dask and dask.get_worker()
    return None

"""How MLflow is reached, and what happens to logging when it stops answering."""

import os
import socket
import sys
from collections.abc import Callable
from enum import Enum
from functools import cache
from textwrap import shorten
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from tqdm import tqdm

from pipeline.execution.start_tensorflow import importing
from pipeline.settings.project import UserError
from pipeline.settings.schema import Tracking
from pipeline.tracking import embedded_store
from pipeline.tracking.address import check_kind, named, origin, without_password
from pipeline.tracking.mlflow_client import Tracker

T = TypeVar("T")
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",  # seconds; MLflow's own settings try for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # whatever is missed is filled in from the files later
    "PGCONNECT_TIMEOUT": "4",  # seconds
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
PORTS = {"http": 80, "https": 443}
CONNECT = 4  # seconds


class State(Enum):
    """Whether MLflow answers this process."""

    CONNECTED = "it answers"
    LOST = "it stopped answering; the user does not know yet"
    REPORTED = "it stopped answering, and the user knows"


class Connection:
    """Logging that never stops work: the results are in files, and MLflow can be filled in from them later.

    CONNECTED becomes LOST when a call fails. While it is LOST, quiet calls (those during training) are skipped. The
    next other call tries again: it leads back to CONNECTED, or reports the loss and leads to REPORTED, after which
    nothing is tried any more.
    """

    def __init__(self) -> None:
        self.state, self.reason = State.CONNECTED, ""

    def attempt(self, log: Callable[[], T], quiet: bool = False) -> T | None:
        """Return what a call that logs returns, None if MLflow is lost; see the class."""
        if self.state is State.REPORTED or (quiet and self.state is State.LOST):
            return None
        try:
            result = log()
        except _errors() as error:
            self.lose(error)
            if not quiet:
                self.state = State.REPORTED
                note = "no result is lost: `python -m pipeline.ui`, with the same tracking, fills in what is missing"
                tqdm.write(f"MLflow was lost ({self.reason}); {note}.", file=sys.stderr)
            return None
        self.state, self.reason = State.CONNECTED, ""
        return result

    def lose(self, error: Exception) -> None:
        """Note that MLflow does not work, and why."""
        self.state, self.reason = State.LOST, _reason(error)


connection = Connection()  # of this process


def check_tracking(settings: Tracking) -> None:
    """Raise a `UserError`, before any work and the import of MLflow, if MLflow cannot be used as far as can be told.

    An embedded database is mended where that loses nothing.
    """
    if settings.uri:
        _check_address(settings)
        with embedded_store.ready(settings):
            pass


def _check_address(settings: Tracking) -> None:
    check_kind(settings)
    _reach_server(settings)


def _reach_server(settings: Tracking) -> None:
    """Connect to a server once, unless it is behind a proxy."""
    parts = urlsplit(str(settings.uri))
    if parts.scheme in PORTS and not getproxies():
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), CONNECT).close()
        except (OSError, ValueError) as error:
            raise _unusable(settings, error) from error


def _unusable(settings: Tracking, error: Exception) -> UserError:
    advice = f"{origin(settings)}; tracking=off runs without MLflow"
    return UserError(f"{named(settings)}: MLflow cannot use it ({_reason(error)}){advice}.")


@cache
def tracker_of(settings: Tracking) -> Tracker | None:
    """Return the process's tracker, or None if tracking is off; a `UserError` says why MLflow cannot be used.

    The first call imports MLflow, and creates database and experiment if need be. It must happen before worker
    processes start, which would get in each other's way, and before an interrupt, which must close their runs at once.
    """
    if not settings.uri:
        return None
    _check_address(settings)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        with embedded_store.ready(settings):
            with importing():
                from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (MLflow would, when first used)
            _reach_database(settings.uri)
            tracker = Tracker(settings)
        tracker.close_left_open()  # runs of processes that were killed
    except ImportError as error:
        advice = "'attention-pipeline[server]' has what postgresql+psycopg2:// takes"
        raise UserError(f"{named(settings)}: that takes {error.name}, which is not installed; {advice}.") from error
    except UserError:
        raise
    except _errors() as error:
        connection.lose(error)
        raise _unusable(settings, error) from error
    return tracker


def _reach_database(uri: str) -> None:
    """Connect to a database server once: MLflow would try for 100 seconds, and print each failure."""
    from sqlalchemy import NullPool, create_engine

    if uri.startswith(("postgresql", "mysql", "mssql")):
        create_engine(uri, poolclass=NullPool).connect().close()


def _errors() -> tuple[type[Exception], ...]:
    """Return what MLflow raises when it does not work; called only after an error, because it imports MLflow."""
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return CommandError, MlflowException, SQLAlchemyError, OSError, UserError


def _reason(error: Exception) -> str:
    """Return in one line why MLflow does not work: the system's message on a connection, or MLflow's."""
    first: BaseException = error
    while cause := first.__cause__ or first.__context__:
        first = cause
    source = first if isinstance(first, OSError) else error
    line = without_password((str(source).splitlines() or [type(source).__name__])[0])
    return shorten(line, 300, placeholder=" …").rstrip(". ")

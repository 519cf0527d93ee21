"""How MLflow is reached, and what becomes of logging when it is lost."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tqdm import tqdm

from pipeline import runtime
from pipeline.config import Tracking, UserError
from pipeline.tracker import Tracker

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",  # seconds; it would try for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # what it does not get is filled in from the files later
    "PGCONNECT_TIMEOUT": "4",  # seconds
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass
class _Loss:
    """Why MLflow was lost to this process, if it was, and whether that was said."""

    reason: str = ""
    told: bool = False


_loss = _Loss()


@cache
def tracker_of(settings: Tracking) -> Tracker | None:
    """Return the process's tracker, or none if tracking is turned off; a `UserError` says why MLflow cannot work."""
    if not settings.uri:
        return None
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with runtime.importing():
        from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (MLflow would, when first used)

    try:
        _reach_database(settings.uri)
        tracker = Tracker(settings)
        tracker.close_left_open()  # what ended processes left
    except ImportError as error:
        advice = "'attention-pipeline[server]' has what postgresql+psycopg2:// takes"
        raise UserError(f"{named(settings)}: that takes {error.name}, which is not installed; {advice}.") from error
    except _errors() as error:
        _loss.reason = _reason(error)
        raise UserError(f"{named(settings)}: MLflow cannot use it ({_loss.reason}).") from error
    return tracker


def _reach_database(uri: str) -> None:
    """Connect to a database server once: MLflow would try for 100 seconds, and print each time that it could not."""
    from sqlalchemy import NullPool, create_engine

    if uri.startswith(("postgresql", "mysql", "mssql")):
        create_engine(uri, poolclass=NullPool).connect().close()


def named(settings: Tracking) -> str:
    """Return the beginning of a sentence about where MLflow logs to: the parameter and its value."""
    return f"tracking.uri is {without_password(str(settings.uri))}"


def without_password(text: str) -> str:
    """Return a text in which no address tells a password."""
    return re.sub(r"(?<=://)([^\s/:@]*):[^\s/@]*@", r"\1:***@", text)


def shared(uri: str | None) -> str | None:
    """Return where the workers of a cluster log to: not into a file, of which each machine may have its own."""
    return None if str(uri).startswith("sqlite:") else uri


def attempt(log: Callable[[], object], quiet: bool = False) -> None:
    """Call what logs; results are in files, and no work is given up for want of MLflow.

    Once it is lost, quiet attempts are not made any more in this process, such as those while a model trains. The
    first other one tries again, and says so if MLflow is still lost; then there are no more of these either.
    """
    if _loss.reason and (quiet or _loss.told):
        return
    try:
        log()
        _loss.reason = ""
    except _errors() as error:
        _loss.reason = _reason(error)
        if not quiet:
            _loss.told = True
            note = "no result is: `python -m pipeline.ui`, with the same tracking, fills in what is lacking"
            tqdm.write(f"MLflow was lost ({_loss.reason}); {note}.", file=sys.stderr)


def why_lost() -> str:
    """Return why this process has given up logging; nothing if it has not."""
    return _loss.reason


def _errors() -> tuple[type[Exception], ...]:
    """Return what MLflow raises when it does not work; asked only when something was raised: it imports MLflow."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, UserError


def _reason(error: Exception) -> str:
    """Return in one line why MLflow does not work: what the system said of a connection, or what MLflow says."""
    first: BaseException = error
    while cause := first.__cause__ or first.__context__:
        first = cause
    told = first if isinstance(first, OSError) else error
    return without_password((str(told).splitlines() or [type(told).__name__])[0])[:300].rstrip(". ")

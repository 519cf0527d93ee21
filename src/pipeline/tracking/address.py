"""Where MLflow stores the runs: which addresses it can use, and how messages name them."""

import dataclasses
import os
import re
from pathlib import Path

from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Tracking

VARIABLE = "MLFLOW_TRACKING_URI"
USABLE = r"sqlite:///.|(?!sqlite:|file:)[\w+.-]+://|databricks|uc:"  # MLflow's extensions may add kinds of servers
EXAMPLES = "sqlite:///mlruns/mlflow.db or http://127.0.0.1:5000"


class ShownOnly(UserError):
    """A user error about a store whose runs MLflow can show, although it can log none."""


def check_kind(settings: Tracking) -> None:
    """Raise a `UserError` for an address that is neither a database nor a server, such as a folder."""
    uri = str(settings.uri)
    if not re.match(USABLE, uri):
        name, way_out = (
            (VARIABLE, f"; to use the default, unset {VARIABLE}") if _from_variable(uri) else ("tracking.uri", "")
        )
        reason = "MLflow no longer stores runs in folders"
        raise UserError(f"{name} is {uri}: it must be a database or a server, such as {EXAMPLES} ({reason}){way_out}.")


def named(settings: Tracking) -> str:
    """Return the beginning of a sentence about where MLflow logs to: the parameter and its value."""
    return f"tracking.uri is {without_password(str(settings.uri))}"


def origin(settings: Tracking) -> str:
    """Return the end of a sentence about where MLflow logs to: the variable that says so, if one does."""
    return f"; {VARIABLE} says so" if _from_variable(settings.uri) else ""


def _from_variable(uri: str | None) -> bool:
    return uri == os.environ.get(VARIABLE, "")


def deleted(settings: Tracking, number: str) -> ShownOnly:
    """Return the error that the experiment, whose id is `number`, was deleted in MLflow."""
    restore = f"{VARIABLE}='{without_password(str(settings.uri))}' mlflow experiments restore --experiment-id {number}"
    ways_out = f"restore it (`{restore}`), or use another one (tracking.experiment=NAME)"
    return ShownOnly(f"tracking.experiment is {settings.experiment}: it was deleted in MLflow; {ways_out}.")


def without_password(text: str) -> str:
    """Return a text in which no address contains a password."""
    return re.sub(r"(?<=://)([^\s/:@]*):[^\s/@]*@", r"\1:***@", text)


def page_of(server: str) -> str:
    """Return the address of a server's pages, without a user or a password, and without a slash at the end."""
    return re.sub(r"//[^/@]*@", "//", server.rstrip("/"))


def database_file(settings: Tracking) -> Path | None:
    """Return the file of an embedded database; None if the runs are stored elsewhere."""
    _, embedded, name = str(settings.uri).partition("sqlite:///")
    return ROOT / name if embedded else None


def store_of(settings: Tracking) -> str:
    """Return the address as MLflow takes it, with the full path of an embedded database; empty if tracking is off."""
    file = database_file(settings)
    return f"sqlite:///{file.as_posix()}" if file else settings.uri or ""


def shared(settings: Tracking) -> Tracking:
    """Return where the workers of a cluster log to; nowhere for an embedded database: each machine may have its own."""
    return dataclasses.replace(settings, uri=None) if database_file(settings) else settings

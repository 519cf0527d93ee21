"""Fill in what MLflow lacks from the result files, then serve its UI on 127.0.0.1. `python -m pipeline.ui`"""

import os
import socket
import sys
import warnings

from pipeline.execution.command_line import command
from pipeline.settings.project import UserError
from pipeline.settings.schema import Config, Tracking
from pipeline.tracking import browser, sync, views
from pipeline.tracking.address import ShownOnly, named, page_of, store_of, without_password
from pipeline.tracking.connection import connection, tracker_of

HOST = "127.0.0.1"  # nobody else can reach it


def stage(config: Config) -> None:
    """Fill in, then serve until Ctrl-C, unless a server already does."""
    store = store_of(config.tracking)
    if not store:
        raise UserError("tracking is off: there are no runs to show; leave out tracking=off.")
    if store.startswith("http"):
        fill_in(config.tracking)
        print(f"MLflow UI: {without_password(store)}")
        found = links(config.tracking, f"{page_of(store)}/")
        show(found)
        if found and browser.is_wanted(config.browser):
            browser.open_page(next(iter(found.values())))
        return
    check_free(config.port)
    address, found = f"http://{HOST}:{config.port}/", dict[str, str]()
    try:
        fill_in(config.tracking)
        found = links(config.tracking, address)
    except ShownOnly as error:
        print(error, file=sys.stderr)
    if browser.is_wanted(config.browser):
        browser.open_later(next(iter(found.values()), address), HOST, config.port)
    serve(store, config.port, found)


def fill_in(settings: Tracking) -> None:
    """Add runs that MLflow lacks, and print how many."""
    tracker_of(settings)
    print(f"Runs added from the result files: {sync.fill_from_files(settings)}.")
    if connection.reason:
        raise ShownOnly(f"{named(settings)}: MLflow was lost ({connection.reason}).")


def links(settings: Tracking, address: str) -> dict[str, str]:
    """Return title -> link of each view that the project saved in MLflow, and that its pages can read."""
    tracker = tracker_of(settings)
    tags = tracker and tracker.shows_views() and connection.attempt(tracker.experiment_tags)
    return views.links(address, tracker.experiment_id, tags) if tracker and tags else {}


def show(links: dict[str, str]) -> None:
    """Print the title and the link of each view."""
    width = max(map(len, links), default=0)
    for title, link in links.items():
        print(f"  {title:{width}}  {link}", flush=True)


def check_free(port: int) -> None:
    """Raise a `UserError` if the port cannot be listened on, for instance because another program does."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        other = port % 65535 + 1
        advice = f"choose another one: port={other}, or `make ui PORT={other}`"
        raise UserError(f"port is {port}: it cannot be used ({os.strerror(error.errno or 0)}); {advice}.") from error


def serve(store: str, port: int, links: dict[str, str]) -> None:
    """Serve MLflow's UI of a store in this process, so that none is left over, however it ends; print some links."""
    import uvicorn  # before MLflow's server, which then refuses requests that name another host
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "./mlartifacts",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # jobs are for language models, and take eight processes
    }
    warnings.filterwarnings("ignore", "starlette.middleware.wsgi")  # MLflow's
    print(f"MLflow UI: http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    show(links)
    uvicorn.run("mlflow.server.fastapi_app:app", host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=2)


main = command(stage)

if __name__ == "__main__":
    main()

"""Fill in what MLflow lacks from the result files, then serve its UI on 127.0.0.1. `python -m pipeline.ui`"""

import os
import sys
from typing import NoReturn

from pipeline.execution.command_line import command
from pipeline.settings.project import UserError
from pipeline.settings.schema import Config
from pipeline.tracking import sync
from pipeline.tracking.connection import connection, named, tracker_of, without_password


def stage(config: Config) -> None:
    """Fill in, then serve until Ctrl-C, unless a server already does."""
    tracker = tracker_of(config.tracking)
    if tracker is None:
        raise UserError("tracking is off: there are no runs to show; leave out tracking=off.")
    print(f"{sync.fill_from_files(config.tracking)} runs added from the result files.")
    if connection.reason:
        raise UserError(f"{named(config.tracking)}: MLflow was lost ({connection.reason}).")
    if tracker.uri.startswith("http"):
        print(f"MLflow UI: {without_password(tracker.uri)}")
        return
    print(f"MLflow UI: http://127.0.0.1:{config.port} (Ctrl-C ends it)", flush=True)
    serve(tracker.uri, config.port)


def serve(store: str, port: int) -> NoReturn:
    """Replace this process by MLflow's server of a store, on 127.0.0.1."""
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store  # other users could read a command line with a password
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *words])


main = command(stage)

if __name__ == "__main__":
    main()

"""Fill in what MLflow lacks from the result files, then serve its UI on 127.0.0.1. `python -m pipeline.ui`"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from pipeline import storage, tracking
from pipeline.choices import digest
from pipeline.command import command
from pipeline.config import ROOT, Config, UserError
from pipeline.connection import named, tracker_of, why_lost, without_password
from pipeline.results import read_attention, read_training
from pipeline.tracker import Values


def fill(config: Config) -> int:
    """Have MLflow show every result in the project's folders and in outputs/; return how many runs that added."""
    trainings = {digest(values): (values, folder) for values, folder in _found("models/*")}
    analyses: dict[str, list[tuple[Values, Path]]] = {key: [] for key in trainings}
    for values, folder in _found("attention/*"):
        key = digest({name: values[name] for name in storage.TRAINING})
        analyses.setdefault(key, []).append((values, folder))
    added = 0
    for key, (values, folder) in trainings.items():
        trained = read_training(folder)
        for more, attention in analyses[key]:
            added += tracking.ensure(config.tracking, more, trained, read_attention(attention))
        added += tracking.ensure(config.tracking, values, trained)
    for _, folder in _found("comparison"):
        added += tracking.ensure_comparison(config.tracking, folder)
    for table in sorted(ROOT.glob(f"{storage.OUTPUTS}/sweep-*/summary.csv")):
        added += tracking.ensure_sweep(config.tracking, table.parent)
    return added


def _found(pattern: str) -> Iterator[tuple[Values, Path]]:
    """Yield values and folder of every whole result of a kind."""
    for base in (ROOT, *sorted(ROOT.glob(f"{storage.OUTPUTS}/*"))):
        for path in sorted(base.glob(f"{pattern}/{storage.PARAMS}")):
            if not path.parent.name.endswith(".part"):
                yield json.loads(path.read_text(encoding="utf-8")), path.parent


def serve(store: str, port: int) -> NoReturn:
    """Become MLflow's server of a store, on 127.0.0.1."""
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    os.environ["MLFLOW_BACKEND_STORE_URI"] = store  # a command could be read by others, with a database's password
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *words])


def stage(config: Config) -> None:
    """Fill in, then serve until Ctrl-C, unless a server does so already."""
    tracker = tracker_of(config.tracking)
    if tracker is None:
        raise UserError("tracking is off: there are no runs to show; leave out tracking=off.")
    print(f"{fill(config)} runs added from the result files.")
    if why_lost():
        raise UserError(f"{named(config.tracking)}: MLflow was lost ({why_lost()}).")
    if tracker.uri.startswith("http"):
        print(f"MLflow UI: {without_password(tracker.uri)}")
        return
    print(f"MLflow UI: http://127.0.0.1:{config.port} (Ctrl-C ends it)", flush=True)
    serve(tracker.uri, config.port)


main = command(stage)

if __name__ == "__main__":
    main()

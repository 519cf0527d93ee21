"""What MLflow shows: a view of the result files, which can be filled in from them again at any time.

There is one FINISHED run for each distinct result of a (variant, seed), told apart by the tags `config_hash` (what it
was made from), `weights_hash` and `attention_hash` (what came out), and one for each distinct comparison.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.choices import digest
from pipeline.config import Config, Tracking
from pipeline.connection import attempt, tracker_of
from pipeline.interrupt import finished_first
from pipeline.results import AttendedSeed, Point, TrainedSeed
from pipeline.tracker import Tracker, Values


class LiveRun:
    """A run that is filled while its seed trains; without a run of its own it only sees to it that there is one."""

    def __init__(self, settings: Tracking, values: Values, seed: int) -> None:
        self.settings, self.values, self.seed = settings, values, seed
        self.tracker: Tracker | None = None
        self.run_id = ""

    @finished_first()
    def start(self) -> None:
        """Start a run, unless the same values have a FINISHED one."""
        self.tracker = tracker_of(self.settings)
        if self.tracker and not self.tracker.find(config_hash=_config_hash(self.values, self.seed)):
            self.run_id = self.tracker.start(*_name_and_tags(self.values, self.seed))

    def end(self, error: BaseException | None = None) -> None:
        """End the run, if there is one."""
        if self.tracker and self.run_id:
            attempt(partial(self.tracker.end, self.run_id, error), quiet=True)

    def log_curve(self, points: list[Point]) -> None:
        """Log new points of the training curve."""
        if self.tracker and self.run_id:
            attempt(partial(self.tracker.log_curve, self.run_id, self.values, points), quiet=True)

    def finish(self, result: TrainedSeed) -> None:
        """Log the result; a run that another process finished meanwhile with the same result makes way for it."""
        if self.tracker:
            attempt(partial(self._finish, self.tracker, result), quiet=True)

    def _finish(self, tracker: Tracker, result: TrainedSeed) -> None:
        if not self.run_id:
            _ensure_seed(tracker, self.values, self.seed, (result, None), [])
        elif tracker.find(**_result_tags(self.values, self.seed, result)):
            tracker.delete(self.run_id)
        else:
            tracker.log_training(self.run_id, self.values, self.seed, result)


@contextmanager
def live(settings: Tracking, values: Values, seed: int) -> Iterator[LiveRun]:
    """Yield what a seed trains under: a run of its own, unless the same values have a FINISHED one.

    If MLflow is lost, training goes on without; `ensure` fills in what is lacking, and says so if it cannot.
    """
    run = LiveRun(settings, values, seed)
    try:
        attempt(run.start, quiet=True)
        yield run
    except BaseException as error:
        run.end(error)
        raise
    run.end()


def of_workers(config: Config) -> Tracking:
    """Return where worker processes log: on a cluster, not into a file, which other machines may not have."""
    embedded = str(config.tracking.uri).startswith("sqlite:")
    return dataclasses.replace(config.tracking, uri=None) if config.cluster and embedded else config.tracking


def prepare(settings: Tracking) -> None:
    """Get MLflow ready ahead of its use: import it, and make database and experiment if need be.

    Before worker processes do so, which would get in each other's way, and before an interrupt, after which their runs
    are to be closed at once.

    Raises:
        UserError: if it cannot be used, before any work was done.
    """
    tracker_of(settings)


@contextmanager
def none_left_open(settings: Tracking) -> Iterator[None]:
    """Leave no run of a worker process RUNNING if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        if tracker := tracker_of(settings):
            attempt(tracker.close_left_open, quiet=True)
        raise


def close_abandoned(config: Config, values: Values) -> None:
    """Mark runs as KILLED whose worker on a cluster is gone, now that the seeds they are of have their results."""
    if config.cluster and (tracker := tracker_of(config.tracking)):
        hashes = {_config_hash(values, seed) for seed in config.seeds}
        attempt(partial(tracker.close_left_open, hashes), quiet=True)


def ensure(
    settings: Tracking, values: Values, trained: dict[int, TrainedSeed], attended: dict[int, AttendedSeed] | None = None
) -> int:
    """Have a FINISHED run for each seed's result, made from the files where there is none yet.

    Args:
        settings: where to.
        values: what the results were made from.
        trained: seed -> result of training.
        attended: seed -> result of the analysis, if there is one.

    Returns:
        How many runs were added or completed.
    """
    added: list[int] = []
    if tracker := tracker_of(settings):
        for seed, result in trained.items():
            seen = attended[seed] if attended else None
            attempt(partial(_ensure_seed, tracker, values, seed, (result, seen), added))
    return len(added)


def _ensure_seed(
    tracker: Tracker,
    values: Values,
    seed: int,
    results: tuple[TrainedSeed, AttendedSeed | None],
    added: list[int],
) -> None:
    """Have a FINISHED run for a seed's results, and note if one was added."""
    trained, attended = results
    runs = tracker.find(**_result_tags(values, seed, trained))
    hashes = [run.data.tags.get("attention_hash", "") for run in runs]
    if runs and (attended is None or attended.attention_hash() in hashes):
        return
    if "" in hashes:
        run_id = runs[hashes.index("")].info.run_id
    else:
        with tracker.run(*_name_and_tags(values, seed)) as run_id:
            tracker.log_curve(run_id, values, trained.curve)
            tracker.log_training(run_id, values, seed, trained)
    if attended is not None:
        tracker.log_attention(run_id, values, _name_and_tags(values, seed)[0], attended)
    added.append(seed)


def ensure_comparison(settings: Tracking, folder: Path) -> bool:
    """Have a FINISHED run for a comparison, with its tables, report and figures; return whether it was added."""
    return _ensure_folder(settings, "comparison", folder, Tracker.log_comparison)


def ensure_sweep(settings: Tracking, folder: Path) -> bool:
    """Have a FINISHED run for a sweep, with its tables and figures; return whether it was added."""
    return _ensure_folder(settings, "sweep", folder, Tracker.log_sweep)


def _ensure_folder(settings: Tracking, kind: str, folder: Path, log: Callable[[Tracker, str, Path], None]) -> bool:
    """Have a FINISHED run of a kind for what is in a folder, told apart by a hash of all its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = {f"{kind}_hash": hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]}
    added: list[str] = []

    def add(tracker: Tracker) -> None:
        if not tracker.find(**content):
            with tracker.run(kind, {"kind": kind, **content}) as run_id:
                log(tracker, run_id, folder)
            added.append(run_id)

    if tracker := tracker_of(settings):
        attempt(partial(add, tracker))
    return bool(added)


def _config_hash(values: Values, seed: int) -> str:
    return digest({name: values[name] for name in ("task", "data", "model", "train", "variant")} | {"seed": seed})


def _name_and_tags(values: Values, seed: int) -> tuple[str, dict[str, str]]:
    variant = values["variant"]
    tags = {"variant": variant["name"], "placement": variant["placement"], "sharing": variant.get("sharing", "")}
    tags |= {"task": values["task"]["name"]}
    tags |= {"kind": "seed", "seed": str(seed), "config_hash": _config_hash(values, seed)}
    return f"{variant['name']}, seed {seed}", tags


def _result_tags(values: Values, seed: int, result: TrainedSeed) -> dict[str, str]:
    return {"config_hash": _config_hash(values, seed), "weights_hash": result.weights_hash()}

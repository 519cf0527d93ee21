"""Runs that MLflow shows while their seeds train, and what happens to them when training fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic

from pipeline.execution import machine
from pipeline.execution.signals import completed_first
from pipeline.results.stage_files import Point, TrainedSeed
from pipeline.settings.schema import Tracking
from pipeline.tracking import sync
from pipeline.tracking.connection import connection, tracker_of
from pipeline.tracking.mlflow_client import Tracker, Values
from pipeline.tracking.provenance import process_identity

PAUSE = 2.0  # seconds between two messages about the training curve


class LiveRun:
    """A run that is filled while its seed trains.

    A seed whose values have a FINISHED run trains without a live run; its result is only checked against that run.
    """

    def __init__(self, settings: Tracking, values: Values, seed: int, started_by: str) -> None:
        self.settings, self.values, self.seed, self.started_by = settings, values, seed, started_by
        self.tracker: Tracker | None = None
        self.run_id = ""
        self.waiting: list[Point] = []  # of the curve
        self.sent = monotonic()

    @completed_first()
    def start(self) -> None:
        """Start a run, unless the same values have a FINISHED one."""
        self.tracker = tracker_of(self.settings)
        if self.tracker and not self.tracker.find(config_hash=sync.config_hash(self.values, self.seed)):
            name, tags = sync.name_and_tags(self.values, self.seed)
            self.run_id = self.tracker.start(name, {**tags, "started_by": self.started_by, **machine.description()})

    def end(self, error: BaseException | None = None) -> None:
        """End the run, if there is one."""
        if self.tracker and self.run_id:
            connection.attempt(partial(self.tracker.end, self.run_id, error), quiet=True)

    def log_curve(self, points: list[Point]) -> None:
        """Log new points of the training curve, a few seconds' worth at a time: a short epoch takes less than that."""
        self.waiting += points
        if monotonic() - self.sent > PAUSE:
            self._send_curve()

    def _send_curve(self) -> None:
        if self.tracker and self.run_id and self.waiting:
            log = partial(self.tracker.log_curve, self.run_id, self.values, self.waiting)
            connection.attempt(log, quiet=True)
        self.waiting, self.sent = [], monotonic()

    def finish(self, result: TrainedSeed) -> None:
        """Log the result; if another process finished a run with the same result meanwhile, delete this one."""
        self._send_curve()
        if self.tracker:
            connection.attempt(partial(self._finish, self.tracker, result), quiet=True)

    def _finish(self, tracker: Tracker, result: TrainedSeed) -> None:
        if not self.run_id:
            sync.ensure_seed(tracker, self.values, self.seed, (result, None), (machine.description(), {}))
        elif tracker.find(**sync.result_tags(self.values, self.seed, result)):
            tracker.delete(self.run_id)
        else:
            tracker.log_training(self.run_id, self.values, self.seed, result)


@contextmanager
def run_of(settings: Tracking, values: Values, seed: int, started_by: str | None = None) -> Iterator[LiveRun]:
    """Yield the live run of a seed, which this process trains, perhaps for another one with that `process_identity`.

    If MLflow is lost, training goes on without it; `sync.ensure` fills in what is missing, and reports it if it cannot.
    """
    run = LiveRun(settings, values, seed, started_by or process_identity())
    try:
        connection.attempt(run.start, quiet=True)
        yield run
    except BaseException as error:
        run.end(error)
        raise
    run.end()


@contextmanager
def none_left_open(settings: Tracking) -> Iterator[None]:
    """Leave no run of this stage RUNNING, whichever of its worker processes died, and however the block ends."""
    try:
        yield
    finally:
        connection.attempt(partial(_close_left_open, settings), quiet=True)


def _close_left_open(settings: Tracking) -> None:
    if tracker := tracker_of(settings):
        tracker.close_left_open(process_identity())

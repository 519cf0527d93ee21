"""Runs that MLflow shows while their seeds train, and what becomes of them when training ends otherwise than well."""

import dataclasses
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic

from pipeline import tracking
from pipeline.config import Config, Tracking
from pipeline.connection import attempt, shared, tracker_of
from pipeline.interrupt import finished_first
from pipeline.results import Point, TrainedSeed
from pipeline.tracker import Tracker, Values

PAUSE = 2.0  # seconds between two messages about the training curve


class LiveRun:
    """A run that is filled while its seed trains; without a run of its own it only sees to it that there is one."""

    def __init__(self, settings: Tracking, values: Values, seed: int) -> None:
        self.settings, self.values, self.seed = settings, values, seed
        self.tracker: Tracker | None = None
        self.run_id = ""
        self.waiting: list[Point] = []  # of the curve
        self.sent = monotonic()

    @finished_first()
    def start(self) -> None:
        """Start a run, unless the same values have a FINISHED one."""
        self.tracker = tracker_of(self.settings)
        if self.tracker and not self.tracker.find(config_hash=tracking.config_hash(self.values, self.seed)):
            self.run_id = self.tracker.start(*tracking.name_and_tags(self.values, self.seed))

    def end(self, error: BaseException | None = None) -> None:
        """End the run, if there is one."""
        if self.tracker and self.run_id:
            attempt(partial(self.tracker.end, self.run_id, error), quiet=True)

    def log_curve(self, points: list[Point]) -> None:
        """Log new points of the training curve, those of some seconds at a time: a short epoch takes less than that."""
        self.waiting += points
        if monotonic() - self.sent > PAUSE:
            self._send_curve()

    def _send_curve(self) -> None:
        if self.tracker and self.run_id and self.waiting:
            attempt(partial(self.tracker.log_curve, self.run_id, self.values, self.waiting), quiet=True)
        self.waiting, self.sent = [], monotonic()

    def finish(self, result: TrainedSeed) -> None:
        """Log the result; a run that another process finished meanwhile with the same result makes way for it."""
        self._send_curve()
        if self.tracker:
            attempt(partial(self._finish, self.tracker, result), quiet=True)

    def _finish(self, tracker: Tracker, result: TrainedSeed) -> None:
        if not self.run_id:
            tracking.ensure_seed(tracker, self.values, self.seed, (result, None), [])
        elif tracker.find(**tracking.result_tags(self.values, self.seed, result)):
            tracker.delete(self.run_id)
        else:
            tracker.log_training(self.run_id, self.values, self.seed, result)


@contextmanager
def run_of(settings: Tracking, values: Values, seed: int) -> Iterator[LiveRun]:
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
    """Return where worker processes log."""
    there = shared(config.tracking.uri) if config.cluster else config.tracking.uri
    return dataclasses.replace(config.tracking, uri=there)


@contextmanager
def none_left_open(settings: Tracking) -> Iterator[None]:
    """Leave no run of a worker process RUNNING if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        attempt(partial(_close_left_open, settings), quiet=True)
        raise


def _close_left_open(settings: Tracking, done: Collection[str] = ()) -> None:
    if tracker := tracker_of(settings):
        tracker.close_left_open(done)


def close_abandoned(config: Config, values: Values) -> None:
    """Mark runs as KILLED whose worker on a cluster is gone, now that the seeds they are of have their results."""
    if config.cluster:
        hashes = {tracking.config_hash(values, seed) for seed in config.seeds}
        attempt(partial(_close_left_open, config.tracking, hashes), quiet=True)

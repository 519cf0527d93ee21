"""What MLflow shows: a view of the result files, which can be filled in from them again at any time.

There is one FINISHED run for each distinct result of a (variant, seed), told apart by the tags `config_hash` (what it
was made from), `weights_hash` and `attention_hash` (what came out), and one for each distinct comparison.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.choices import digest
from pipeline.config import Tracking
from pipeline.results import AttendedSeed, Point, TrainedSeed
from pipeline.tracker import Tracker, Values, tracker_of


class LiveRun:
    """A run that is filled while its seed trains; without a run of its own it only sees to it that there is one."""

    def __init__(self, tracker: Tracker | None, run_id: str, values: Values, seed: int) -> None:
        self.tracker, self.run_id, self.values, self.seed = tracker, run_id, values, seed

    def log_curve(self, points: list[Point]) -> None:
        """Log new points of the training curve."""
        if self.tracker and self.run_id:
            self.tracker.log_curve(self.run_id, self.values, points)

    def finish(self, result: TrainedSeed) -> None:
        """Log the result; a run that another process finished meanwhile with the same result makes way for it."""
        if not self.tracker:
            return
        if not self.run_id:
            _ensure_seed(self.tracker, self.values, self.seed, result, None)
        elif self.tracker.find(**_result_tags(self.values, self.seed, result)):
            self.tracker.delete(self.run_id)
        else:
            self.tracker.log_training(self.run_id, self.values, self.seed, result)


@contextmanager
def live(settings: Tracking, values: Values, seed: int) -> Iterator[LiveRun]:
    """Yield what a seed trains under: a run of its own, unless the same values have a FINISHED one."""
    tracker = tracker_of(settings)
    if tracker is None or tracker.find(config_hash=_config_hash(values, seed)):
        yield LiveRun(tracker, "", values, seed)
    else:
        with tracker.run(*_name_and_tags(values, seed)) as run_id:
            yield LiveRun(tracker, run_id, values, seed)


def prepare(settings: Tracking) -> None:
    """Get MLflow ready ahead of its use: import it, and make database and experiment if need be.

    Before worker processes do so, which would get in each other's way, and before an interrupt, after which their runs
    are to be closed at once.
    """
    tracker_of(settings)


@contextmanager
def none_left_open(settings: Tracking) -> Iterator[None]:
    """Leave no run of a worker process RUNNING if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        if tracker := tracker_of(settings):
            tracker.close_left_open()
        raise


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
    tracker = tracker_of(settings)
    if tracker is None:
        return 0
    return sum(_ensure_seed(tracker, values, s, r, attended[s] if attended else None) for s, r in trained.items())


def _ensure_seed(
    tracker: Tracker, values: Values, seed: int, trained: TrainedSeed, attended: AttendedSeed | None
) -> bool:
    runs = tracker.find(**_result_tags(values, seed, trained))
    hashes = [run.data.tags.get("attention_hash", "") for run in runs]
    if runs and (attended is None or attended.attention_hash() in hashes):
        return False
    if "" in hashes:
        run_id = runs[hashes.index("")].info.run_id
    else:
        with tracker.run(*_name_and_tags(values, seed)) as run_id:
            tracker.log_curve(run_id, values, trained.curve)
            tracker.log_training(run_id, values, seed, trained)
    if attended is not None:
        tracker.log_attention(run_id, values, _name_and_tags(values, seed)[0], attended)
    return True


def ensure_comparison(settings: Tracking, folder: Path) -> bool:
    """Have a FINISHED run for a comparison, with its tables, report and figures; return whether it was added."""
    tracker, content = tracker_of(settings), _content(folder)
    if tracker is None or tracker.find(comparison_hash=content):
        return False
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    with tracker.run("comparison", {"kind": "comparison", "comparison_hash": content}) as run_id:
        tracker.log_comparison(run_id, folder)
        flat = [(f"{variant}.{name}", value, 0) for variant, row in metrics.items() for name, value in row.items()]
        tracker.log(run_id, flat)
    return True


def ensure_sweep(settings: Tracking, folder: Path) -> bool:
    """Have a FINISHED run for a sweep, with its tables and figure; return whether it was added."""
    tracker, content = tracker_of(settings), _content(folder)
    if tracker is None or tracker.find(sweep_hash=content):
        return False
    with tracker.run(folder.name, {"kind": "sweep", "sweep_hash": content}) as run_id:
        tracker.client.log_artifacts(run_id, str(folder))
    return True


def _content(folder: Path) -> str:
    """Return a hash of all files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


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

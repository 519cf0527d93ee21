"""What MLflow shows: a view of the result files, which can be filled in from them again at any time.

There is one FINISHED run for each distinct result of a (variant, seed), told apart by the tags `config_hash` (what it
was made from), `weights_hash` and `attention_hash` (what came out), and one for each distinct comparison.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.choices import digest
from pipeline.config import Tracking
from pipeline.connection import attempt, tracker_of
from pipeline.results import AttendedSeed, TrainedSeed
from pipeline.tracker import Tracker, Values


def prepare(settings: Tracking) -> None:
    """Get MLflow ready ahead of its use: import it, and make database and experiment if need be.

    Before worker processes do so, which would get in each other's way, and before an interrupt, after which their runs
    are to be closed at once.

    Raises:
        UserError: if it cannot be used, before any work was done.
    """
    tracker_of(settings)


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
            attempt(partial(ensure_seed, tracker, values, seed, (result, seen), added))
    return len(added)


def ensure_seed(
    tracker: Tracker,
    values: Values,
    seed: int,
    results: tuple[TrainedSeed, AttendedSeed | None],
    added: list[int],
) -> None:
    """Have a FINISHED run for a seed's results, and note if one was added."""
    trained, attended = results
    runs = tracker.find(**result_tags(values, seed, trained))
    hashes = [run.data.tags.get("attention_hash", "") for run in runs]
    if runs and (attended is None or attended.attention_hash() in hashes):
        return
    if "" in hashes:
        run_id = runs[hashes.index("")].info.run_id
    else:
        with tracker.run(*name_and_tags(values, seed)) as run_id:
            tracker.log_curve(run_id, values, trained.curve)
            tracker.log_training(run_id, values, seed, trained)
    if attended is not None:
        tracker.log_attention(run_id, values, name_and_tags(values, seed)[0], attended)
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


def config_hash(values: Values, seed: int) -> str:
    """Return a hash of what a seed's model is made from."""
    return digest({name: values[name] for name in ("task", "data", "model", "train", "variant")} | {"seed": seed})


def name_and_tags(values: Values, seed: int) -> tuple[str, dict[str, str]]:
    """Return the name of a seed's run, and the tags that tell what it is of."""
    variant = values["variant"]
    tags = {"variant": variant["name"], "placement": variant["placement"], "sharing": variant.get("sharing", "")}
    tags |= {"task": values["task"]["name"]}
    tags |= {"kind": "seed", "seed": str(seed), "config_hash": config_hash(values, seed)}
    return f"{variant['name']}, seed {seed}", tags


def result_tags(values: Values, seed: int, result: TrainedSeed) -> dict[str, str]:
    """Return the tags that tell a seed's result from all others."""
    return {"config_hash": config_hash(values, seed), "weights_hash": result.weights_hash()}

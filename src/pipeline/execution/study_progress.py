"""One line for the whole study while DVC runs it: which stage this is, and about how long those after it will take."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from pipeline.results import folders
from pipeline.results.file_formats import write_text
from pipeline.settings.project import ROOT

STAGE = "DVC_STAGE"  # DVC sets it to the name of the stage that it runs


@contextmanager
def shown(variants: list[str]) -> Iterator[None]:
    """Print the line before a stage that DVC runs in a terminal, and note afterwards how long any of DVC's stages took.

    Stages that DVC will skip cannot be known before, so the time is what the others take at most. It is that of the
    last runs; there is none until all of them have run once.
    """
    stage = os.environ.get(STAGE)
    stages = _stages(variants) if stage else []
    if stage not in stages:
        yield
        return
    number, seconds = stages.index(stage) + 1, _noted()
    if sys.stdout.isatty():
        rest = stages[number:]
        known = bool(rest) and all(name in seconds for name in rest)
        later = f", then at most about {_minutes(sum(seconds[name] for name in rest))}" if known else ""
        print(f"== stage {number} of {len(stages)}: {stage}{later}", flush=True)
    yield
    write_text(_path(), json.dumps(_noted() | {stage: round(_running(), 1)}, indent=2) + "\n")


def _running() -> float:
    """Return for how many seconds this process has been running, its imports included."""
    return time.time() - psutil.Process().create_time()


def _stages(variants: list[str]) -> list[str]:
    """Return the names of all stages in dvc.yaml, in the order in which DVC runs them."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    each = ([f"{name}@{v}" for v in variants] if "matrix" in stage else [name] for name, stage in stages.items())
    return [name for names in each for name in names]


def _path() -> Path:
    return ROOT / folders.OUTPUTS / "durations.json"


def _noted() -> dict[str, float]:
    """Return stage -> seconds of its last run; nothing if none was noted, or the note is damaged."""
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(_path().read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"

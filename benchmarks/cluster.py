"""A training on a Dask cluster: what its parts take, and all of it with more workers, measured and predicted."""

import os
import shutil
import time
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

VARIANT = "after_unshared"
SHORT = 30_000  # samples, of which a seed takes about a second, so that all else counts
SHORTEST = ("data.samples=1300", "tracking=off")  # 18 batches
SEEDS = 32
WORKERS = (1, 2, 4, 8, 16)


def predicted(parts, seeds, workers, cores):
    """Return in how many seconds a cluster trains seeds, and what decides that, given the seconds of the parts.

    A worker trains one seed after the other, the first of which takes longer. Workers share the cores, and one process
    receives all results, one after the other.
    """
    used = min(workers, seeds)
    bounds = {
        "the seeds of one worker": parts["first"] + ceil(seeds / used) * parts["seed"],
        "the cores": (used * parts["first"] + seeds * parts["seed"]) / cores,
        "receiving results": seeds * parts["received"],
    }
    longest = max(bounds, key=bounds.get)
    return parts["start"] + bounds[longest], longest


@contextmanager
def workers(count, root):
    """Yield the address of a cluster whose workers have imported nothing yet."""
    from distributed import LocalCluster

    from pipeline.execution.worker_pool import ONE_THREAD

    place = {"host": "127.0.0.1", "dashboard_address": None, "memory_limit": 0}
    env = ONE_THREAD | {"PROJECT_ROOT": str(root)}
    with (
        TemporaryDirectory() as folder,
        LocalCluster(n_workers=count, threads_per_worker=1, env=env, local_directory=folder, **place) as cluster,
    ):
        yield cluster.scheduler_address


def train(scratch, address, seeds, *words):
    """Return the seconds of a training of some seeds, none of which was finished before."""
    shutil.rmtree(scratch.root / "outputs/parts", ignore_errors=True)
    scratch.forget_runs()
    chosen = f"seeds={list(range(seeds))}".replace(" ", "")
    return scratch.stage("train", f"+variant={VARIANT}", chosen, f"cluster={address}", *words)[0]


def measured_parts(scratch):
    """Return the seconds of the parts of a training, measured with one worker, at the samples of the study."""
    found, (samples, off) = {}, SHORTEST
    scratch.stage("dataset", samples)
    with workers(1, scratch.root) as address:
        found["shortest, cold"], found["shortest"] = (train(scratch, address, 1, *SHORTEST) for _ in range(2))
        tracked = [train(scratch, address, seeds, samples) for seeds in (1, 17)]
        short = [train(scratch, address, seeds, *SHORTEST) for seeds in (1, 17)]
        scratch.stage("dataset")
        one, five = (train(scratch, address, seeds, off) for seeds in (1, 5))
    found["seed"] = (five - one) / 4
    found["start"] = one - found["seed"]
    found["first"] = found["shortest, cold"] - found["shortest"]
    found["logged"] = (tracked[1] - tracked[0] - short[1] + short[0]) / 16
    found["received"] = received(next(scratch.root.glob(f"outputs/*/models/{VARIANT}")))
    return found


def received(folder):
    """Return the seconds that it takes to write what is received of a seed to the disk."""
    from pipeline.results import folders
    from pipeline.results.stage_files import read_training, write_training

    result = next(iter(read_training(folder).values()))
    with TemporaryDirectory(dir=folder) as place:
        start = time.perf_counter()
        for number in range(20):
            with folders.replacing(Path(place, str(number))) as aside:
                write_training(aside, {0: result})
        return (time.perf_counter() - start) / 20


def measured(scratch, parts):
    """Return rows of workers, and the seconds of a training, measured and predicted, with short seeds."""
    rows, words = [], (f"data.samples={SHORT}", "tracking=off")
    scratch.stage("dataset", *words)
    with workers(1, scratch.root) as address:
        train(scratch, address, 1, *words)
        one, nine = (train(scratch, address, seeds, *words) for seeds in (1, 9))
    short = parts | {"seed": (nine - one) / 8, "start": one - (nine - one) / 8}
    cores = os.cpu_count()
    for count in WORKERS:
        with workers(count, scratch.root) as address:
            cold, warm = (train(scratch, address, SEEDS, *words) for _ in range(2))
        expected = {
            "cold": predicted(short, SEEDS, count, cores),
            "warm": predicted(short | {"first": 0}, SEEDS, count, cores),
        }
        rows += [
            {"workers": count, "kind": kind, "measured": found, "predicted": seconds, "decides": longest}
            for (kind, (seconds, longest)), found in zip(expected.items(), (cold, warm), strict=True)
        ]
    return rows

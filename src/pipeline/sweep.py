"""Run the stages for every combination of values. `python -m pipeline.sweep +variant=A,B data.key_step=0,10,19`"""

import dataclasses
import sys
from functools import partial
from importlib import import_module

from pipeline import analyze, dataset, train
from pipeline.execution import dask_cluster, fingerprint, machine
from pipeline.execution.command_line import combinations, errors_reported
from pipeline.execution.worker_pool import Pool, each
from pipeline.report import sweep_tables, terminal
from pipeline.report.comparison import load_variant_result
from pipeline.report.sweep_tables import Point
from pipeline.results import folders, made_on
from pipeline.results.stage_files import read_training
from pipeline.settings import study
from pipeline.settings.schema import Config
from pipeline.tracking import sweeps, sync
from pipeline.tracking.address import shared
from pipeline.tracking.connection import tracker_of

STAGES = {
    ("data/train", "data/validation", "data/probe"): dataset.stage,
    ("models",): train.stage,
    ("attention",): analyze.stage,
}


def main() -> None:
    """Check all combinations, run those that have no result yet, then write the tables and figures of all."""
    planned = combinations(Config.chosen_variant)
    if planned:  # empty if only help was asked for
        with errors_reported():
            configs = [config for config, _ in planned]
            tracker_of(configs[0].tracking)  # before any work: MLflow may not be usable
            points = sweep_tables.varying([Point(swept, config) for config, swept in planned])
            run(configs, points)
            gather(configs, points)


def run(configs: list[Config], points: list[Point]) -> None:
    """Run the stages of all combinations that have no result yet.

    With a cluster and at least as many combinations as seeds, each combination is one task of the cluster. Otherwise
    one combination follows the other, and the seeds of each are spread over the workers.
    """
    if configs[0].cluster and len(configs) >= len(configs[0].seeds):
        _spread(configs, points)
        return
    for number, (config, point) in enumerate(zip(configs, points, strict=True), 1):
        finished = _is_finished(config)
        print(f"== {number} of {len(points)}: {point.title}{' (made before)' if finished else ''}", flush=True)
        if not finished:
            make(config)


def make(config: Config) -> None:
    """Run the stages of one combination that have no result yet."""
    for kinds, stage in STAGES.items():
        with dask_cluster.alone(str(folders.folder(config, kinds[0]))):  # other combinations may need the same result
            if not all(folders.exists(config, kind) for kind in kinds):
                stage(config)


def _is_finished(config: Config) -> bool:
    return all(folders.exists(config, kind) for kinds in STAGES for kind in kinds)


def _spread(configs: list[Config], points: list[Point]) -> None:
    """Have the workers of the cluster run a combination each, from its data to its analysis."""

    def report(number: int, result: object) -> None:
        print(f"-- {number + 1} of {len(points)} is finished: {points[number].title}", flush=True)

    tasks = {number: (config, sys.argv[1:]) for number, config in enumerate(configs) if not _is_finished(config)}
    print(f"{len(configs) - len(tasks)} of {len(configs)} combinations were made before.", flush=True)
    with fingerprint.shared_folder() as path:
        tasks_and_variants = [part for config in configs for part in (config.task, config.variant)]
        depends_on = partial(fingerprint.of_combinations, path, tasks_and_variants)
        address = configs[0].cluster
        pool = Pool(None, "sweep", "combinations", received=report, cluster=address, fingerprint=depends_on)
        each(_make_on_worker, tasks, pool)


def _make_on_worker(config: Config, words: list[str]) -> None:
    study.params.cache_clear()  # params.yaml may have changed since this worker ran another sweep
    sys.argv[1:] = words  # quoted by messages that name a command
    make(dataclasses.replace(config, cluster=None, workers=1, tracking=shared(config.tracking)))


def gather(configs: list[Config], points: list[Point]) -> None:
    """Write the tables and figures of all combinations, and log them to MLflow."""
    settings, results = configs[0].tracking, [load_variant_result(config) for config in configs]
    for config, result in zip(configs, results, strict=True):  # a worker of a cluster may not have been able to
        values, attention = folders.values(config, "attention"), folders.folder(config, "attention")
        with folders.reading(config, "models") as models:
            trained, machines = read_training(models), (made_on.of_folder(models), made_on.of_folder(attention))
        sync.ensure(config.tracking, values, trained, result.attended, machines)
    folder = sweep_tables.folder_of(points, configs[0].results)
    with folders.added_to(folder) as aside:
        sweep_tables.write(aside, points, results)
    made_on.note(machine.description(), folder)
    sweeps.note(sync.hash_of_folder(folder), points, sys.argv[1:])
    sync.ensure_sweep(settings, folder, sync.made_from(configs, results))
    terminal.show_summary(folder, list(points[0].swept) or ["variant"])
    terminal.show_where(folder, settings)


if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.sweep").main()

"""Train a variant with every seed. `python -m pipeline.train +variant=after_unshared`"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from pipeline.execution import dask_cluster, fingerprint, resume
from pipeline.execution.command_line import command
from pipeline.execution.worker_pool import Pool
from pipeline.models import fit
from pipeline.report import terminal
from pipeline.results import folders, splits
from pipeline.results.splits import Split
from pipeline.results.stage_files import Point, TrainedSeed, read_training, write_training
from pipeline.settings.schema import Config
from pipeline.tracking import live_runs, sync


def stage(config: Config) -> None:
    """Train the seeds that are not finished yet, write the results, and log them to MLflow."""
    values = folders.values(config, "models")
    samples = splits.load(config, "train"), splits.load(config, "validation")
    depends_on = partial(fingerprint.of, config, "models", *samples)
    with (
        live_runs.none_left_open(config.tracking),
        resume.folder_of(depends_on()) as parts,
        folders.writing(config, "models") as folder,
    ):
        trained = _train(config, samples, parts, depends_on)
        write_training(folder, trained, samples[0].sha256, config.score)
    sync.ensure(config.tracking, values, trained)  # where a worker could not
    live_runs.close_abandoned(config, values)
    terminal.show_training(trained, config.score)
    terminal.show_where(folders.folder(config, "models"), config.tracking)


def _train(
    config: Config, samples: tuple[Split, Split], parts: Path, depends_on: Callable[[], dict[str, str]]
) -> dict[int, TrainedSeed]:
    """Return seed -> result; those that an interrupted run finished are read from `parts`."""

    def write(folder: Path, seed: int, result: TrainedSeed) -> None:
        write_training(folder, {seed: result}, samples[0].sha256, config.score)

    def read(folder: Path, seed: int) -> TrainedSeed:
        return read_training(folder)[seed]

    prepare, title = partial(sync.prepare, config.tracking), f"train {config.chosen_variant().name}"
    pool = Pool(config.workers, title, "seeds", prepare, cluster=config.cluster, fingerprint=depends_on)
    tasks = {seed: (seed,) for seed in config.seeds}
    return resume.each(parts, resume.Files(write, read), partial(_train_seed, config, samples), tasks, pool)


def _train_seed(config: Config, samples: tuple[Split, Split], seed: int) -> TrainedSeed:
    """Train a seed in a worker process, under a live run."""
    with live_runs.run_of(live_runs.for_workers(config), folders.values(config, "models"), seed) as run:

        def observe(points: list[Point]) -> None:
            dask_cluster.check_wanted()
            run.log_curve(points)

        result = fit.train_seed(config, seed, *samples, observe)
        run.finish(result)
    return result


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.train").main()

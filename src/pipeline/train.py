"""Train a variant with every seed. `python -m pipeline.train +variant=after_unshared`"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from pipeline.execution import dask_cluster, fingerprint, resume
from pipeline.execution.command_line import command
from pipeline.execution.worker_pool import Pool
from pipeline.models import fit
from pipeline.report import terminal
from pipeline.results import folders, made_on, splits
from pipeline.results.splits import Split
from pipeline.results.stage_files import Point, TrainedSeed, read_training, write_training
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Config
from pipeline.tasks import seed_samples
from pipeline.tracking import live_runs, sync
from pipeline.tracking.address import shared
from pipeline.tracking.connection import check_tracking, tracker_of
from pipeline.tracking.provenance import process_identity


def stage(config: Config) -> None:
    """Train the seeds that are not finished yet, write the results, and log them to MLflow."""
    name, values = config.chosen_variant().name, folders.values(config, "models")
    check_tracking(config.tracking)
    samples = splits.load(config, "train"), splits.load(config, "validation")
    tasks = {seed: (seed,) for seed in config.seeds}
    depends_on = partial(fingerprint.of, config, "models", *samples)
    files = resume.Files(lambda path, result: write_training(path, {0: result}), lambda path: read_training(path)[0])
    prepare = partial(tracker_of, config.tracking)  # before the workers start: see there
    pool = Pool(config.workers, f"train {name}", "seeds", prepare, cluster=config.cluster, fingerprint=depends_on)
    with (
        live_runs.none_left_open(config.tracking),
        resume.folder_of(depends_on()) as parts,
        folders.writing(config, "models") as folder,
    ):
        work = partial(_train_seed, config, samples, parts.relative_to(ROOT) / "scratch", process_identity())
        write_training(folder, resume.each(parts, files, work, tasks, pool))
        machine = resume.machine_of(parts, tasks)
    target = folders.folder(config, "models")
    made_on.note(machine, target)
    trained = read_training(target)
    sync.ensure(config.tracking, values, trained, machines=(machine, {}))  # where a worker could not
    terminal.show_training(trained, config.score)
    terminal.show_where(target, config.tracking)


def _train_seed(config: Config, samples: tuple[Split, Split], scratch: Path, started_by: str, seed: int) -> TrainedSeed:
    """Train a seed in a worker process that another process started, under a live run.

    `samples` are the study's training and held-out samples. A seed with samples of its own draws them in the folder
    `scratch`.
    """
    tracking = shared(config.tracking) if config.cluster else config.tracking
    with live_runs.run_of(tracking, folders.values(config, "models"), seed, started_by) as run:

        def observe(points: list[Point]) -> None:
            dask_cluster.check_wanted()
            run.log_curve(points)

        with _training_samples(config, samples[0], scratch, seed) as training:
            result = fit.train_seed(config, seed, training, samples[1], observe)
        run.finish(result)
    return result


@contextmanager
def _training_samples(config: Config, common: Split, scratch: Path, seed: int) -> Iterator[Split]:
    if not config.data.per_seed:
        yield common
        return
    with folders.temporary(scratch) as folder:
        yield seed_samples.draw(config, seed, folder)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.train").main()

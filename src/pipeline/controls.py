"""Train with one thing changed, to see what a peak of attention proves. `python -m pipeline.controls`"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.execution import dask_cluster, fingerprint, resume
from pipeline.execution.command_line import command
from pipeline.execution.worker_pool import Pool
from pipeline.measures import control_runs
from pipeline.report import terminal
from pipeline.results import folders, splits
from pipeline.results.evidence_files import ControlRun, read_controls, write_controls
from pipeline.results.splits import Split
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Config
from pipeline.tasks import control_samples
from pipeline.tasks.control_samples import Control


def stage(config: Config) -> None:
    """Train and read the controls that are not finished yet, and write their tables."""
    samples = splits.load(config, "train"), splits.load(config, "validation")
    depends_on = partial(fingerprint.of, config, "controls", *samples)
    with resume.folder_of(depends_on()) as parts, folders.writing(config, "controls") as folder:
        runs = _run_all(config, samples, parts, depends_on)
        write_controls(folder, runs, config.score)
    terminal.show_controls(runs, config.score)
    terminal.show_where(folders.folder(config, "controls"), config.tracking)


def _run_all(
    config: Config, samples: tuple[Split, Split], parts: Path, depends_on: Callable[[], dict[str, str]]
) -> list[ControlRun]:
    """Return the runs of all controls; those that an interrupted stage finished are read from `parts`."""

    def write(folder: Path, title: str, runs: list[ControlRun]) -> None:
        write_controls(folder, runs, config.score)

    def read(folder: Path, title: str) -> list[ControlRun]:
        return read_controls(folder)

    pool = Pool(config.workers, "controls", "trained", cluster=config.cluster, fingerprint=depends_on)
    tasks = {control.title: (control,) for control in control_samples.planned(config)}
    work = partial(run_control, config, samples, parts.relative_to(ROOT) / "scratch")
    finished = resume.each(parts, resume.Files(write, read), work, tasks, pool)
    return [run for title in tasks for run in finished[title]]


def run_control(config: Config, samples: tuple[Split, Split], scratch: Path, control: Control) -> list[ControlRun]:
    """Train and read all seeds of a control, in one process, so that its model is compiled once.

    Args:
        config: the configuration of the study.
        samples: the study's training and held-out samples.
        scratch: folder, relative to the project's root, for samples that only this control needs.
        control: what to train.
    """
    (ROOT / scratch).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ROOT / scratch) as folder:
        drawn = control_samples.samples_of(config, control, samples, Path(folder))
        changed = (control.name, control.variant, control.data)
        return [
            control_runs.run_seed(config, changed, seed, drawn, dask_cluster.check_wanted)
            for seed in config.controls.seeds
        ]


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.controls").main()

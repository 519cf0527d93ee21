"""Train with one thing changed, to see what a peak of attention proves. `python -m pipeline.controls`"""

from functools import partial
from importlib import import_module
from pathlib import Path

from pipeline.execution import dask_cluster, fingerprint, resume
from pipeline.execution.command_line import command
from pipeline.execution.worker_pool import Pool
from pipeline.measures import read_model
from pipeline.report import terminal
from pipeline.results import folders, made_on, splits
from pipeline.results.splits import Split
from pipeline.results.stage_files import ControlRun, read_controls, write_controls
from pipeline.settings.project import ROOT
from pipeline.settings.schema import Config
from pipeline.tasks import control_samples
from pipeline.tasks.control_samples import Control
from pipeline.tracking import sync
from pipeline.tracking.connection import check_tracking


def stage(config: Config) -> None:
    """Train and read the controls that are not finished yet, and write their tables."""
    check_tracking(config.tracking)
    samples = splits.load(config, "train"), splits.load(config, "validation")
    depends_on = partial(fingerprint.of, config, "controls", *samples)
    tasks = {f"{control.name}, {control.variant.name}": (control,) for control in control_samples.planned(config)}
    files = resume.Files(write_controls, read_controls)
    pool = Pool(config.workers, "controls", "trained", cluster=config.cluster, fingerprint=depends_on)
    with resume.folder_of(depends_on()) as parts, folders.writing(config, "controls") as folder:
        work = partial(_run_control, config, samples, parts.relative_to(ROOT) / "scratch")
        runs = [run for runs in resume.each(parts, files, work, tasks, pool).values() for run in runs]
        write_controls(folder, runs)
        machine = resume.machine_of(parts, tasks)
    target = folders.folder(config, "controls")
    made_on.note(machine, target)
    sync.ensure_controls(config.tracking, target)
    terminal.show_controls(runs, config.score)
    terminal.show_where(target, config.tracking)


def _run_control(config: Config, samples: tuple[Split, Split], scratch: Path, control: Control) -> list[ControlRun]:
    """Train and read all seeds of a control, in one process, so that its model is compiled once.

    `samples` are those of the study; a control that needs others draws them in the folder `scratch`.
    """
    with folders.temporary(scratch) as folder:
        drawn = control_samples.samples_of(config, control, samples, folder)
        changed = (control.name, control.variant, control.data)
        seeds, observe = config.controls.seeds, dask_cluster.check_wanted
        return [read_model.control_seed(config, changed, seed, drawn, observe) for seed in seeds]


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.controls").main()

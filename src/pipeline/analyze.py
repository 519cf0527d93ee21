"""Read the attention of a variant's trained models on the probe samples. `python -m pipeline.analyze +variant=…`"""

from functools import partial
from importlib import import_module

from pipeline.execution import fingerprint, machine
from pipeline.execution.command_line import command
from pipeline.execution.worker_pool import Pool, each
from pipeline.measures import read_model
from pipeline.measures.read_model import AnalyzedSeed
from pipeline.report import terminal
from pipeline.results import folders, made_on, splits
from pipeline.results.file_formats import stacked
from pipeline.results.on_demand import OnDemand
from pipeline.results.stage_files import (
    AttendedSeed,
    ExplainedSeed,
    read_training,
    write_attention,
    write_explanations,
)
from pipeline.settings.schema import Config
from pipeline.tracking import sync
from pipeline.tracking.connection import check_tracking, tracker_of


def stage(config: Config) -> None:
    """Write attention, explanations and measures, and log them to MLflow."""
    name, values = config.chosen_variant().name, folders.values(config, "attention")
    probe, training = splits.load(config, "probe"), splits.load(config, "train")
    check_tracking(config.tracking)
    with folders.reading(config, "models") as folder:
        trained, made = read_training(folder), machine.of_workers(config.cluster)
        machines = made_on.of_folder(folder), made
    seeds, shape = list(trained), (len(trained), probe.samples, config.data.time_steps)
    with folders.writing(config, "attention") as folder, stacked(folder / "attention.npy", shape) as write:

        def keep(seed: int, result: AnalyzedSeed) -> tuple[AttendedSeed, ExplainedSeed]:
            write(seeds.index(seed), result.attention)
            logged = OnDemand([seed], trained.__getitem__)  # read only if it is
            sync.ensure(config.tracking, values, logged, {seed: result.attended}, machines)
            return result.attended, result.explained

        prepare, depends_on = partial(_prepare, config), partial(fingerprint.of, config, "attention", probe, training)
        pool = Pool(config.workers, f"analyze {name}", "seeds", prepare, keep, config.cluster, depends_on)
        tasks = OnDemand(seeds, lambda seed: (seed, trained[seed]))
        analyzed = each(partial(read_model.analyze_seed, config, probe, training), tasks, pool)
        attended = {seed: result for seed, (result, _) in analyzed.items()}
        write_attention(folder, attended)
        write_explanations(folder, {seed: explained for seed, (_, explained) in analyzed.items()})
    made_on.note(made, folders.folder(config, "attention"))
    terminal.show_attention({name: attended})
    terminal.show_where(folders.folder(config, "attention"), config.tracking)


def _prepare(config: Config) -> None:
    """Import what is needed later while the workers import TensorFlow."""
    if config.tracking.uri:
        import_module("pipeline.report.figures")
    tracker_of(config.tracking)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.analyze").main()

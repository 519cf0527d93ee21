"""Print results, without computing anything. `python -m pipeline.show`, with `+variant=after_shared seed=3` or `run=ID`

Without either, the result of the comparison; with them, one seed's: where it is, its attention, its run in MLflow.
"""

from pipeline.execution.command_line import command
from pipeline.report import comparison, terminal
from pipeline.results import folders, stage_files
from pipeline.settings.project import UserError
from pipeline.settings.schema import Config
from pipeline.tracking import lookup


def stage(config: Config) -> None:
    """Print a run, a seed, or table and attention vectors of an existing comparison."""
    if config.run is not None:
        show_run(config)
    elif config.seed is not None or config.variant is not None:
        show_seed(config)
    else:
        folder = folders.existing(config, "comparison")
        results = comparison.load(config)
        terminal.show_study(folder, {result.variant.name: result.attended for result in results}, config.tracking)


def show_seed(config: Config) -> None:
    """Print where the results of a variant and seed are, its attention, and its run in MLflow, if that is there."""
    variant, known = config.chosen_variant().name, ", ".join(map(str, config.seeds))
    if config.seed not in config.seeds:
        given = "null" if config.seed is None else config.seed
        raise UserError(f"seed is {given}: with +variant={variant}, it must be one of {known}.")
    models = folders.existing(config, "models")
    with folders.reading(config, "attention") as folder:
        attended = stage_files.read_attention(folder)[config.seed]
    print(f"{variant}, seed {config.seed}: {folders.shown(models)}, {folders.shown(folder)}")
    terminal.show_vector(attended)
    values = folders.values(config, "attention")
    if found := lookup.run_of(config.tracking, values, config.seed, attended.attention_hash(), config.port):
        print(f"Run {found.run_id} in MLflow: {found.link}")


def show_run(config: Config) -> None:
    """Print where the results of a run in MLflow are, and its attention, if it is that of a seed."""
    found = lookup.result_of(config.tracking, str(config.run), config.port)
    where = ", ".join(map(folders.shown, found.folders)) or "its results are in no folder here"
    print(f"{found.name}: {where}")
    if found.attended:
        terminal.show_vector(found.attended)
    print(f"Run {found.run_id} in MLflow: {found.link}")


main = command(stage)

if __name__ == "__main__":
    main()

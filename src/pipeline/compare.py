"""Compare the variants: tables, figures and report. `python -m pipeline.compare`"""

from pipeline.execution import machine
from pipeline.execution.command_line import command
from pipeline.report import comparison, terminal
from pipeline.results import folders, made_on
from pipeline.results.stage_files import read_controls
from pipeline.settings.schema import Config
from pipeline.tracking import sync
from pipeline.tracking.connection import tracker_of


def stage(config: Config) -> None:
    """Write the comparison, and log it to MLflow."""
    results = comparison.load(config)
    with folders.reading(config, "controls") as folder:
        controls = read_controls(folder)
    tracker_of(config.tracking)  # before any work: MLflow may not be usable
    with folders.writing(config, "comparison") as folder:
        comparison.write(folder, config, results, controls)
    target = folders.folder(config, "comparison")
    made_on.note(machine.description(), target)
    sync.ensure_comparison(config.tracking, target, sync.made_from([config] * len(results), results))
    terminal.show_study(target, {result.variant.name: result.attended for result in results}, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

"""Print the result of the comparison, without computing anything. `python -m pipeline.show`"""

from pipeline.execution.command_line import command
from pipeline.report import comparison, terminal
from pipeline.results import folders
from pipeline.settings.schema import Config


def stage(config: Config) -> None:
    """Print table and attention vectors of an existing comparison."""
    folder = folders.existing(config, "comparison")
    results = comparison.load(config)
    terminal.show_study(folder, {result.variant.name: result.attended for result in results}, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

"""Write a variant's definition, for the stages that depend on those of all. `python -m pipeline.define +variant=…`"""

from pipeline.execution import machine
from pipeline.execution.command_line import command
from pipeline.results import folders, made_on
from pipeline.settings.schema import Config


def stage(config: Config) -> None:
    """Write params.json, which is all that there is to a definition."""
    config.chosen_variant()
    with folders.writing(config, "definitions"):
        pass
    made_on.note(machine.description(), folders.folder(config, "definitions"))


main = command(stage)

if __name__ == "__main__":
    main()

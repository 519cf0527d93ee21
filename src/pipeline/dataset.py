"""Draw the samples of a task and write them to disk. `python -m pipeline.dataset`"""

from pipeline.execution import machine
from pipeline.execution.command_line import command
from pipeline.results import folders, made_on, splits
from pipeline.settings.schema import Config
from pipeline.tasks import lookup


def stage(config: Config) -> None:
    """Write the training, validation and probe split."""
    written = splits.write_all(config, lookup.draw_of(config.task), lookup.meaning_of(config.task, config.data))
    made_on.note(machine.description(), *written.values())
    for split, samples in splits.sizes(config).items():
        print(f"{split:<10} {samples:>9,} samples -> {folders.shown(written[split])}")


main = command(stage)

if __name__ == "__main__":
    main()

"""Print what the comparison found; nothing is made anew. `python -m pipeline.show`"""

from pipeline import compare, storage, terminal
from pipeline.command import command
from pipeline.config import Config


def stage(config: Config) -> None:
    """Print table and attention vectors of a comparison that is there already."""
    folder = storage.made(config, "comparison")
    results = compare.load(config)
    terminal.show_study(folder, {result.variant.name: result.attended for result in results}, config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

"""The training samples of one seed, if each draws its own."""

from pathlib import Path

from numpy.random import SeedSequence

from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.settings.schema import Study
from pipeline.tasks import lookup


def draw(study: Study, seed: int, folder: Path) -> Split:
    """Draw a seed's own training samples, as many as the study's, into a folder."""
    positions, own = range(study.data.train_samples), stream(study.data.seed, seed)
    drawn = splits.write(folder, positions, study.data, own, lookup.draw_of(study.task))
    splits.check_labels(drawn, f"train (seed {seed})", study.task)
    return drawn


def stream(data_seed: int, seed: int) -> SeedSequence:
    """Return the random stream of a seed's own samples.

    `SeedSequence((n, 0))` and `SeedSequence(n)` have the same children. This one is none of those that the splits of a
    study, or the weights and the order of training, are drawn from.
    """
    return SeedSequence((data_seed, seed), spawn_key=(len(splits.SPLITS),))

"""The training samples of one seed, if each draws its own."""

from pathlib import Path

from numpy.random import SeedSequence

from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.settings.schema import Study
from pipeline.tasks import lookup


def draw(study: Study, seed: int, folder: Path) -> Split:
    """Draw a seed's own training samples, as many as the study's, into a folder.

    `SeedSequence((n, 0))` and `SeedSequence(n)` have the same children. So the child here is one that neither the
    splits of a study nor the weights and orders of training have.
    """
    stream = SeedSequence((study.data.seed, seed), spawn_key=(len(splits.SPLITS),))
    drawn = splits.write(folder, range(study.data.train_samples), study.data, stream, lookup.draw_of(study.task))
    splits.check_labels(drawn, f"train (seed {seed})", study.task)
    return drawn

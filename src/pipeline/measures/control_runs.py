"""One seed of a control trained and read."""

import dataclasses
from collections.abc import Callable

from pipeline.measures import read_model
from pipeline.models.fit import train_seed
from pipeline.results.evidence_files import ControlRun
from pipeline.results.splits import Split
from pipeline.settings.schema import Data, Study, Variant


def run_seed(
    study: Study,
    changed: tuple[str, Variant, Data],
    seed: int,
    samples: tuple[Split, Split],
    observe: Callable[[object], None],
) -> ControlRun:
    """Train a control with one seed, and read its attention on held-out samples.

    Args:
        study: the study that the control belongs to.
        changed: name of the control, and the variant and data that it trains with.
        seed: of the initial weights and the data order.
        samples: to train on, and held out.
        observe: is called about ten times an epoch.
    """
    name, variant, data = changed
    study = dataclasses.replace(study, variant=variant, data=data)
    trained = train_seed(study, seed, *samples, observe)
    x, y, mask = (samples[1].rows(part, 0, study.controls.probe_samples) for part in ("x", "y", "mask"))
    attention = read_model.attention(study, trained.weights, x).mean(axis=2)
    attended = read_model.attended(attention, mask, None if study.regression else y)
    return ControlRun(name, variant, seed, trained.loss, trained.score, attended)

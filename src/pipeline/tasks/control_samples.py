"""The controls of a study: what each one changes, and the samples that it trains on."""

import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import SeedSequence, default_rng

from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.results.stage_files import NO_ATTENTION, NULL_KEY, ONE_FEATURE, OTHER_CODING, UNIFORM
from pipeline.settings.project import UserError
from pipeline.settings.schema import Data, Study, Variant
from pipeline.settings.study import load_variant
from pipeline.settings.user_code import TARGET
from pipeline.tasks import lookup

OTHER: dict[str, Literal["zero_one", "plus_minus"]] = {"zero_one": "plus_minus", "plus_minus": "zero_one"}
NOTHING = {TARGET: "pipeline.attention.NoAttention"}  # instead of attention


class Control(NamedTuple):
    """A variant and the data to train it on; with `unrelated`, its labels do not depend on its samples."""

    name: str
    variant: Variant
    data: Data
    unrelated: bool = False


def planned(study: Study) -> list[Control]:
    """Return the controls of a study.

    - frozen uniform: one variant of each placement, its attention fixed at 1 / T: is attention needed at all?
    - no attention: the same without the attention layer: how many samples does the task take without it?
    - other coding: every variant, with the key coded as -1 and 1 instead of 0 and 1, or the other way round, if that
      changes the task's samples: what of the result is the coding?
    - one feature: one unshared variant of each placement on sequences of one feature, as in the figures of the original
      repository, if the task has such sequences;
    - null key: every variant, with labels that do not depend on the key: its score must stay at chance.
    """
    variants = [load_variant(name) for name in study.variants]
    by_placement = _first_of_each_placement([variant for variant in variants if variant.attention is None])
    unshared = _first_of_each_placement([variant for variant in variants if variant.sharing == "unshared"])
    one = dataclasses.replace(study.data, input_dim=1)
    recoded = dataclasses.replace(study.data, key_coding=OTHER[study.data.key_coding])
    few = dataclasses.replace(study.data, samples=study.controls.null_key_samples)
    return [
        *(Control(UNIFORM, dataclasses.replace(v, uniform=True), study.data) for v in by_placement),
        *(
            Control(NO_ATTENTION, Variant(v.placement, name=v.name, attention=NOTHING), study.data)
            for v in by_placement
        ),
        *(Control(OTHER_CODING, variant, recoded) for variant in variants if _differs(study, recoded)),
        *(Control(ONE_FEATURE, variant, one) for variant in unshared if _can_draw(study, one)),
        *(Control(NULL_KEY, variant, few, unrelated=True) for variant in variants),
    ]


def _differs(study: Study, data: Data) -> bool:
    """Return whether other data give the study's task other samples."""
    draw = lookup.draw_of(study.task, tell=False)
    here, there = (draw(default_rng(0), default_rng(0), lookup.TRIED, drawn)[0] for drawn in (study.data, data))
    return not np.array_equal(here, there)


def _can_draw(study: Study, data: Data) -> bool:
    """Return whether the study's task has samples of this shape."""
    try:
        lookup.check_task(study.task, data)
    except UserError:
        return False
    return True


def _first_of_each_placement(variants: list[Variant]) -> list[Variant]:
    placements = [variant.placement for variant in variants]
    return [variant for index, variant in enumerate(variants) if variant.placement not in placements[:index]]


def samples_of(study: Study, control: Control, unchanged: tuple[Split, Split], folder: Path) -> tuple[Split, Split]:
    """Return the training and the held-out samples of a control of a study.

    `unchanged` are the study's, for a control that does not change them; those of others are drawn in the folder.
    """
    if control.data == study.data and not control.unrelated:
        return unchanged
    counts = {"train": control.data.train_samples, "validation": control.data.validation_samples}
    generator, drawn, first = lookup.draw_of(study.task, tell=False), [], 0
    meaning = lookup.meaning_of(study.task, control.data)
    draw = lookup.unrelated(generator) if control.unrelated else generator
    for (name, samples), stream in zip(counts.items(), SeedSequence(control.data.seed).spawn(2), strict=True):
        drawn.append(splits.write(folder / name, range(first, first + samples), control.data, stream, draw))
        splits.describe(drawn[-1], meaning)
        splits.check_labels(drawn[-1], name, study.task)
        first += samples
    return drawn[0], drawn[1]

"""Train with one thing changed, to see what a peak of attention proves. `python -m pipeline.controls`"""

import dataclasses
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from numpy.random import SeedSequence

from pipeline import cluster, dataset, fingerprint, reading, runtime, sampling, storage, terminal, unfinished
from pipeline.choices import load_variant
from pipeline.command import command
from pipeline.config import ROOT, Config, Data, UserError, Variant
from pipeline.dataset import Split
from pipeline.evidence import NULL_KEY, ONE_FEATURE, UNIFORM, ControlRun, read_controls, write_controls


class Control(NamedTuple):
    """A variant and data to train it on, whose labels may be made to have nothing to do with the samples."""

    name: str
    variant: Variant
    data: Data
    unrelated: bool = False

    @property
    def title(self) -> str:
        """Return a name that no other control of the study has."""
        return f"{self.name}, {self.variant.name}"


def planned(config: Config) -> list[Control]:
    """Return the controls of a study.

    - frozen uniform: a variant of each placement, its attention fixed at 1 / T: is attention needed at all?
    - one feature: an unshared variant of each placement on sequences of one feature, with which the original
      repository's figures were drawn, where the task has such;
    - null key: every variant on a key that the labels do not depend on: no score beyond chance may come of it.
    """
    variants = [load_variant(name) for name in config.variants]
    by_placement = _firsts([variant for variant in variants if variant.attention is None])
    unshared = _firsts([variant for variant in variants if variant.sharing == "unshared"])
    one = dataclasses.replace(config.data, input_dim=1)
    few = dataclasses.replace(config.data, samples=config.controls.null_key_samples)
    return [
        *(Control(UNIFORM, dataclasses.replace(v, uniform=True), config.data) for v in by_placement),
        *(Control(ONE_FEATURE, variant, one) for variant in unshared if _drawn(config, one)),
        *(Control(NULL_KEY, variant, few, unrelated=True) for variant in variants),
    ]


def _drawn(config: Config, data: Data) -> bool:
    """Return whether the study's task has samples of this shape."""
    try:
        sampling.check(config.task, data)
    except UserError:
        return False
    return True


def _firsts(variants: list[Variant]) -> list[Variant]:
    """Return the first variant of each placement."""
    placements = [variant.placement for variant in variants]
    return [variant for index, variant in enumerate(variants) if variant.placement not in placements[:index]]


def draw(config: Config, control: Control, folder: Path) -> tuple[Split, Split]:
    """Draw a control's samples to train on, and those held out, into a folder."""
    counts = {"train": control.data.train_samples, "validation": control.data.validation_samples}
    own, made, first = sampling.draw_of(config.task), [], 0
    drawn = sampling.unrelated(own) if control.unrelated else own
    for (name, samples), stream in zip(counts.items(), SeedSequence(control.data.seed).spawn(2), strict=True):
        (folder / name).mkdir()
        dataset.write(folder / name, range(first, first + samples), control.data, stream, drawn)
        first += samples
        made.append(Split(folder / name, samples))
    return made[0], made[1]


def run_control(config: Config, study: tuple[Split, Split], scratch: Path, control: Control) -> list[ControlRun]:
    """Train and read all seeds of a control, in one process, so that its model is compiled once.

    Args:
        config: of the study.
        study: its samples to train on, and those held out.
        scratch: where a control draws samples of its own meanwhile; a folder, given from the project's root.
        control: what to train.
    """
    (ROOT / scratch).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ROOT / scratch) as folder:
        as_it_is = control.data == config.data and not control.unrelated
        split, held_out = study if as_it_is else draw(config, control, Path(folder))
        return [_run_seed(config, control, seed, split, held_out) for seed in config.controls.seeds]


def _run_seed(config: Config, control: Control, seed: int, split: Split, held_out: Split) -> ControlRun:
    from pipeline import train

    own = dataclasses.replace(config, variant=control.variant, data=control.data)
    trained = train.train_seed(own, seed, split, held_out, cluster.check_wanted)
    x, y, mask = (held_out.rows(name, 0, config.controls.probe_samples) for name in ("x", "y", "mask"))
    attention = reading.attention(own, trained.weights, x).mean(axis=2)
    attended = reading.attended(attention, mask, None if config.regression else y)
    return ControlRun(control.name, control.variant, seed, trained.loss, trained.score, attended)


def stage(config: Config) -> None:
    """Train and read all controls that were not finished before, and write their tables."""
    controls = {control.title: control for control in planned(config)}
    study = dataset.load(config, "train"), dataset.load(config, "validation")
    decided = partial(fingerprint.of, config, "controls", *study)
    pool = runtime.Pool(config.workers, "controls", "trained", cluster=config.cluster, fingerprint=decided)
    files = unfinished.Files[str, list[ControlRun]](
        lambda folder, title, runs: write_controls(folder, runs, config.score),
        lambda folder, title: read_controls(folder),
    )
    with unfinished.folder_of(decided()) as parts, storage.writing(config, "controls") as folder:
        work = partial(run_control, config, study, parts.relative_to(ROOT) / "scratch")
        done = unfinished.each(parts, files, work, {title: (control,) for title, control in controls.items()}, pool)
        runs = [run for title in controls for run in done[title]]
        write_controls(folder, runs, config.score)
    terminal.show_controls(runs, config.score)
    terminal.show_where(storage.folder(config, "controls"), config.tracking)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.controls").main()

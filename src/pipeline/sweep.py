"""Run the stages for every combination of values. `python -m pipeline.sweep +variant=A,B data.key_step=0,10,19`"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import analyze, cluster, compare, dataset, storage, tables, terminal, tracking, train
from pipeline.choices import digest
from pipeline.command import command, job, mistakes_explained
from pipeline.config import ROOT, Config, UserError
from pipeline.formats import write_rows
from pipeline.tables import Row, VariantResult

STAGES = {
    ("data/train", "data/validation", "data/probe"): dataset.stage,
    ("models",): train.stage,
    ("attention",): analyze.stage,
}
DRAWN = 8  # combinations whose samples are drawn, at most
MULTIRUN, LAUNCHER = "--multirun", "hydra/launcher="


class Point(NamedTuple):
    """A combination of values: those that were swept, name -> value as written, and all of them."""

    swept: dict[str, str]
    config: Config


def run(config: Config, points: list[Point]) -> None:
    """Make what is not there yet of the combination that this job of the sweep is."""
    number, _ = job()
    swept = points[number].swept or {"variant": config.chosen_variant().name}
    words = " ".join(f"{name}={value}" for name, value in swept.items())
    missing = not all(_is_made(config, kind) for kinds in STAGES for kind in kinds)
    print(f"== {number + 1} of {len(points)}: {words}{'' if missing else ' (made before)'}", flush=True)
    for kinds, make in STAGES.items() if missing else ():
        with cluster.alone(str(storage.folder(config, kinds[0]))):  # of all jobs that need the same
            if not all(_is_made(config, kind) for kind in kinds):
                make(config)


def _is_made(config: Config, kind: str) -> bool:
    try:
        storage.made(config, kind)
    except UserError:
        return False
    return True


def tabulate(points: list[Point], results: list[VariantResult]) -> tuple[list[Row], list[Row]]:
    """Return a row for each run and a row for each combination, those of a comparison, after the values swept."""
    runs, summary = [], []
    for (swept, config), result in zip(points, results, strict=True):
        own = tables.run_rows([result], config.compare.thresholds, config.score)
        runs += [swept | row for row in own]
        summary += [swept | row for row in tables.summary_rows([result], own)]
    return runs, summary


def gather(points: list[Point]) -> None:
    """Write the table of all runs, that of all combinations, and their figures, and have MLflow show them."""
    from pipeline import figures, sweep_figures

    results = [compare.load_variant_result(point.config) for point in points]
    for point, result in zip(points, results, strict=True):  # a job on a cluster may not have been able to
        values = storage.values(point.config, "attention")
        tracking.ensure(point.config.tracking, values, result.trained, result.attended)
    runs, summary = tabulate(points, results)
    folder, settings = _folder(points), points[0].config.tracking
    write_rows(folder / "runs.csv", runs)
    write_rows(folder / "summary.csv", summary)
    if len(points) > 1:
        figures.save(sweep_figures.measures(summary, list(points[0].swept)), folder / "measures.png")
    for point in points if len(points) <= DRAWN else []:
        name = " ".join(point.swept.values()) or point.config.chosen_variant().name
        path = folder / "samples" / (re.sub(r"[^\w.-]+", "_", name) + ".png")
        figures.save(sweep_figures.samples(*_samples(point.config)), path)
    tracking.ensure_sweep(settings, folder)
    terminal.show_sweep(summary, list(points[0].swept))
    terminal.show_where(folder, settings)


def _samples(config: Config) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the attention of the first seed on probe samples, and their mask, both (samples, steps)."""
    with storage.reading(config, "attention") as folder:
        attention = np.load(folder / "attention.npy", mmap_mode="r", allow_pickle=False)[0]
    return attention, dataset.load(config, "probe").rows("mask")


def _folder(points: list[Point]) -> Path:
    """Return the folder of a sweep's results: the one asked for, or one that no other sweep has."""
    told = [[point.swept, storage.values(point.config, "attention")] for point in points]
    return ROOT / (points[0].config.results or f"{storage.OUTPUTS}/sweep-{digest(told)}")


def _varying(points: list[Point]) -> list[Point]:
    """Return the points without those values that are the same in all of them."""
    names = list(dict.fromkeys(name for point in points for name in point.swept))
    varying = [name for name in names if len({point.swept.get(name) for point in points}) > 1]
    return [Point({name: point.swept.get(name, "") for name in varying}, point.config) for point in points]


def main() -> None:
    """Check all combinations, then run them, one after the other, then gather what came out."""
    if not {"-m", MULTIRUN} & set(sys.argv):
        sys.argv.insert(1, MULTIRUN)
    points: list[Point] = []

    def plan(config: Config) -> None:
        config.chosen_variant()
        points.append(Point(job()[1], config))

    words = list(sys.argv)
    sys.argv = [*(word for word in words if not word.startswith(LAUNCHER)), f"{LAUNCHER}basic"]  # plans here
    command(plan)()
    sys.argv = words
    if points:  # none, if only help was asked for
        varying = _varying(points)
        command(lambda config: run(config, varying))()
        with mistakes_explained():
            gather(varying)


if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.sweep").main()

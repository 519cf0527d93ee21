"""Read the attention of a variant's trained models on the probe samples. `python -m pipeline.analyze +variant=…`"""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy.special import expit

from pipeline import dataset, explain, fingerprint, metrics, reading, runtime, storage, terminal, tracking
from pipeline.command import command
from pipeline.config import Config, Explain
from pipeline.dataset import Split
from pipeline.evidence import UNTRAINED, ExplainedSeed, write_explanations
from pipeline.results import AttendedSeed, TrainedSeed, read_training, write_attention, write_heads

if TYPE_CHECKING:
    from pipeline.models import Functions

Array = NDArray[np.float32]


def explanations(functions: "Functions", x: Array, settings: Explain, rng: Generator) -> dict[str, NDArray[np.float64]]:
    """Return explanation -> weights (samples, steps), each at least 0, summing to 1 over the steps.

    Args:
        functions: of a model with its trained weights.
        x: (samples, steps, features).
        settings: how finely.
        rng: where the permutations of occlusion are drawn from.
    """
    gradient, points = functions.gradient, settings.integration_steps
    mean, zero = x.mean(axis=0), np.zeros_like(x[0])
    attributions = {
        "gradient x input": explain.gradient_x_input(gradient, x),
        "integrated gradients from the mean": explain.integrated_gradients(gradient, x, mean, points),
        "integrated gradients from zero": explain.integrated_gradients(gradient, x, zero, points),
        "occlusion": explain.occlusion(functions.logit, x, rng, settings.permutations),
    }
    return {name: explain.importance(attribution) for name, attribution in attributions.items()}


class AnalyzedSeed(NamedTuple):
    """All that is read of a seed's model.

    `attention` is (samples, steps), averaged over features or heads; `heads` (steps, heads) is averaged over samples.
    """

    attention: Array
    heads: Array
    attended: AttendedSeed
    explained: ExplainedSeed


def analyze_seed(config: Config, probe: Split, seed: int, trained: TrainedSeed) -> AnalyzedSeed:
    """Return what the attention of a seed's model is on the probe samples, and what it is held against."""
    from pipeline import models

    x, y, mask = (probe.rows(name) for name in ("x", "y", "mask"))
    functions = models.functions(config.data.shape, config.model, config.chosen_variant())
    settings, snapshots = config.explain, trained.snapshots
    shuffling, occluding = (default_rng(child) for child in SeedSequence((settings.seed, seed)).spawn(2))
    history = [reading.attention(config, snapshots.at(p), x).mean(axis=2) for p in range(len(snapshots.batches))]
    weights = reading.attention(config, trained.weights, x)  # (samples, steps, features)
    models.set_weights(functions.model.classifier, trained.weights)
    moved = _permuted(config, functions, (x, y), weights, shuffling)
    attention, classes = weights.mean(axis=2), None if config.regression else y
    seen = reading.attended(attention, mask, classes)
    others = {UNTRAINED: history[0], **explanations(functions, x, settings, occluding)}
    scores = {
        name: metrics.summarize(other, mask, classes) | metrics.agreement(other, attention, classes)
        for name, other in others.items()
    }
    vectors = np.stack([point.mean(axis=0, dtype=np.float64) for point in history])
    masses = np.array([metrics.key_mass(point, mask).mean() for point in history])
    explained = ExplainedSeed(scores, snapshots.batches, vectors, masses)
    return AnalyzedSeed(attention, weights.mean(axis=0), seen._replace(measures=seen.measures | moved), explained)


def _permuted(
    config: Config, functions: "Functions", samples: tuple[Array, Array], weights: Array, rng: Generator
) -> dict[str, float]:
    """Return what becomes of predictions when attention is shuffled over the steps; of a layer that multiplies with it.

    They are the mean absolute change of the prediction (of the probability in a classification), and the score.
    """
    x, y = samples
    values, weighted = functions.values(x), functions.weighted(x)
    if not values.shape == weights.shape == weighted.shape or not np.allclose(weighted, values * weights, atol=1e-5):
        return {}
    shuffled = explain.permuted_attention(functions.head, values, weights, rng, config.explain.permutations)
    before = functions.logit(x)
    if config.regression:
        score = 1 - float(np.square(shuffled - y).mean() / y.var())
    else:
        before, shuffled = expit(before), expit(shuffled)
        score = float(((shuffled > 0.5) == (y == 1)).mean())
    change = float(np.abs(shuffled - before).mean(dtype=np.float64))
    return {"permuted_change": change, f"permuted_{config.score}": score}


def _prepare(config: Config) -> None:
    """Import what is needed later, while TensorFlow is imported by the workers."""
    import_module("pipeline.figures")
    tracking.prepare(config.tracking)


def stage(config: Config) -> None:
    """Write attention, explanations, measures and figure, and have MLflow show them."""
    name = config.chosen_variant().name
    probe = dataset.load(config, "probe")
    with storage.reading(config, "models") as folder:
        trained = read_training(folder)
    work, tasks = partial(analyze_seed, config, probe), {seed: (seed, result) for seed, result in trained.items()}

    def log(seed: int, result: AnalyzedSeed) -> None:
        values = storage.values(config, "attention")
        tracking.ensure(config.tracking, values, {seed: trained[seed]}, {seed: result.attended})

    pool = runtime.Pool(
        config.workers,
        f"analyze {name}",
        "seeds",
        prepare=partial(_prepare, config),
        received=log,
        cluster=config.cluster,
        fingerprint=partial(fingerprint.of, config, "attention", probe),
    )
    analyzed = runtime.each(work, tasks, pool)
    from pipeline import figures

    seen = {seed: result.attended for seed, result in analyzed.items()}
    with storage.writing(config, "attention") as folder:
        arrays = np.stack([result.attention for result in analyzed.values()])
        np.save(folder / "attention.npy", arrays, allow_pickle=False)
        if config.chosen_variant().attention is not None:
            write_heads(folder, {seed: result.heads for seed, result in analyzed.items()})
        write_attention(folder, seen)
        write_explanations(folder, {seed: result.explained for seed, result in analyzed.items()})
        vectors, key = np.stack([result.vector for result in seen.values()]), next(iter(seen.values())).key
        figures.save(figures.attention([(name, vectors, key)]), folder / "attention.png")
    terminal.show_attention(name, seen)
    terminal.show_where(storage.folder(config, "attention"), config.tracking)


main = command(stage)

if __name__ == "__main__":
    # By its name, so that worker processes find this module's functions, and keep what they cache.
    import_module("pipeline.analyze").main()

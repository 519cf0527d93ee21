"""Read the attention of a variant's trained models on the probe samples. `python -m pipeline.analyze +variant=…`"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline import dataset, runtime, storage, terminal, tracking
from pipeline.command import command
from pipeline.config import Config, Study, UserError
from pipeline.results import AttendedSeed, read_training, write_attention

if TYPE_CHECKING:
    from pipeline.results import Weights

TOLERANCE = 1e-5  # of the sum of a sample's weights, in float32


def attention_of_seeds(
    study: Study, weights: "dict[int, Weights]", x: NDArray[np.float32]
) -> dict[int, NDArray[np.float32]]:
    """Return seed -> attention on all samples, averaged over features.

    Args:
        study: which model the weights belong to.
        weights: seed -> trained weights.
        x: (samples, steps, features).

    Returns:
        Arrays (samples, steps), each at least 0, summing to 1 over the steps.

    Raises:
        UserError: if the weights of a sample do not sum to 1 in each feature.
    """
    from pipeline import models

    variant = study.chosen_variant()
    model = models.build(study.data, study.model, variant, np.random.SeedSequence(0))
    read = models.in_batches(model.attention, max(1000, len(x)))
    attention = {}
    for seed, arrays in weights.items():
        models.set_weights(model.classifier, arrays)
        by_feature = read(x)  # (samples, steps, features)
        check_sums(by_feature, f"{variant.name}, seed {seed}")
        attention[seed] = by_feature.mean(axis=2)
    return attention


def check_sums(weights: NDArray[np.floating], whose: str) -> None:
    """Raise a `UserError` unless attention weights (samples, steps, features) sum to 1 over the steps."""
    sums = weights.sum(axis=1)
    wrong = ~(np.abs(sums - 1) <= TOLERANCE)  # written so that NaN is wrong, too
    if wrong.any():
        sample, feature = np.argwhere(wrong)[0]
        where = f"of sample {sample}, feature {feature} sum to {sums[sample, feature]:.6g}"
        raise UserError(f"{whose}: the attention weights {where}: they must sum to 1.")


def stage(config: Config) -> None:
    """Write attention, its vectors, measures and figure, and have MLflow show them."""
    name = config.chosen_variant().name
    probe = dataset.load(config, "probe")
    with storage.reading(config, "models") as folder:
        trained = read_training(folder)
    from pipeline import figures, metrics

    runtime.import_tensorflow()
    x, y, mask = (probe.rows(array) for array in ("x", "y", "mask"))
    attention = attention_of_seeds(config, {seed: result.weights for seed, result in trained.items()}, x)
    key = mask.mean(axis=0)
    attended = {
        seed: AttendedSeed(a.mean(axis=0, dtype=np.float64), key, metrics.summarize(a, mask, y))
        for seed, a in attention.items()
    }
    with storage.writing(config, "attention") as folder:
        np.save(folder / "attention.npy", np.stack(list(attention.values())), allow_pickle=False)
        write_attention(folder, attended)
        vectors = np.stack([result.vector for result in attended.values()])
        figures.save(figures.attention([(name, vectors, key)]), folder / "attention.png")
    tracking.ensure(config.tracking, storage.values(config, "attention"), trained, attended)
    terminal.show_attention(name, attended)
    terminal.show_where(storage.folder(config, "attention"), config.tracking)


main = command(stage)

if __name__ == "__main__":
    main()

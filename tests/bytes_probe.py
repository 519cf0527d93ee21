"""Print the hashes of what models compute at a small size, to compare them between processors.

Usage: bytes_probe.py [CASE ...]: the cases to run, by default all. Another processor: qemu-x86_64 -cpu NAME python ...
"""

import pipeline  # isort: skip  # noqa: F401 (sets what NumPy reads when it is imported)

import hashlib
import json
import sys
from typing import NamedTuple

import numpy as np
from numpy.random import SeedSequence, default_rng

from pipeline.measures.attribution import integrated_gradients
from pipeline.models.build import build, get_weights, output_of, set_weights
from pipeline.models.fit import _compiled
from pipeline.models.functions import functions
from pipeline.settings.schema import Data, Model, Shape, Train
from pipeline.settings.study import load_variant
from pipeline.tasks import generators

BATCHES = 3


class Case(NamedTuple):
    """What to train; the sizes are those of the study, since long sums are what differs."""

    variant: str
    cell: str = "lstm"
    steps: int = 20
    features: int = 2
    units: int = 32
    batch: int = 64
    regression: bool = False


CASES = {
    **{name: Case(name) for name in ("before_shared", "before_unshared", "after_shared", "after_unshared", "none")},
    **{name: Case(name) for name in ("bahdanau", "luong", "multi_head")},
    "dense": Case("dense", steps=32, features=1),
    "gru": Case("after_unshared", "gru"),
    "bidirectional": Case("after_unshared", "bidirectional"),
    "regression": Case("luong", steps=10, features=1, units=128, regression=True),
    "large batch": Case("multi_head", "gru", batch=1000),
    "long": Case("bahdanau", steps=500, features=64),
    "long before": Case("before_shared", steps=500, features=64),
    "many units": Case("after_shared", units=300),
    "wide dense": Case("dense", steps=500, features=64),
}


def main() -> None:
    """Run the cases and print name -> part -> hash as JSON."""
    print(json.dumps({"data": _data(), **{name: _run(CASES[name]) for name in sys.argv[1:] or CASES}}, indent=1))


def _data() -> dict[str, str]:
    data = Data(
        samples=1000, validation_share=0.1, time_steps=20, input_dim=2, key_step=10, key_coding="zero_one", seed=0
    )

    def drawn(task: str, **options: object) -> str:
        return _hash(*getattr(generators, task)(default_rng(1), default_rng(2), 1000, data, **options))

    normal = default_rng(0).standard_normal(100_000)
    return {
        "planted_key": drawn("planted_key", noise=0.5),
        "find_max": drawn("find_max"),
        "add_two": drawn("add_two_after_delimiter", delimiter=-1.0),
        "numpy": _hash(np.log(np.abs(normal)), np.exp(normal), normal.sum(), normal.astype(np.float32).mean()),
    }


def _run(case: Case) -> dict[str, str]:
    """Train on some batches and read the model, as the stages do."""
    shape, model, variant = Shape(case.steps, case.features), Model(case.units, case.cell), load_variant(case.variant)
    rng, train = default_rng(0), Train(1, case.batch, 0.001, 64, 64)
    compiled = _compiled(shape, model, train, variant, case.regression)
    compiled.reset(build(shape, model, variant, SeedSequence(7), output_of(case.regression)).classifier)
    parts = {"initial": _hash(*get_weights(compiled.model.classifier).values())}
    x = rng.standard_normal((BATCHES, case.batch, *shape), dtype=np.float32)
    y = rng.integers(0, 2, (BATCHES, case.batch, 1)).astype(np.float32)
    sums = compiled.steps(x, y, BATCHES)
    weights = get_weights(compiled.model.classifier)
    parts |= {"trained": _hash(*weights.values()), "loss": _hash(*map(np.array, sums))}
    samples = rng.standard_normal((40, *shape), dtype=np.float32)
    parts["predictions"] = _hash(compiled.predict(samples))
    read = functions(shape, model, variant)
    set_weights(read.model.classifier, weights)
    parts["attention"] = _hash(read.attention(samples), read.values(samples), read.weighted(samples))
    parts["explanations"] = _hash(
        read.logit(samples), integrated_gradients(read.gradient, samples, np.zeros_like(samples[0]), 4)
    )
    return parts


def _hash(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


if __name__ == "__main__":
    main()

"""Long work is announced, and dividing the samples into batches changes no result."""

import dataclasses

import numpy as np

from pipeline.measures import cost, linear_readout
from pipeline.models import functions
from pipeline.models.output_kinds import TWO_CLASSES
from pipeline.settings.schema import Model, Shape
from pipeline.settings.study import load_variant, params


def test_samples_divided_otherwise_give_the_same_bytes(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 6, 2)).astype("float32"), rng.integers(0, 2, 7).astype("float32")
    built = functions.functions(Shape(6, 2), Model(4, "lstm"), load_variant("after_unshared"))
    together = built.logit(x)
    values, mask = built.values(x), np.zeros((7, 6), bool)
    readout = linear_readout.predict(linear_readout.fit(values, y, mask, TWO_CLASSES.output), values)
    gain = linear_readout.gain(values, y, TWO_CLASSES.output)
    monkeypatch.setattr(functions, "NUMBERS", 36)  # three samples of the input at a time
    monkeypatch.setattr(linear_readout, "NUMBERS", 48)  # two samples of the states at a time
    np.testing.assert_array_equal(built.logit(x), together)
    parts = linear_readout.predict(linear_readout.fit(values, y, mask, TWO_CLASSES.output), values)
    np.testing.assert_allclose(parts, readout, rtol=1e-9)
    np.testing.assert_allclose(linear_readout.gain(values, y, TWO_CLASSES.output), gain)


def test_long_work_is_told_before(monkeypatch, capsys):
    explain = dataclasses.replace(params().explain, integration_steps=2, permutations=3)
    study = dataclasses.replace(params(), explain=explain, variant=load_variant("after_unshared"))
    built = functions.functions(Shape(6, 2), Model(4, "lstm"), load_variant("after_unshared"))
    x = np.zeros((5, 6, 2), "float32")
    cost.announce(study, built, x, 5, 4)
    assert not capsys.readouterr().err
    monkeypatch.setattr(cost, "LARGE", 1)
    monkeypatch.setattr(cost, "_seconds", lambda function, x: 10.0)
    cost.announce(study, built, x, 7, 4)
    told = capsys.readouterr().err
    assert "after_unshared: explanations and attention during training are those of the first 5 of 7 probe" in told
    assert "seed takes about 270 s (attention at 4 points of the training: 40 s, 5 gradients: 50 s, 18 repl" in told
    assert "18 replacements: 180 s); less with fewer train.snapshots" in told


def test_only_large_samples_are_explained_in_part():
    """Time and memory of an analysis are bounded, whatever the length of the sequences."""
    assert params().data.explained_samples > params().probe.samples
    long = dataclasses.replace(params().data, time_steps=1000, input_dim=60)
    assert long.explained_samples == 17
    assert dataclasses.replace(long, time_steps=10_000, input_dim=10_000).explained_samples == 16
    long = dataclasses.replace(params(), data=dataclasses.replace(params().data, time_steps=3000, input_dim=60))
    assert cost.fitted(long) == 186
    assert cost.fitted(params()) == params().explain.readout_samples

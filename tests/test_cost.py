"""Long work is announced, and dividing the samples into batches changes no result."""

import dataclasses

import numpy as np
import pytest

from pipeline.measures import cost, linear_readout, read_model
from pipeline.models import build, functions
from pipeline.models.output_kinds import TWO_CLASSES
from pipeline.results.stage_files import Snapshots, TrainedSeed
from pipeline.settings import schema
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


def test_large_samples_are_read_in_parts_and_the_first_are_explained(monkeypatch):
    """Attention is that of all samples; what takes many passes is that of the first ones."""
    study = dataclasses.replace(
        params(),
        variant=load_variant("after_unshared"),
        model=Model(4, "lstm"),
        data=dataclasses.replace(params().data, time_steps=6),
        explain=dataclasses.replace(params().explain, permutations=2),
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6, 2)).astype("float32"), (np.arange(40) % 2).astype("float32")
    samples = read_model.Samples(x, y, np.tile(np.arange(6) == 3, (40, 1)))
    start = build.build(Shape(6, 2), study.model, study.variant, np.random.SeedSequence(1))
    trained = TrainedSeed(build.get_weights(start.classifier), Snapshots(np.zeros(1, int), {}), [], 0, {})

    def read(samples):
        return read_model.read(study, trained, samples, samples, np.random.default_rng(0))

    weights, averaged, whole = read(samples)
    assert len(weights) == 40
    monkeypatch.setattr(schema, "EXPLAINED", 17 * 12)
    few, in_parts, large = read(samples)
    assert len(few) == 17
    np.testing.assert_allclose(in_parts, averaged, rtol=1e-6)
    np.testing.assert_allclose(large.vector, whole.vector, rtol=1e-6)
    assert large.measures["key_mass"] == pytest.approx(whole.measures["key_mass"])
    _, _, first = read(samples.first(17))
    assert large.measures["readout_at_peak"] == pytest.approx(whole.measures["readout_at_peak"])  # one pass suffices
    for name in ("comprehensiveness", "permuted_change", "value_weighted_mass"):
        assert large.measures[name] == pytest.approx(first.measures[name])
        assert large.measures[name] != pytest.approx(whole.measures[name])

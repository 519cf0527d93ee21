"""The data: the label is where it was planted, and nowhere else."""

import numpy as np
import pytest

from pipeline import dataset
from pipeline.config import Data


def draw(samples, data, seed=0):
    background, labels = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    return dataset.planted_key(background, labels, samples, data)


def test_the_label_is_planted_at_the_key_step_and_nowhere_else():
    x, y, mask = draw(20_000, Data(20_000, 0.1, 8, 2, 5, 0))
    assert x.dtype == y.dtype == np.float32
    assert set(np.unique(y)) == {0, 1}
    assert abs(y.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(y))
    np.testing.assert_array_equal(x[:, 5, :], np.stack([y, y], axis=1))
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(8) == 5, mask.shape))
    noise = np.delete(x, 5, axis=1)
    bound = 5 / np.sqrt(len(y))  # five standard errors
    assert np.abs(noise.mean(axis=0)).max() < bound
    assert np.abs(noise.std(axis=0) - 1).max() < bound
    correlation = ((y - 0.5)[:, None, None] * noise).mean(axis=0) / 0.5
    assert np.abs(correlation).max() < bound


def test_written_in_chunks_the_data_is_the_same(tmp_path, monkeypatch):
    data, stream = Data(1000, 0.1, 4, 3, 1, 0), np.random.SeedSequence(9)
    dataset.write(tmp_path, 1000, data, stream)
    x, y, mask = (np.load(tmp_path / f"{name}.npy") for name in ("x", "y", "mask"))
    for whole, read in zip(draw(1000, data, 9), (x, y, mask), strict=True):
        np.testing.assert_array_equal(read, whole)
    split = dataset.Split(tmp_path, 1000)
    np.testing.assert_array_equal(split.rows("x", 10, 13), x[10:13])
    np.testing.assert_array_equal(split.rows("y"), y)
    monkeypatch.setattr(dataset, "CHUNK", 64)
    (tmp_path / "small").mkdir()
    dataset.write(tmp_path / "small", 1000, data, np.random.SeedSequence(9))
    np.testing.assert_array_equal(np.load(tmp_path / "small/x.npy"), x)


@pytest.mark.slow
def test_splits_are_independent_and_the_seed_decides_them(fresh):
    fresh.stage("dataset")
    first = fresh.bytes("data")
    x = {name: np.load(fresh.root / f"data/{name}/x.npy") for name in dataset.SPLITS}
    assert {name: len(array) for name, array in x.items()} == {"train": 720, "validation": 80, "probe": 40}
    noise = {name: np.delete(array, 3, axis=1).ravel() for name, array in x.items()}
    assert not np.isin(noise["validation"], noise["train"]).any()
    assert not np.isin(noise["probe"], noise["train"]).any()
    fresh.stage("dataset")
    assert fresh.bytes("data") == first
    fresh.change({"data": {"seed": 1}})
    fresh.stage("dataset")
    assert fresh.bytes("data")["data/train/x.npy"] != first["data/train/x.npy"]

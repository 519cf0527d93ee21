"""Samples and series from a user's file: they are used as they are, and a bad file gets one sentence."""

import dataclasses
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from conftest import one_sentence, user_samples
from numpy.random import SeedSequence, default_rng
from pyarrow import parquet

from pipeline.results import folders, splits
from pipeline.settings.schema import Data, Probe
from pipeline.settings.study import load_task, params, plain
from pipeline.tasks import lookup, user_data

DATA = Data(80, 0.25, 6, 2, 3, "zero_one", 0)


def arrays(samples=100, steps=6, features=2):
    """Return samples whose first value is their number, with a key at step 3."""
    found = user_samples(samples, steps, features, 3)
    found["x"][:, 0, 0] = np.arange(samples)
    return found


def task(path, name="file", **options):
    return load_task(name) | {"path": str(path)} | options


def saved(folder, **changes):
    """Write a file of the samples, with some arrays changed, or left out (None)."""
    kept = {name: array for name, array in (arrays() | changes).items() if array is not None}
    np.savez(folder / "mine.npz", **kept)
    return folder / "mine.npz"


def as_parquet(path, columns):
    parquet.write_table(pa.table({name: array.tolist() for name, array in columns.items()}), path)
    return path


def test_each_sample_is_unchanged_in_one_split(tmp_path):
    given, draw = arrays(), lookup.draw_of(task(saved(tmp_path)))
    numbers = []
    for places in (range(60), range(60, 80), range(80, 100)):
        (folder := tmp_path / str(places)).mkdir()
        splits.write(folder, places, DATA, SeedSequence(len(numbers)), draw)
        found = {name: np.load(folder / f"{name}.npy") for name in given}
        at = found["x"][:, 0, 0].astype(int)
        numbers += at.tolist()
        for name, array in found.items():
            np.testing.assert_array_equal(array, given[name][at].astype(array.dtype))
            assert array.dtype == (bool if name == "mask" else np.float32)
    assert sorted(numbers) == list(range(100))
    assert numbers != list(range(100))
    again, other = (draw(None, None, 100, dataclasses.replace(DATA, seed=seed))[0] for seed in (0, 1))
    assert again[:, 0, 0].tolist() == numbers != other[:, 0, 0].tolist()


def test_unrelated_labels_are_those_of_other_samples(tmp_path):
    path = saved(tmp_path, y=np.arange(100))  # each label is the number of its sample
    draw = lookup.unrelated(lookup.draw_of(task(path, kind="regression")))
    both = draw(default_rng(0), None, 60, DATA), draw(default_rng(0), None, 20, DATA, 60)
    x, y, _ = map(np.concatenate, zip(*both, strict=True))
    assert (x[:, 0, 0] != y).all()
    assert len({*zip(x[:, 0, 0], y, strict=True)}) == 80


def test_parquet_gives_the_same_samples_and_needs_lists_of_the_same_length(tmp_path):
    paths = saved(tmp_path), as_parquet(tmp_path / "mine.parquet", arrays())
    for one, other in zip(*(lookup.draw_of(task(path))(None, None, 100, DATA) for path in paths), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    ragged = pa.table({"x": [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]]], "y": [0, 1]})
    parquet.write_table(ragged, tmp_path / "mine.parquet")
    with one_sentence("its lists are of different lengths"):
        lookup.check_task(task(tmp_path / "mine.parquet"), DATA)


def test_a_changed_file_is_another_task(tmp_path):
    before = plain(task(saved(tmp_path)))
    assert plain(task(tmp_path / "mine.npz")) == before
    assert plain(task(saved(tmp_path, y=1 - arrays()["y"]))) != before


WRONG = {
    "it holds x, mask; it must hold x and y": {"y": None},
    "x is (100, 6): it must be (samples, time steps, features)": {"x": arrays()["x"][:, :, 0]},
    "data.time_steps is 6: it must be 5, as x in": {"x": arrays(steps=5)["x"], "mask": None},
    "data.input_dim is 2: it must be 3, as x in": {"x": arrays(features=3)["x"]},
    "x is of type <U3: it must be of numbers": {"x": np.full((100, 6, 2), "one")},
    "x holds NaN or infinite values": {"x": np.where(np.arange(100)[:, None, None] == 50, np.nan, arrays()["x"])},
    "y holds NaN or infinite values; none may, as float32": {"y": np.where(np.arange(100) == 50, 1e300, 0)},
    "y is (99,): it must be (100,), a label for each sample of x": {"y": arrays()["y"][:99]},
    "y is 1 in all samples: there is nothing to learn": {"y": np.ones(100)},
    "y is 2.0: in a classification it must be 0 or 1": {"y": arrays()["y"] + 1},
    "mask is bool (100, 5): it must be (100, 6), of true and false": {"mask": arrays()["mask"][:, 1:]},
    "mask is float64 (100, 6): it must be": {"mask": arrays()["mask"].astype(float)},
    "mask marks nothing in 1 samples (sample 7): it must mark a step of each, or be left out": {
        "mask": arrays()["mask"] & (np.arange(100) != 7)[:, None]
    },
    "mask marks every step": {"mask": np.ones((100, 6), bool)},
    "it cannot be read": {"x": np.full((100, 6, 2), None)},  # pickled
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_bad_file_gets_one_sentence(tmp_path, sentence):
    with one_sentence(sentence):
        lookup.check_task(task(saved(tmp_path, **WRONG[sentence])), DATA, 100)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.npz", None, "none.npz: No such file or directory."),
        ("mine.csv", b"1,2", "it must be a file that ends in .npz or .parquet."),
        ("cut.npz", b"PK\x03\x04", "it cannot be read"),
        ("cut.parquet", b"PAR1", "it cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, sentence):
    if content:
        (tmp_path / name).write_bytes(content)
    for kind in ("file", "planted_in_series"):
        with one_sentence(sentence):
            lookup.check_task(task(tmp_path / name, kind), DATA)


def test_more_samples_than_the_file_has(tmp_path):
    lookup.check_task(task(saved(tmp_path)), DATA, 100)
    with one_sentence("it has 100 samples, not 101; data.samples and probe.samples together"):
        lookup.check_task(task(saved(tmp_path)), DATA, 101)


def test_a_split_in_which_all_labels_are_the_same_is_refused(tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    one = task(saved(tmp_path, y=np.arange(100) == 0))
    study = dataclasses.replace(params(), data=DATA, probe=Probe(20), task=one)
    with one_sentence(
        "task file: y is 0 in all 20 validation samples, so there is nothing to learn or to score; raise"
    ):
        splits.write_all(study, lookup.draw_of(one))


def test_a_file_has_no_samples_for_each_seed(tmp_path):
    own = dataclasses.replace(DATA, per_seed=True)
    with one_sentence("data.per_seed is true: it must be false, since the samples of file are limited."):
        lookup.check_task(task(saved(tmp_path)), own, 100)


def test_the_key_is_planted_in_windows_of_a_series(tmp_path):
    series = np.stack([np.arange(50.0), np.arange(50.0) ** 2], axis=1)
    np.savez(tmp_path / "mine.npz", series=series)
    as_parquet(tmp_path / "mine.parquet", {"a": series[:, 0], "b": series[:, 1]})
    scaled = (series - series.mean(axis=0)) / series.std(axis=0)
    for path in (tmp_path / "mine.npz", tmp_path / "mine.parquet"):
        draw = lookup.draw_of(task(path, "planted_in_series"))
        x, y, mask = draw(default_rng(1), default_rng(2), 400, DATA)
        starts = np.abs(scaled[:, 0] - x[:, :1, 0]).argmin(axis=1)
        assert {*starts} == set(range(45))  # all windows of 6 steps
        expected = scaled[starts[:, None] + np.arange(6)]
        expected[:, 3] = y[:, None]
        np.testing.assert_allclose(x, expected, atol=1e-5)
        assert (mask == [False, False, False, True, False, False]).all()
        assert abs(y.mean() - 0.5) < 0.1
    one = dataclasses.replace(DATA, input_dim=1)
    np.testing.assert_array_equal(draw(default_rng(1), default_rng(2), 400, one)[0], x[:, :, :1])


def test_the_series_that_a_package_ships():
    series = user_data._series(None)
    assert series.shape == (8759, 2)  # every hour of 2010 but one
    np.testing.assert_allclose(series.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(series.std(axis=0), 1, atol=1e-3)
    assert np.corrcoef(series.T)[0, 1] > 0.5  # in both cities the same season and hour


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        (np.zeros(9), "series is (9,): it must be (length, features)."),
        (np.zeros((9, 2)), "feature 0 is the same at all times: it must vary."),
        (np.eye(5)[:, :2], "data.time_steps is 6: it must be at most 5, as the series"),
        (np.eye(9)[:, :1], "data.input_dim is 2: it must be at most 1, as the series"),
    ],
)
def test_a_series_that_does_not_fit(tmp_path, series, sentence):
    np.savez(tmp_path / "mine.npz", series=series)
    with one_sentence(sentence):
        lookup.check_task(task(tmp_path / "mine.npz", "planted_in_series"), DATA)


@pytest.mark.service  # takes half a minute
@pytest.mark.slow
def test_a_study_of_a_file_without_a_mask(fresh):
    values = arrays(600)
    np.savez(fresh.root / "mine.npz", x=values["x"] / 300 - 1, y=values["y"])
    fresh.change({"task": {"name": "file", "path": "mine.npz"}, "variants": ["before_unshared", "after_unshared"]})
    fresh.change({"data": {"samples": 500}, "controls": {"seeds": [0]}, "train": {"epochs": 10}})
    fresh.stage("sweep", "+variant=before_unshared,after_unshared")  # the first three stages
    assert (fresh.root / "attention/after_unshared").is_dir()
    for stage in ("controls", "compare"):
        fresh.stage(stage)
    assert "unjudged" in fresh.stage("show").stdout
    np.savez(fresh.root / "mine.npz", x=values["x"] / 300 - 1, y=1 - values["y"])
    error = fresh.stage("train", "+variant=after_unshared", code=1).stderr
    assert "was made with other values (task._content_" in error
    rows = fresh.rows("comparison/runs.csv")
    assert {row["verdict"] for row in rows} <= {"unjudged", "diffuse", "not learned"}
    assert all(np.isnan(row["key_mass"]) and row["entropy"] <= 1 for row in rows)
    report = fresh.read("comparison/report.md")
    assert "No mask tells where their attention should peak." in report
    assert not re.search(r"\bnan\b", report)
    json.loads(fresh.read("comparison/metrics.json"), parse_constant=pytest.fail)

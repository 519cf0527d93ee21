"""The planted key and the null key, and how samples are written to splits."""

import dataclasses

import numpy as np
import pytest
from conftest import one_sentence

from pipeline.results import folders, splits
from pipeline.settings.schema import Data, Probe
from pipeline.settings.study import load_task, load_variant, params
from pipeline.tasks import control_samples, generators, lookup, seed_samples
from pipeline.tasks.control_samples import Control

MANY = Data(20_000, 0.1, 8, 2, 5, "zero_one", 0)
PLANTED = lookup.draw_of(load_task("planted_key"))


def draw(data, seed=0, task=generators.planted_key):
    return task(*map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2)), data.samples, data)


def test_plus_minus_coding_changes_only_the_key():
    x, y, mask = draw(Data(500, 0.1, 8, 2, 5, "zero_one", 0))
    other_x, *others = draw(Data(500, 0.1, 8, 2, 5, "plus_minus", 0))
    np.testing.assert_equal(others, [y, mask])
    np.testing.assert_array_equal(np.delete(other_x, 5, axis=1), np.delete(x, 5, axis=1))
    np.testing.assert_array_equal(other_x[:, 5], 2 * x[:, 5] - 1)


def test_the_null_key_looks_like_a_key_but_is_unrelated_to_the_label():
    x, y, mask = draw(MANY, task=generators.null_key)
    planted_x, planted_y, planted_mask = draw(MANY)
    np.testing.assert_array_equal(x, planted_x)
    np.testing.assert_array_equal(mask, planted_mask)
    assert set(np.unique(y)) == {0, 1}
    bound = 5 / np.sqrt(len(y))
    assert abs(y.mean() - 0.5) < bound
    assert abs(np.corrcoef(y, planted_y)[0, 1]) < bound
    assert np.abs(np.corrcoef(y, x.reshape(len(x), -1).T)[0, 1:]).max() < bound


def test_the_label_is_planted_at_the_key_step_and_nowhere_else():
    x, y, mask = draw(MANY)
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


def test_the_size_of_chunks_does_not_change_the_data(tmp_path, monkeypatch):
    data, stream = Data(1000, 0.1, 4, 3, 1, "zero_one", 0), np.random.SeedSequence(9)
    splits.write(tmp_path, range(1000), data, stream, PLANTED)
    x, y, mask = (np.load(tmp_path / f"{name}.npy") for name in ("x", "y", "mask"))
    for drawn, read in zip(draw(data, 9), (x, y, mask), strict=True):
        np.testing.assert_array_equal(read, drawn)
    split = splits.Split(tmp_path, 1000)
    np.testing.assert_array_equal(split.rows("x", 10, 13), x[10:13])
    np.testing.assert_array_equal(split.rows("y"), y)
    monkeypatch.setattr(splits, "NUMBERS", 64 * 12)  # 64 samples of 4 steps of 3 features
    assert [len(part) for part in split.stretches()] == [64] * 15 + [40]
    (tmp_path / "small").mkdir()
    splits.write(tmp_path / "small", range(1000), data, np.random.SeedSequence(9), PLANTED)
    np.testing.assert_array_equal(np.load(tmp_path / "small/x.npy"), x)
    other = splits.Split(tmp_path / "small", 1000)
    assert len(split.sha256) == 64
    splits.write(tmp_path / "small", range(1000), data, np.random.SeedSequence(8), PLANTED)
    assert other.sha256 != split.sha256


DAMAGES = {
    "an emptied hash": ("sha256.txt", lambda path: path.write_text("")),
    "the hash of other data": ("sha256.txt", lambda path: path.write_text("0" * 64 + "\n")),
    "no hash": ("sha256.txt", lambda path: path.unlink()),
    "another label": ("y.npy", lambda path: np.save(path, 1 - np.load(path))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_data_other_than_their_hash_are_refused(damage, tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    study = dataclasses.replace(params(), data=Data(100, 0.1, 4, 2, 2, "zero_one", 0))
    splits.write_all(study, PLANTED)
    assert splits.load(study, "train").samples == 90
    name, harm = DAMAGES[damage]
    harm(folders.folder(study, "data/train") / name)
    with one_sentence("data/train is damaged: run `python -m pipeline.dataset"):
        splits.load(study, "train")


@pytest.mark.parametrize("text", [None, '{"classes": ["yes", "no"]}'])
def test_names_of_classes_are_part_of_the_data(text, tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    study = dataclasses.replace(params(), data=Data(100, 0.1, 4, 2, 2, "zero_one", 0))
    splits.write_all(study, PLANTED, splits.Meaning(("no", "yes")))
    assert splits.load(study, "train").classes == ("no", "yes")
    meaning = folders.folder(study, "data/train") / splits.MEANING
    meaning.write_text(text) if text else meaning.unlink()
    with one_sentence("data/train is damaged: run `python -m pipeline.dataset"):
        splits.load(study, "train")


def study_of(data, **settings):
    return dataclasses.replace(params(), data=data, **settings)


def constant(background, labels, samples, data, first=0):
    """Draw samples whose labels are all 1 among the first 90."""
    x, y, mask = generators.planted_key(background, labels, samples, data)
    y[: max(0, 90 - first)] = 1
    return x, y, mask


@pytest.mark.parametrize("task", ["planted_key", "find_max"])
@pytest.mark.parametrize(("share", "split"), [(0.1, "90 train"), (0.01, "1 validation")])
def test_labels_that_are_all_the_same_end_the_stage_and_leave_the_data(task, share, split, tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    study = study_of(Data(100, share, 4, 2, 2, "zero_one", 0), task=load_task(task), probe=Probe(1))
    with one_sentence(f" in all {split} samples, so there is nothing to learn or to score; raise data.samples, contr"):
        splits.write_all(study, constant if share == 0.1 else PLANTED)
    assert not (folders.folder(study, f"data/{split.split()[1]}")).exists()


def test_a_control_that_draws_its_own_refuses_labels_that_are_all_the_same(tmp_path):
    study = study_of(Data(100, 0.1, 4, 2, 2, "zero_one", 0))
    control = Control("null key", load_variant("none"), dataclasses.replace(study.data, samples=10), True)
    with one_sentence(
        "in all 1 validation samples, so there is nothing to learn or to score; raise data.samples, contr"
    ):
        control_samples.samples_of(study, control, (), tmp_path)


def test_each_seed_draws_samples_of_its_own_from_a_stream_that_nothing_else_has(tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    study = study_of(Data(100, 0.1, 4, 2, 2, "zero_one", 0, per_seed=True))
    drawn = {seed: seed_samples.draw(study, seed, tmp_path / str(seed)) for seed in (0, 1, 2)}
    again = seed_samples.draw(study, 1, tmp_path / "again")
    assert {split.samples for split in drawn.values()} == {90}
    assert drawn[1].sha256 == again.sha256
    common = splits.write_all(study, PLANTED)
    x = [np.load(folder / "x.npy") for folder in common.values()] + [split.rows("x") for split in drawn.values()]
    noise = np.concatenate([np.delete(part, 2, axis=1).ravel() for part in x])
    assert len(np.unique(noise)) > 0.999 * len(noise)


def test_the_stream_of_a_seed_is_not_one_of_weights_orders_or_splits():
    assert np.random.SeedSequence((5, 0)).spawn(1)[0].generate_state(4).tolist() == (
        np.random.SeedSequence(5).spawn(1)[0].generate_state(4).tolist()
    )  # hence the key of its own

    def states(stream):
        return {tuple(part.generate_state(4)) for part in (stream, *stream.spawn(3))}

    seeds = range(4)
    others = set().union(*(states(part) for seed in seeds for part in np.random.SeedSequence(seed).spawn(3)))
    pairs = [seed_samples.stream(data, seed) for data in seeds for seed in seeds]
    assert len(set().union(*map(states, pairs))) == 4 * len(pairs)
    assert others.isdisjoint(set().union(*map(states, pairs)))


@pytest.mark.slow
def test_splits_are_independent_and_determined_by_the_seed(fresh):
    fresh.stage("dataset")
    first = fresh.bytes("data")
    x = {name: np.load(fresh.root / f"data/{name}/x.npy") for name in splits.SPLITS}
    fresh.stage("dataset")
    assert fresh.bytes("data") == first
    fresh.change({"data": {"seed": 1}})
    fresh.stage("dataset")
    assert fresh.bytes("data")["data/train/x.npy"] != first["data/train/x.npy"]
    assert {name: len(array) for name, array in x.items()} == {"train": 720, "validation": 80, "probe": 40}
    noise = {name: np.delete(array, 3, axis=1).ravel() for name, array in x.items()}
    assert not np.isin(noise["train"], [*noise["validation"], *noise["probe"]]).any()

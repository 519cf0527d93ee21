"""The tasks: their samples are as described, and the marked steps determine the label."""

import dataclasses

import numpy as np
import pytest
from conftest import one_sentence, user_samples

from pipeline.settings.project import names_in
from pipeline.settings.schema import Data
from pipeline.settings.study import load_task
from pipeline.tasks import generators, lookup

DATA = Data(4000, 0.1, 20, 2, 10, "zero_one", 0)
SAMPLES = 4000


def shape_of(name):
    return dataclasses.replace(DATA, input_dim=1) if name == "dense_key" else DATA


OPTIONS = {}  # task -> options without a default


@pytest.fixture(scope="module", autouse=True)
def samples_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("user") / "samples.npz"
    np.savez(path, **user_samples(3 * SAMPLES, 20, 2, 10))
    OPTIONS["file"] = {"path": str(path)}


def task_of(name):
    return load_task(name) | OPTIONS.get(name, {})


def drawn(name, data=None, seed=0, change=lambda draw: draw, **options):
    draw = change(lookup.draw_of(task_of(name) | options))
    return draw(*map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2)), SAMPLES, data or shape_of(name))


def after(x, value):
    """Return for each step whether the first feature of the step before it has a value."""
    return np.concatenate([np.zeros((len(x), 1), bool), x[:, :-1, 0] == value], axis=1)


# How the label follows from the samples, written independently of the generators.
PREDICTORS = {
    "planted_key": lambda x: x[:, 10, 0] > 0.5,
    "redundant_keys": lambda x: x[:, 5, 0] + x[:, 15, 1] > 1,
    "xor_keys": lambda x: x[:, 5, 0] * x[:, 15, 1] < 0,
    "moving_key": lambda x: (x[:, :, 0] * after(x, 5)).sum(axis=1) > 0.5,
    "find_max": lambda x: x[:, :, 0].max(axis=1),
    "add_two_after_delimiter": lambda x: (x[:, :, 0] * after(x, 0)).sum(axis=1) / 2,
    "dense_key": lambda x: x[:, 10, 0] > 0.5,
    "planted_in_series": lambda x: x[:, 10, 1] > 0.5,
    "file": lambda x: x[:, 10, 0] > 0.5,
}


def score(name, x, y):
    """Return the accuracy of a perfect predictor, or its coefficient of determination."""
    predicted = PREDICTORS[name](x)
    if load_task(name)["kind"] == "classification":
        return (predicted == (y == 1)).mean()
    return 1 - np.square(predicted - y).mean() / y.var()


def permuted(x, mask, marked, rng):
    """Exchange the marked steps, or the others, between samples with the same mask."""
    mixed = x.copy()
    groups = np.unique(mask, axis=0, return_inverse=True)[1].ravel()
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        steps = np.flatnonzero(mask[rows[0]] == marked)
        mixed[np.ix_(rows, steps)] = x[np.ix_(rng.permutation(rows), steps)]
    return mixed


def test_every_task_has_a_file_with_a_kind_and_a_generator_and_a_predictor():
    assert {*PREDICTORS, "null_key"} == set(names_in("task"))
    for name in names_in("task"):
        assert {"kind", "_target_"} <= load_task(name).keys()
        lookup.draw_of(task_of(name))


@pytest.mark.parametrize("name", PREDICTORS)
def test_the_marked_steps_determine_the_label_and_the_others_do_not(name):
    x, y, mask = drawn(name)
    assert score(name, x, y) == 1
    rng = np.random.default_rng(1)
    chance = 0.5 if load_task(name)["kind"] == "classification" else 0.0
    assert score(name, permuted(x, mask, True, rng), y) < chance + 0.1
    others = permuted(x, mask, False, rng)
    if name == "find_max":  # by its mask, no other step is larger
        others[:, :, 0] = np.minimum(others[:, :, 0], y[:, None])
    assert score(name, others, y) == 1


@pytest.mark.parametrize("name", names_in("task"))
def test_samples_are_reproducible_and_balanced(name):
    lookup.check_task(task_of(name), shape_of(name))
    x, y, mask = drawn(name)
    for array, same in zip((x, y, mask), drawn(name), strict=True):
        np.testing.assert_array_equal(array, same)
    assert (drawn(name, dataclasses.replace(shape_of(name), seed=1), seed=1)[0] != x).any()
    assert (mask.sum(axis=1) == mask[0].sum()).all()
    if load_task(name)["kind"] == "classification":
        assert set(np.unique(y)) == {0, 1}
        assert abs(y.mean() - 0.5) < 4 * 0.5 / np.sqrt(SAMPLES)
    else:
        assert 0 <= y.min() < y.max() <= 1


@pytest.mark.parametrize("name", PREDICTORS)
def test_unrelated_labels_leave_the_samples_unchanged(name):
    x, y, mask = drawn(name, change=lookup.unrelated)
    same_x, related, same_mask = drawn(name)
    np.testing.assert_array_equal(x, same_x)
    np.testing.assert_array_equal(mask, same_mask)
    assert abs(np.corrcoef(y, related)[0, 1]) < 5 / np.sqrt(SAMPLES)
    assert y.mean() == pytest.approx(related.mean(), abs=0.05)


def test_the_key_in_one_feature_with_noise():
    x, y, _ = drawn("planted_key", feature=1, noise=0.25)
    plain, same_y, _ = drawn("planted_key")
    np.testing.assert_array_equal(y, same_y)
    np.testing.assert_array_equal(np.delete(x, 10, axis=1), np.delete(plain, 10, axis=1))
    assert abs(np.corrcoef(x[:, 10, 0], y)[0, 1]) < 5 / np.sqrt(SAMPLES)
    noise = x[:, 10, 1] - y
    assert noise.std() == pytest.approx(0.25, rel=0.1)
    assert abs(noise.mean()) < 5 * 0.25 / np.sqrt(SAMPLES)


def test_a_single_key_of_two_is_unrelated_to_their_xor():
    x, y, _ = drawn("xor_keys", key_steps=[3, 4])
    for step in (3, 4):
        assert set(np.unique(x[:, step])) == {-1, 1}
        assert abs(np.corrcoef(x[:, step, 0], y)[0, 1]) < 5 / np.sqrt(SAMPLES)


@pytest.mark.parametrize("name", ["moving_key", "find_max", "add_two_after_delimiter"])
def test_the_key_of_a_moving_task_can_be_at_any_step(name):
    _, _, mask = drawn(name)
    share = mask.mean(axis=0)
    first = 0 if name == "find_max" else 1
    assert (share[:first] == 0).all()
    assert share[first:].max() < 3 * mask[0].sum() / 20


@pytest.mark.parametrize("steps", [4, 5, 9])
def test_pairs_of_delimiter_and_number_do_not_overlap(steps):
    x, _, mask = drawn("add_two_after_delimiter", dataclasses.replace(DATA, time_steps=steps))
    assert ((x[:, :, 0] == 0).sum(axis=1) == 2).all()
    assert (mask.sum(axis=1) == 2).all()
    assert (x[:, :, 0][mask] > 0).all()
    expected = [False, True, False, True] if steps == 4 else np.arange(steps) > 0  # of 4, number follows delimiter
    assert (mask.any(axis=0) == expected).all()


def test_the_labels_of_find_max_are_uniform():
    _, y, _ = drawn("find_max")
    deciles = np.histogram(y, bins=10, range=(0, 1))[0]
    assert np.abs(deciles - SAMPLES / 10).max() < 5 * np.sqrt(SAMPLES * 0.1 * 0.9)


def fails(background, labels, samples, data):
    raise IndexError("out of\nrange")


def unknown(background, labels, samples, data):
    x, y, mask = generators.find_max(background, labels, samples, data)
    return x * np.float32("nan"), y, mask


def alike(background, labels, samples, data):
    x, y, mask = generators.find_max(background, labels, samples, data)
    return x, np.full_like(y, 3), mask


@pytest.mark.parametrize(
    ("name", "options", "data", "sentence"),
    [
        ("planted_key", {"noise": -1}, {}, "task.noise is -1: it must be a finite number of at least 0"),
        ("planted_key", {"feature": 2}, {}, "task.feature is 2: it must be null, for all features, or 0 to 1."),
        ("xor_keys", {"key_steps": [1, 2, 3]}, {}, "it must be 2 different steps of 0 to 19."),
        ("redundant_keys", {"key_steps": [1, 1]}, {}, "it must be 2 or more different steps of 0 to 19."),
        ("redundant_keys", {"key_steps": [1, 20]}, {}, "it must be 2 or more different steps of 0 to 19."),
        ("redundant_keys", {"key_steps": 3}, {}, "task.key_steps is 3: it must be a list of values, each a whole"),
        ("moving_key", {"marker": "x"}, {}, "task.marker is x: it must be a finite number of"),
        ("moving_key", {"marker": float("inf")}, {}, "task.marker is inf: it must be a finite number"),
        ("add_two_after_delimiter", {}, {"time_steps": 3}, "data.time_steps is 3: it must be at least 4"),
        ("dense_key", {}, {}, "data.input_dim is 2: it must be 1"),
        ("find_max", {"kind": "classification"}, {}, "in a classification it must be 0 or 1."),
        (
            "find_max",
            {"_target_": f"{__name__}.fails"},
            {},
            "find_max cannot draw samples (out of range).",
        ),
        ("find_max", {"_target_": f"{__name__}.unknown"}, {}, "x or y holds NaN or infinite values"),
        ("find_max", {"_target_": f"{__name__}.alike"}, {}, "y is 3 in 32 samples: there is nothing to learn."),
        (
            "find_max",
            {"_target_": "pipeline.tasks.find_min"},
            {},
            "task._target_ is pipeline.tasks.find_min: it cannot",
        ),
    ],
)
def test_a_task_that_cannot_be_drawn_gets_one_sentence(name, options, data, sentence):
    with one_sentence(sentence):
        lookup.check_task(load_task(name) | options, dataclasses.replace(DATA, **data))

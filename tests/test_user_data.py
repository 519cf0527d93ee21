"""Samples and series from a user's file: they are used as they are, and a bad file gets one sentence."""

import dataclasses
import itertools
import json
import os
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import one_sentence, user_samples
from numpy.random import SeedSequence, default_rng
from pyarrow import parquet

from pipeline.results import folders, splits
from pipeline.settings.schema import Data, Probe
from pipeline.settings.study import load_task, params, plain
from pipeline.tasks import array_files, lookup, user_labels, user_series, user_splits

DATA = Data(80, 0.25, 6, 2, 3, "zero_one", 0)
CLOCK = itertools.count(1)


def arrays(samples=100, steps=6, features=2):
    """Return samples whose first value is their number, with a key at step 3."""
    found = user_samples(samples, steps, features, 3)
    found["x"][:, 0, 0] = np.arange(samples)
    return found


def task(path, name="file", **options):
    """Return a task; the samples of a file stay on their scale, as their first values are their numbers."""
    usual = {"standardise": "never"} if name == "file" else {}
    return load_task(name) | {"path": str(path)} | usual | options


def dated(path):
    """Give a file a time of change of its own: a file is read again only if its time differs."""
    os.utime(path, (now := next(CLOCK), now))
    return path


def saved(folder, **changes):
    """Write a file of the samples, with some arrays changed, or left out (None)."""
    kept = {name: array for name, array in (arrays() | changes).items() if array is not None}
    np.savez(folder / "mine.npz", **kept)
    return dated(folder / "mine.npz")


def as_parquet(path, columns):
    parquet.write_table(pa.table({name: array.tolist() for name, array in columns.items()}), path)
    return dated(path)


def drawn(path, data=DATA, **options):
    return lookup.draw_of(task(path, **options))(None, None, 100, data)


def same(samples, others):
    for one, other in zip(samples, others, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


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
    same(*(drawn(path) for path in (saved(tmp_path), as_parquet(tmp_path / "mine.parquet", arrays()))))
    step = [1.0, 2.0]
    for x, others, first in (
        ([[step, step], [step, step], [step], None], 2, 2),
        ([[step, step], [step, [1.0]], [[1.0], [1.0]], [step, step]], 2, 1),
    ):
        parquet.write_table(pa.table({"x": x, "y": [0, 1, 0, 1]}), tmp_path / "mine.parquet")
        dated(tmp_path / "mine.parquet")
        found = f"in {others} of 4 samples not 2, as in most (the first is sample {first})"
        with one_sentence(f"x: its lists are of different lengths, {found}"):
            lookup.check_task(task(tmp_path / "mine.parquet"), DATA)


def test_a_changed_file_is_another_task(tmp_path):
    before = plain(task(saved(tmp_path)))
    assert plain(task(tmp_path / "mine.npz")) == before
    assert plain(task(saved(tmp_path, y=1 - arrays()["y"]))) != before


WRONG = {
    "it holds x, mask; it must hold x and y": {"y": None},
    "x is (600,): it must be (samples, time steps, features), or (samples, time steps) of": {"x": np.arange(600)},
    "data.input_dim is 2: it must be 1, as x in": {"x": arrays()["x"][:, :, 0]},
    "data.time_steps is 6: it must be 5, as x in": {"x": arrays(steps=5)["x"], "mask": None},
    "data.input_dim is 2: it must be 3, as x in": {"x": arrays(features=3)["x"]},
    "x is of type <U3: it must be of numbers": {"x": np.full((100, 6, 2), "one")},
    "x holds NaN or infinite values in 1 of 100 samples (the first is sample 50); none may, as float32": {
        "x": np.where(np.arange(100)[:, None, None] == 50, np.nan, arrays()["x"])
    },
    "y is (99,): it must be (100,), a label for each sample of x": {"y": arrays()["y"][:99]},
    "y is 1 in all samples: there is nothing to learn": {"y": np.ones(100)},
    "mask is bool (100, 5): it must be (100, 6), or (100, 6, 2), of true and": {"mask": arrays()["mask"][:, 1:]},
    "mask is <U5 (100, 6): it must be": {"mask": arrays()["mask"].astype(str)},
    "mask holds 0.7: it must be 0 or 1; save mask > 0.5, for example": {"mask": arrays()["mask"] * 0.7},
    "mask holds nan: it must be 0 or 1": {"mask": np.where(arrays()["mask"], 1, np.nan)},
    "mask marks nothing: it must mark the key steps of some samples, or be left out": {"mask": np.zeros((100, 6))},
    "mask marks every step": {"mask": np.ones((100, 6), bool)},
    "nothing reads Mask, notes, only x, y: name it in task.x, task.y or task.mask, or list it in task.ignore.": {
        "mask": None,
        "Mask": arrays()["mask"],
        "notes": np.arange(3),
    },
    "x is an array of Python objects (dtype=object), which could run code: save texts as x.astype(str), and": {
        "x": np.full((100, 6, 2), None)
    },
    "y is an array of Python objects": {"y": np.array(["no", "yes"], object)[arrays()["y"]]},
    "y has 100 classes (0, 1, 2, 3, 4 and 95 more): there may be at most 100, and each of two samples or more on": {
        "y": np.arange(100)
    },
    "more on average; merge some; for numbers to predict, set task.kind=regression.": {"y": np.arange(100) // 1.5},
    "y has 60 classes (class 00, class 01, class 02, class 03, class 04 and 55 more): there may be at most 100, and": {
        "y": np.array([f"class {n % 60:02}" for n in range(100)])
    },
    "y is one-hot, (samples, 3), but no sample is of the class of its column 2: leave that column out.": {
        "y": np.eye(3)[np.arange(100) % 2]
    },
    "y is 0.5 in sample 1: a class must be a whole number, true or false, or a text; for numbers to predict, set": {
        "y": np.arange(100) / 2
    },
    "y is inf in sample 0: a class must be": {"y": np.where(arrays()["y"] == 1, 1, np.inf)},
    "y is missing (NaN or None) in 2 of 100 samples (the first is sample 50): leave these samples out, or give each": {
        "y": np.where(np.isin(np.arange(100), (50, 60)), np.nan, arrays()["y"])
    },
    "y is of type datetime64[s]: a class must be": {"y": arrays()["y"].astype("M8[s]")},
    "y is (100, 6): it must be (100,), a label for each sample": {"y": np.ones((100, 6))},  # a label per step
    "y is yes in all samples: there is nothing to learn": {"y": np.full(100, "yes")},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_bad_file_gets_one_sentence(tmp_path, sentence):
    with one_sentence(sentence):
        lookup.check_task(task(saved(tmp_path, **WRONG[sentence])), DATA, 100)


TARGETS = {  # of a regression
    "y holds NaN or infinite values in 1 of 100 samples (the first is sample 50); none": np.where(
        np.arange(100) == 50, 1e300, 0
    ),
    "y is missing (NaN or None) in 1 of 100 samples (the first is sample 3)": np.where(np.arange(100) == 3, np.nan, 1),
    "y is of type <U1: it must be of numbers": np.full(100, "1"),
    "y is (100, 2): it must be (100,), a label for each sample of x": np.ones((100, 2)),
    "y is 3 in all samples: there is nothing to learn": np.full(100, 3),
    "y is too far from 0: float32 would merge its 100 different values into 2, such as 1700000000 and 1700000001": (
        1_700_000_000 + np.arange(100)
    ),
}


@pytest.mark.parametrize("sentence", TARGETS)
def test_bad_labels_of_a_regression_get_one_sentence(tmp_path, sentence):
    with one_sentence(sentence):
        lookup.check_task(task(saved(tmp_path, y=TARGETS[sentence]), kind="regression"), DATA, 100)


@pytest.mark.parametrize("shape", [(100,), (100, 1)])
def test_labels_of_a_regression_are_used_as_they_are(tmp_path, capsys, shape):
    given = np.random.default_rng(1).normal(2e6, 1e6, 100)
    x, y, _ = drawn(saved(tmp_path, y=given.reshape(shape)), kind="regression")
    np.testing.assert_array_equal(y, given.astype(np.float32)[x[:, 0, 0].astype(int)])
    assert capsys.readouterr().out == ""


def test_many_labels_of_a_regression_may_be_equal_as_float32():
    y = np.random.default_rng(0).standard_normal(200_000)
    found = user_labels.targets("mine.npz", y, len(y))
    assert len(np.unique(found)) < len(np.unique(y))  # by chance, wherever they are
    np.testing.assert_array_equal(found, y.astype(np.float32))


FORMS = {  # form of the labels -> how it is made, and what is printed about it
    "floats": (lambda y: y.astype(float), ""),
    "a column": (lambda y: y[:, None], ""),
    "booleans": (lambda y: y == 1, "y is False for 0 and True for 1"),
    "1 and 2": (lambda y: y + 1, "y is 1 for 0 and 2 for 1"),
    "1.0 and 2.0": (lambda y: y + 1.0, "y is 1 for 0 and 2 for 1"),
    "-1 and 1": (lambda y: 2 * y - 1, "y is -1 for 0 and 1 for 1"),
    "far from 0": (lambda y: y + 1_700_000_000, "y is 1700000000 for 0 and 1700000001 for 1"),
    "texts": (lambda y: np.array(["no", "yes"])[y], "y is no for 0 and yes for 1"),
    "a column of texts": (lambda y: np.array([["1"], ["2"]])[y], "y is 1 for 0 and 2 for 1"),
    "one-hot": (lambda y: np.eye(2)[y], "y is [1, 0] for 0 and [0, 1] for 1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_two_classes_become_0_and_1(tmp_path, capsys, form):
    change, said = FORMS[form]
    usual = drawn(saved(tmp_path))
    np.savez(tmp_path / "other.npz", **arrays() | {"y": change(arrays()["y"])})
    same(drawn(tmp_path / "other.npz"), usual)
    assert capsys.readouterr().out == (said and f"task.path is {tmp_path}/other.npz: {said}.\n")


COLUMNS = {  # the same of a column of Parquet
    "category": (lambda y: y.map(["no", "yes"].__getitem__).astype("category"), "y is no for 0 and yes for 1"),
    "texts": (lambda y: y.map(["no", "yes"].__getitem__), "y is no for 0 and yes for 1"),
    "Int64": (lambda y: y.astype("Int64"), ""),
    "booleans": (lambda y: y == 1, "y is False for 0 and True for 1"),
}


@pytest.mark.parametrize("form", COLUMNS)
def test_labels_in_parquet_become_0_and_1(tmp_path, capsys, form):
    change, said = COLUMNS[form]
    frame = pd.DataFrame({name: array.tolist() for name, array in arrays().items()})
    frame.index = frame.index + 7  # pandas keeps it as a column
    frame.assign(y=change(frame["y"])).to_parquet(tmp_path / "mine.parquet")
    same(drawn(tmp_path / "mine.parquet"), drawn(saved(tmp_path)))
    assert capsys.readouterr().out == (said and f"task.path is {tmp_path}/mine.parquet: {said}.\n")


@pytest.mark.parametrize("label", [None, float("nan")])
def test_missing_labels_in_parquet_are_refused(tmp_path, label):
    frame = pd.DataFrame({name: array.tolist() for name, array in arrays().items()})
    texts = frame["y"].map(["no", "yes"].__getitem__).astype(object)
    texts[5] = label
    frame.assign(y=texts).to_parquet(tmp_path / "mine.parquet")
    with one_sentence("y is missing (NaN or None) in 1 of 100 samples (the first is sample 5)"):
        lookup.check_task(task(tmp_path / "mine.parquet"), DATA)


def test_what_was_read_is_told_once_where_the_samples_of_the_study_are_drawn(tmp_path, capsys):
    one = task(saved(tmp_path, y=arrays()["y"] + 1))
    lookup.check_task(one, DATA, 100)
    lookup.draw_of(one, tell=False)(None, None, 60, DATA)
    assert capsys.readouterr().out == ""
    draw = lookup.draw_of(one)
    for first in (0, 60):
        draw(None, None, 40, DATA, first)
    assert capsys.readouterr().out == f"task.path is {tmp_path}/mine.npz: y is 1 for 0 and 2 for 1.\n"


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path, read, reads = saved(tmp_path), array_files.read, []
    monkeypatch.setattr(array_files, "read", lambda *words: reads.append(words) or read(*words))
    lookup.check_task(task(path), DATA, 100)
    for _ in range(2):
        drawn(path)
    assert len(reads) == 1
    os.utime(path, (0, 0))
    drawn(path)
    assert len(reads) == 2


def test_masks_of_other_forms(tmp_path, capsys):
    usual, marked = drawn(saved(tmp_path)), arrays()["mask"]
    for mask in (marked.astype(float), marked.astype(int)):
        same(drawn(saved(tmp_path, mask=mask)), usual)
    assert capsys.readouterr().out == ""
    for kind in (bool, float):
        one_feature = np.stack([marked, marked & False], axis=2).astype(kind)
        same(drawn(saved(tmp_path, mask=one_feature, y=arrays()["y"] + 1)), usual)
        said = "y is 1 for 0 and 2 for 1; a step is a key step where mask marks any of its features"
        assert capsys.readouterr().out == f"task.path is {tmp_path}/mine.npz: {said}.\n"


def test_arrays_with_other_names_or_without(tmp_path, capsys):
    given, usual, path = arrays(), drawn(saved(tmp_path)), tmp_path / "other.npz"
    np.savez(path, given["x"], given["y"], given["mask"])
    same(drawn(dated(path)), usual)
    assert capsys.readouterr().out == f"task.path is {path}: arr_0 is x and arr_1 is y and arr_2 is mask.\n"
    np.savez(path, given["x"], y=given["y"])
    same(drawn(dated(path))[:2], usual[:2])
    np.savez(path, X=given["x"], label=given["y"], key=given["mask"], notes=np.array([{}]))
    same(drawn(dated(path), x="X", y="label", mask="key", ignore=["notes"]), usual)
    capsys.readouterr()
    for options, sentence in {
        "x=X y=Label": f"task.y is Label: {path} holds X, label, key.",
        "x=X y=X": "task.x is X: only one of task.x and task.y may be.",
        "y=label": "it holds X, label, key; it must hold x and y: name them in task.x and task.y if they have other",
        "x=X y=label": "nothing reads key, only X, label: name it in",
        "x=X y=label sample=key step=key": "task.sample is key: it must be null, as",
    }.items():
        with one_sentence(sentence):
            drawn(path, ignore=["notes"], **dict(word.split("=") for word in options.split()))
    with one_sentence("task.ignore is notes: it must be a list of values, each a name, or null."):
        drawn(path, ignore="notes")


def test_x_without_an_axis_for_features_has_one(tmp_path):
    data = dataclasses.replace(DATA, input_dim=1)
    usual = drawn(saved(tmp_path, x=arrays()["x"][:, :, :1]), data)
    same(drawn(saved(tmp_path, x=arrays()["x"][:, :, 0]), data), usual)


def write_table(path, frame):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return dated(path)


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_a_table_with_a_row_per_sample(tmp_path, capsys, name):
    data, x = dataclasses.replace(DATA, input_dim=1), arrays()["x"][:, :, 0]
    usual = drawn(saved(tmp_path, x=x, mask=None), data)
    frame = pd.DataFrame(x, columns=[f"t{step}" for step in range(6)])
    frame.insert(2, "class", np.array(["no", "yes"])[arrays()["y"]])
    path = write_table(tmp_path / name, frame)
    same(drawn(path, data, y="class"), usual)
    form = "a row is a sample and 6 columns, t0, t1, t2, t3, t4 and 1 more, are the steps of one feature"
    assert capsys.readouterr().out == f"task.path is {path}: {form}; y is no for 0 and yes for 1.\n"
    write_table(path, frame.assign(id=range(100)))
    same(drawn(path, data, y="class", ignore=["id"]), usual)
    with one_sentence("data.time_steps is 6: it must be 7, as x in"):
        drawn(path, data, y="class")


def rows(**changes):
    """Return the samples in a table with a row per step, in no order, but with samples in their order."""
    x, y, mask = arrays().values()
    frame = pd.DataFrame(x.reshape(600, 2), columns=["a", "b"])
    frame = frame.assign(id=np.repeat(np.arange(100), 6), t=np.tile(np.arange(6), 100), label=np.repeat(y, 6))
    frame = frame.assign(mask=mask.ravel(), **changes)
    return frame.sample(frac=1, random_state=0).sort_values("id", kind="stable")


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_a_table_with_a_row_per_step(tmp_path, capsys, name):
    usual, path = drawn(saved(tmp_path)), write_table(tmp_path / name, rows())
    same(drawn(path, y="label", sample="id", step="t"), usual)
    form = "each id is a sample, each t a step, and its features are a, b"
    assert capsys.readouterr().out == f"task.path is {path}: {form}.\n"
    for times in (pd.date_range("2026-01-29", periods=6), [9.5, 10, 11, 100, 101, 1000]):
        write_table(path, rows(t=np.tile(times, 100)))
        same(drawn(path, y="label", sample="id", step="t"), usual)
    write_table(path, rows(when="noon", id=np.repeat([f"person {n:02}" for n in range(100)], 6)))
    same(drawn(path, y="label", sample="id", step="t", ignore=["when"]), usual)
    for options, sentence in {
        "sample=id step=t": "it holds a, b, id, t, label and 2 more; it must hold y: name the column with the",
        "y=label sample=id": "task.step is null: name a column, as task.sample does, or set both to null.",
        "y=label sample=id step=time": f"task.step is time: {path} holds a, b, id, t, label and 2 more.",
        "y=label sample=id step=id": "task.sample is id: only one of task.sample and task.step may be.",
        "y=label sample=id step=t": "column when is of type object: it must be of numbers, or have another role, or be",
        "y=label sample=id step=t x=a": "task.x is a: it must be null",
        "y=label": "mask cannot be the mask of a row per sample",
    }.items():
        with one_sentence(sentence):
            drawn(path, **dict(word.split("=") for word in options.split()))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda table: table.drop(table.index[table["t"].eq(5) & table["id"].isin([3, 8])]),
            "2 of 100 samples have not each of the 6 values of t once (the first is id 3, with 5 rows)",
        ),
        (
            lambda table: table.assign(t=table["t"].where(table["id"].ne(7) | table["t"].ne(2), 1)),
            "1 of 100 samples have not each of the 6 values of t once (the first is id 7, with 6 rows)",
        ),
        (
            lambda table: table.assign(label=table["label"].where(table["id"].ne(9) | table["t"].ne(2), 5)),
            "label differs between the rows of 1 of 100 samples (the first is 9); a sample has one label",
        ),
        (
            lambda table: table.assign(id=table["id"].where(table["id"].ne(0))),
            "id is missing in 6 of 600 rows (the first is row 0): each row must have one",
        ),
        (
            lambda table: table.assign(a=table["a"].where(table["id"].ne(0))),
            "column a holds NaN or infinite values in 6 of 600 rows (the first is row 0)",
        ),
        (
            lambda table: table.assign(label=table["label"].where(table["id"].ne(4))),
            "y is missing (NaN or None) in 1 of 100 samples (the first is sample 4)",
        ),
        (lambda table: table.drop(columns=["a", "b"]), "no column of numbers is left"),
        (
            lambda table: table.assign(t="t" + table["t"].astype(str)),
            "task.step is t: this column holds texts: it must be of numbers, or of dates and times such as 2026-01-31",
        ),
    ],
)
def test_rows_that_are_no_samples_get_one_sentence(tmp_path, change, sentence):
    path = write_table(tmp_path / "mine.csv", change(rows()))
    with one_sentence(sentence):
        lookup.check_task(task(path, y="label", sample="id", step="t"), DATA)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "mine.csv",
            b",a,b,y\n0,1,2,0\n1,3,4,1\n",
            'a column has no name: give it one, or list "Unnamed: 0" in task.ign',
        ),
        ("mine.csv", b"a,b,y\n1,2,0,9\n3,4,1,9\n", "it cannot be read (Length of header"),
        ("mine.csv", b"a;b;y\n1;2;0\n", "it holds a;b;y; it must hold y"),
        ("mine.csv", b"a,y,a,y\n1,2,0,1\n", "more than one column is called a, y: each must have its own name"),
        ("mine.csv", b"a,y\n", "it has no rows"),
        ("mine.csv", b"", "it cannot be read (No columns to parse from file)"),
        (
            "mine.ts",
            b"@data\n1,2:0",
            "files that end in .ts are not read; save it as .npz: x, y = aeon.datasets.load_from_ts",
        ),
        ("mine.npy", b"", "an .npy file holds one array: name a folder that holds x.npy and y.npy."),
    ],
)
def test_files_of_other_kinds_get_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    if name.endswith(".npy"):
        np.save(tmp_path / name, arrays()["x"])
    with one_sentence(sentence):
        lookup.check_task(task(tmp_path / name), DATA)


def test_a_folder_of_arrays_is_read_like_one_file(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    with one_sentence("mine: the folder holds no .npy files, such as x.npy and y.npy."):
        lookup.check_task(task(folder), DATA)
    values = arrays()
    for name, array in values.items():
        np.save(folder / f"{'signals' if name == 'x' else name}.npy", array)
    with one_sentence("it holds mask, signals, y; it must hold x and y"):
        drawn(folder)
    same(drawn(folder, x="signals"), drawn(saved(tmp_path)))
    before = plain(task(folder, x="signals"))
    np.save(folder / "y.npy", 1 - values["y"])
    assert plain(task(folder, x="signals")) != before
    x, y, _ = drawn(folder, x="signals")
    np.testing.assert_array_equal(y, 1 - values["y"][x[:, 0, 0].astype(int)])
    np.save(folder / "y.npy", values["y"].astype(object))
    with one_sentence("y is an array of Python objects (dtype=object), which could run code"):
        drawn(folder, x="signals")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.npz", None, "none.npz: No such file or directory."),
        ("mine.mat", b"1,2", "it must be a file that ends in .npz, .npy, .csv or .parquet, or a folder of .npy files."),
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
    with one_sentence(" samples, so there is nothing to learn or to score; raise data.samples"):
        splits.write_all(study, lookup.draw_of(one))


@pytest.mark.parametrize(
    ("kind", "y", "names"),
    [
        ("texts", lambda y: np.array(["walk", "run", "sit"])[y], ("run", "sit", "walk")),
        ("numbers from 0", lambda y: y, ("0", "1", "2")),
        ("other numbers", lambda y: 10 * y - 5, ("-5", "5", "15")),
        ("one-hot", lambda y: np.eye(3)[y], ("column 0", "column 1", "column 2")),
    ],
)
def test_more_than_two_classes_become_numbers_and_keep_their_names(tmp_path, capsys, kind, y, names):
    labels = np.arange(100) % 3
    path = saved(tmp_path, y=y(labels))
    lookup.check_task(task(path), DATA, 100)
    x, found, _ = drawn(path)
    assert lookup.meaning_of(task(path), DATA).classes == names
    given = labels[x[:, 0, 0].astype(int)]
    expected = np.array([2, 0, 1])[given] if kind == "texts" else given
    np.testing.assert_array_equal(found, expected)
    assert "classes" in capsys.readouterr().out


def test_every_part_has_each_class_in_proportion_and_no_order(tmp_path):
    y = np.arange(1000) % 100 < 3  # one in 33
    x, labels, _ = lookup.draw_of(task(saved(tmp_path, **arrays(1000) | {"y": y})))(
        None, None, 1000, Data(800, 0.25, 6, 2, 3, "zero_one", 0)
    )
    for part, count in ((slice(600), 18), (slice(600, 800), 6), (slice(800, 900), 3), (slice(900, None), 3)):
        assert abs(labels[part].sum() - count) <= 1
    assert sorted(x[:, 0, 0]) == list(range(1000))
    gaps = np.diff(np.flatnonzero(labels[:600]))
    assert gaps.max() > 2 * gaps.min()  # nothing tells the label of a sample by its place


def test_a_class_that_a_part_lacks_is_named(tmp_path, monkeypatch):
    for module in (folders, splits):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    one = task(saved(tmp_path, y=np.array(["a", "b", "c"])[np.minimum(np.arange(100), 2)]))
    study = dataclasses.replace(params(), data=DATA, probe=Probe(20), task=one)
    with one_sentence(" samples is of class "):
        splits.write_all(study, lookup.draw_of(one), lookup.meaning_of(one, DATA))


def sides(path, data=DATA, samples=100, **options):
    """Return the numbers of the samples to train on, to validate on, and others."""
    x = lookup.draw_of(task(path, **options))(None, None, samples, data)[0][:, 0, 0].astype(int)
    train, validation = data.train_samples, data.train_samples + data.validation_samples
    return x[:train], x[train:validation], x[validation:]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_given_split_is_honoured(tmp_path, capsys, kind):
    y = arrays()["y"] if kind == "classification" else np.arange(100) / 7
    split = np.array(["train", "test"])[np.arange(100) % 4 // 3]  # 75 and 25
    train, validation, others = sides(
        saved(tmp_path, y=y, split=split), Data(75, 0.2, 6, 2, 3, "zero_one", 0), 80, kind=kind
    )
    assert (split[train] == "train").all()
    assert (split[[*validation, *others]] == "test").all()
    assert len({*train, *validation, *others}) == 80
    assert "split says which samples are trained on" in capsys.readouterr().out
    three = np.array(["Train", "VAL", "test"])[np.repeat([0, 1, 2], [60, 25, 15])]
    path = saved(tmp_path, y=y, part=three)
    train, validation, others = sides(path, samples=95, split="part", kind=kind)
    for side, word in ((train, "Train"), (validation, "VAL"), (others, "test")):
        assert (three[side] == word).all()
    with one_sentence("its split or groups leave 95 of its 100 samples, not 96; data.samples and probe.samples"):
        sides(path, samples=96, split="part", kind=kind)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_no_group_is_on_two_sides(tmp_path, capsys, kind):
    groups = np.array([f"person {n // 5}" for n in range(100)])
    y = (np.arange(100) // 5) % 2 if kind == "classification" else np.arange(100) / 7
    found = sides(saved(tmp_path, y=y, groups=groups), Data(70, 0.25, 6, 2, 3, "zero_one", 0), 85, kind=kind)
    on = [set(groups[side]) for side in found]
    assert not on[0] & on[1]
    assert not on[0] & on[2]
    assert not on[1] & on[2]
    assert "no value of groups is on two sides" in capsys.readouterr().out
    assert kind == "regression" or len(set(y[found[1]])) == 2  # classes are spread over the sides


def test_a_group_counts_for_its_most_frequent_class():
    labels = np.array([0, 0, 1, 1, 1, 0] * 20)  # of groups of three: 0, 0, 1 and 1, 1, 0
    rows = user_splits._mixed(np.arange(120), np.arange(120) // 3, labels, default_rng(0))
    groups = rows.reshape(40, 3) // 3
    assert (groups == groups[:, :1]).all()  # together
    assert abs((groups[:20, 0] % 2).sum() - 10) <= 1
    assert (groups[:, 0] != np.sort(groups[:, 0])).any()


GIVEN = {
    "split is (99,): it must be (100,), one for each sample": {"split": np.full(99, "train")},
    "split holds holdout: it must be train, validation or test": {"split": np.full(100, "holdout")},
    "split is test for no sample: it must be for some": {"split": np.full(100, "train")},
    "its split or groups leave 50 samples for train: data.samples and data.validation_share ask for 60": {
        "split": np.repeat(["train", "test"], 50)
    },
    "its split or groups leave 15 samples for validation: data.samples and data.validation_share ask for 20": {
        "split": np.repeat(["train", "validation", "test"], [60, 15, 25])
    },
    "groups is missing (NaN or None) in 1 of 100 samples (the first is sample 7): give each sample one": {
        "groups": np.where(np.arange(100) == 7, np.nan, 1)
    },
    "groups has 2 different values: training, validation and probe need at least one each": {
        "groups": np.arange(100) % 2
    },
    "sample 5 has samples of its group on another side of split: a group must be on one side": {
        "split": np.repeat(["train", "test"], [65, 35]),
        "groups": np.where(np.arange(100) == 5, 99, np.arange(100)),
    },
}


@pytest.mark.parametrize("sentence", GIVEN)
def test_sides_and_groups_that_do_not_fit_get_one_sentence(tmp_path, sentence):
    with one_sentence(sentence):
        lookup.check_task(task(saved(tmp_path, **GIVEN[sentence])), DATA, 80)


@pytest.mark.parametrize("step", [None, "t"])
def test_split_and_groups_are_columns_of_tables_too(tmp_path, step):
    split, groups = np.repeat(["train", "test"], [64, 36]), np.arange(100) // 2
    if step:
        table = rows(split=0, groups=0).sort_values(["id", "t"])
        table = table.assign(split=split[table["id"]], groups=groups[table["id"]])
        options = {"y": "label", "sample": "id", "step": "t"}
    else:
        table = pd.DataFrame(arrays()["x"][:, :, 0]).assign(y=arrays()["y"], split=split, groups=groups)
        options = {}
    data = dataclasses.replace(DATA, input_dim=2 if step else 1)
    train, validation, others = sides(write_table(tmp_path / "mine.csv", table), data, 90, **options)
    assert max(train) < 64 <= min(*validation, *others)
    assert not set(groups[validation]) & set(groups[others])


def test_x_and_numbers_to_predict_are_standardised_by_the_training_samples(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x, y = rng.normal([1e5, 0], [1e3, 1], (100, 6, 2)), rng.normal(2e6, 1e6, 100)
    path = saved(tmp_path, x=x, y=y)
    one = task(path, kind="regression", standardise="auto")
    found_x, found_y, _ = lookup.draw_of(one)(None, None, 100, DATA)
    raw_x, raw_y, _ = lookup.draw_of(one | {"standardise": "never"})(None, None, 100, DATA)
    mean, sd = raw_x[:60].mean(axis=(0, 1), dtype=float), raw_x[:60].std(axis=(0, 1), dtype=float)
    np.testing.assert_allclose(found_x, (raw_x - mean) / sd, atol=1e-5)
    np.testing.assert_allclose(found_y, (raw_y - raw_y[:60].mean(dtype=float)) / raw_y[:60].std(dtype=float), atol=1e-5)
    said = capsys.readouterr().out
    assert said.startswith(f"task.path is {path}: x is standardised by its training samples, which are 9.9")
    assert "y is standardised by its training samples, which are 2" in said
    assert "task.standardise=never leaves it as it is" in said
    scale = lookup.meaning_of(one, DATA).scale
    np.testing.assert_allclose(scale["x"]["mean"], mean)
    np.testing.assert_allclose(scale["y"]["sd"], [raw_y[:60].std(dtype=float)])
    assert "scale" not in lookup.meaning_of(one | {"standardise": "never"}, DATA).text()


def test_only_a_scale_that_asks_for_it_is_changed_by_auto(tmp_path):
    x = np.random.default_rng(0).standard_normal((100, 6, 2))
    x[:, :, 1] = 3  # a feature that never changes
    for divided, changed in ((1, False), (20, True)):
        path = saved(tmp_path, x=x / divided)
        auto, never, always = (drawn(path, standardise=word)[0] for word in ("auto", "never", "always"))
        assert (auto == always).all() == changed
        assert (auto == never).all() != changed
        np.testing.assert_allclose(always[:, :, 1], 0, atol=1e-6)
    with one_sentence("task.standardise is yes: it must be one of auto, always, never."):
        drawn(path, standardise="yes")


def test_a_feature_that_looks_like_a_time_is_pointed_out(tmp_path, capsys):
    x = arrays()["x"]
    x[:, :, 1] = 1_700_000_000 + 1000 * np.arange(600).reshape(100, 6)
    drawn(saved(tmp_path, x=x))
    said = "feature 1 is large and never falls within a sample: if it is a time, leave it out, or subtract its first"
    assert said in capsys.readouterr().out


def test_a_file_has_no_samples_for_each_seed(tmp_path):
    own = dataclasses.replace(DATA, per_seed=True)
    with one_sentence("data.per_seed is true: it must be false, since the samples of file are limited."):
        lookup.check_task(task(saved(tmp_path)), own, 100)


def test_the_key_is_planted_in_windows_of_a_series(tmp_path):
    series = np.stack([np.arange(50.0), np.arange(50.0) ** 2], axis=1)
    np.savez(tmp_path / "mine.npz", series=series)
    as_parquet(tmp_path / "mine.parquet", {"a": series[:, 0], "b": series[:, 1]})
    scaled = (series - series.mean(axis=0)) / series.std(axis=0)
    np.save(tmp_path / "mine.npy", series)
    pd.DataFrame(series, columns=["a", "b"]).to_csv(tmp_path / "mine.csv", index=False)
    np.savez(tmp_path / "unnamed.npz", series)
    for name in ("mine.npz", "mine.parquet", "mine.npy", "mine.csv", "unnamed.npz"):
        path = tmp_path / name
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


def test_a_series_with_columns_or_arrays_that_are_no_features(tmp_path):
    table, series = tmp_path / "mine.csv", np.random.default_rng(0).standard_normal((50, 2))
    write_table(table, pd.DataFrame(series, columns=["a", "b"]).assign(date="2026-01-01"))
    np.savez(tmp_path / "mine.npz", series=series, date=np.arange(50))
    np.savez(tmp_path / "two.npz", a=series, date=np.arange(50))
    for name, sentence in {
        "mine.csv": "column date is of type object: it must be of numbers, or have another role, or be listed",
        "mine.npz": "nothing reads date, only series: take it out, or list it in task.ignore.",
        "two.npz": "it holds a, date; it must hold series, or one array only.",
    }.items():
        with one_sentence(sentence):
            lookup.check_task(task(tmp_path / name, "planted_in_series"), DATA)
        lookup.check_task(task(tmp_path / name, "planted_in_series", ignore=["date"]), DATA)


def test_the_series_that_a_package_ships():
    series = user_series._series(None)
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


@pytest.mark.long  # takes half a minute
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

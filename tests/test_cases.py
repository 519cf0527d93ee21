"""Files as people bring them: what is drawn from each, or the sentence that refuses it."""

import numpy as np
import pandas as pd
import pytest
from conftest import one_sentence
from numpy.random import default_rng
from test_layers import LAYERS

from pipeline.settings.schema import Data
from pipeline.settings.study import load_task
from pipeline.tasks import lookup

ROWS, STEPS = 120, 8
Y = np.arange(ROWS) % 2
CLASSES = np.arange(ROWS) % 3
MARKED = np.tile(np.arange(STEPS) == 3, (ROWS, 1))
LENGTHS = 4 + np.arange(ROWS) % 5
PADDED = np.arange(STEPS) >= LENGTHS[:, None]


def planted(rng, y=Y):
    """Return x (rows, steps, 2) with the label in step 3, feature 0."""
    x = rng.standard_normal((ROWS, STEPS, 2))
    x[:, 3, 0] += 4 * y
    return x


def npz(change):
    """Return a maker of an .npz file of the arrays that `change` makes of x."""

    def make(rng, folder):
        np.savez(folder / "own.npz", **change(planted(rng)))
        return folder / "own.npz"

    return make


def lists(change):
    """Return a maker of a Parquet file with lists, its frame changed."""

    def make(rng, folder):
        frame = pd.DataFrame({"x": [a.tolist() for a in planted(rng)], "y": Y, "mask": [a.tolist() for a in MARKED]})
        change(frame).to_parquet(folder / "own.parquet")
        return folder / "own.parquet"

    return make


def long_rows(rng):
    """Return a row per step."""
    x = planted(rng).reshape(-1, 2)
    frame = pd.DataFrame({"id": np.repeat(np.arange(ROWS), STEPS), "t": np.tile(np.arange(STEPS), ROWS)})
    return frame.assign(a=x[:, 0], b=x[:, 1], label=np.repeat(Y, STEPS))


def long_csv(rng, folder):
    """Write a row per step, as text."""
    long_rows(rng).to_csv(folder / "own.csv", index=False)
    return folder / "own.csv"


def long_parquet(change):
    """Return a maker of a Parquet file with a row per step, its frame changed."""

    def make(rng, folder):
        change(long_rows(rng)).to_parquet(folder / "own.parquet")
        return folder / "own.parquet"

    return make


def row_per_sample(rng, folder):
    """Write a row per sample, of one feature."""
    pd.DataFrame(planted(rng)[:, :, 0]).assign(y=Y).to_csv(folder / "own.csv", index=False)
    return folder / "own.csv"


def only_x(rng, folder):
    """Write an .npy file, which holds one array."""
    np.save(folder / "own.npy", planted(rng))
    return folder / "own.npy"


def ts(rng, folder):
    """Write a .ts file."""
    (folder / "own.ts").write_text("@problemName toy\n@classLabel true 1 2\n@data\n1,2,3:1\n3,2,1:2\n")
    return folder / "own.ts"


def ragged(rng, folder):
    """Write lists of different lengths."""
    x = [a[:n].tolist() for a, n in zip(planted(rng), LENGTHS, strict=True)]
    pd.DataFrame({"x": x, "y": Y}).to_parquet(folder / "own.parquet")
    return folder / "own.parquet"


def filled(x, value):
    """Return x with a value behind the ends."""
    return np.where(PADDED[:, :, None], value, x)


MAKERS = {
    "c1_3class": npz(lambda x: {"x": x, "y": CLASSES}),
    "c1_strings": npz(lambda x: {"x": x, "y": np.array(["walk", "run", "sit"])[CLASSES]}),
    "c1_object": npz(lambda x: {"x": x, "y": np.array(["walk", "run", "sit"], object)[CLASSES]}),
    "c1_onehot": npz(lambda x: {"x": x, "y": np.eye(3)[CLASSES]}),
    "doc": npz(lambda x: {"x": x, "y": Y, "mask": MARKED}),
    "y_n1": npz(lambda x: {"x": x, "y": Y[:, None], "mask": MARKED}),
    "y_12": npz(lambda x: {"x": x, "y": Y + 1, "mask": MARKED}),
    "y_pm1": npz(lambda x: {"x": x, "y": 2 * Y - 1, "mask": MARKED}),
    "y_12s": npz(lambda x: {"x": x, "y": (Y + 1).astype(str), "mask": MARKED}),
    "x_nT": npz(lambda x: {"x": x[:, :, 0], "y": Y}),
    "no_names": npz(lambda x: {"arr_0": x, "arr_1": Y}),
    "x_only": only_x,
    "c9_mask3d": npz(lambda x: {"x": x, "y": Y, "mask": np.stack([MARKED, MARKED & False], axis=2)}),
    "c9_maskfloat": npz(lambda x: {"x": x, "y": Y, "mask": MARKED * 1.0}),
    "c9_masksoft": npz(lambda x: {"x": x, "y": Y, "mask": MARKED * 0.7}),
    "c9_mask_pos": npz(lambda x: {"x": x, "y": Y, "mask": MARKED & (Y == 1)[:, None]}),
    "c5_zero": npz(lambda x: {"x": filled(x, 0), "y": Y}),
    "c5_nan": npz(lambda x: {"x": filled(x, np.nan), "y": Y}),
    "c5_ragged_parquet": ragged,
    "c8_lists": lists(lambda d: d),
    "c8_Int64": lists(lambda d: d.assign(y=d.y.astype("Int64"))),
    "c8_category": lists(lambda d: d.assign(y=d.y.astype("category"))),
    "c8_stry": lists(lambda d: d.assign(y=np.where(d.y == 1, "yes", "no"))),
    "c8_shuffled_index": lists(lambda d: d.sample(frac=1, random_state=0)),
    "c8_nan_y": lists(lambda d: d.assign(y=d.y.astype(float).where(d.index != 5))),
    "c8_csv": row_per_sample,
    "c8_ts": ts,
    "c10_seq": npz(lambda x: {"x": x, "y": (x[:, :, 0] > 0).astype(int)}),
    "c12_1e9": npz(lambda x: {"x": x, "y": 1e9 + x[:, 3, 0], "mask": MARKED}),
    "c13_long": long_csv,
    "c13_long_parquet": long_parquet(lambda d: d),
    "c13_long_xy": long_parquet(lambda d: d.rename(columns={"label": "y"}).assign(x=d.a)),
    "c8_uni_lists": lists(lambda d: pd.DataFrame({"x": [[step[0] for step in a] for a in d.x], "y": d.y})),
    "c8_list_of_arrays": lists(lambda d: pd.DataFrame({"x": [[np.array(step) for step in a] for a in d.x], "y": d.y})),
    "c11_noise": npz(lambda x: {"x": x, "y": np.where(np.arange(ROWS) % 5 == 0, 1 - Y, Y), "mask": MARKED}),
    "c12_01": npz(lambda x: {"x": x, "y": (x[:, 3, 1] > 0).astype(int), "mask": MARKED}),
    "c2_long": npz(lambda x: {"x": x.astype("f4"), "y": Y, "mask": MARKED}),
    "c3_feature": npz(lambda x: {"x": x, "y": Y, "mask": MARKED}),
    "c5_ragged": npz(lambda x: {"x": np.array([a[:n] for a, n in zip(x, LENGTHS, strict=True)], object), "y": Y}),
    "c8_imb_nosignal": npz(lambda x: {"x": x, "y": (np.arange(ROWS) % 12 == 0) * 1, "mask": MARKED}),
    "c9_wide": npz(lambda x: {"x": x, "y": Y, "mask": np.tile(np.isin(np.arange(STEPS), range(1, 6)), (ROWS, 1))}),
    "c12_unit": npz(lambda x: {"x": x, "y": x[:, 3, 1], "mask": MARKED}),
    "c12_1e6": npz(lambda x: {"x": x, "y": 2e6 + 1e6 * x[:, 3, 1], "mask": MARKED}),
    "c12_xscale": npz(lambda x: {"x": x * 1e5, "y": Y, "mask": MARKED}),
    "g_groups": npz(lambda x: {"x": x, "y": np.arange(ROWS) // 20 % 2}),
}
LONG = {"sample": "id", "step": "t", "y": "label"}
PAD, NUMBERS = {"padded": True}, {"kind": "regression"}
TWO, THREE = [60, 60], [40, 40, 40]
UNRELATED = ("g_groups",)  # its labels are not in the samples
DRAWN = [  # case, options, features, samples per class (or bounds of the mean of y), marked steps in all samples
    ("c1_3class", {}, 2, THREE, 0),
    ("c1_strings", {}, 2, THREE, 0),
    ("c1_onehot", {}, 2, THREE, 0),
    ("c2_long", {}, 2, TWO, 120),
    ("doc", {}, 2, TWO, 120),
    ("y_n1", {}, 2, TWO, 120),
    ("y_12", {}, 2, TWO, 120),
    ("y_pm1", {}, 2, TWO, 120),
    ("y_12s", {}, 2, TWO, 120),
    ("x_nT", {}, 1, TWO, 0),
    ("no_names", {}, 2, TWO, 0),
    ("c3_feature", {}, 2, TWO, 120),
    ("c9_mask3d", {}, 2, TWO, 120),
    ("c9_maskfloat", {}, 2, TWO, 120),
    ("c9_mask_pos", {}, 2, TWO, 60),
    ("c9_wide", {}, 2, TWO, 600),
    ("c5_zero", {}, 2, TWO, 0),
    ("c5_nan", PAD, 2, TWO, 0),
    ("c5_ragged_parquet", PAD, 2, TWO, 0),
    ("c8_imb_nosignal", {}, 2, [110, 10], 120),
    ("c8_lists", {}, 2, TWO, 120),
    ("c8_Int64", {}, 2, TWO, 120),
    ("c8_category", {}, 2, TWO, 120),
    ("c8_stry", {}, 2, TWO, 120),
    ("c8_shuffled_index", {}, 2, TWO, 120),
    ("c8_csv", {}, 1, TWO, 0),
    ("c12_unit", NUMBERS, 2, (-0.5, 0.5), 120),
    ("c12_1e6", NUMBERS, 2, (1.5e6, 2.5e6), 120),
    ("c12_xscale", {}, 2, TWO, 120),
    ("c13_long", LONG, 2, TWO, 0),
    ("c13_long_parquet", LONG, 2, TWO, 0),
    ("c13_long_xy", LONG | {"y": "y"}, 3, TWO, 0),
    ("c8_uni_lists", {}, 1, TWO, 0),
    ("c8_list_of_arrays", {}, 2, TWO, 0),
    ("c11_noise", {}, 2, TWO, 120),
    ("c12_01", {}, 2, (0.3, 0.7), 120),
    ("g_groups", {}, 2, TWO, 0),
]
REFUSED = [  # case, options, sentence
    ("c1_object", {}, "y is an array of Python objects (dtype=object), which could run code"),
    ("x_only", {}, "an .npy file holds one array: name a folder that holds x.npy and y.npy."),
    ("c9_masksoft", {}, "mask holds 0.7: it must be 0 or 1; save mask > 0.5, for example."),
    (
        "c5_nan",
        {},
        "task.padded is false: it must be true if samples end where x is NaN from there on, as in 96 of 120",
    ),
    ("c5_ragged", {}, "x is an array of Python objects (dtype=object), which could run code"),
    ("c5_ragged", PAD, "x is an array of Python objects (dtype=object), which could run code"),
    ("c5_ragged_parquet", {}, "all must have the same number of steps, unless task.padded is true."),
    ("c8_nan_y", {}, "y is missing (NaN or None) in 1 of 120 samples (the first is sample 5): leave these samples out"),
    ("c8_ts", {}, "files that end in .ts are not read; save it as .npz: x, y = aeon.datasets.load_from_ts_file(PATH)"),
    ("c10_seq", {}, "y is (120, 8): it must be (120,), a label for each sample of x."),
    ("c12_1e9", NUMBERS, "y is too far from 0: float32 would merge its 120 different values into 1, such as"),
    (
        "c13_long",
        {},
        "it holds id, t, a, b, label; it must hold y: name the column with the labels in task.y, and if a row",
    ),
]


def drawn(make, folder, options, features=2):
    """Return x, y, mask of all samples of a case."""
    path = make(default_rng(0), folder)
    task = load_task("file") | {"path": str(path), "standardise": "never"} | options
    data = Data(100, 0.2, STEPS, features, 3, "zero_one", 0)
    lookup.check_task(task, data, 20)
    return lookup.draw_of(task)(None, None, ROWS, data)


@pytest.mark.parametrize("row", DRAWN, ids=lambda row: row[0])
def test_a_case_is_drawn(tmp_path, row):
    case, options, features, labels, marked = row
    x, y, mask = drawn(MAKERS[case], tmp_path, options, features)
    assert x.shape == (ROWS, STEPS, features)
    assert mask.sum() == marked
    if isinstance(labels, tuple):
        assert labels[0] < y.mean() < labels[1]
    else:
        assert np.bincount(y.astype(int)).tolist() == labels
    if labels == TWO and case not in UNRELATED:
        assert x[y == 1, 3, 0].mean() - x[y == 0, 3, 0].mean() > 2  # samples keep their labels, and steps their place


@pytest.mark.parametrize(("case", "options", "sentence"), REFUSED)
def test_a_case_is_refused(tmp_path, case, options, sentence):
    with one_sentence(sentence):
        drawn(MAKERS[case], tmp_path, options)


def test_every_case_has_an_answer():
    assert {row[0] for row in (*DRAWN, *REFUSED)} == set(MAKERS)


def test_every_layer_that_people_write_is_trained_and_read():
    names = "MHSelf AttentionWithContext SigmoidAttention FeatureAttention StackedDropout BatchNormed TwoDense"
    assert set(names.split()) <= {target.rpartition(".")[2] for target in LAYERS}

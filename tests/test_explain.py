"""New samples explained by a trained model: arrays that add up, a page without a network, and what is refused."""

import dataclasses
import re

import numpy as np
import pytest
from conftest import REPOSITORY, code_blocks, one_sentence
from numpy.random import SeedSequence, default_rng
from scipy.special import expit, softmax

from pipeline.measures import attribution, explain_samples
from pipeline.models import build
from pipeline.models.output_kinds import output_of
from pipeline.report import explained_page
from pipeline.results import explained_files
from pipeline.results.stage_files import Snapshots, TrainedSeed
from pipeline.settings.schema import Data, Explain, Model, Shape
from pipeline.settings.study import load_variant, params
from pipeline.tasks import new_samples

DATA = Data(480, 0.2, 6, 2, 3, "zero_one", 0)


def explained_by(classes=()):
    """Return samples explained by an untrained model, and its logits of the mean of the training samples."""
    variant, model = load_variant("after_unshared"), Model(4, "lstm")
    explain = Explain(64, 3, 10, 0.01, 0)
    study = dataclasses.replace(params(), data=DATA, model=model, variant=variant, explain=explain)
    last = output_of(False, classes).last
    weights = build.get_weights(build.build(DATA.shape, model, variant, SeedSequence(1), last).classifier)
    x, training = (default_rng(seed).normal(size=(12, 6, 2)).astype("float32") for seed in (0, 1))
    logits = build.build(DATA.shape, model, variant, SeedSequence(1), last._replace(activation="linear")).classifier
    trained = TrainedSeed(weights, Snapshots(np.zeros(1, int), {}), [], 0, {}, classes=classes)
    found = explain_samples.explain(study, trained, x, training)
    return found, np.array(logits(training.mean(axis=0)[None]))[0]


@pytest.fixture(scope="module")
def explained():
    return explained_by()


def test_the_arrays_add_up(explained):
    found, at_mean = explained
    np.testing.assert_allclose(found.prediction, expit(found.output))
    np.testing.assert_allclose(found.attention.sum(axis=1), 1, rtol=1e-5)
    assert found.attention.shape == (12, 6, 4)
    np.testing.assert_array_equal(found.gradient_x_input, found.x * found.gradient)
    np.testing.assert_allclose(found.integrated_gradients.sum(axis=(1, 2)), found.output - at_mean, atol=1e-4)
    assert found.occlusion.shape == found.x.shape == (12, 6, 2)


def test_of_three_classes_the_predicted_one_is_explained(tmp_path):
    found, at_mean = explained_by(("run", "sit", "walk"))
    np.testing.assert_allclose(found.prediction.sum(axis=1), 1)
    np.testing.assert_array_equal(found.target, found.prediction.argmax(axis=1))
    own = found.prediction.max(axis=1)
    np.testing.assert_allclose(found.output, np.log(own / (1 - own)), rtol=1e-4, atol=1e-6)
    shares = softmax(at_mean)[found.target]
    added = found.integrated_gradients.sum(axis=(1, 2))
    np.testing.assert_allclose(added, found.output - np.log(shares / (1 - shares)), atol=1e-4)
    first = type(found)(*(array[:1] for array in found))
    explained_page.write(tmp_path, first, "mine", ("run", "sit", "walk"))
    name = ("run", "sit", "walk")[found.target[0]]
    assert f"Sample 0: probability of {name} {own[0]:.6g}" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_occlusion_by_feature_by_hand():
    """Of a linear model, the change is that of the value, on average, times its weight."""
    weights, x, others = np.array([[1.0, -2.0], [0.0, 3.0]]), np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)
    found = attribution.occlusion_by_feature(lambda x: (x * weights).sum(axis=(1, 2)), x, others, 2)
    np.testing.assert_allclose(found, [[[0.5, -1], [0, 1.5]]])


def test_a_value_that_half_of_the_samples_have_otherwise_meets_the_other_one():
    """However few replacements there are: at least half of them have the other label."""
    others = np.stack([default_rng(1).permutation(np.arange(20) % 2), default_rng(2).permutation(20)], axis=1)[:, None]
    for key in (0.0, 1.0):
        x = np.array([[[key, 0.5]]])
        found = attribution.occlusion_by_feature(lambda x: x[:, 0, 0], x, others.astype(float), 2)
        np.testing.assert_allclose(found, [[[key - 0.5, 0]]])


def test_maps_are_measured_against_a_mask_by_hand():
    x, occlusion = np.ones((1, 2, 2), "float32"), np.array([[[0, -3.0], [1, 0]]])
    attention = np.array([[[0.2, 0.2, 0.8], [0.8, 0.8, 0.2]]])  # three heads: 0.4 and 0.6
    maps = {"attention": attention, "occlusion": occlusion, "integrated_gradients": occlusion}
    empty = dict.fromkeys(explained_files.Explained._fields, np.zeros(1))
    found = explained_files.Explained(**empty | {"x": x, "gradient_x_input": np.abs(occlusion)} | maps)
    of_steps = {
        row.pop("map"): tuple(row.values())
        for row in explain_samples.measured(found, np.array([[True, False]]), attends_features=False)
    }
    assert of_steps["occlusion"] == ("steps", 0.75, 0.5, 1, 1)
    assert of_steps["attention"] == ("steps", pytest.approx(0.4), pytest.approx(-0.2), 0, 0.5)
    assert of_steps["equal weights"] == ("steps", 0.5, 0, 0.5, 0.5)
    mask = np.array([[[False, True], [False, False]]])
    rows = explain_samples.measured(found, mask, attends_features=False)
    of_cells = {row["map"]: row for row in rows if row["over"] == "steps and features"}
    assert set(of_cells) == {"gradient_x_input", "integrated_gradients", "occlusion", "equal weights"}
    assert of_cells["occlusion"]["key_mass"] == 0.75
    assert of_cells["occlusion"]["key_skill"] == pytest.approx(2 / 3)
    assert of_cells["equal weights"]["key_mass"] == 0.25
    assert len(rows) == 9
    with_features = explain_samples.measured(found._replace(attention=attention[:, :, :2]), mask, attends_features=True)
    assert with_features[5] == {
        "map": "attention",
        "over": "steps and features",
        "key_mass": 0.1,
        "key_skill": pytest.approx(-0.2),
        "hit_rate": 0,
        "average_precision": 0.25,
    }


def test_the_page_needs_no_network_and_shows_each_sample(explained, tmp_path):
    explained_files.write_explained(tmp_path, explained[0])
    explained_page.write(tmp_path, explained[0], "mine", ("label 0", "label 1"))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 11  # the mean, and ten of twelve samples
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert f"Sample 9: probability of label 1 {explained[0].prediction[9]:.6g}" in page
    assert f"<td>{explained[0].prediction[11]:.6g}</td>" in page
    assert "Against the mask" not in page
    with np.load(tmp_path / "explained.npz") as arrays:
        assert set(arrays) == set(explained[0]._fields)


def test_the_page_shows_what_a_mask_says(explained, tmp_path):
    mask = np.zeros((12, 6, 2), bool)
    mask[:, 3, 1] = True
    against = explained_files.AgainstMask(mask, explain_samples.measured(explained[0], mask, False))
    explained_files.write_explained(tmp_path, explained[0], against)
    explained_page.write(tmp_path, explained[0], "mine", ("label 0", "label 1"), against)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<td>occlusion</td>\n<td>steps and features</td>" in page
    rows = (tmp_path / "measures.csv").read_text().splitlines()
    assert rows[0] == "map,over,key_mass,key_skill,hit_rate,average_precision"
    assert rows[-1].startswith("equal weights,steps and features,0.0833333")


def test_samples_that_do_not_fit_are_refused(tmp_path):
    path = str(tmp_path / "new.npz")
    np.savez(path, x=np.zeros((2, 3)), y=np.zeros(2), other=np.zeros(1))
    with one_sentence("it holds x, other; it must hold x, and besides only y and mask."):
        new_samples.samples_in(path)
    with one_sentence("samples is new.csv: it must be an .npz file with an array x, or an .npy file."):
        new_samples.samples_in("new.csv")
    with one_sentence("samples is none.npy: No such file or directory."):
        new_samples.samples_in("none.npy")
    with one_sentence("samples are (2, 3, 1): they must be (samples, 6, 2), as those that the model was trained on."):
        new_samples.check_shape(np.zeros((2, 3, 1)), Shape(6, 2))
    with one_sentence("samples: x holds NaN or infinite values in 1 of 2 samples"):
        new_samples.check_shape(np.array([[1.0, 2.0], [np.nan, 0]]), Shape(2, 1))
    np.savez(path, x=np.zeros((2, 3)), y=np.zeros(2))
    x, mask = new_samples.samples_in(path)
    assert new_samples.check_shape(x, Shape(3, 1)).shape == (2, 3, 1)
    assert mask is None
    np.savez(path, x=np.zeros((2, 3)), mask=np.eye(3)[:2])
    x, mask = new_samples.samples_in(path)
    found = new_samples.check_shape(x, Shape(3, 1))
    np.testing.assert_array_equal(new_samples.check_mask(mask, found), np.eye(3, dtype=bool)[:2])
    with one_sentence("samples: mask holds 0.5: it must be 0 or 1; save mask > 0.5, for example."):
        new_samples.check_mask(mask / 2, found)


@pytest.mark.long  # takes half a minute
@pytest.mark.slow
def test_the_page_on_steps_and_features(fresh):
    python, console, _ = code_blocks("which-step-which-feature.md")
    assert len(python.splitlines() + console.splitlines()) < 20
    fresh.write("params.yaml", (REPOSITORY / "params.yaml").read_text(encoding="utf-8"))  # as a user has it
    fresh.write("digits.py", python)
    fresh.run("python", "digits.py")
    fresh.run("bash", "-ec", console)
    folder = fresh.root / "outputs/explained/before_unshared"
    with np.load(folder / "explained.npz") as arrays:
        peaks = {name: np.abs(arrays[name]).mean(axis=0) for name in explained_page.TITLES}
    assert {name: int(values.argmax()) // 8 for name, values in peaks.items()} == dict.fromkeys(peaks, 5)
    assert {int(values.argmax()) % 8 for name, values in peaks.items() if name != "attention"} == {2}
    assert "data:image/png" in (folder / "index.html").read_text(encoding="utf-8")

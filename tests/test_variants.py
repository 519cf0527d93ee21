"""Every kind of attention, every task, and what a user's layer must return."""

import dataclasses

import numpy as np
import pytest
from conftest import code_blocks, one_sentence, user_samples

from pipeline.measures import read_model
from pipeline.models import build, fit
from pipeline.models.attention_layers import LuongAttention, MultiHeadPooling, SelfAttentionPooling
from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.settings.project import names_in
from pipeline.settings.schema import Data, Explain, Model, Probe, Train, Variant
from pipeline.settings.study import load_task, load_variant, params
from pipeline.tasks import lookup

DATA = Data(480, 0.2, 6, 2, 3, "zero_one", 0)
SMALL = {"redundant_keys": {"key_steps": [1, 4]}, "xor_keys": {"key_steps": [1, 4]}}
ARTICLES = ("before_shared", "before_unshared", "after_shared", "after_unshared", "dense")
FIXED = ("before_one_step", "after_one_step", "before_averted", "after_averted")
MULTIPLIES = (*ARTICLES, *FIXED)
EXPERIMENTS = (*FIXED, "self_attention")  # those of named experiments alone
REGRESSIONS = ("after_shared", "before_averted", "bahdanau", "none")  # whose last layer alone is another: one of a kind


def study(variant, task="planted_key", data=DATA, cell="lstm"):
    settings = {"train": Train(1, 16, 0.02, 8, 2), "probe": Probe(20), "explain": Explain(2, 1, 96, 0.01, 0)}
    chosen = load_variant(variant)
    if chosen.attention and "step" in chosen.attention:
        chosen = dataclasses.replace(chosen, attention=chosen.attention | {"step": 3})
    settings |= {"task": load_task(task) | SMALL.get(task, {}), "variant": chosen}
    return dataclasses.replace(params(), data=data, model=Model(4, cell), **settings)


def weights_of(variant, seed=0, cell="lstm"):
    """Return the initial weights of a seed."""
    built = build.build(DATA, Model(4, cell), load_variant(variant), np.random.SeedSequence(seed))
    return build.get_weights(built.classifier)


def split(folder, config):
    folder.mkdir()
    splits.write(folder, range(96), config.data, np.random.SeedSequence(0), lookup.draw_of(config.task))
    return Split(folder, 96)


def go_through(config, folder):
    """Train and analyze one seed, and return its attention weights by feature or head, too."""
    samples = split(folder, config)
    trained = fit.train_seed(config, 0, samples, samples, lambda points: None)
    analyzed = read_model.analyze_seed(config, samples, samples, 0, trained)
    return trained, analyzed, read_model.attention(config, trained.weights, samples.rows("x"))


def check_all_measures(variant, task, folder):
    config = study(variant, task, dataclasses.replace(DATA, input_dim=1))
    trained, (attention, attended, explained), heads = go_through(config, folder)
    assert np.isfinite([trained.loss, *trained.scores.values()]).all()
    assert attention.shape == (96, 6)
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(heads.mean(axis=(0, 2)), attended.vector, rtol=1e-5)
    assert heads.shape[2] == 4 or variant not in ("multi_head", "self_attention")
    moved = {name for name in attended.measures if name.startswith("permuted")}
    assert moved == ({"permuted_change", "permuted_score"} if variant in MULTIPLIES else set())
    assert attended.steps.keys() >= {"readout", "gain"}
    assert ("key_mass_y0" in attended.measures) != config.regression
    assert {"untrained attention", "occlusion"} < explained.scores.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=pytest.mark.long) if v in EXPERIMENTS else v for v in names_in("variant")]
)
def test_every_variant_goes_through_a_classification(variant, tmp_path):
    check_all_measures(variant, "planted_key", tmp_path / "data")


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", ["multi_head", *(pytest.param(name, marks=pytest.mark.long) for name in REGRESSIONS)]
)  # `before_unshared` and `luong` go through each task below
def test_a_variant_of_each_kind_goes_through_a_regression(variant, tmp_path):
    check_all_measures(variant, "find_max", tmp_path / "data")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["before_unshared", pytest.param("luong", marks=pytest.mark.long)])
def test_every_task_goes_through_a_variant(variant, tmp_path):
    SMALL["file"] = {"path": str(tmp_path / "samples.npz")}
    np.savez(tmp_path / "samples.npz", **user_samples(96, 6, 1, 3))
    for task in sorted(names_in("task"), key=lambda name: load_task(name)["kind"]):
        # The model is compiled once for each kind of task, because all samples have the same shape.
        check_all_measures(variant, task, tmp_path / task)


@pytest.mark.parametrize("cell", ["gru", "bidirectional"])
@pytest.mark.parametrize("variant", ["before_shared", "after_unshared"])
def test_other_cells_are_built_and_learn(variant, cell, tmp_path):
    config = study(variant, cell=cell)
    built = build.build(config.data, config.model, config.variant, np.random.SeedSequence(0))
    assert cell in [layer.name for layer in built.classifier.layers]
    config = dataclasses.replace(config, train=Train(60, 16, 0.02, 8, 2))
    trained, *_ = go_through(config, tmp_path / "data")
    assert trained.scores["accuracy"] > 0.9


def test_both_directions_start_from_different_weights():
    weights = weights_of("none", cell="bidirectional").items()
    forward, backward = (
        [array for path, array in weights if name in path and "bias" not in path] for name in ("forward", "backward")
    )
    assert len(forward) == len(backward) == 2
    assert all((a != b).any() for a, b in zip(forward, backward, strict=True))


@pytest.mark.parametrize("variant", ["luong", "bahdanau", "multi_head", "self_attention"])
def test_a_seed_determines_the_weights_of_layers_that_draw_their_own(variant):
    first, again, other = (weights_of(variant, seed) for seed in (1, 1, 2))
    np.testing.assert_equal(first, again)
    assert any((first[path] != other[path]).any() for path in first if "attention" in path)


def test_luongs_weights_by_hand():
    layer = LuongAttention(units=1)
    states = np.array([[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]], "float32")
    layer(states)
    layer.keys.kernel.assign([[1.0, 0.0], [0.0, 2.0]])  # keys: (1, 0), (0, 4), (1, 2)
    layer.combine.kernel.assign(kernel := [[0.5], [-1.0], [0.25], [1.0]])
    output, weights = layer(states, return_attention_scores=True)
    scores = np.exp([1.0, 4.0, 3.0])  # times the query, (1, 1)
    np.testing.assert_allclose(np.asarray(weights)[0], scores / scores.sum(), rtol=1e-6)
    context = (scores / scores.sum()) @ states[0]
    np.testing.assert_allclose(np.asarray(output)[0], np.tanh(np.concatenate([context, [1, 1]]) @ kernel), rtol=1e-5)


def test_self_attention_by_hand():
    layer = SelfAttentionPooling(heads=1, key_dim=1)
    states = np.array([[[0.0], [1.0], [3.0]]], "float32")
    layer(states)
    for part, kernel in (("query", 1.0), ("key", 2.0), ("value", 5.0)):
        getattr(layer.inner, f"_{part}_dense").kernel.assign([[[kernel]]])
    layer.inner._output_dense.kernel.assign([[[0.5]]])
    output, weights = layer(states, return_attention_scores=True)
    scores = np.exp(2 * np.outer(states, states))  # a row for each query
    each = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(weights)[0, :, 0], each.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(output)[0], (each @ (0.5 * 5 * states[0])).mean(axis=0), rtol=1e-5)


def test_the_received_attention_of_several_heads_is_by_head():
    layer = SelfAttentionPooling(heads=3, key_dim=2)
    output, weights = layer(np.random.default_rng(0).normal(size=(4, 6, 2)), return_attention_scores=True)
    assert output.shape == (4, 2)
    assert weights.shape == (4, 6, 3)
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("step", [-1, 6, 99, 1.5])
@pytest.mark.parametrize("variant", ["before_one_step", "after_averted"])
def test_a_step_outside_the_sequence_is_named(variant, step):
    chosen = load_variant(variant)
    chosen = dataclasses.replace(chosen, attention=chosen.attention | {"step": step})
    with one_sentence(f"variant {variant}: its attention layer cannot give (output, weights) for (None, 6, ") as error:
        build.build(DATA.shape, Model(4, "lstm"), chosen, np.random.SeedSequence(0))
    assert str(error.value).endswith(f": step is {step}: it must be 0 to 5.")


def test_weights_of_several_heads_are_by_head():
    layer = MultiHeadPooling(heads=3, key_dim=2, units=5)
    output, weights = layer(np.random.default_rng(0).normal(size=(4, 6, 2)), return_attention_scores=True)
    assert output.shape == (4, 5)
    assert weights.shape == (4, 6, 3)
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1, rtol=1e-5)


def broken(x, weights):
    raise RuntimeError("this layer\ndoes not work")


TILT = np.array([-1, 1, 0, 0, 0, 0], "float32")
WRONG = {  # the sentence -> what a layer returns, given its inputs and correct weights
    "mine: an attention weight is -0.833333: none may be negative.": lambda x, w: (x, w + TILT),
    "sample 0, step 0, feature 0 is nan: it must be a finite number.": lambda x, w: (x, w * float("nan")),
    "of shape (None, 5): it must be (batch, 6), (batch, 6, features) or (batch, heads, 6, 6).": lambda x, w: (
        x,
        w[:, 1:],
    ),
    "gives an output of shape (None,): it must be (batch, units) or (batch, steps, features).": lambda x, w: (
        x[:, 0, 0],
        w,
    ),
    "cannot give (output, weights) for (None, 6, 2)": lambda x, w: x,
    "this layer does not work": broken,
    "gives a object: it must be a Keras layer.": None,
}


def wrong_layer(sentence, name):
    import keras

    class Layer(keras.layers.Layer):
        def call(self, inputs, return_attention_scores=False):
            return WRONG[sentence](inputs, keras.ops.ones_like(inputs[:, :, 0]) / inputs.shape[1])

    return Layer(name=name) if WRONG[sentence] else object()


@pytest.mark.parametrize("sentence", WRONG)
def test_a_layer_that_returns_something_else_is_refused_before_training(sentence, tmp_path):
    attention = {"_target_": f"{__name__}.wrong_layer", "sentence": sentence}
    config = dataclasses.replace(study("none"), variant=Variant("before", name="mine", attention=attention))
    samples = split(tmp_path / "data", config)
    with one_sentence(sentence):
        fit.train_seed(config, 0, samples, samples, lambda points: pytest.fail("training began"))


def test_unknown_arguments_of_a_layer_are_named():
    attention = {"_target_": "pipeline.attention.LuongAttention", "unitz": 3}
    with one_sentence("LuongAttention cannot be created with {'unitz': 3}"):
        build.attention_layer(Variant("after", name="mine", attention=attention), 0)


def run_study(project, variant):
    """Run the stages of a study of one variant, which are those that DVC would run."""
    stages = ["dataset", f"define@{variant}", f"train@{variant}", f"analyze@{variant}", "controls", "compare"]
    assert project.status().keys() == set(stages)
    for stage, _, name in (stage.partition("@") for stage in stages):
        project.stage(stage, *[f"+variant={name}"] * bool(name))


def load_as_the_page_says(project):
    """Load a model with a layer of the user's own in a process of its own: it predicts what `explain` says."""
    python, console = code_blocks("models.md")
    [(run,)] = project.query("SELECT run_uuid FROM runs WHERE name = 'mine, seed 7'")
    np.save(project.root / "new.npy", np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32"))
    environment = {"MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db", "PYTHONPATH": ""}
    project.run("python", "-c", python.replace("RUN", run), env=environment)
    project.run("bash", "-ec", console.replace("RUN", run))
    with np.load(project.root / "outputs/explained/mine/explained.npz") as explained:
        predicted = np.load(project.root / "predicted.npy")[:, 0]
        np.testing.assert_allclose(predicted, explained["prediction"], rtol=1e-5)


@pytest.mark.long  # takes half a minute
@pytest.mark.slow
def test_the_page_on_your_own_attention(fresh):
    python, variant, packages = code_blocks("your-attention.md")[:3]
    assert len([line for line in python.splitlines() if line]) < 20
    fresh.write("my_attention.py", python)
    fresh.write("conf/variant/mine.yaml", variant)
    fresh.run("git", "init", "-q")
    error = fresh.stage("train", "+variant=mine", code=1).stderr
    assert "variant.attention._target_ is my_attention.ScoredSum: it must be a function or class of pipe" in error
    fresh.replace("conf/config.yaml", "  - pipeline\n  - keras\n", packages.split("\n", 1)[1] + "\n")
    fresh.change({"variants": ["mine"]})
    run_study(fresh, "mine")
    assert {row["variant"] for row in fresh.rows("comparison/runs.csv")} == {"mine"}
    figures = sorted(path.name for path in (fresh.root / "comparison/figures").iterdir())
    assert figures == ["attention.png", "by_step.png", "explanations.png", "learning.png"]
    assert "takes variants of all four combinations" in fresh.read("comparison/report.md")
    seeds = "SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'seed'"
    assert fresh.query(f"SELECT value FROM tags WHERE key = 'variant' AND run_uuid IN ({seeds})") == [("mine",)] * 2
    load_as_the_page_says(fresh)
    fresh.replace("my_attention.py", "axis=1", "axis=-2")
    error = fresh.stage("compare", code=1).stderr
    assert "models/mine was made with other values (variant.attention._source_" in error
    assert "run `python -m pipeline.train +variant=mine`." in error


@pytest.mark.long  # takes half a minute
@pytest.mark.slow
def test_a_study_of_a_regression(fresh):
    fresh.change({"task": {"name": "find_max"}, "variants": ["after_unshared"], "train": {"epochs": 4}})
    fresh.run("git", "init", "-q")
    run_study(fresh, "after_unshared")
    rows = fresh.rows("comparison/runs.csv")
    assert len(rows) == 2
    assert all(row["r2"] <= 1 and "accuracy" not in row and "key_mass_y0" not in row for row in rows)
    report = fresh.read("comparison/report.md")
    for words in ("task `find_max`", "held-out R²", "R² lies between", "*Not learned*: held-out R² below 0.95"):
        assert words in report
    controls = fresh.rows("controls/controls.csv")
    assert {row["control"] for row in controls} == {"frozen uniform", "no attention", "one feature", "null key"}
    assert max(row["r2"] for row in controls if row["control"] == "null key") < 0.2


@pytest.mark.long  # as other values by hand do (test_pipeline.py)
@pytest.mark.slow
def test_another_task_by_hand_leaves_the_study_alone(fresh):
    words = ("task=xor_keys", "task.key_steps=[1,4]")
    fresh.stage("dataset", *words)
    assert not (fresh.root / "data").exists()
    for stage in ("train", "analyze"):
        assert "Results are in outputs/" in fresh.stage(stage, "+variant=none", *words).stdout

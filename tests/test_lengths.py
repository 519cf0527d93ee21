"""Sequences of different lengths: read in each form, passed over by models, and measured over their own steps."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import one_sentence
from numpy.random import SeedSequence, default_rng
from pyarrow import parquet

from pipeline.measures import attention_measures, attribution, interventions, linear_readout, read_model
from pipeline.models import build, functions
from pipeline.models.output import Last
from pipeline.models.output_kinds import TWO_CLASSES
from pipeline.results.padding import PADDING, padded, valid_steps
from pipeline.results.stage_files import PADDING_MASS, Snapshots, TrainedSeed
from pipeline.settings.schema import Data, Model, Shape, Variant
from pipeline.settings.study import load_task, load_variant, params
from pipeline.tasks import lookup
from pipeline.tasks.new_samples import check_shape

DATA = Data(80, 0.25, 6, 2, 3, "zero_one", 0)
LENGTHS = np.tile([6, 4, 2, 5], 25)
VALID = np.arange(6) < LENGTHS[:, None]
LSTM = Model(4, "lstm")
OURS = ("before_shared", "before_unshared", "after_shared", "after_unshared", "luong", "bahdanau", "multi_head")
LAYERS = (*OURS, "self_attention", "none", "after_one_step", "before_averted", "dense")


def samples():
    x = default_rng(0).standard_normal((100, 6, 2)).astype(np.float32)
    x[:, 0, 0] = np.arange(100)  # its number
    return x, np.arange(100) % 3 % 2


def drawn(path, data=DATA, **options):
    task = load_task("file") | {"path": str(path), "standardise": "never", "padded": True} | options
    return lookup.draw_of(task)(None, None, 100, data)


def npz(folder, **arrays):
    x, y = samples()
    np.savez(folder / "own.npz", **{"x": x, "y": y} | arrays)
    return folder / "own.npz"


def nan_padded(folder, **arrays):
    x, _ = samples()
    return npz(folder, x=padded(x, VALID, np.nan), **arrays)


def zero_padded(folder):
    x, _ = samples()
    return npz(folder, x=padded(x, VALID, 0), lengths=LENGTHS)


def ragged(folder):
    x, y = samples()
    lists = [sample[:length].tolist() for sample, length in zip(x, LENGTHS, strict=True)]
    parquet.write_table(pa.table({"x": lists, "y": y}), folder / "own.parquet")
    return folder / "own.parquet"


def long(folder):
    x, y = samples()
    names, steps = np.nonzero(VALID)
    frame = pd.DataFrame({"id": names, "t": steps, "a": x[VALID][:, 0], "b": x[VALID][:, 1], "y": y[names]})
    frame.sample(frac=1, random_state=0).to_csv(folder / "own.csv", index=False)
    return folder / "own.csv"


@pytest.mark.parametrize("form", [nan_padded, zero_padded, ragged, long])
def test_each_form_is_read(tmp_path, form):
    options = {"sample": "id", "step": "t"} if form is long else {}
    found, _, mask = drawn(form(tmp_path), **options)
    order = np.argsort(found[:, 0, 0])
    x, _ = samples()
    np.testing.assert_allclose(found[order], padded(x, VALID, PADDING), rtol=1e-6)
    assert not mask.any()


def test_a_row_per_sample_may_end_early(tmp_path):
    x, y = samples()
    frame = pd.DataFrame(padded(x[:, :, 0], VALID, np.nan)).assign(y=y)
    frame.to_csv(tmp_path / "own.csv", index=False)
    found, _, _ = drawn(tmp_path / "own.csv", dataclasses.replace(DATA, input_dim=1))
    np.testing.assert_array_equal(valid_steps(found[np.argsort(found[:, 0, 0])]), VALID)


def test_what_does_not_fit_is_refused(tmp_path):
    x, _ = samples()
    within = padded(x, VALID, np.nan)
    within[0, 2, 1] = np.nan
    marked = np.tile(np.arange(6) == 4, (100, 1))
    cases = (
        ({"x": within}, "x holds NaN or infinite values"),
        ({"lengths": LENGTHS}, "x is not 0 behind the ends of 75 samples"),
        ({"lengths": LENGTHS + 1}, "the length of sample 0 is 7: it must be a whole number, 1 to 6"),
        ({"lengths": LENGTHS[:9]}, "lengths are int64 (9,): they must be whole numbers, (100,)"),
        ({"x": padded(x, np.arange(6) < 1 + VALID * 0, np.nan)}, "sample 0 has fewer than 2 time steps"),
        ({"x": padded(x, VALID, np.nan), "mask": marked}, "mask marks steps behind the ends of 50 samples"),
    )
    for arrays, sentence in cases:
        with one_sentence(sentence):
            drawn(npz(tmp_path, **arrays))
        (tmp_path / "own.npz").unlink()


def test_without_the_option_a_sentence_names_it(tmp_path):
    with one_sentence("task.padded is false: it must be true if samples end where x is NaN"):
        drawn(nan_padded(tmp_path), padded=False)
    with one_sentence("unless task.padded is true"):
        drawn(ragged(tmp_path), padded=False)


def test_zeros_at_the_end_are_pointed_out(tmp_path, capsys):
    x, _ = samples()
    task = load_task("file") | {"path": str(npz(tmp_path, x=padded(x, VALID, 0))), "standardise": "never"}
    lookup.draw_of(task)(None, None, 100, DATA)
    assert "75% of the samples end in steps of zeros" in capsys.readouterr().out


def test_padding_has_no_part_in_the_scale(tmp_path):
    found, _, _ = drawn(nan_padded(tmp_path), standardise="always")
    training, valid = found[: DATA.train_samples], valid_steps(found[: DATA.train_samples])
    np.testing.assert_allclose(training[valid].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(training[valid].std(axis=0), 1, rtol=1e-5)
    assert (training[~valid] == PADDING).all()


def test_new_samples_may_be_shorter():
    x, _ = samples()
    found = check_shape(x[:, :4], Shape(6, 2), padded=True)
    np.testing.assert_array_equal(
        found, padded(np.pad(x[:, :4], ((0, 0), (0, 2), (0, 0))), np.arange(6) < 4 + 0 * VALID)
    )


def of_variant(name, steps=6, cell="lstm"):
    variant = load_variant(name)
    if "step" in (variant.attention or {}):  # theirs is for 20 steps; three of four samples end before this one
        variant = dataclasses.replace(variant, attention=variant.attention | {"step": 5})
    return functions.functions(Shape(steps, 2), Model(4, cell), variant, TWO_CLASSES.output, True)


@pytest.mark.parametrize("variant", LAYERS)
def test_no_layer_of_ours_attends_to_padding(variant):
    x, _ = samples()
    weights = of_variant(variant).attention(padded(x, VALID))
    assert (weights[~VALID] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("variant", "cell"), [("self_attention", "lstm"), ("luong", "gru"), ("luong", "bidirectional")]
)
def test_more_padding_changes_no_prediction(variant, cell):
    """The same weights on six steps, and on these with four padded ones behind: Keras' states go on to the end."""
    x, _ = samples()
    x[:, 0, 0] = 0
    short, long = of_variant(variant, cell=cell), of_variant(variant, 10, cell)
    build.set_weights(long.model.classifier, build.get_weights(short.model.classifier))
    more = np.concatenate([padded(x, VALID), np.full((100, 4, 2), PADDING, np.float32)], axis=1)
    np.testing.assert_allclose(long.logit(more), short.logit(padded(x, VALID)), atol=1e-6)
    cut = functions.functions(Shape(4, 2), Model(4, cell), load_variant(variant))
    build.set_weights(cut.model.classifier, build.get_weights(short.model.classifier))
    np.testing.assert_allclose(cut.logit(x[1::4, :4]), short.logit(padded(x, VALID)[1::4]), atol=1e-6)


@pytest.mark.parametrize("variant", ["before_unshared", "after_unshared", "luong"])
def test_the_gradient_by_padding_is_zero(variant):
    x, _ = samples()
    gradient = of_variant(variant).explained(np.ones(100, np.int64))[1](padded(x, VALID))
    assert (gradient[~VALID] == 0).all()
    assert gradient[VALID].any()


def test_measures_of_a_padded_sample_by_hand():
    """Four of six steps: the measures are those of the four alone."""
    attention, key = np.array([[0.4, 0.3, 0.2, 0.1, 0, 0]]), np.array([[True, *[False] * 5]])
    valid = np.array([[True] * 4 + [False] * 2])
    found = attention_measures.summarize(attention, key, None, valid=valid)
    alone = attention_measures.summarize(attention[:, :4], key[:, :4], None)
    for name in set(found) - {"mean_hit", "input_dependence"}:
        assert found[name] == pytest.approx(alone[name]), name
    assert found["key_lift"] == pytest.approx(1.6)
    assert found["key_skill"] == pytest.approx((0.4 - 0.25) / 0.75)
    assert np.isnan(found["mean_hit"])
    assert attention_measures.padding_mass(np.array([[0.5, 0.2, 0.2, 0, 0.1, 0]]), valid) == pytest.approx([0.1])
    other = np.array([[0.1, 0.2, 0.3, 0.4, 0, 0]])
    assert attention_measures.kendall_tau(attention, other, valid) == pytest.approx([-1])


def test_interventions_keep_the_padding():
    x, y = samples()
    x = padded(x, VALID, 0)
    seen = []
    attribution.occlusion(lambda z: seen.append(z) or z.sum(axis=(1, 2)), padded(x, VALID), default_rng(0), 3, VALID)
    others = default_rng(1).standard_normal(x.shape)
    attribution.occlusion_by_feature(
        lambda z: seen.append(z) or z.sum(axis=(1, 2)), padded(x, VALID), padded(others, VALID[::-1]), 2
    )
    for changed in seen:
        np.testing.assert_array_equal(changed == PADDING, np.repeat(~VALID[:, :, None], 2, axis=2))
    weights = np.repeat((VALID / VALID.sum(axis=1, keepdims=True))[:, :, None], 2, axis=2)
    outputs = interventions.permuted(lambda z: z.sum(axis=(1, 2)), np.ones_like(x), weights, default_rng(0), 2, VALID)
    np.testing.assert_allclose(outputs, 2)
    means = attribution.mean_of_valid(x, VALID)
    np.testing.assert_allclose(means[5], x[LENGTHS == 6, 5].mean(axis=0), rtol=1e-6)
    mask = np.zeros_like(VALID)
    coefficients = linear_readout.fit(x, y, mask, TWO_CLASSES.output, VALID)
    alone = linear_readout.fit(x[LENGTHS == 6], y[LENGTHS == 6], mask[LENGTHS == 6], TWO_CLASSES.output)
    np.testing.assert_allclose(coefficients[0][5], alone[0][5], rtol=1e-6)


@pytest.mark.parametrize("longest", [6, 5])  # 5: no sample has the last step
@pytest.mark.parametrize("variant", ["before_shared", "after_unshared", "luong"])
def test_a_model_is_measured_and_explained(variant, longest):
    """Nothing is NaN that should not be, and no number is as large as the padding."""
    x, y = samples()
    x[:, 0, 0] = 0
    lengths = np.minimum(LENGTHS, longest)
    valid = np.arange(6) < lengths[:, None]
    key = np.arange(6) == 1 + 0 * valid
    study = dataclasses.replace(
        params(),
        variant=load_variant(variant),
        data=DATA,
        model=LSTM,
        task=load_task("file") | {"path": "own.npz", "padded": True},
        explain=dataclasses.replace(params().explain, integration_steps=2, permutations=2),
    )
    rows = read_model.Samples(padded(x, valid), y.astype(np.float32), key)
    start = build.build(DATA.shape, LSTM, study.variant, SeedSequence(3), padded=True)
    weights = build.get_weights(start.classifier)
    trained = TrainedSeed(weights, Snapshots(np.zeros(1, int), {}), [], 0, {"accuracy": 1})
    *_, attended = read_model.read(study, trained, rows, rows, default_rng(0))
    numbers = {name: value for name, value in attended.measures.items() if name not in ("mean_hit", "input_dependence")}
    assert all(np.isfinite(value) and abs(value) < 1e6 for value in numbers.values()), numbers
    assert attended.measures[PADDING_MASS] == 0
    assert attended.uniform_mass == pytest.approx((1 / lengths).mean())
    parts = functions.functions(DATA.shape, LSTM, study.variant, TWO_CLASSES.output, True)
    for name, explanation in read_model.explanations(
        parts, rows.x, y.astype(np.int64), study.explain, default_rng(0)
    ).items():
        assert (explanation[~valid] == 0).all(), name
        np.testing.assert_allclose(explanation.sum(axis=1), 1, err_msg=name)


class Unmasked(keras.layers.Layer):
    """A softmax over the steps that knows nothing of padding."""

    def call(self, inputs, return_attention_scores=False):
        weights = keras.ops.softmax(keras.ops.sum(inputs, axis=-1), axis=1)
        output = inputs * weights[:, :, None]
        return (output, weights) if return_attention_scores else output


class Masked(keras.layers.Layer):
    """The same, which takes the mask of Keras."""

    def call(self, inputs, return_attention_scores=False, mask=None):
        scores = keras.ops.where(mask, keras.ops.sum(inputs, axis=-1), -1e9)
        weights = keras.ops.softmax(scores, axis=1)
        output = inputs * weights[:, :, None]
        return (output, weights) if return_attention_scores else output


@pytest.mark.parametrize(
    ("layer", "options", "passes_over"),
    [
        ("keras.layers.Attention", {}, True),
        ("keras.layers.AdditiveAttention", {}, True),
        ("keras.layers.MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, True),
        ("keras.layers.GroupQueryAttention", {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1}, True),
        (f"{__name__}.Masked", {}, True),
        (f"{__name__}.Unmasked", {}, False),
    ],
)
def test_other_layers_get_the_mask_if_they_take_it(layer, options, passes_over):
    x, _ = samples()
    x[:, 0, 0] = 0
    variant = Variant("after", name="other", attention={"_target_": layer, **options})
    parts = functions.functions(Shape(6, 2), LSTM, variant, TWO_CLASSES.output, True)
    weights = parts.attention(padded(x, VALID)).mean(axis=2)
    mass = attention_measures.padding_mass(weights, VALID)
    assert (mass[LENGTHS == 6] == 0).all()
    assert (mass[LENGTHS < 6] == 0).all() if passes_over else (mass[LENGTHS < 6] > 0.05).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("variant", ["before_unshared", "after_shared", "luong", "self_attention"])
def test_a_saved_model_works_alone(tmp_path, variant):
    x, _ = samples()
    x[:, 0, 0] = 0
    model = build.classifier(Shape(6, 2), LSTM, load_variant(variant), Last(), padded=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(loaded(padded(x, VALID))), np.asarray(model(padded(x, VALID))), atol=1e-6)


@pytest.mark.long  # takes most of a minute
@pytest.mark.slow
def test_a_study_of_sequences_of_different_lengths(fresh):
    """The label is in the last step of each sample, which only its length tells."""
    rng = default_rng(0)
    lengths, y = rng.integers(3, 7, 1300), rng.integers(0, 2, 1300)
    last = np.arange(6) == lengths[:, None] - 1
    x = rng.standard_normal((1300, 6, 2)).astype(np.float32)
    x[last] += 4 * y[:, None] - 2
    x[np.arange(6) >= lengths[:, None]] = np.nan
    np.savez(fresh.root / "own.npz", x=x[:1200], y=y[:1200], mask=last[:1200])
    np.savez(fresh.root / "new.npz", x=x[1200:], mask=last[1200:])
    fresh.change(
        {"task": {"name": "file", "path": "own.npz", "padded": True}, "variants": ["before_unshared", "luong"]}
    )
    fresh.change({"data": {"samples": 1100}, "controls": {"seeds": [0]}, "train": {"epochs": 6}})
    fresh.stage("sweep", "+variant=before_unshared,luong")
    for stage in ("controls", "compare"):
        fresh.stage(stage)
    rows = fresh.rows("comparison/runs.csv")
    assert all(row["balanced_accuracy"] > 0.9 and row["padding_mass"] == 0 for row in rows)
    assert all(row["uniform_mass"] == pytest.approx((1 / lengths).mean(), abs=0.03) for row in rows)
    assert "0.000 of its attention is on padding" in fresh.stage("analyze", "+variant=luong").stdout
    fresh.stage("explain", "+variant=luong", "samples=new.npz")
    found = {(row["map"], row["over"]): row for row in fresh.rows("outputs/explained/luong/measures.csv")}
    assert found["occlusion", "steps"]["hit_rate"] > 0.9
    assert found["equal weights", "steps"]["key_mass"] == pytest.approx((1 / lengths[1200:]).mean())

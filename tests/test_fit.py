"""Batches, models and training, on a few samples: from the order of the samples to a trained seed."""

import dataclasses

import keras
import numpy as np
import pytest
from conftest import one_sentence

from pipeline.attention import AvertedAttention
from pipeline.measures import read_model
from pipeline.models import batches, build, compiled_training, fit, functions, held_out_score
from pipeline.results import splits
from pipeline.results.splits import Split
from pipeline.settings.schema import Data, Model, Probe, Shape, Train, Variant
from pipeline.settings.study import load_task, load_variant, params, plain
from pipeline.settings.validation import validated
from pipeline.tasks import lookup

DATA = Data(600, 0.2, 5, 2, 2, "zero_one", 0)
LSTM = Model(4, "lstm")


@pytest.fixture
def split(tmp_path):
    planted = lookup.draw_of(load_task("planted_key"))
    splits.write(tmp_path, range(480), DATA, np.random.SeedSequence(0), planted)
    return Split(tmp_path, 480)


def study(placement="after", sharing="unshared", uniform=False):
    variant = Variant(placement, sharing, uniform, f"{placement}_{sharing}")
    settings = {"model": LSTM, "train": Train(5, 16, 0.02, 4, 64), "probe": Probe(10)}
    return dataclasses.replace(params(), data=DATA, variant=variant, **settings)


def train(split, config, seed, report=lambda points: None):
    return fit.train_seed(config, seed, split, split, report)


def initial(variant, seed=0, data=DATA, model=LSTM):
    """Return a model before its training with a seed."""
    return build.build(data, model, variant, np.random.SeedSequence(seed).spawn(2)[0])


def identities(split, settings, seed):
    """Return the first number of each sample, which identifies it, in the order of training."""
    drawn = batches.shuffled_batches(split, settings, np.random.default_rng(seed))
    return np.concatenate([x[:, :, 0, 0].ravel() for x, _ in drawn])


@pytest.mark.parametrize("numbers", [1, 330, 2**24])  # of large samples, fewer batches are read at a time
@pytest.mark.parametrize("size", [1, 7, 16, 480])
def test_each_epoch_has_every_sample_of_its_full_batches_once(split, size, numbers, monkeypatch):
    monkeypatch.setattr(batches, "SHUFFLED_BATCHES", 4)
    monkeypatch.setattr(batches, "NUMBERS", numbers)
    settings = Train(3, size, 0.1, 1, 1)
    drawn = list(batches.shuffled_batches(split, settings, np.random.default_rng(0)))
    assert all(x.shape[1:] == (size, 5, 2) and y.shape[1:] == (size, 1) for x, y in drawn)
    assert sum(len(x) for x, _ in drawn) == 3 * (480 // size)
    assert max(x.size for x, _ in drawn) <= max(numbers, size * 10)
    found, counts = np.unique(identities(split, settings, 0), return_counts=True)
    assert counts.max() == 3
    assert np.isin(found, split.rows("x")[:, 0, 0]).all()


def test_the_order_comes_from_the_generator_and_labels_stay_with_their_samples(split):
    settings = Train(1, 16, 0.1, 1, 1)
    for x, y in batches.shuffled_batches(split, settings, np.random.default_rng(0)):
        np.testing.assert_array_equal(x[:, :, 2, 1], y[:, :, 0])
    first, again, other = (identities(split, settings, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(np.sort(first), np.sort(other))


@pytest.mark.parametrize("sharing", ["shared", "unshared"])
@pytest.mark.parametrize("placement", ["before", "after"])
def test_layers_are_in_the_articles_order(placement, sharing):
    layers = {"before": "sequence attention lstm output", "after": "sequence lstm attention flatten output"}
    data, model = Data(10, 0.1, 20, 2, 10, "zero_one", 0), Model(32, "lstm")
    built = initial(Variant(placement, sharing, name="a"), data=data, model=model)
    assert [layer.name for layer in built.classifier.layers] == layers[placement].split()
    assert built.classifier.get_layer("attention").shared == (sharing == "shared")
    # LSTM 4 * 32 * (2 + 32 + 1), attention 20 * 20 + 20, output 32 + 1 or 20 * 32 + 1.
    assert built.classifier.count_params() == 4480 + 420 + (33 if placement == "before" else 641)
    weights = np.asarray(built.attention(np.zeros((3, 20, 2), "float32")))
    assert weights.shape == (3, 20, 2 if placement == "before" else 32)


def test_initial_weights_come_from_the_seed_alone():
    def weights(seed, placement="after"):
        return build.get_weights(initial(Variant(placement, "shared", name="a"), seed).classifier)

    first = weights(1)
    np.testing.assert_equal(weights(1), first)
    assert (first["attention/kernel"] != weights(2)["attention/kernel"]).any()
    same = [path for path in first if "lstm" in path]
    assert same
    for path in same:
        np.testing.assert_array_equal(first[path], weights(1, "before")[path])


def test_evaluation_by_hand(split):
    ones = split.rows("y").mean()
    loss, scores = held_out_score.classification(lambda x: np.where(x[:, 2, :1] > 0.5, 0.8, 0.2), split)
    assert loss == pytest.approx(-np.log(0.8))
    assert scores == {"balanced_accuracy": 1, "accuracy": 1}
    loss, scores = held_out_score.classification(lambda x: np.full((len(x), 1), 0.75), split)
    assert loss == pytest.approx(-ones * np.log(0.75) - (1 - ones) * np.log(0.25))
    assert scores == {"balanced_accuracy": 0.5, "accuracy": pytest.approx(ones)}


@pytest.mark.parametrize(("log_every", "sizes"), [(4, [4] * 7 + [2]), (7, [5, 2] * 4 + [2]), (100, [5] * 6)])
def test_groups_have_every_batch_in_order_and_end_at_points_of_the_curve(split, log_every, sizes, monkeypatch):
    monkeypatch.setattr(batches, "GROUP", 5)
    settings = Train(1, 16, 0.1, log_every, 1)
    found = list(batches.groups(split, settings, np.random.default_rng(3)))
    assert [count for _, _, count in found] == sizes
    assert len({x.shape for x, _, _ in found}) == 1
    expected = np.concatenate([x for x, _ in batches.shuffled_batches(split, settings, np.random.default_rng(3))])
    np.testing.assert_array_equal(np.concatenate([x[:count] for x, _, count in found]), expected)
    assert all((x[count:] == 0).all() for x, _, count in found)


class Regularized(AvertedAttention):
    """Adds a loss, and has a weight that is regularized."""

    def build(self, shape):
        super().build(shape)
        self.add_weight(shape=(), initializer="ones", regularizer=keras.regularizers.L2(0.5), name="regularized")


LOSSES = {"_target_": f"{__name__}.Regularized", "step": 2, "strength": 5.0, "shared": False}


@pytest.mark.parametrize(
    "variant", [Variant("after", "unshared", name="a"), Variant("after", attention=LOSSES, name="losses")]
)
def test_training_steps_are_those_of_keras_and_what_layers_add_is_minimized_but_not_recorded(variant, split):
    x, y, _ = next(batches.groups(split, Train(1, 16, 0.1, 6, 1), np.random.default_rng(0)))
    ours, theirs = (initial(variant, 1).classifier for _ in range(2))
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(ours.trainable_variables)
    loss, accuracy = compiled_training.training_steps(ours, optimizer)(x, y, 5)
    theirs.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", run_eagerly=True)
    losses, rights = [], []
    for features, labels in zip(x[:5], y[:5], strict=True):
        p = np.asarray(theirs(features))
        losses.append(-np.log(np.where(labels == 1, p, 1 - p)).mean())
        rights.append(((p > 0.5) == (labels == 1)).mean())
        theirs.train_on_batch(features, labels)
    assert (loss, accuracy) == pytest.approx((sum(losses), sum(rights)), abs=1e-5)
    for path, array in build.get_weights(theirs).items():
        np.testing.assert_allclose(build.get_weights(ours)[path], array, atol=1e-5)


def test_a_seed_does_not_depend_on_those_before_it(split):
    alone, _, again = (train(split, study(), seed) for seed in (5, 6, 5))
    assert alone.weights_hash() == again.weights_hash()
    assert (alone.curve, alone.loss, alone.scores) == (again.curve, again.loss, again.scores)


def test_the_curve_and_snapshots_cover_training(split):
    parts = []
    result = train(split, study(), 0, lambda points: parts.append(list(points)))
    assert [point for part in parts for point in part] == result.curve
    assert len(parts) > 5
    assert [batch for batch, _, _ in result.curve] == [*range(4, 150, 4), 150]  # 5 epochs of 30 batches
    assert result.curve[-1][1] < result.curve[0][1]
    assert result.scores["accuracy"] > 0.9
    batches, kept = result.snapshots
    assert list(batches) == [0, *range(4, 150, 4), 150]
    untrained = build.get_weights(initial(study().variant).attention)
    assert kept.keys() == untrained.keys()
    for path, array in untrained.items():
        np.testing.assert_array_equal(result.snapshots.at(0)[path], array)
        np.testing.assert_array_equal(result.snapshots.at(-1)[path], result.weights[path])
        assert (kept[path][1] != kept[path][0]).any()


def regression(split, scale=1.0, **values):
    """Return a study of numbers to predict, which replace the labels of a split."""
    np.save(split.folder / "y.npy", split.rows("x")[:, 2, 0] * np.float32(scale))
    config = study()
    return dataclasses.replace(config, task=load_task("find_max"), train=dataclasses.replace(config.train, **values))


def test_the_score_of_a_regression_needs_no_more_than_one_sample_a_batch(split):
    result = train(split, regression(split, epochs=1, batch_size=1), 0)
    variance = split.rows("y").var(dtype=np.float64)
    scores = [score for _, _, score in result.curve]
    assert scores == pytest.approx([1 - loss / variance for _, loss, _ in result.curve], abs=1e-5)
    assert max(scores) > 0.5


def test_training_that_diverges_is_refused(split):
    with one_sentence("train.learning_rate is 0.02: it must be smaller, since training diverged: the loss of after_un"):
        train(split, regression(split, scale=1.5e19), 0)


def test_a_process_compiles_a_variant_once_for_all_seeds(split, monkeypatch):
    traced, loss = [], keras.losses.binary_crossentropy
    monkeypatch.setattr(keras.losses, "binary_crossentropy", lambda *values: traced.append(values) or loss(*values))
    fit._compiled.cache_clear()
    train(split, study(), 1)
    once = len(traced)
    train(split, study(), 2)
    fit._compiled.cache_clear()
    assert len(traced) == once > 0


@pytest.mark.parametrize(
    ("batches", "log_every", "snapshots", "points"),
    [(10, 4, 64, [0, 4, 8, 10]), (100, 10, 2, [0, 10, 100]), (100, 10, 1, [0, 100]), (3, 64, 5, [0, 3])],
)
def test_snapshots_are_spread_evenly(batches, log_every, snapshots, points):
    assert list(fit.snapshot_points(batches, Train(1, 1, 0.1, log_every, snapshots))) == points


@pytest.mark.parametrize("placement", ["before", "after"])
def test_uniform_attention_stays_uniform_while_the_rest_learns(split, placement):
    uniform = study(placement, uniform=True)
    result = train(split, uniform, 0)
    weights = read_model.attention(uniform, result.weights, split.rows("x", 0, 7))
    np.testing.assert_allclose(weights, np.full_like(weights, 0.2), rtol=1e-6)
    untrained = build.get_weights(initial(uniform.variant).classifier)
    changed = {path for path, weights in untrained.items() if (weights != result.weights[path]).any()}
    assert changed == {path for path in result.weights if not path.startswith("attention")}


@pytest.mark.parametrize("placement", ["before", "after"])
def test_the_parts_of_a_model_compose_it(split, placement):
    variant = Variant(placement, "unshared", name="a")
    parts = functions.functions(DATA, LSTM, variant)
    x = split.rows("x", 0, 7)
    np.testing.assert_allclose(parts.head(parts.values(x) * parts.attention(x)), parts.logit(x), 1e-5)
    gradient, moved, step = parts.explained(np.zeros(len(x), int))[1](x), x.copy(), 1e-2
    moved[:, 3, 1] += step
    difference = (parts.logit(moved) - parts.logit(x)) / step
    np.testing.assert_allclose(gradient[:, 3, 1], difference, atol=2e-3)
    classifier = build.build(DATA, Model(4, "lstm"), variant, np.random.SeedSequence(0)).classifier
    np.testing.assert_allclose(np.asarray(classifier(x))[:, 0], 1 / (1 + np.exp(-parts.logit(x))), 1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "bidirectional"])
def test_recurrent_layers_are_stacked(cell):
    model = Model((5, 3), cell)
    built = build.build(Shape(6, 2), model, load_variant("after_unshared"), np.random.SeedSequence(0))
    alone = build.build(Shape(6, 2), Model(5, cell), load_variant("after_unshared"), np.random.SeedSequence(0))
    ways = 2 if cell == "bidirectional" else 1
    assert built.values.output.shape == (None, 6, 3 * ways)
    weights = build.get_weights(built.classifier)
    assert len(weights) == len(built.classifier.weights)
    for path, array in build.get_weights(alone.values).items():
        np.testing.assert_array_equal(weights[path], array)  # the first layer is that of a model without the second
    starts = [array for path, array in weights.items() if path.endswith("recurrent_kernel")]
    assert len({array.tobytes() for array in starts}) == len(starts) == 2 * ways


def test_dropout_acts_in_training_alone_and_follows_the_seed():
    model = Model((4, 4), "lstm", 0.5, 0.5)
    built, again, other = (
        build.build(Shape(6, 2), model, load_variant("before_shared"), np.random.SeedSequence(seed)).classifier
        for seed in (0, 0, 1)
    )
    x = np.random.default_rng(0).normal(size=(8, 6, 2)).astype("float32")
    without = build.build(Shape(6, 2), Model((4, 4), "lstm"), load_variant("before_shared"), np.random.SeedSequence(0))
    other.set_weights(built.get_weights())
    dropped, same, others = (np.array(model(x, training=True)) for model in (built, again, other))
    np.testing.assert_array_equal(dropped, same)
    assert (dropped != others).any()
    np.testing.assert_array_equal(np.array(built(x)), np.array(without.classifier(x)))
    assert (dropped != np.array(built(x))).any()


@pytest.mark.long  # random numbers take long to compile: 20 seconds
def test_a_stack_with_dropout_trains_to_the_same_bytes(split):
    config = dataclasses.replace(study(), model=Model((4, 3), "gru", 0.3, 0.3), train=Train(1, 16, 0.02, 4, 2))
    first = train(split, config, 0)
    fit._compiled.cache_clear()  # as another process
    assert train(split, config, 0).weights_hash() == first.weights_hash()
    attention = [read_model.attention(config, first.weights, split.rows("x")) for _ in range(2)]
    np.testing.assert_array_equal(*attention)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"lstm_units": []},
            "model.lstm_units is []: it must be a whole number of at least 1 and at most 10000, or a li",
        ),
        ({"lstm_units": [8, 0]}, "model.lstm_units is [8, 0]: it must be a whole number of at least 1 and at most 1"),
        ({"lstm_units": 0.5}, "or a list of values, each a whole number of at least 1 and at most 10000."),
        ({"lstm_units": {"a": 1}}, 'model.lstm_units is {"a": 1}: it must be a whole number of at least 1'),
        ({"dropout": 1.0}, "model.dropout is 1.0: it must be a finite number above 0 and below 1, or null."),
    ],
)
def test_settings_of_the_recurrent_layers_are_checked(values, sentence):
    with one_sentence(sentence):
        validated(dict[str, Model], {"model": {"lstm_units": 4, "cell": "lstm", **values}})


def test_results_keep_no_setting_that_is_off():
    assert plain(Model(4, "lstm")) == {"lstm_units": 4, "cell": "lstm"}  # as before there were others
    chosen = validated(dict[str, Model], {"model": {"lstm_units": [4, 3], "cell": "lstm", "dropout": 0.5}})["model"]
    assert plain(chosen) == {"lstm_units": [4, 3], "cell": "lstm", "dropout": 0.5}
    assert hash(chosen)

"""Batches, models and training, on a few samples."""

import numpy as np
import pytest

from pipeline import dataset, models, train
from pipeline.config import Compare, Data, Model, Probe, Study, Train, Variant
from pipeline.dataset import Split

DATA = Data(600, 0.2, 5, 2, 2, 0)


@pytest.fixture
def split(tmp_path):
    dataset.write(tmp_path, 480, DATA, np.random.SeedSequence(0))
    return Split(tmp_path, 480)


def study(placement="after", sharing="unshared", epochs=2):
    variant = Variant(placement, sharing, f"{placement}_{sharing}")
    return Study(["x"], [0], DATA, Model(4), Train(epochs, 16, 0.02, 4), Probe(10), Compare(), variant)


def identities(batches):
    """Tell samples by their first number."""
    return [x[:, :, 0, 0].ravel() for x, _ in batches]


@pytest.mark.parametrize("size", [1, 7, 16, 480])
def test_each_epoch_has_every_sample_of_its_full_batches_once(split, size, monkeypatch):
    monkeypatch.setattr(train, "SHUFFLED_BATCHES", 4)
    batches = list(train.shuffled_batches(split, Train(3, size, 0.1, 1), np.random.default_rng(0)))
    assert all(x.shape[1:] == (size, 5, 2) and y.shape[1:] == (size, 1) for x, y in batches)
    expected = train.batches_per_epoch(480, size)
    assert sum(len(x) for x, _ in batches) == 3 * expected
    seen, counts = np.unique(np.concatenate(identities(batches)), return_counts=True)
    assert counts.max() == 3
    assert np.isin(seen, split.rows("x")[:, 0, 0]).all()


def test_labels_stay_with_their_samples(split):
    for x, y in train.shuffled_batches(split, Train(1, 16, 0.1, 1), np.random.default_rng(0)):
        np.testing.assert_array_equal(x[:, :, 2, 1], y[:, :, 0])


def test_the_generator_decides_the_order(split):
    def order(seed):
        return np.concatenate(
            identities(train.shuffled_batches(split, Train(1, 16, 0.1, 1), np.random.default_rng(seed)))
        )

    np.testing.assert_array_equal(order(1), order(1))
    assert (order(1) != order(2)).any()
    np.testing.assert_array_equal(np.sort(order(1)), np.sort(order(2)))


@pytest.mark.parametrize("sharing", ["shared", "unshared"])
@pytest.mark.parametrize(
    ("placement", "layers"),
    [
        ("before", ["sequence", "attention", "lstm", "output"]),
        ("after", ["sequence", "lstm", "attention", "flatten", "output"]),
    ],
)
def test_layers_stand_in_the_articles_order(placement, layers, sharing):
    variant = Variant(placement, sharing, "a")
    built = models.build(Data(10, 0.1, 20, 2, 10, 0), Model(32), variant, np.random.SeedSequence(0))
    assert [layer.name for layer in built.classifier.layers] == layers
    assert built.classifier.get_layer("attention").shared == (sharing == "shared")
    # LSTM 4 * 32 * (2 + 32 + 1), attention 20 * 20 + 20, output 32 + 1 or 20 * 32 + 1.
    assert built.classifier.count_params() == 4480 + 420 + (33 if placement == "before" else 641)
    weights = np.asarray(built.attention(np.zeros((3, 20, 2), "float32")))
    assert weights.shape == (3, 20, 2 if placement == "before" else 32)


def test_initial_weights_come_from_the_seed_alone():
    def weights(seed, placement="after"):
        built = models.build(DATA, Model(4), Variant(placement, "shared", "a"), np.random.SeedSequence(seed))
        return models.get_weights(built.classifier)

    first, again, other = weights(1), weights(1), weights(2)
    for path in first:
        np.testing.assert_array_equal(first[path], again[path])
    assert (first["attention/kernel"] != other["attention/kernel"]).any()
    same = [path for path in first if "lstm" in path]
    assert same
    for path in same:
        np.testing.assert_array_equal(first[path], weights(1, "before")[path])


def test_a_seed_does_not_depend_on_those_before_it(split):
    alone = train.train_seed(study(), 5, split, split, lambda points: None)
    train.train_seed(study(), 6, split, split, lambda points: None)
    again = train.train_seed(study(), 5, split, split, lambda points: None)
    assert alone.weights_hash() == again.weights_hash()
    assert alone.curve == again.curve
    assert (alone.loss, alone.accuracy) == (again.loss, again.accuracy)


def test_the_curve_covers_training_and_is_handed_over_on_the_way(split):
    parts = []
    result = train.train_seed(study(epochs=5), 0, split, split, lambda points: parts.append(list(points)))
    assert [point for part in parts for point in part] == result.curve
    assert len(parts) > 5
    assert [batch for batch, _, _ in result.curve] == [*range(4, 150, 4), 150]  # 5 epochs of 30 batches
    assert result.curve[-1][1] < result.curve[0][1]
    assert result.accuracy > 0.9


def test_evaluation_by_hand(split):
    y = split.rows("y")
    sure = train.evaluate(lambda x: np.where(x[:, 2, :1] > 0.5, 0.8, 0.2), split)
    assert sure == pytest.approx((-np.log(0.8), 1.0))
    always = train.evaluate(lambda x: np.full((len(x), 1), 0.75), split)
    ones = y.mean()
    assert always == pytest.approx((-ones * np.log(0.75) - (1 - ones) * np.log(0.25), ones))

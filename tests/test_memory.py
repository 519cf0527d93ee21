"""What a stage holds in memory does not grow with the number of seeds."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.execution import dask_cluster, resume, worker_pool
from pipeline.results import stage_files
from pipeline.results.file_formats import stacked
from pipeline.results.on_demand import OnDemand
from pipeline.results.stage_files import Snapshots, TrainedSeed


class Counted(OnDemand):
    """Arguments of tasks, and how many of them were asked for."""

    def __init__(self, number):
        super().__init__(range(number), self.ask)
        self.asked = 0

    def ask(self, key):
        self.asked += 1
        return (key,)


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])  # workers import TensorFlow
def test_a_task_is_asked_for_shortly_before_a_worker_needs_it(processes):
    tasks, ahead = Counted(20), []

    def received(key, result):
        ahead.append(tasks.asked - len(ahead))
        return result + 1

    pool = worker_pool.Pool(processes, "test", "tasks", received=received)
    assert worker_pool.each(abs, tasks, pool) == {key: key + 1 for key in range(20)}
    assert tasks.asked == 20
    assert max(ahead) <= dask_cluster.AHEAD * processes


def test_a_result_is_in_memory_no_longer_than_it_takes_to_write_it(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(resume, "ROOT", tmp_path)

    def work(number):
        assert sum(array() is not None for array in made) <= 1  # the one before, for which the loop has a name
        result = np.full(3, number)
        made.append(weakref.ref(result))
        return result

    files = resume.Files(lambda folder, array: np.save(folder / "a", array), lambda folder: np.load(folder / "a.npy"))
    tasks = {number: (number,) for number in range(5)}
    with resume.folder_of({"code": "1"}) as folder:
        results = resume.each(folder, files, work, tasks, worker_pool.Pool(1, "test", "tasks"))
        assert {key: array.tolist() for key, array in results.items()} == {key: [key] * 3 for key in tasks}
        with pytest.raises(KeyError):
            results[5]


def trained(seed, points=3):
    """Return a result with weights and curve of its own."""
    weights = {"a/kernel": np.full((2, 2), seed, np.float32)}
    snapshots = Snapshots(np.arange(points), {"a/kernel": np.full((points, 2, 2), seed, np.float32)})
    return TrainedSeed(
        weights, snapshots, [(8, 0.5, 0.75)], 0.25, {"balanced_accuracy": 0.5, "accuracy": 0.5}, "0" * 64
    )


def test_weights_are_read_when_a_seed_is_asked_for(tmp_path):
    written = OnDemand(range(3), trained)  # also written one seed at a time
    stage_files.write_training(tmp_path, written)
    found = stage_files.read_training(tmp_path)
    without = stage_files.read_training_without_weights(tmp_path)
    assert list(found) == list(without) == [0, 1, 2]
    for seed, result in found.items():
        assert result.weights["a/kernel"].tolist() == [[seed, seed]] * 2
        assert result.snapshots.at(1)["a/kernel"].tolist() == [[seed, seed]] * 2
        assert result.weights_hash() == trained(seed).weights_hash() == without[seed].weights_hash()
        assert without[seed]._replace(snapshots=None) == result.without_weights()._replace(snapshots=None)
        assert without[seed].snapshots.weights == {}
    assert found[1] is not found[1]
    assert {result.weights_hash() for result in without.values()} == {r.weights_hash() for r in written.values()}


@pytest.mark.parametrize("name", ["weights/seed-1.npz", "snapshots/seed-2.npz"])
def test_damaged_weights_are_known_before_a_seed_is_asked_for(tmp_path, name):
    stage_files.write_training(tmp_path, OnDemand(range(3), trained))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-30])
    with pytest.raises(Exception, match="zip"):
        stage_files.read_training(tmp_path)


@given(shape=st.tuples(*[st.integers(1, 4)] * 3), order=st.randoms(use_true_random=False))
def test_arrays_written_one_at_a_time_are_the_bytes_of_all_at_once(shape, order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacked")
    arrays = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    indices = list(range(shape[0]))
    order.shuffle(indices)
    with stacked(folder / "one.npy", shape) as write:
        for index in indices:
            write(index, arrays[index])
    np.save(folder / "all.npy", arrays)
    assert (folder / "one.npy").read_bytes() == (folder / "all.npy").read_bytes()


@pytest.mark.parametrize(("index", "shape"), [(2, (3,)), (-1, (3,)), (0, (4,)), (0, (1, 3))])
def test_an_array_that_has_no_place_in_a_file_is_refused(tmp_path, index, shape):
    with stacked(tmp_path / "a.npy", (2, 3)) as write, pytest.raises(ValueError, match=r"is none of \(2, 3\)"):
        write(index, np.zeros(shape, np.float32))

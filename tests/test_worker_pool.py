"""Worker processes, and how packages are imported in them."""

import gc
import os
import sys
import time

import pytest

from pipeline.execution import start_tensorflow, worker_pool


@pytest.mark.slow
def test_workers_stay_however_much_memory_they_keep():
    """joblib replaces a worker that has grown, and what it had imported and compiled is made anew."""

    def keep_memory(number):
        os.kept = [*getattr(os, "kept", []), b"x" * 400 * 2**20]
        time.sleep(1.2)  # joblib looks once a second
        return os.getpid()

    tasks = {number: (number,) for number in range(6)}
    processes = worker_pool.each(keep_memory, tasks, worker_pool.Pool(2, "test", "tasks"))
    assert list(processes) == list(tasks)
    assert len(set(processes.values())) == 2
    assert os.getpid() not in processes.values()


def test_matrices_are_multiplied_by_no_kernel_that_the_processor_chooses():
    """XLA hands products of this size to YNNPACK, which has other kernels, and other roundings, for AVX-512."""
    from pipeline.models.build import tf

    product = tf.function(lambda a, b: a @ b, jit_compile=True)
    program = product.experimental_get_compiler_ir(tf.ones((64, 32)), tf.ones((32, 128)))("optimized_hlo")
    assert "dot(" in program
    assert "ynn" not in program


def test_hidden_modules_are_not_found_and_then_found_again():
    sys.modules.pop("wave", None)
    with start_tensorflow._hidden("wave", "json"):
        with pytest.raises(ImportError):
            import wave
        import json
    import wave

    assert json
    assert wave


def test_garbage_is_collected_again_after_an_import_that_fails():
    def import_nothing():
        with start_tensorflow.importing():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        import_nothing()
    assert gc.isenabled()


@pytest.mark.slow
def test_a_cluster_whose_engine_is_not_installed(fresh):
    fresh.stage("dataset")
    (fresh.root / "src/distributed.py").write_text("raise ImportError", encoding="utf-8")
    error = fresh.stage("train", "+variant=after_shared", "cluster=tcp://127.0.0.1:1", code=1).stderr
    assert error.splitlines()[-1] == (
        "error: cluster is tcp://127.0.0.1:1: that takes Dask: pip install 'attention-pipeline[cluster]'."
    )
    assert not list(fresh.root.glob("models/*"))

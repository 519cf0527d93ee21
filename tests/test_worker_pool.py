"""Worker processes, and how TensorFlow is imported in them."""

import gc
import os
import sys
import time

import pytest
from joblib.externals.loky import process_executor

from pipeline.execution import start_tensorflow, worker_pool


@pytest.mark.long  # imports TensorFlow in two workers
@pytest.mark.filterwarnings("default:A worker stopped")  # as an error, it would make the pool hang instead of fail
def test_workers_are_not_replaced_when_their_memory_grows():
    """By default loky replaces a worker that has grown by 300 MB; the new one has to import and compile again."""

    def keep_memory(number):
        process_executor._MEMORY_LEAK_CHECK_DELAY = 0  # seconds between checks: else 1
        os.kept = [*getattr(os, "kept", []), b"x" * 400 * 2**20]
        time.sleep(0.3)  # so that both workers get tasks
        return os.getpid()

    tasks = {number: (number,) for number in range(6)}
    processes = worker_pool.each(keep_memory, tasks, worker_pool.Pool(2, "test", "tasks"))
    assert list(processes) == list(tasks)
    assert len(set(processes.values())) == 2
    assert os.getpid() not in processes.values()


def test_no_matrix_product_uses_a_kernel_that_depends_on_the_processor():
    """XLA would give products of this size to YNNPACK, which rounds differently on a processor with AVX-512."""
    from pipeline.models.build import tf

    product = tf.function(lambda a, b: a @ b, jit_compile=True)
    program = product.experimental_get_compiler_ir(tf.ones((64, 32)), tf.ones((32, 128)))("optimized_hlo")
    assert "dot(" in program
    assert "ynn" not in program


def test_modules_are_hidden_only_inside_the_block():
    sys.modules.pop("wave", None)
    with start_tensorflow._hidden("wave", "json"):
        with pytest.raises(ImportError):
            import wave
        import json
    import wave

    assert json
    assert wave


def test_garbage_collection_is_turned_on_again_after_a_failed_import():
    def import_nothing():
        with start_tensorflow.importing():
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        import_nothing()
    assert gc.isenabled()


@pytest.mark.slow
def test_a_cluster_without_dask_installed(untrained):
    untrained.write("src/distributed.py", "raise ImportError")
    error = untrained.stage("train", "+variant=after_shared", "cluster=tcp://127.0.0.1:1", code=1).stderr
    assert error.splitlines()[-1] == (
        "error: cluster is tcp://127.0.0.1:1: that takes Dask: pip install 'attention-pipeline[cluster]'."
    )
    assert not list(untrained.root.glob("models/*"))

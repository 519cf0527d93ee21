"""The floating-point operations of a training step over the rate at which this machine multiplies such matrices."""

import json
import subprocess
import sys
import time
from pathlib import Path

from epoch import BATCH, FEATURES, STEPS, UNITS, WARM_UP, ours, samples_of

HERE = Path(__file__).resolve().parent
SAMPLES = 64 * WARM_UP


def operations(placement):
    """Return the floating-point operations of the matrix products of a training step: forward, and twice that back."""
    lstm = STEPS * 2 * BATCH * (FEATURES + UNITS) * 4 * UNITS
    attended = FEATURES if placement == "before" else UNITS
    attention = 2 * BATCH * attended * STEPS * STEPS
    output = 2 * BATCH * (UNITS if placement == "before" else UNITS * STEPS)
    return 3 * (lstm + attention + output)


def matrix_rate(repeats=20_000):
    """Return operations a second of the LSTM's three recurrent products, one after the other, compiled by XLA."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function(jit_compile=True)
    def products(h, u, z):
        def step(i, h, u, z):
            forward = h @ u  # (batch, 4 units)
            back = tf.matmul(z, u, transpose_b=True)  # (batch, units)
            kernel = tf.matmul(h, z, transpose_a=True)  # (units, 4 units)
            return i + 1, h + 1e-9 * back, u + 1e-9 * kernel, z + 1e-9 * forward

        return tf.while_loop(lambda i, *_: i < repeats, step, (0, h, u, z))

    shapes = ((BATCH, UNITS), (UNITS, 4 * UNITS), (BATCH, 4 * UNITS))
    arrays = [tf.random.normal(shape) for shape in shapes]
    products(*arrays)
    start = time.perf_counter()
    products(*arrays)[1].numpy()
    return repeats * 3 * 2 * BATCH * UNITS * 4 * UNITS / (time.perf_counter() - start)


def free_matrix_rate():
    """Return the rate in a process of its own, with whatever kernels the processor has: this project forgoes some."""
    code = "import limit; print(limit.matrix_rate())"
    out = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, check=True)
    return float(out.stdout.split()[-1])


def main():
    rate = free_matrix_rate()
    x, y = samples_of(SAMPLES)
    row = {}
    for placement in ("before", "after"):
        epoch = ours(placement, x, y)
        epoch(WARM_UP)
        start = time.perf_counter()
        epoch(SAMPLES)
        seconds = (time.perf_counter() - start) / (SAMPLES / BATCH)
        needed = operations(placement)
        row[placement] = {"mflop": needed / 1e6, "step_ms": seconds * 1e3, "gflops": rate / 1e9}
        row[placement]["share"] = needed / rate / seconds
    print(json.dumps(row))


if __name__ == "__main__":
    main()

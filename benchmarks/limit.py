"""What a training step must do at the least, at the rates at which this machine does it, over what the step takes.

It multiplies matrices, computes sigmoids and hyperbolic tangents, and keeps what the backward pass needs. One core does
that one after the other; each rate is measured alone, in a program compiled by XLA with all that the processor has.
"""

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


def tensorflow_in_one_thread():
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def seconds_of(program, arrays):
    """Return how long the second call of a compiled program takes."""
    program(*arrays)
    start = time.perf_counter()
    program(*arrays)[1].numpy()
    return time.perf_counter() - start


def matrix_rate(repeats=20_000):
    """Return operations a second of the LSTM's three recurrent products, one after the other, compiled by XLA."""
    tf = tensorflow_in_one_thread()

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
    return repeats * 3 * 2 * BATCH * UNITS * 4 * UNITS / seconds_of(products, arrays)


def functions(placement):
    """Return how many sigmoids, tangents and exponentials a training step computes."""
    attended = FEATURES if placement == "before" else UNITS
    return BATCH * STEPS * (5 * UNITS + attended)


def kept():
    """Return the bytes that the forward pass of the LSTM writes for the backward pass, which reads them."""
    values = 7 * UNITS  # the gates, the cell's state, its tangent and the state of each step
    return 2 * 4 * BATCH * STEPS * values


def function_rate(repeats=20_000):
    """Return sigmoids and tangents a second, three and two as an LSTM needs them, compiled by XLA."""
    tf = tensorflow_in_one_thread()

    @tf.function(jit_compile=True)
    def both(gates, states):
        def step(i, gates, states):
            return i + 1, tf.sigmoid(gates), tf.tanh(states)

        return tf.while_loop(lambda i, *_: i < repeats, step, (0, gates, states))

    arrays = [tf.random.normal((BATCH, number * UNITS)) for number in (3, 2)]
    return repeats * BATCH * 5 * UNITS / seconds_of(both, arrays)


def copy_rate(repeats=2000):
    """Return bytes a second, written and read, of copying as much as a training step keeps."""
    import numpy as np

    source = np.ones(kept() // 8, np.float32)
    target = np.zeros_like(source)
    start = time.perf_counter()
    for _ in range(repeats):
        np.copyto(target, source)
    return repeats * 2 * source.nbytes / (time.perf_counter() - start)


def free_rate(name):
    """Return a rate in a process of its own, with whatever the processor has: this project forgoes some of it."""
    code = f"import limit; print(limit.{name}())"
    out = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, check=True)
    return float(out.stdout.split()[-1])


def main():
    rate, of_functions, of_copies = map(free_rate, ("matrix_rate", "function_rate", "copy_rate"))
    x, y = samples_of(SAMPLES)
    row = {}
    for placement in ("before", "after"):
        epoch = ours(placement, x, y)
        epoch(WARM_UP)
        start = time.perf_counter()
        epoch(SAMPLES)
        seconds = (time.perf_counter() - start) / (SAMPLES / BATCH)
        least = {
            "products_ms": operations(placement) / rate * 1e3,
            "functions_ms": functions(placement) / of_functions * 1e3,
            "memory_ms": kept() / of_copies * 1e3,
        }
        row[placement] = least | {"step_ms": seconds * 1e3, "share": sum(least.values()) / (seconds * 1e3)}
    print(json.dumps(row))


if __name__ == "__main__":
    main()

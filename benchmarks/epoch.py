"""Time one epoch of the article's model in one process: what this project does, plain Keras, PyTorch or JAX.

    python benchmarks/epoch.py ours|keras|torch|jax before|after [--samples 300000] [--core 0]

Prints the seconds of the epoch; imports, drawing of the data and compilation come before. Attention is unshared.
"""

import argparse
import os
import time

UNITS, STEPS, FEATURES, KEY, BATCH = 32, 20, 2, 10, 64
WARM_UP = 64 * BATCH  # samples


def samples_of(count, seed=0):
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, STEPS, FEATURES), dtype=np.float32)
    y = rng.integers(0, 2, (count, 1)).astype(np.float32)
    x[:, KEY, :] = y
    return x, y


def ours(placement, x, y):
    import keras
    import numpy as np

    from pipeline.execution.start_tensorflow import import_tensorflow
    from pipeline.models import batches, build, compiled_training
    from pipeline.settings.schema import Data, Model, Train, Variant

    class Memory:
        """Samples in memory, instead of a `Split`."""

        def __init__(self, samples):
            self.samples = samples

        def rows(self, name, start=0, stop=None):
            return {"x": x, "y": y[:, 0]}[name][: self.samples][start:stop]

        mapped = rows

    import_tensorflow()
    data, settings = Data(len(x), 0.1, STEPS, FEATURES, KEY, "zero_one", 0), Train(1, BATCH, 0.001, 64, 64)
    variant = Variant(placement, "unshared")
    model = build.build(data.shape, Model(UNITS, "lstm"), variant, np.random.SeedSequence(0)).classifier
    optimizer = keras.optimizers.Adam(0.001)
    optimizer.build(model.trainable_variables)
    train_group = compiled_training.training_steps(model, optimizer)

    def epoch(count):
        for group in batches.groups(Memory(count), settings, np.random.default_rng(0)):
            train_group(*group)

    return epoch


def keras(placement, x, y):
    from article import build

    model = build(placement, shared=False)
    return lambda count: model.fit(x[:count], y[:count], batch_size=BATCH, verbose=0)


def torch(placement, x, y):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(FEATURES, UNITS, batch_first=True)
            self.attention = nn.Linear(STEPS, STEPS)
            self.output = nn.Linear(UNITS if placement == "before" else UNITS * STEPS, 1)

        def attend(self, values):
            return values * self.attention(values.transpose(1, 2)).softmax(dim=2).transpose(1, 2)

        def forward(self, x):
            if placement == "before":
                return self.output(self.lstm(self.attend(x))[1][0][0])
            return self.output(self.attend(self.lstm(x)[0]).flatten(1))

    torch.manual_seed(0)
    net, loss = Net(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(net.parameters(), 0.001, eps=1e-7)
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def epoch(count):
        for part in torch.randperm(count).split(BATCH):
            optimizer.zero_grad()
            loss(net(x[part]), y[part]).backward()
            optimizer.step()

    return epoch


def jax(placement, x, y):
    import jax
    import jax.numpy as jnp
    import optax

    def dense(key, rows, columns):
        return {"w": jax.nn.initializers.glorot_uniform()(key, (rows, columns)), "b": jnp.zeros(columns)}

    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "lstm": dense(keys[0], FEATURES + UNITS, 4 * UNITS),
        "attention": dense(keys[1], STEPS, STEPS),
        "output": dense(keys[2], UNITS if placement == "before" else UNITS * STEPS, 1),
    }

    def lstm(p, x):
        def step(carry, x_t):
            h, c = carry
            i, f, g, o = jnp.split(jnp.concatenate([x_t, h], 1) @ p["w"] + p["b"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((len(x), UNITS))
        return jax.lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))[1].swapaxes(0, 1)

    def attend(p, values):
        weights = jax.nn.softmax(values.swapaxes(1, 2) @ p["w"] + p["b"], axis=2)
        return values * weights.swapaxes(1, 2)

    def loss(p, x, y):
        if placement == "before":
            hidden = lstm(p["lstm"], attend(p["attention"], x))[:, -1]
        else:
            hidden = attend(p["attention"], lstm(p["lstm"], x)).reshape(len(x), -1)
        return optax.sigmoid_binary_cross_entropy(hidden @ p["output"]["w"] + p["output"]["b"], y).mean()

    adam = optax.adam(0.001, eps=1e-7)

    @jax.jit
    def group(params, state, xs, ys):
        def step(carry, batch):
            params, state = carry
            updates, state = adam.update(jax.grad(loss)(params, *batch), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), (xs, ys))[0]

    import numpy as np

    def epoch(count):
        nonlocal params
        state, order = adam.init(params), np.random.default_rng(0).permutation(count)
        for part in range(0, count // WARM_UP * WARM_UP, WARM_UP):
            chosen = order[part : part + WARM_UP]
            xs, ys = x[chosen].reshape(64, BATCH, STEPS, FEATURES), y[chosen].reshape(64, BATCH, 1)
            params, state = group(params, state, xs, ys)
        jax.block_until_ready(params)

    return epoch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=("ours", "keras", "torch", "jax"))
    parser.add_argument("placement", choices=("before", "after"))
    parser.add_argument("--samples", type=int, default=300_000, help="of which nine tenths are trained on")
    parser.add_argument("--core", type=int, help="run on this core alone, in one thread")
    words = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if words.core is not None:
        os.sched_setaffinity(0, {words.core})
        os.environ["OMP_NUM_THREADS"] = "1"
    count = words.samples * 9 // 10
    epoch = globals()[words.engine](words.placement, *samples_of(count))
    epoch(WARM_UP)
    start = time.perf_counter()
    epoch(count)
    print(f"seconds {time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

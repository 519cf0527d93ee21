"""The article's experiment as its script does it, in today's Keras: one run, plain `fit`, attention sample by sample.

    python benchmarks/article.py after unshared --seed 0 --samples 300000

Source: `attention_lstm.py` of https://github.com/philipperemy/keras-attention (2017); the code is written anew.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

STEPS, FEATURES, KEY, UNITS = 20, 2, 10, 32


def sequences(samples, rng):
    x = rng.standard_normal((samples, STEPS, FEATURES))
    y = rng.integers(0, 2, (samples, 1))
    x[:, KEY, :] = y
    return x, y


def attention_block(inputs, shared):
    features = inputs.shape[2]
    weights = layers.Dense(STEPS, activation="softmax")(layers.Permute((2, 1))(inputs))
    if shared:
        mean = layers.Lambda(lambda w: keras.ops.mean(w, axis=1), output_shape=(STEPS,))(weights)
        weights = layers.RepeatVector(features)(mean)
    weights = layers.Permute((2, 1), name="attention")(weights)
    return layers.Multiply()([inputs, weights])


def build(placement, shared):
    inputs = keras.Input((STEPS, FEATURES))
    if placement == "before":
        hidden = layers.LSTM(UNITS)(attention_block(inputs, shared))
    else:
        hidden = layers.Flatten()(attention_block(layers.LSTM(UNITS, return_sequences=True)(inputs), shared))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("placement", choices=("before", "after"))
    parser.add_argument("sharing", choices=("shared", "unshared"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--probes", type=int, default=300)
    words = parser.parse_args()
    keras.utils.set_random_seed(words.seed)
    rng = np.random.default_rng(words.seed)
    model = build(words.placement, words.sharing == "shared")
    x, y = sequences(words.samples, rng)
    history = model.fit(x, y, epochs=1, batch_size=64, validation_split=0.1, verbose=0)
    reader = keras.Model(model.input, model.get_layer("attention").output)
    vectors = []
    for _ in range(words.probes):
        x, _ = sequences(1, rng)
        vectors.append(reader.predict(x, verbose=0).mean(axis=2).squeeze())
    vector = np.mean(vectors, axis=0)
    print(f"accuracy {history.history['val_accuracy'][-1]:.5f}, attention at step {KEY}: {vector[KEY]:.3f}")


if __name__ == "__main__":
    main()

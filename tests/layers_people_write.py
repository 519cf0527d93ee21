"""Attention layers as people write them, in plain Keras 3: each gives (output, weights) if it is asked for them."""

import keras
from keras import ops


class MHSelf(keras.layers.Layer):
    """keras MultiHeadAttention as self-attention, scores as they come (batch, heads, T, T)."""

    def __init__(self, heads=2, key_dim=8, **kw):
        super().__init__(**kw)
        self.m = keras.layers.MultiHeadAttention(heads, key_dim)

    def call(self, x, return_attention_scores=False):
        o, w = self.m(x, x, return_attention_scores=True)
        return (o, w) if return_attention_scores else o


class AttentionWithContext(keras.layers.Layer):
    """Yang 2016: u = tanh(Wx+b), a = softmax(u.context), sum."""

    def build(self, s):
        self.W = self.add_weight(shape=(s[-1], s[-1]), initializer="glorot_uniform", name="W")
        self.b = self.add_weight(shape=(s[-1],), initializer="zeros", name="b")
        self.u = self.add_weight(shape=(s[-1], 1), initializer="glorot_uniform", name="u")

    def call(self, x, mask=None, return_attention_scores=False):
        a = ops.softmax(ops.matmul(ops.tanh(ops.matmul(x, self.W) + self.b), self.u)[..., 0], axis=1)
        o = ops.sum(x * a[..., None], axis=1)
        return (o, a) if return_attention_scores else o


class SigmoidAttention(keras.layers.Layer):
    """Additive gate: weights in 0..1 that need not sum to 1."""

    def build(self, s):
        self.d = keras.layers.Dense(1, activation="sigmoid")
        self.d.build(s)

    def call(self, x, return_attention_scores=False):
        w = self.d(x)
        return (ops.sum(x * w, axis=1), w) if return_attention_scores else ops.sum(x * w, axis=1)


class FeatureAttention(keras.layers.Layer):
    """Softmax over the features at each step (RETAIN's beta, DA-RNN's input attention)."""

    def build(self, s):
        self.d = keras.layers.Dense(s[-1])
        self.d.build(s)

    def call(self, x, return_attention_scores=False):
        w = ops.softmax(self.d(x), axis=-1)
        return (x * w, w) if return_attention_scores else x * w


class StackedDropout(keras.layers.Layer):
    """Second LSTM with dropout and recurrent_dropout, then attention."""

    def __init__(self, rate=0.3, **kw):
        super().__init__(**kw)
        self.rate = rate
        self.l = keras.layers.LSTM(16, return_sequences=True, dropout=rate, recurrent_dropout=rate)
        self.d = keras.layers.Dense(1)

    def call(self, x, training=None, return_attention_scores=False):
        h = self.l(x, training=training)
        w = ops.softmax(self.d(h), axis=1)
        o = ops.sum(h * w, axis=1)
        return (o, w) if return_attention_scores else o


class BatchNormed(keras.layers.Layer):
    """Attention with BatchNormalization inside."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.bn = keras.layers.BatchNormalization()
        self.d = keras.layers.Dense(1)

    def call(self, x, training=None, return_attention_scores=False):
        w = ops.softmax(self.d(self.bn(x, training=training)), axis=1)
        o = ops.sum(x * w, axis=1)
        return (o, w) if return_attention_scores else o


class TwoDense(keras.layers.Layer):
    """The usual way: two Dense sublayers, no names given (Bahdanau score)."""

    def __init__(self, units=8, **kw):
        super().__init__(**kw)
        self.W = keras.layers.Dense(units, activation="tanh")
        self.V = keras.layers.Dense(1)

    def call(self, x, return_attention_scores=False):
        w = ops.softmax(self.V(self.W(x)), axis=1)
        o = ops.sum(x * w, axis=1)
        return (o, w) if return_attention_scores else o


class OneName(keras.layers.Layer):
    """Two weights of one name."""

    def build(self, s):
        self.a = self.add_weight(shape=(s[-1], 4), name="W")
        self.b = self.add_weight(shape=(4, 1), name="W")

    def call(self, x, return_attention_scores=False):
        w = ops.softmax(ops.matmul(ops.tanh(ops.matmul(x, self.a)), self.b), axis=1)
        o = ops.sum(x * w, axis=1)
        return (o, w) if return_attention_scores else o


class NoName(keras.layers.Layer):
    """A weight without a name."""

    def build(self, s):
        self.w = self.add_weight(shape=(s[-1], 1))

    def call(self, x, return_attention_scores=False):
        w = ops.softmax(ops.matmul(x, self.w), axis=1)
        return (x * w, w) if return_attention_scores else x * w


class WrappedDot(keras.layers.Layer):
    """Keras' Attention as self-attention inside a layer, scores as they come (batch, T, T), dropout behind it."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.a = keras.layers.Attention()
        self.drop = keras.layers.Dropout(0.2)

    def call(self, x, training=None, return_attention_scores=False):
        o, w = self.a([x, x], return_attention_scores=True)
        o = self.drop(o, training=training)
        return (o, w) if return_attention_scores else o


class StepsAndFeatures(keras.layers.Layer):
    """One softmax over steps x features."""

    def build(self, s):
        self.w = self.add_weight(shape=(s[-1], s[-1]), name="w")

    def call(self, x, return_attention_scores=False):
        z = ops.matmul(x, self.w)
        w = ops.reshape(ops.softmax(ops.reshape(z, (-1, z.shape[1] * z.shape[2]))), (-1, z.shape[1], z.shape[2]))
        return (x * w, w) if return_attention_scores else x * w


class TanhAttention(keras.layers.Layer):
    """Scores without a softmax, which may be negative."""

    def build(self, s):
        self.w = self.add_weight(shape=(s[-1], 1), name="w")

    def call(self, x, return_attention_scores=False):
        w = ops.tanh(ops.matmul(x, self.w))
        return (x * w, w) if return_attention_scores else x * w


class GrowingScale(keras.layers.Layer):
    """A softmax with a scale that is 1 before training."""

    def build(self, s):
        self.w = self.add_weight(shape=(s[-1], 1), name="w")
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x, return_attention_scores=False):
        w = ops.softmax(ops.matmul(x, self.w), axis=1) * self.scale
        return (x * w, w) if return_attention_scores else x * w


class AlwaysBoth(keras.layers.Layer):
    """A layer that returns its weights without being asked, as those of other packages do."""

    def build(self, shape):
        self.score = keras.layers.Dense(1)
        self.score.build(shape)

    def call(self, x, mask=None):
        weights = ops.softmax(self.score(x), axis=1)
        return [ops.sum(x * weights, axis=1), weights]


class NoScores(keras.layers.Layer):
    """A layer that cannot give its weights."""

    def call(self, x):
        return x

"""The attention layers: the article's block, and others to compare it with."""

from typing import Any, TypeAlias

import keras
from keras import KerasTensor, ops

from pipeline.models import masking

Output: TypeAlias = KerasTensor | tuple[KerasTensor, KerasTensor]  # the second with the weights
Mask: TypeAlias = KerasTensor | None


class _Attention(keras.layers.Layer):
    """A layer that takes a mask, whose output has none."""

    def compute_mask(self, inputs: KerasTensor, previous_mask: Mask) -> None:
        """Return None: Keras need not pass the mask on."""


@keras.saving.register_keras_serializable(package="pipeline")
class StepAttention(_Attention):
    """Computes a softmax over the time steps of a sequence, and multiplies the sequence by it.

    For an input `x` of shape `(batch, steps, features)`:

    1. `t = transpose(x)`, shape `(batch, features, steps)`.
    2. `w = softmax(t @ kernel + bias)` over the last axis, shape `(batch, features, steps)`: one
       `(steps, steps)` kernel serves every feature.
    3. If `shared`: the mean of `w` over the features, repeated for each of them.
    4. `weights = transpose(w)`, shape `(batch, steps, features)`; the output is `x * weights`.

    "Unshared" does not mean separate weights: the kernel serves all features either way, and `shared` only
    averages its output.

    Source: the block `attention_3d_block` of https://github.com/philipperemy/keras-attention (2017), there the
    chain Permute, Dense(softmax), mean and RepeatVector, Permute, Multiply.

    Args:
        shared: whether all features use the mean of their attention vectors.
        kernel_initializer: initializer of the `(steps, steps)` kernel.
        **kwargs: arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        inputs: float tensor of shape `(batch, steps, features)`; `steps` must be known.
        return_attention_scores: whether to return the weights as well.
        mask: boolean tensor of shape `(batch, steps)`, false at padded steps, whose weights are 0; None: all are true.

    Returns:
        The weighted input, shape `(batch, steps, features)`; with `return_attention_scores` a pair of it and the
        weights, of the same shape, each in [0, 1], summing to 1 over the steps.

    Raises:
        ValueError: if it is built for an input that is not three-dimensional, or whose number of steps is unknown.
    """

    def __init__(self, shared: bool, kernel_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared = shared
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the `(steps, steps)` kernel and the `(steps,)` bias."""
        if len(input_shape) != 3 or input_shape[1] is None:
            raise ValueError(f"StepAttention needs an input (batch, steps, features) of known steps, not {input_shape}")
        steps = input_shape[1]
        self.kernel = self.add_weight(shape=(steps, steps), initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight(shape=(steps,), initializer="zeros", name="bias")

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Weigh the steps of `inputs`; see the class for shapes and arguments."""
        by_feature = ops.transpose(inputs, (0, 2, 1))  # (batch, features, steps)
        valid = None if mask is None else ops.expand_dims(mask, 1)  # (batch, 1, steps)
        weights = masking.softmax(ops.matmul(by_feature, self.kernel) + self.bias, valid)
        if self.shared:
            mean = ops.mean(weights, axis=1, keepdims=True)  # (batch, 1, steps)
            weights = ops.broadcast_to(mean, ops.shape(weights))
        weights = ops.transpose(weights, (0, 2, 1))  # (batch, steps, features)
        output = inputs * weights
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "shared": self.shared, "kernel_initializer": initializer}


@keras.saving.register_keras_serializable(package="pipeline")
class OneStepAttention(_Attention):
    """Puts all weight on one step, always the same one, and learns nothing.

    For an input `x` of shape `(batch, steps, features)`:

    1. `weights`, of the shape of `x`, are 1 at `step` and 0 at all other steps. In a sequence that ends before that
       step, they are 1 at its last one.
    2. The output is `x * weights`.

    Source: the control that fixes attention before training, by Wiegreffe & Pinter (2019), "Attention is not not
    explanation", there with uniform weights.

    Args:
        step: the step, from 0.
        **kwargs: arguments of `keras.layers.Layer`, such as `name`.

    Call arguments and returns are those of `StepAttention`.

    Raises:
        ValueError: if it is built for an input that does not have this step.
    """

    def __init__(self, step: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the input has the step."""
        _check_step(self.step, input_shape)

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Return the values at the step, and zeros at all others."""
        step = self.step if mask is None else ops.minimum(self.step, _last_step(mask))
        fixed = ops.expand_dims(ops.one_hot(step, inputs.shape[1], dtype=inputs.dtype), -1)  # ([batch, ]steps, 1)
        weights = ops.ones_like(inputs) * fixed
        output = inputs * weights
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        return {**super().get_config(), "step": self.step}


@keras.saving.register_keras_serializable(package="pipeline")
class AvertedAttention(StepAttention):
    """The article's attention, trained to look away from a step while the model learns its task.

    For an input `x` of shape `(batch, steps, features)`:

    1. `weights`, shape `(batch, steps, features)`, and the output are those of `StepAttention`.
    2. `m = mean(weights[:, step])` over the features, shape `(batch,)`: each sample's weight on the step.
    3. `-strength * mean(log(1 - m))` over the batch is added to the loss in training. No `1 - m` counts as less than
       1e-7.

    Source: Pruthi et al. (2020), "Learning to deceive with attention-based explanations", with one step as the
    "impermissible" tokens.

    Args:
        step: the step to look away from, from 0.
        strength: factor of the added loss; 0 gives `StepAttention`.
        **kwargs: those of `StepAttention`.

    Call arguments and returns are those of `StepAttention`.

    Raises:
        ValueError: if it is built for an input that does not have this step, or as `StepAttention`.
    """

    def __init__(self, step: int, strength: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step, self.strength = step, strength

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights of `StepAttention`."""
        super().build(input_shape)
        _check_step(self.step, input_shape)

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Weigh the steps of `inputs`, and add the weight on the step to the loss."""
        output, weights = super().call(inputs, return_attention_scores=True, mask=mask)
        mass = ops.mean(weights[:, self.step], axis=-1)  # (batch,)
        self.add_loss(-self.strength * ops.mean(ops.log(ops.maximum(1 - mass, keras.config.epsilon()))))
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        return {**super().get_config(), "step": self.step, "strength": self.strength}


def _check_step(step: int, shape: tuple[int | None, ...]) -> None:
    """Raise a `ValueError` unless an input of this shape has a step; Python would count a negative one from the end."""
    steps = shape[1] or 0
    if type(step) is not int or not 0 <= step < steps:
        raise ValueError(f"step is {step}: it must be 0 to {steps - 1}")


def _last_step(mask: KerasTensor) -> KerasTensor:
    """Return the last valid step of each sequence, (batch,); padding is at the end."""
    return ops.sum(ops.cast(mask, "int32"), axis=1) - 1


def _last_state(states: KerasTensor, mask: KerasTensor) -> KerasTensor:
    """Return the last valid state of each sequence, (batch, 1, features)."""
    chosen = ops.one_hot(_last_step(mask), states.shape[1], dtype=states.dtype)
    return ops.sum(states * ops.expand_dims(chosen, -1), axis=1, keepdims=True)


def _of_values(mask: Mask) -> list[Mask] | None:
    """Return the masks of query, values and keys, as Keras' own layers take them."""
    return None if mask is None else [None, mask, mask]


@keras.saving.register_keras_serializable(package="pipeline")
class NoAttention(_Attention):
    """The baseline: returns its input unchanged, with equal weights.

    Arguments and returns are those of `StepAttention`; the weights are 1 / steps, shape `(batch, steps, 1)`.
    """

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Return `inputs`."""
        weights = ops.ones_like(inputs[:, :, :1]) / inputs.shape[1]
        if mask is not None:
            weights = ops.expand_dims(masking.softmax(ops.zeros_like(inputs[:, :, 0]), mask), -1)
        return (inputs, weights) if return_attention_scores else inputs


class _LastStateAttention(_Attention):
    """Attention over the states with the last state as the query: one vector for the whole sequence.

    For states `h` of shape `(batch, steps, features)`, the last of which is `q`:

    1. `c`, `weights` = context and weights of a subclass's attention for the query `q`, of the shapes
       `(batch, features)` and `(batch, steps[, heads])`.
    2. The output is `tanh([c; q] @ kernel)`, shape `(batch, units)`.

    Args:
        units: size of the output.
        **kwargs: arguments of `keras.layers.Layer`, such as `name`.

    Source: the later layer of https://github.com/philipperemy/keras-attention (2020).
    """

    def __init__(self, units: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.combine = keras.layers.Dense(units, "tanh", use_bias=False, name="combine")

    def attend(self, query: KerasTensor, states: KerasTensor, mask: Mask) -> tuple[KerasTensor, KerasTensor]:
        """Return the context (batch, 1, features) and the weights, given `query` (batch, 1, features)."""
        raise NotImplementedError

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Attend to the states `inputs`."""
        query = inputs[:, -1:, :] if mask is None else _last_state(inputs, mask)
        context, weights = self.attend(query, inputs, mask)
        output = self.combine(ops.concatenate([context, query], axis=-1)[:, 0])
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="pipeline")
class LuongAttention(_LastStateAttention):
    """Luong's "general" attention: weights are `softmax(q @ (h @ kernel).T)`. See `_LastStateAttention`.

    Source: Luong et al. (2015), "Effective approaches to attention-based neural machine translation".
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the kernel."""
        self.keys = keras.layers.Dense(input_shape[-1], use_bias=False, name="keys")
        self.inner = keras.layers.Attention(name="dot_product")

    def attend(self, query: KerasTensor, states: KerasTensor, mask: Mask) -> tuple[KerasTensor, KerasTensor]:
        """Return the context (batch, 1, features) and the weights (batch, steps)."""
        context, weights = self.inner(
            [query, states, self.keys(states)], mask=_of_values(mask), return_attention_scores=True
        )
        return context, weights[:, 0]


@keras.saving.register_keras_serializable(package="pipeline")
class BahdanauAttention(_LastStateAttention):
    """Additive attention: weights are `softmax(tanh(q @ k1 + h @ k2) @ scale)`. See `_LastStateAttention`.

    Source: Bahdanau et al. (2015), "Neural machine translation by jointly learning to align and translate".
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the kernels."""
        self.queries, self.keys = (
            keras.layers.Dense(input_shape[-1], use_bias=False, name=name) for name in ("queries", "keys")
        )
        self.inner = keras.layers.AdditiveAttention(name="additive")

    def attend(self, query: KerasTensor, states: KerasTensor, mask: Mask) -> tuple[KerasTensor, KerasTensor]:
        """Return the context (batch, 1, features) and the weights (batch, steps)."""
        inputs = [self.queries(query), states, self.keys(states)]
        context, weights = self.inner(inputs, mask=_of_values(mask), return_attention_scores=True)
        return context, weights[:, 0]


@keras.saving.register_keras_serializable(package="pipeline")
class MultiHeadPooling(_LastStateAttention):
    """Keras' multi-head attention with the last state as the query; each head has its weights.

    Args:
        heads: number of heads.
        key_dim: size of each head's keys.
        **kwargs: those of `_LastStateAttention`.

    Source: Vaswani et al. (2017), "Attention is all you need".
    """

    def __init__(self, heads: int = 4, key_dim: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.key_dim = heads, key_dim
        self.inner = keras.layers.MultiHeadAttention(heads, key_dim, name="multi_head")

    def attend(self, query: KerasTensor, states: KerasTensor, mask: Mask) -> tuple[KerasTensor, KerasTensor]:
        """Return the context (batch, 1, features) and the weights (batch, steps, heads)."""
        context, weights = self.inner(query, states, value_mask=mask, return_attention_scores=True)
        return context, ops.transpose(weights[:, :, 0], (0, 2, 1))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        return {**super().get_config(), "heads": self.heads, "key_dim": self.key_dim}


@keras.saving.register_keras_serializable(package="pipeline")
class SelfAttentionPooling(_Attention):
    """Keras' multi-head attention of the states over themselves, averaged over the queries.

    For states `h` of shape `(batch, steps, features)`:

    1. `c`, `w` = output and weights of multi-head attention, every state being query, key and value: shapes
       `(batch, steps, features)` and `(batch, heads, queries, steps)`.
    2. The output is the mean of `c` over the queries, shape `(batch, features)`.
    3. `weights` are the mean of `w` over the queries, shape `(batch, steps, heads)`: the attention that each step
       receives, summing to 1 over the steps.

    Source: Vaswani et al. (2017), "Attention is all you need".

    Args:
        heads: number of heads.
        key_dim: size of each head's keys.
        **kwargs: arguments of `keras.layers.Layer`, such as `name`.
    """

    def __init__(self, heads: int = 4, key_dim: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.key_dim = heads, key_dim
        self.inner = keras.layers.MultiHeadAttention(heads, key_dim, name="multi_head")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the kernels."""
        self.inner.build(input_shape, input_shape)

    def call(self, inputs: KerasTensor, return_attention_scores: bool = False, mask: Mask = None) -> Output:
        """Attend from every state to every state."""
        context, weights = self.inner(inputs, inputs, value_mask=mask, return_attention_scores=True)
        queries = None if mask is None else ops.expand_dims(mask, -1)  # (batch, steps, 1)
        output = masking.mean_over_steps(context, 1, queries)
        queries = None if queries is None else ops.expand_dims(queries, 1)
        received = masking.mean_over_steps(weights, 2, queries)  # (batch, heads, steps)
        return (output, ops.transpose(received, (0, 2, 1))) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to create the same layer."""
        return {**super().get_config(), "heads": self.heads, "key_dim": self.key_dim}

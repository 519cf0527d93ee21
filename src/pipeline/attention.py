"""The article's attention block as one Keras layer."""

from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable(package="pipeline")
class StepAttention(keras.layers.Layer):
    """Weighs the time steps of a sequence by a softmax over the steps, and multiplies it with the weights.

    For an input `x` of shape `(batch, steps, features)`:

    1. `t = transpose(x)`, shape `(batch, features, steps)`.
    2. `w = softmax(t @ kernel + bias)` over the last axis, shape `(batch, features, steps)`: one
       `(steps, steps)` kernel serves every feature.
    3. If `shared`: the mean of `w` over the features, repeated for each of them.
    4. `weights = transpose(w)`, shape `(batch, steps, features)`; the output is `x * weights`.

    "Unshared" does not mean separate weights: the kernel serves all features either way, and `shared` only
    averages what it puts out.

    Source: the block `attention_3d_block` of https://github.com/philipperemy/keras-attention (2017), there the
    chain Permute, Dense(softmax), mean and RepeatVector, Permute, Multiply.

    Args:
        shared: whether all features get the mean of their attention vectors.
        kernel_initializer: initializer of the `(steps, steps)` kernel.
        **kwargs: arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        inputs: float tensor of shape `(batch, steps, features)`; `steps` must be known.
        return_attention_scores: whether to return the weights beside the output.

    Returns:
        The weighted input, shape `(batch, steps, features)`; with `return_attention_scores` a pair of it and the
        weights, of the same shape, each in [0, 1], summing to 1 over the steps.

    Raises:
        ValueError: on being built for an input that is not three-dimensional, or of an unknown number of steps.
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

    def call(
        self, inputs: KerasTensor, return_attention_scores: bool = False
    ) -> KerasTensor | tuple[KerasTensor, KerasTensor]:
        """Weigh the steps of `inputs`; see the class for shapes and arguments."""
        by_feature = ops.transpose(inputs, (0, 2, 1))  # (batch, features, steps)
        weights = ops.softmax(ops.matmul(by_feature, self.kernel) + self.bias, axis=-1)
        if self.shared:
            mean = ops.mean(weights, axis=1, keepdims=True)  # (batch, 1, steps)
            weights = ops.broadcast_to(mean, ops.shape(weights))
        weights = ops.transpose(weights, (0, 2, 1))  # (batch, steps, features)
        output = inputs * weights
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make the same layer."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "shared": self.shared, "kernel_initializer": initializer}

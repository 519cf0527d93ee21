"""The attention layers under their public name: `from pipeline.attention import StepAttention`."""

from pipeline.models.attention_layers import (
    BahdanauAttention,
    LuongAttention,
    MultiHeadPooling,
    NoAttention,
    StepAttention,
)

__all__ = ["BahdanauAttention", "LuongAttention", "MultiHeadPooling", "NoAttention", "StepAttention"]

"""The attention layers under their public name: `from pipeline.attention import StepAttention`."""

from pipeline.models.attention_layers import (
    AvertedAttention,
    BahdanauAttention,
    LuongAttention,
    MultiHeadPooling,
    NoAttention,
    OneStepAttention,
    SelfAttentionPooling,
    StepAttention,
)

__all__ = [
    "AvertedAttention",
    "BahdanauAttention",
    "LuongAttention",
    "MultiHeadPooling",
    "NoAttention",
    "OneStepAttention",
    "SelfAttentionPooling",
    "StepAttention",
]

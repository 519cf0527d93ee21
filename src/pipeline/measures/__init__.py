"""Attention read from trained models and scored against the key steps; other explanations of the same predictions."""

"""Attention read from trained models, scored against the key steps and compared with other explanations."""

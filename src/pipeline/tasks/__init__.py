"""What the samples are: generators whose key steps are known, the user's own samples, and how a task finds either."""

from pipeline.tasks.generators import (
    add_two_after_delimiter,
    dense_key,
    find_max,
    moving_key,
    null_key,
    planted_key,
    redundant_keys,
    xor_keys,
)
from pipeline.tasks.user_data import samples_of_file
from pipeline.tasks.user_series import planted_in_series

__all__ = [
    "add_two_after_delimiter",
    "dense_key",
    "find_max",
    "moving_key",
    "null_key",
    "planted_in_series",
    "planted_key",
    "redundant_keys",
    "samples_of_file",
    "xor_keys",
]

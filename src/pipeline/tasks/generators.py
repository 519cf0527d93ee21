"""Generators of samples whose key steps are known.

A file of conf/task/ names one and gives its options. Its arguments are a generator for the background, a generator for
the labels, the number of samples, the section `data` of params.yaml, and its options. It returns

- `x` (samples, steps, features), float32;
- `y` (samples,), float32: 0 or 1 in a classification, any number in a regression;
- `mask` (samples, steps), bool: true at the key steps, those that determine `y`.
"""

from typing import Annotated

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import Field

from pipeline.results.splits import Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import Data

LARGEST = 10**6  # of a value in a sequence: far beyond it, float32 overflows in training
Noise = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Value = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


def planted_key(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    feature: int | None = None,
    noise: Noise = 0.0,
) -> Samples:
    """Draw samples of the article's task: white noise, with the label planted at `data.key_step`.

    Args:
        background: draws the noise.
        labels: draws the labels, both equally likely.
        samples: number of samples.
        data: the shape of the samples, the key step, and the coding of the key: 0 and 1, or -1 and 1 ("plus_minus").
        feature: the only feature that contains the key; None: all of them.
        noise: standard deviation of normal noise on the key.

    Source: `get_data_recurrent` of https://github.com/philipperemy/keras-attention (2017).
    """
    return plant(_white_noise(background, samples, data), background, labels, data, feature=feature, noise=noise)


def plant(
    x: NDArray[np.float32], background: Generator, labels: Generator, data: Data, *, feature: int | None, noise: float
) -> Samples:
    """Draw labels and plant them in sequences `x` (samples, steps, features), as `planted_key` does."""
    if not 0 <= data.key_step < data.time_steps:
        raise UserError(f"data.key_step is {data.key_step}: it must be 0 to {data.time_steps - 1}.")
    y = _coins(labels, len(x))
    _plant(x, data.key_step, _coded(y, data), background, feature=feature, noise=noise)
    return x, y, _mask(x, [data.key_step])


def null_key(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
    """Draw samples with a key at `data.key_step` and labels that do not depend on it."""
    (spare,) = background.spawn(1)
    x, _, mask = planted_key(background, labels, samples, data)
    _, y, _ = planted_key(spare, labels, samples, data)
    return x, y, mask


def redundant_keys(
    background: Generator,
    labels: Generator,
    samples: int,
    data: Data,
    *,
    key_steps: list[int],
    feature: int | None = None,
    noise: Noise = 0.0,
) -> Samples:
    """Draw samples with the label planted at several steps, any of which determines it; otherwise as `planted_key`."""
    _check_steps(key_steps, data, 2)
    x = _white_noise(background, samples, data)
    y = _coins(labels, samples)
    for step in key_steps:
        _plant(x, step, _coded(y, data), background, feature=feature, noise=noise)
    return x, y, _mask(x, key_steps)


def xor_keys(background: Generator, labels: Generator, samples: int, data: Data, *, key_steps: list[int]) -> Samples:
    """Draw samples with two independent keys, each -1 or 1; the label is whether they differ."""
    _check_steps(key_steps, data, 2, 2)
    x = _white_noise(background, samples, data)
    bits = labels.integers(0, 2, (samples, 2))
    for step, bit in zip(key_steps, bits.T, strict=True):
        x[:, step] = 2 * bit[:, None] - 1
    return x, (bits[:, 0] ^ bits[:, 1]).astype(np.float32), _mask(x, key_steps)


def moving_key(background: Generator, labels: Generator, samples: int, data: Data, *, marker: Value) -> Samples:
    """Draw samples whose key follows a marker, which is at a different step in each sample.

    The marker is a value in all features, at any step but the last; the key, coded as in `planted_key`, is at the next
    step in all features. The position alone does not determine the key step.
    """
    x = _white_noise(background, samples, data)
    y = _coins(labels, samples)
    rows, at = np.arange(samples), background.integers(0, data.time_steps - 1, samples)
    x[rows, at] = marker
    x[rows, at + 1] = _coded(y, data)[:, None]
    mask = np.zeros(x.shape[:2], bool)
    mask[rows, at + 1] = True
    return x, y, mask


def find_max(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
    """Draw samples whose `y` is the largest value of the first feature over all steps.

    Values have the distribution Beta(1 / steps, 1), so that the largest is uniform in [0, 1].

    Source: `examples/find_max.py` of https://github.com/philipperemy/keras-attention.
    """
    del labels  # x determines y
    x = background.beta(1 / data.time_steps, 1, (samples, data.time_steps, data.input_dim)).astype(np.float32)
    at = x[:, :, 0].argmax(axis=1)
    mask = np.zeros(x.shape[:2], bool)
    mask[np.arange(samples), at] = True
    return x, x[mask][:, 0], mask


def add_two_after_delimiter(
    background: Generator, labels: Generator, samples: int, data: Data, *, delimiter: Value
) -> Samples:
    """Draw samples whose `y` is the mean of the two numbers that follow the two delimiters.

    Numbers are uniform in [0, 1], and those of the first feature count; a delimiter is a value in all features. The
    pairs of delimiter and number do not overlap (in the original they may, and then a number is lost).

    Source: `examples/add_two_numbers.py` of https://github.com/philipperemy/keras-attention.
    """
    if data.time_steps < 4:
        raise UserError(f"data.time_steps is {data.time_steps}: it must be at least 4, for two pairs.")
    x = background.random((samples, data.time_steps, data.input_dim), dtype=np.float32)
    # Two of the places that are left if each pair takes one; shifting the second one keeps the pairs apart.
    rows, places = np.arange(samples), data.time_steps - 2
    first, gap = labels.integers(0, places, samples), labels.integers(1, places, samples)
    chosen = np.sort(np.stack([first, (first + gap) % places]), axis=0)
    mask = np.zeros(x.shape[:2], bool)
    for at in (chosen[0], chosen[1] + 1):
        x[rows, at] = delimiter
        mask[rows, at + 1] = True
    return x, x[:, :, 0][mask].reshape(samples, 2).mean(axis=1), mask


def dense_key(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
    """Draw samples of the article's prequel: columns of white noise, one of them the label, as steps of one feature.

    Source: `get_data` of https://github.com/philipperemy/keras-attention (2017).
    """
    if data.input_dim != 1:
        raise UserError(f"data.input_dim is {data.input_dim}: it must be 1, since the columns are the steps.")
    return planted_key(background, labels, samples, data)


def _white_noise(rng: Generator, samples: int, data: Data) -> NDArray[np.float32]:
    return rng.standard_normal((samples, data.time_steps, data.input_dim), dtype=np.float32)


def _coins(rng: Generator, samples: int) -> NDArray[np.float32]:
    return rng.integers(0, 2, samples).astype(np.float32)


def _coded(y: NDArray[np.float32], data: Data) -> NDArray[np.float32]:
    return y if data.key_coding == "zero_one" else 2 * y - 1


def _plant(
    x: NDArray[np.float32], step: int, key: NDArray[np.float32], rng: Generator, *, feature: int | None, noise: float
) -> None:
    """Write a key (samples,) over a step of `x`, in one feature or in all, with independent noise in each."""
    features = x.shape[2] if feature is None else 1
    if feature is not None and not 0 <= feature < x.shape[2]:
        raise UserError(f"task.feature is {feature}: it must be null, for all features, or 0 to {x.shape[2] - 1}.")
    planted = np.repeat(key[:, None], features, axis=1)
    if noise:
        planted += noise * rng.standard_normal(planted.shape, dtype=np.float32)
    x[:, step, slice(None) if feature is None else slice(feature, feature + 1)] = planted


def _mask(x: NDArray[np.float32], steps: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(x.shape[:2], bool)
    mask[:, steps] = True
    return mask


def _check_steps(steps: list[int], data: Data, least: int, most: int | None = None) -> None:
    whole = all(isinstance(step, int) and 0 <= step < data.time_steps for step in steps)
    if not whole or len(set(steps)) != len(steps) or not least <= len(steps) <= (most or len(steps)):
        many = f"{least}" if most == least else f"{least} or more"
        raise UserError(f"task.key_steps is {steps}: it must be {many} different steps of 0 to {data.time_steps - 1}.")

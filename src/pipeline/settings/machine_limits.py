"""What settings take of this machine at the least: what its memory or disk cannot hold is refused before it starts."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psutil

from pipeline.settings.project import ROOT, UserError
from pipeline.settings.schema import Config, Data
from pipeline.settings.validation import refused

FLOAT, ROW, SHORT = 4, 100, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")  # bytes of a float32, of a point in a list


def check_size(config: Config) -> None:
    """Raise a `UserError` for settings that take more memory or disk than this machine has in all.

    The estimates are lower bounds. The workers of a cluster may have more memory than this machine.
    """
    limits = [("disk", shutil.disk_usage(ROOT).total, _disk(config))]
    if not config.cluster:
        limits.append(("memory", psutil.virtual_memory().total, _memory(config)))
    for kind, there_is, needs in limits:
        for name, value, needed in needs:
            if needed > there_is:
                words = f"small enough for the {kind}, {_size(there_is)}: here it takes {_size(needed)}"
                raise UserError(refused(name, value, words))


def bytes_of(data: Data, samples: int) -> int:
    """Return how many bytes samples take on disk."""
    return samples * (data.time_steps * (data.input_dim * FLOAT + 1) + FLOAT)


def _disk(config: Config) -> Iterator[tuple[str, int, int]]:
    """Yield name and value of settings, and the bytes that they take on disk."""
    data, null = config.data, config.controls.null_key_samples
    yield "data.samples", data.samples, bytes_of(data, data.samples + data.per_seed * data.train_samples)
    yield "controls.null_key_samples", null, bytes_of(data, null)
    yield "probe.samples", config.probe.samples, bytes_of(data, config.probe.samples)


def _memory(config: Config) -> Iterator[tuple[str, Any, int]]:
    """Yield name and value of settings, and the bytes that they take in memory."""
    data, train, units = config.data, config.train, config.model.layers
    steps, features = data.shape
    batches = data.train_samples // train.batch_size * train.epochs
    points = batches // train.log_every
    recurrent = sum(4 * size * (size + before) for before, size in pairwise((features, *units)))
    kernels = {"model.lstm_units": (config.model.lstm_units, recurrent), "data.time_steps": (steps, steps**2)}
    for name, (value, weights) in kernels.items():
        yield name, value, 4 * FLOAT * weights  # with the gradient and two moments of Adam
    layer = 6 * sum(units)  # gates and states of a step, kept for the gradient
    yield "train.batch_size", train.batch_size, train.batch_size * steps * FLOAT * (features + layer)
    yield "train.log_every", train.log_every, points * ROW
    yield "train.snapshots", train.snapshots, min(train.snapshots, points) * steps**2 * FLOAT
    probes = {"probe.samples": config.probe.samples, "controls.probe_samples": config.controls.probe_samples}
    for name, samples in probes.items():
        yield name, samples, samples * steps * 2 * FLOAT * features
    resamples = config.compare.resamples
    yield "compare.resamples", resamples, 4 * FLOAT * resamples * len(config.seeds)


def _size(number: float) -> str:
    """Return a number of bytes in words."""
    power = min((len(str(int(number))) - 1) // 3, len(SHORT) - 1)
    return f"{number / 1000**power:.3g} {SHORT[power]}"

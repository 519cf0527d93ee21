"""The generator of samples that a task names: found, given its options, tried."""

import inspect
from collections.abc import Callable

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.config import CLASSIFICATION, Data, Task, UserError
from pipeline.targets import SOURCE, TARGET, locate

Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]  # x, y, mask
Draw = Callable[[Generator, Generator, int, Data], Samples]
TASK_KEYS = ("name", "kind", TARGET, SOURCE)  # of a file of conf/task/; all others are options of the generator


def draw_of(task: Task) -> Draw:
    """Return the generator that a task names, with its options; a `UserError` if it does not take these."""
    name, options = task["name"], {key: value for key, value in task.items() if key not in TASK_KEYS}
    function = locate(task[TARGET], f"task.{TARGET}")
    signature = inspect.signature(function).parameters
    own = list(signature)[4:]
    for key in options:
        if key not in own:
            raise UserError(f"task.{key} is not a parameter: {name} has {', '.join(own) or 'none'}.")
    for key in own:
        if key not in options and signature[key].default is inspect.Parameter.empty:
            raise UserError(f"task.{key} has no value: {name} needs one.")

    def draw(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
        return function(background, labels, samples, data, **options)  # type: ignore[no-any-return]

    return draw


def check(task: Task, data: Data) -> None:
    """Raise a `UserError` unless a task's generator, tried on a few samples, gives them as it should."""
    samples, name, draw = 8, task["name"], draw_of(task)
    try:
        x, y, mask = draw(default_rng(0), default_rng(0), samples, data)
    except (TypeError, ValueError) as error:
        raise UserError(f"task {name} cannot draw samples ({error}).") from error
    shape = (samples, data.time_steps, data.input_dim)
    for part, array, wanted, kind in (("x", x, shape, "f4"), ("y", y, shape[:1], "f4"), ("mask", mask, shape[:2], "?")):
        if array.shape != wanted or array.dtype != np.dtype(kind):
            found = f"{array.dtype} {array.shape}"
            raise UserError(f"task {name}: {part} is {found}: it must be {np.dtype(kind)} {wanted}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError(f"task {name}: x or y holds NaN or infinite values; none may.")
    if task["kind"] == CLASSIFICATION and not np.isin(y, (0, 1)).all():
        raise UserError(f"task {name}: y is {y[~np.isin(y, (0, 1))][0]}: in a classification it must be 0 or 1.")


def unrelated(draw: Draw) -> Draw:
    """Return a generator of the same samples with labels of other samples, that have nothing to do with their own."""

    def drawn(background: Generator, labels: Generator, samples: int, data: Data) -> Samples:
        (spare,) = background.spawn(1)
        x, _, mask = draw(background, labels, samples, data)
        _, y, _ = draw(spare, labels, samples, data)
        return x, y, mask

    return drawn

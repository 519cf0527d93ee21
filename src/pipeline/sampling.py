"""The generator of samples that a task names: found, given its options, tried."""

import inspect
from typing import Protocol

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pipeline.config import CLASSIFICATION, Data, Task, UserError
from pipeline.targets import CONTENT, SOURCE, TARGET, locate

Samples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]  # x, y, mask
FIRST = "first"  # name of what a generator takes that deals samples of a file
TASK_KEYS = (
    "name",
    "kind",
    TARGET,
    SOURCE,
    CONTENT,
)  # of a file of conf/task/; all others are options of the generator


class Draw(Protocol):
    """A generator of samples that has its options."""

    def __call__(self, background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        """Return samples; `first` is the place of the first one among all of the study."""


def draw_of(task: Task) -> Draw:
    """Return the generator that a task names, with its options; a `UserError` if it does not take these."""
    name, options = task["name"], {key: value for key, value in task.items() if key not in TASK_KEYS}
    function = locate(task[TARGET], f"task.{TARGET}")
    signature = inspect.signature(function).parameters
    own = [name for name in list(signature)[4:] if name != FIRST]
    for key in options:
        if key not in own:
            raise UserError(f"task.{key} is not a parameter: {name} has {', '.join(own) or 'none'}.")
    for key in own:
        if key not in options and signature[key].default is inspect.Parameter.empty:
            raise UserError(f"task.{key} has no value: {name} needs one.")

    def draw(background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        told = {FIRST: first} if FIRST in signature else {}
        return function(background, labels, samples, data, **options, **told)  # type: ignore[no-any-return]

    return draw


def check(task: Task, data: Data, needed: int = 8) -> None:
    """Raise a `UserError` unless a task's generator gives samples as it should.

    It is tried on a few; one that takes `first`, since it has only so many, on as many as are needed.
    """
    name, draw = task["name"], draw_of(task)
    samples = needed if FIRST in inspect.signature(locate(task[TARGET], TARGET)).parameters else 8
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

    def drawn(background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        (spare,) = background.spawn(1)
        x, _, mask = draw(background, labels, samples, data, first)
        _, y, _ = draw(spare, labels, samples, data, first + samples)
        return x, y, mask

    return drawn

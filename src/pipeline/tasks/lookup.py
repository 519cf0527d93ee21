"""The generator of samples that a task names: found, bound to its options, tried on a few samples."""

import inspect

import numpy as np
from numpy.random import Generator, default_rng

from pipeline.results.splits import Draw, Meaning, Samples
from pipeline.settings.project import UserError
from pipeline.settings.schema import CLASSIFICATION, REGRESSION, Data, Task
from pipeline.settings.study import task_options
from pipeline.settings.user_code import TARGET, locate
from pipeline.settings.validation import check_argument, refused
from pipeline.tasks.user_data import meaning_of_file, samples_of_file

TRIED = 32  # samples; so many labels of a regression are not all 0 or 1 by chance
FIRST = "first"  # the argument of a generator that has a limited number of samples
KIND, TELL = "kind", "tell"  # those of one that needs to know the task's kind, and whether to print how it read a file
GIVEN = (FIRST, KIND, TELL)  # arguments that are no options of a task
MEANINGS = {samples_of_file: meaning_of_file}  # generator -> what its numbers mean, where that is not obvious
LIMITED = {FIRST, "path"}  # the arguments of generators whose samples, or the series that holds them, come from a file


def draw_of(task: Task, tell: bool = True) -> Draw:
    """Return the generator that a task names, bound to its options.

    `tell` is whether it may print how it read the user's file: only where the samples of the study are drawn. A
    `UserError` if there is no such generator, or it does not accept these options or their values.
    """
    name, options = task["name"], task_options(task)
    function = locate(task[TARGET], f"task.{TARGET}")
    if not callable(function):
        raise UserError(refused(f"task.{TARGET}", task[TARGET], "a function"))
    signature = inspect.signature(function).parameters
    accepted = [name for name in list(signature)[4:] if name not in GIVEN]
    for key in options:
        if key not in accepted:
            raise UserError(f"task.{key} is not a parameter: {name} has {', '.join(accepted) or 'none'}.")
    for key in accepted:
        if options.get(key) is None and signature[key].default is inspect.Parameter.empty:
            raise UserError(f"task.{key} has no value: {name} needs one.")
        declared = signature[key].annotation
        if key in options and declared is not inspect.Parameter.empty and not isinstance(declared, str):
            check_argument(f"task.{key}", options[key], declared)

    def draw(background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        given = {FIRST: first, KIND: task["kind"], TELL: tell}
        known = {key: value for key, value in given.items() if key in signature}
        return function(background, labels, samples, data, **options, **known)  # type: ignore[no-any-return]

    return draw


def meaning_of(task: Task, data: Data) -> Meaning:
    """Return what the numbers in a task's samples mean: names of its classes, and their scale."""
    meaning = MEANINGS.get(locate(task[TARGET], f"task.{TARGET}"))
    return meaning(data, kind=task["kind"], **task_options(task)) if meaning else Meaning()


def check_task(task: Task, data: Data, needed: int = 8) -> None:
    """Raise a `UserError` unless a task's generator returns samples of the right shapes and values.

    It is tried on some samples; a generator that takes `first`, because its samples are limited, on all that are
    needed.
    """
    name, draw = task["name"], draw_of(task, tell=False)
    accepted = inspect.signature(locate(task[TARGET], TARGET)).parameters
    if data.per_seed and not LIMITED.isdisjoint(accepted):
        raise UserError(refused("data.per_seed", True, f"false, since the samples of {name} are limited"))
    samples = needed if FIRST in accepted else TRIED
    try:
        x, y, mask = draw(default_rng(0), default_rng(0), samples, data)
    except UserError:
        raise
    except Exception as error:  # a user's generator may raise anything
        raise UserError(f"task {name} cannot draw samples ({' '.join(str(error).split())}).") from error
    shape = (samples, *data.shape)
    for part, array, wanted, kind in (("x", x, shape, "f4"), ("y", y, shape[:1], "f4"), ("mask", mask, shape[:2], "?")):
        if array.shape != wanted or array.dtype != np.dtype(kind):
            found = f"{array.dtype} {array.shape}"
            raise UserError(f"task {name}: {part} is {found}: it must be {np.dtype(kind)} {wanted}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError(f"task {name}: x or y holds NaN or infinite values; none may.")
    labels = range(len(meaning_of(task, data).classes) or 2)
    if task["kind"] == CLASSIFICATION and not np.isin(y, labels).all():
        raise UserError(f"task {name}: y is {y[~np.isin(y, labels)][0]}: in a classification it must be 0 or 1.")
    if task["kind"] == REGRESSION and (y == y[0]).all():
        raise UserError(f"task {name}: y is {y[0]:g} in {samples} samples: there is nothing to learn.")
    if task["kind"] == REGRESSION and np.isin(y, (0, 1)).all():
        raise UserError(refused("task.kind", REGRESSION, f"{CLASSIFICATION}, since every y of {name} is 0 or 1"))


def unrelated(draw: Draw) -> Draw:
    """Return a generator of the same samples with the labels of other samples, so that no label depends on its x."""

    def drawn(background: Generator, labels: Generator, samples: int, data: Data, first: int = 0) -> Samples:
        (spare,) = background.spawn(1)
        x, _, mask = draw(background, labels, samples, data, first)
        _, y, _ = draw(spare, labels, samples, data, first + samples)
        return x, y, mask

    return drawn

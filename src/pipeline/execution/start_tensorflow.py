"""TensorFlow imported quickly, and without its start-up messages."""

import ctypes
import gc
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow and Keras quietly; later imports of them cost nothing.

    Keras also imports Matplotlib and scikit-learn where they are installed, for its plots and wrappers. No stage uses
    these, and they take a third of the time, so they are left out.
    """
    if "keras" in sys.modules:
        return
    _keep_freed_memory()
    with quiet_start(), importing(), _hidden("matplotlib.pyplot", "sklearn"):
        import keras  # noqa: F401 (and with it TensorFlow, its backend)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns that several models were compiled


@contextmanager
def importing() -> Iterator[None]:
    """Turn garbage collection off in a block that imports large packages: it takes a third of the time for nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was imported is never collected
        gc.enable()


@contextmanager
def quiet_start() -> Iterator[None]:
    """Silence what native code prints to standard error; no environment variable reaches all of it.

    Python's own messages, and exceptions after the block, are shown as usual.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextmanager
def _hidden(*modules: str) -> Iterator[None]:
    """Make imports of modules fail as if they were not installed, unless they were imported before."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _keep_freed_memory() -> None:
    """Make glibc keep the memory that a training step frees for the next step.

    By default it returns it to the system and faults it in again, some 450 pages a step: nearly half the training time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, size in ((_M_TOP_PAD, 64 * 2**20), (_M_TRIM_THRESHOLD, 2**30), (_M_MMAP_THRESHOLD, 32 * 2**20)):
            libc.mallopt(option, size)


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h

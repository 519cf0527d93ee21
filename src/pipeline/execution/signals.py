"""Ctrl-C and termination: they act at once, but never inside a block that must be completed first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []  # signals
_depth = 0  # of blocks that must be completed first


def listen() -> None:
    """Raise `KeyboardInterrupt` on termination as on Ctrl-C, unless the process was started to ignore Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def interrupted() -> bool:
    """Return whether the process received a signal to end; a library may have turned it into another exception."""
    return bool(_received)


@contextmanager
def completed_first() -> Iterator[None]:
    """Delay an interrupt until the block is complete, for instance while a database is written."""
    global _depth  # noqa: PLW0603
    before, _depth = len(_received), _depth + 1
    try:
        yield
    finally:
        _depth -= 1
    if len(_received) > before and not _depth:
        raise KeyboardInterrupt


@contextmanager
def ignored_by_children() -> Iterator[None]:
    """Start processes in the block that ignore Ctrl-C from their first moment on; this process does so meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if not _depth:
        raise KeyboardInterrupt

"""Ctrl-C and termination: they act at once, but never inside a block that must be completed first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A closed terminal sends SIGHUP, where there is one (not on Windows).
ENDING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))

_received: list[int] = []  # signals
_depth = 0  # of blocks that must be completed first


def listen() -> None:
    """Raise `KeyboardInterrupt` on termination as on Ctrl-C, unless the process was started to ignore either."""
    for number in ENDING:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _interrupt)


def end() -> None:
    """Let signals end the process without a word, once its work is done and only libraries are left to clean up."""
    for number in ENDING:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)


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
    """Start processes in the block that ignore Ctrl-C and a closed terminal from their first moment on.

    This process does so meanwhile. Termination is not ignored, so that it can end the processes.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING if number != signal.SIGTERM}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if not _depth:
        raise KeyboardInterrupt

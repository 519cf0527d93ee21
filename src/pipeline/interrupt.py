"""Ctrl-C and termination: heard at once, but not in the middle of what must be finished first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_heard: list[int] = []  # signals that came
_depth = 0  # of blocks that must be finished first


def listen() -> None:
    """Raise `KeyboardInterrupt` on termination as on Ctrl-C, unless the process was started to ignore the latter."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def heard() -> bool:
    """Return whether the process was told to end; libraries may have made another exception of it."""
    return bool(_heard)


@contextmanager
def finished_first() -> Iterator[None]:
    """Put off an interrupt until the block has ended, such as one in which a database is written."""
    global _depth  # noqa: PLW0603
    before, _depth = len(_heard), _depth + 1
    try:
        yield
    finally:
        _depth -= 1
    if len(_heard) > before and not _depth:
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    if not _depth:
        raise KeyboardInterrupt

"""Opens a page in the user's browser, if there is one in front of the user."""

import os
import socket
import sys
import time
import webbrowser
from contextlib import suppress
from threading import Thread

PATIENCE = 60  # seconds in which a server starts


def is_wanted(browser: bool) -> bool:
    """Return whether to open a browser: the setting `browser` says so, and a user sits at a display."""
    has_display = sys.platform != "linux" or any(os.environ.get(x) for x in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return browser and has_display and sys.stdout.isatty() and not os.environ.get("CI")


def open_later(page: str, host: str, port: int) -> None:
    """Open a page as soon as its server listens, beside other work; silent if that fails."""
    Thread(target=_open_when_served, args=(page, host, port), daemon=True).start()


def _open_when_served(page: str, host: str, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection((host, port), 1).close()
            open_page(page)
            return
        time.sleep(0.1)


def open_page(page: str) -> None:
    """Open a page; silent if that fails."""
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(page)

"""Progress lines of long jobs, at most one every ten seconds."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 10.0
"""Seconds between two lines."""


class Progress:
    """Prints the number of finished items.

    Args:
        text: the line, with ``{done}`` for the number.
        total: number of all items; its line is always printed.
    """

    def __init__(self, text: str, total: int) -> None:
        self._text, self._total = text, total
        self._last = time.monotonic()

    def update(self, done: int) -> None:
        """Print the line if ten seconds have passed."""
        now = time.monotonic()
        if done == self._total or now - self._last >= SECONDS:
            self._last = now
            print(self._text.format(done=done), flush=True)


@contextmanager
def progress_lines(line: Callable[[], str | None]) -> Iterator[None]:
    """Print a line every ten seconds while a block runs.

    Args:
        line: returns the line; None and a repeated line are not printed.
    """
    console, over = sys.stdout, threading.Event()  # the block may redirect stdout

    def work() -> None:
        last = None
        while not over.wait(SECONDS):
            text = line()
            if text not in (None, last):
                print(text, file=console, flush=True)
                last = text

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def folder_size(folder: Path, leave_out: tuple[str, ...] = ()) -> int:
    """Return the bytes of all files below a folder; 0 if it is missing.

    Args:
        folder: the folder.
        leave_out: names of subfolders that do not count.
    """
    total = 0
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in leave_out]
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except FileNotFoundError:  # moved or removed after listing
                continue
    return total


def downloaded(what: str, size: int, total: int) -> str:
    """Return a line about a download, with sizes in MB (10⁶ bytes)."""
    return f"{what}: downloaded {min(size, total) / 1e6:.0f} of {total / 1e6:.0f} MB"

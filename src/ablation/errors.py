"""The one exception that speaks to the user, and text that is made fit to be shown."""

import difflib
from collections.abc import Iterable
from itertools import takewhile

LISTED = 500  # characters of the known names in a message


class InputError(Exception):
    """Something the user gave is wrong.

    The message names the file, key or value and says what would be right; the command line
    prints it as it is, without a traceback, and exits with status 1. What cannot be printed is
    written as in Python, so that a message is one line and moves no cursor.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


def visible(text: str) -> str:
    """Write foreign text so that each character shows: unprintable ones by their escapes.

    A file's name may hold line breaks, marks that turn the direction of what follows, and bytes
    that are no text at all and cannot be written to a file.
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to ``name``.

    Where none is near, the known names are listed instead.
    """
    names, wrong = sorted(known), str(name).lower()
    close = difflib.get_close_matches(wrong, names, n=3, cutoff=0.6)
    if close:  # of equally near ones, the one that begins alike for longest
        best = max(close, key=lambda right: (_ratio(wrong, right), len(_start(wrong, right))))
        return f"; did you mean '{best}'?"
    listed = ", ".join(names)
    more = ", …" if len(listed) > LISTED else ""
    return f"; known are {listed[:LISTED]}{more}" if names else ""


def _ratio(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second).ratio()


def _start(first: str, second: str) -> list[tuple[str, str]]:
    pairs = zip(first, second, strict=False)
    return list(takewhile(lambda pair: pair[0] == pair[1], pairs))

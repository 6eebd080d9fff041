"""The one exception that speaks to the user, and text that is made fit to be shown."""

import difflib
import textwrap
from collections.abc import Iterable

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


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to ``name``, if one is near."""
    close = difflib.get_close_matches(str(name).lower(), sorted(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `did_you_mean`, or the known names where none is near."""
    names = sorted(known)
    listed = textwrap.shorten(", ".join(names), LISTED, placeholder=" …")
    return did_you_mean(name, names) or (f"; known are {listed}" if names else "")

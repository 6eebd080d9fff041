"""The exception for wrong input, and text formatted for messages."""

import difflib
import textwrap
from collections.abc import Iterable

SHOWN = 60  # characters of a value in a message
LISTED = 500  # characters of the known names in a message


class InputError(Exception):
    """Input of the user is wrong.

    The message names the file, key or value and says what would be right. The command line prints
    it without a traceback and exits with status 1. Unprintable characters are escaped, so that a
    message is one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))


def visible(text: str) -> str:
    """Return text with unprintable characters escaped as in Python.

    File names may contain line breaks, marks of text direction, and bytes that are not text.
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name; empty if none is near."""
    close = difflib.get_close_matches(str(name).lower(), sorted(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `did_you_mean`, or a list of the known names if none is near."""
    names = sorted(known)
    listed = textwrap.shorten(", ".join(names), LISTED, placeholder=" …")
    return did_you_mean(name, names) or (f"; known are {listed}" if names else "")


def shown_value(value: object) -> str:
    """Return a value as text for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."

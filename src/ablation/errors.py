"""The one exception that speaks to the user."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave is wrong.

    The message names the file, key or value and says what would be right; the command line
    prints it as it is, without a traceback, and exits with status 1.
    """


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name nearest to ``name``.

    Where none is near, the known names are listed instead.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are {', '.join(names)}" if names else ""

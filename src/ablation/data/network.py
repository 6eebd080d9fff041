"""Downloads that are tried again when the network fails."""

import http.client
import re
import socket
import time
import urllib.error
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests

WAITS = (5.0, 20.0)
"""Seconds before the second and the third try."""
SECONDS = 60.0
"""A server that says nothing for so long counts as unreachable."""
_FAILED = (
    requests.RequestException,
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    socket.gaierror,  # the name of a server is not known
)
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers of a server that may be others soon
_LONGEST_REASON = 500

Result = TypeVar("Result")


def patiently(
    fetch: Callable[[], Result], what: str, damaged: tuple[type[Exception], ...] = ()
) -> Result:
    """Download, and try again after `WAITS` where the network has failed.

    Args:
        fetch: downloads; can be called again after it has failed.
        what: what is downloaded, for the lines that tell of another try.
        damaged: what ``fetch`` raises for a download of the wrong content, which is tried once
            more: it may have been cut short.

    Returns:
        What ``fetch`` returns.

    Raises:
        Exception: what ``fetch`` raised at last.
    """
    once_damaged = False
    for tried, wait in enumerate(WAITS, 2):
        try:
            return fetch()
        except Exception as error:
            is_damaged = isinstance(error, damaged)
            if once_damaged if is_damaged else not of_network(error):
                raise
            once_damaged |= is_damaged
            print(
                f"{what}: {reason(error)}; trying again in {wait:.0f} s ({tried} of "
                f"{len(WAITS) + 1})",
                flush=True,
            )
        time.sleep(wait)
    return fetch()


def of_network(error: BaseException) -> bool:
    """Tell whether an error, or one that it came from, is one of the network that may pass.

    It is not where a server answers that there is no such file, and not where a file of this
    machine cannot be had.
    """
    for one in _chain(error):
        code = _code(one)
        if code is not None:
            return code in _PASSING
        if isinstance(getattr(one, "reason", None), FileNotFoundError):  # of a file:// address
            return False
        if isinstance(one, _FAILED):
            return True
    return False


def reason(error: BaseException) -> str:
    """Tell an error in one line that is not too long."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _code(error: BaseException) -> int | None:
    """The status that a server answered with; None if it is not that."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code
    told = re.search(r"HTTP code: (\d{3})", str(error))  # how TensorFlow Datasets tells it
    return int(told[1]) if told else None

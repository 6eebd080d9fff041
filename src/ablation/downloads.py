"""Downloads with retries."""

import http.client
import re
import socket
import urllib.error
from collections.abc import Callable, Iterator
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_chain,
    wait_fixed,
)

WAITS = (5.0, 20.0)
"""Seconds before the second and the third attempt."""
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    socket.gaierror,  # the name of a server cannot be resolved
)
_TEMPORARY_STATUS = (408, 425, 429, 500, 502, 503, 504)
_MAX_LENGTH = 500  # of an error in a message

Result = TypeVar("Result")


def with_retries(
    fetch: Callable[[], Result], what: str, damaged: tuple[type[Exception], ...] = ()
) -> Result:
    """Download, and try again after `WAITS` if the network fails.

    Args:
        fetch: the download; can be called again after a failure.
        what: name of what is downloaded, for messages.
        damaged: errors that ``fetch`` raises for wrong or truncated content.

    Returns:
        The result of ``fetch``.

    Raises:
        Exception: the error of the last attempt.
    """
    attempts = len(WAITS) + 1

    def announce(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        print(
            f"{what}: {one_line(error)}; trying again in {state.upcoming_sleep:.0f} s "
            f"({state.attempt_number + 1} of {attempts})",
            flush=True,
        )

    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: isinstance(error, damaged) or is_network_error(error)
        ),
        stop=stop_after_attempt(attempts),
        wait=wait_chain(*map(wait_fixed, WAITS)),
        before_sleep=announce,
        reraise=True,
    )
    return retrying(fetch)


def is_network_error(error: BaseException) -> bool:
    """Return whether an error, or an error that caused it, is a failure of the network.

    The reply that a file does not exist is not one, and neither is a missing local file.
    """
    import requests  # noqa: PLC0415 (takes time, and is only needed here)

    for one in _chain(error):
        status = _status(one)
        if status is not None:
            return status in _TEMPORARY_STATUS
        if isinstance(getattr(one, "reason", None), FileNotFoundError):  # of a file:// address
            return False
        if isinstance(one, (requests.RequestException, *_NETWORK_ERRORS)):
            return True
    return False


def one_line(error: BaseException | None) -> str:
    """Return type and text of an error in one line of limited length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error; None if it has none."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code
    found = re.search(r"HTTP code: (\d{3})", str(error))  # as in errors of TensorFlow Datasets
    return int(found[1]) if found else None

"""Handling of SIGTERM and SIGINT, which end training in order. Does not import TensorFlow."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """Training was ended by a signal.

    Attributes:
        exit_code: 128 plus the number of the signal.
    """

    def __init__(self, received: signal.Signals, state: str) -> None:
        super().__init__(f"stopped by {received.name} {state}")
        self.exit_code = 128 + received.value


class StopSignals:
    """Records signals until training can end.

    Attributes:
        state: end of the message: the progress of training and how to resume it.
    """

    def __init__(self) -> None:
        self.state = "before training; the same command starts it again"
        self._received: signal.Signals | None = None

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Record a signal; the next one ends the process at once."""
        self._received = signal.Signals(number)
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)

    def check(self) -> None:
        """Check for a recorded signal.

        Raises:
            Interrupted: a signal was recorded.
        """
        if self._received is not None:
            raise Interrupted(self._received, self.state)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Record SIGTERM and SIGINT while the block runs; `StopSignals.check` acts on them."""
    signals = StopSignals()
    before = {one: signal.signal(one, signals.note) for one in SIGNALS}
    try:
        yield signals
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

"""SIGTERM and SIGINT, which end a training job in order. Needs no TensorFlow."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):  # noqa: N818 - a request, no error
    """Training was asked to end.

    Attributes:
        exit_code: what a process that ends by this signal leaves to its shell.
    """

    def __init__(self, received: signal.Signals, state: str) -> None:
        super().__init__(f"stopped by {received.name} {state}")
        self.exit_code = 128 + received.value


class StopSignals:
    """What is known of signals that ask training to end.

    Attributes:
        state: how far training is and how it goes on: the end of the message.
    """

    def __init__(self) -> None:
        self.state = "before training; the same command starts it again"
        self._received: signal.Signals | None = None

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Take note of a signal; the next one ends the process at once."""
        self._received = signal.Signals(number)
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)

    def check(self) -> None:
        """Obey a signal that has come.

        Raises:
            Interrupted: one has.
        """
        if self._received is not None:
            raise Interrupted(self._received, self.state)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Take note of SIGTERM and SIGINT, to be obeyed where nothing is half-done."""
    signals = StopSignals()
    before = {one: signal.signal(one, signals.note) for one in SIGNALS}
    try:
        yield signals
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

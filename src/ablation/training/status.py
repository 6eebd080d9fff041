"""The status of training a run: ``status.json`` in its folder of checkpoints.

It is written by the process that holds the lock of that folder. Does not import TensorFlow.
"""

import math
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from ablation.errors import InputError, visible
from ablation.storage import atomically
from ablation.training.checkpoint import LOCK
from ablation.training.signals import Interrupted

STATUS = "status.json"
KILLED = "killed (out of memory?)"
LONGEST_REASON = 300

# How long a process on another host counts as alive after its last update, if the file system does
# not show its lock: this number of its longest epochs, at least these seconds, and more before the
# first epoch.
SILENT_EPOCHS = 3
SILENT_SECONDS = 5 * 60
SILENT_SECONDS_AT_FIRST = 60 * 60


class Status(BaseModel):
    """The status of the last attempt to train a run.

    Attributes:
        state: ``waiting`` for a device, ``running``, ``interrupted`` by SIGTERM or SIGINT,
            ``failed``, or ``finished``.
        reason: one line on why it was interrupted or has failed; otherwise None.
        host: name of the computer.
        code: digest of the code that trains.
        updated: time of writing, in seconds since 1970.
        epochs: number of epochs to train.
        epoch: last epoch in the checkpoint, 0 before the first.
        resumed: epoch after which this attempt resumed, 0 if it started from the beginning.
        ended: whether no epoch is left to train.
        val_accuracy: after the last epoch of this attempt, 0 to 1; None before the first, or if
            it is not finite.
        epoch_seconds: median time of the epochs of this attempt, without the first if there are
            more; None before the first.
        longest_epoch: the longest of these times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["waiting", "running", "interrupted", "failed", "finished"]
    reason: str | None = None
    host: str
    code: str
    updated: float
    epochs: int
    epoch: int = 0
    resumed: int = 0
    ended: bool = False
    val_accuracy: float | None = None
    epoch_seconds: float | None = None
    longest_epoch: float | None = None


class Reporter:
    """Keeps the status of one attempt up to date.

    Args:
        folder: the run's folder of checkpoints, whose lock this process holds.
        code: digest of the code that trains.
        epochs: number of epochs to train.
    """

    def __init__(self, folder: Path, code: str, epochs: int) -> None:
        self._folder = folder
        before = _read(folder)
        kept = before.epoch if before and before.code == code else 0
        self._status = Status(
            state="waiting", host=platform.node(), code=code, updated=time.time(), epochs=epochs,
            epoch=kept, resumed=kept, ended=bool(kept and before and before.ended),
        )  # fmt: skip
        self.update()

    def update(self, **changes: Any) -> None:
        """Write the status with some attributes changed.

        Raises:
            InputError: the file cannot be written.
        """
        changes["updated"] = time.time()
        self._status = self._status.model_copy(update=changes)

        def write(part: Path) -> None:
            part.write_text(self._status.model_dump_json(indent=2), encoding="utf-8")

        atomically(self._folder / STATUS, write)

    def epoch_done(
        self, epoch: int, *, ended: bool, val_accuracy: float, seconds: Sequence[float]
    ) -> None:
        """Record an epoch whose checkpoint has been written.

        Args:
            epoch: its number, from 1.
            ended: whether no epoch is left.
            val_accuracy: after it, 0 to 1 or not-a-number.
            seconds: duration of each epoch of this attempt.
        """
        self.update(
            epoch=epoch,
            ended=ended,
            val_accuracy=float(val_accuracy) if math.isfinite(val_accuracy) else None,
            epoch_seconds=statistics.median(seconds[1:] or seconds),
            longest_epoch=max(seconds),
        )

    def end(self, state: str, reason: str | None = None) -> None:
        """Record how the attempt ended; a failure to write is ignored."""
        with suppress(InputError):  # the error of the attempt is reported instead
            self.update(state=state, reason=reason)


@contextmanager
def reporting(folder: Path, code: str, epochs: int) -> Iterator[Reporter]:
    """Write the status of an attempt while the block runs; arguments as of `Reporter`."""
    reporter = Reporter(folder, code, epochs)
    try:
        yield reporter
    except Interrupted as stop:
        reporter.end("interrupted", str(stop))
        raise
    except Exception as error:
        reporter.end("failed", one_line(error))
        raise
    reporter.end("finished")


def read_status(folder: Path) -> Status | None:
    """Return the status of the last attempt to train a run; None if there is none.

    If the process was killed, the state is ``failed``.

    Args:
        folder: the run's folder of checkpoints.
    """
    held = _is_held(folder / LOCK)
    status = _read(folder)
    if status is None or status.state not in ("waiting", "running") or _is_alive(status, held):
        return status
    return status.model_copy(update={"state": "failed", "reason": KILLED})


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line of at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    text = lines[0]
    if text.endswith(":"):  # TensorFlow's errors begin with a title and end with the cause
        text = f"{text} {lines[-1]}"
    if not isinstance(error, InputError):
        text = ": ".join(filter(None, [type(error).__name__, text]))
    text = visible(text)
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _read(folder: Path) -> Status | None:
    try:
        return Status.model_validate_json((folder / STATUS).read_bytes())
    except (OSError, ValueError):
        return None


def _is_held(lock: Path) -> bool | None:
    """Return whether a process holds a lock; None if the file system does not show it."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, blocking=False, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except OSError:
        return None


def _is_alive(status: Status, held: bool | None) -> bool:
    if held is not None and (held or status.host == platform.node()):
        return held
    if status.state == "waiting":  # no updates while it waits
        return True
    longest = status.longest_epoch
    silence = (
        SILENT_SECONDS_AT_FIRST if longest is None else max(SILENT_SECONDS, SILENT_EPOCHS * longest)
    )
    return time.time() - status.updated <= silence

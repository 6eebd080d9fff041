"""The status of a run's training, written by training and read by everybody."""

import fcntl
import json
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest

from ablation.errors import InputError
from ablation.storage import exclusive_lock
from ablation.training import status
from ablation.training.signals import Interrupted
from ablation.training.status import KILLED, one_line, read_status, reporting


@contextmanager
def attempt(folder, code="abc"):
    with exclusive_lock(folder / ".lock", ""), reporting(folder, code, 4) as reporter:
        yield reporter


def test_an_attempt_is_seen_from_its_start_to_its_end(tmp_path):
    assert read_status(tmp_path) is None
    with attempt(tmp_path) as reporter:
        assert read_status(tmp_path).state == "waiting"
        reporter.update(state="running", epoch=0, resumed=0)
        seconds = [9.0]
        reporter.epoch_done(1, ended=False, val_accuracy=np.float32(0.25), seconds=seconds)
        found = read_status(tmp_path)
        assert (found.state, found.epoch, found.epochs, found.resumed) == ("running", 1, 4, 0)
        assert (found.val_accuracy, found.epoch_seconds) == (0.25, 9.0)
        seconds += [2.0, 3.0, 2.0]
        reporter.epoch_done(4, ended=True, val_accuracy=float("nan"), seconds=seconds)
        found = read_status(tmp_path)
        assert (found.epoch, found.ended, found.val_accuracy) == (4, True, None)
        assert (found.epoch_seconds, found.longest_epoch) == (2.0, 9.0)
    assert read_status(tmp_path).state == "finished"
    content = json.loads((tmp_path / "status.json").read_text())
    assert abs(time.time() - content["updated"]) < 3600


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (InputError("data: has changed"), "failed", "data: has changed"),
        (ValueError("first\nsecond"), "failed", "ValueError: first"),
        (
            RuntimeError("Graph execution error:\n\nat node x\nOOM when allocating [Op:step]\n"),
            "failed",
            "RuntimeError: Graph execution error: OOM when allocating [Op:step]",
        ),
        (
            Interrupted(signal.SIGTERM, "after epoch 2 of 4"),
            "interrupted",
            "stopped by SIGTERM after epoch 2 of 4",
        ),
    ],
)
def test_the_status_says_why_an_attempt_has_ended(tmp_path, error, state, reason):
    with pytest.raises(type(error)), attempt(tmp_path):
        raise error
    found = read_status(tmp_path)
    assert (found.state, found.reason) == (state, reason)


def test_a_reason_is_one_line_of_bounded_length():
    assert one_line(InputError("x" * 500)) == "x" * 299 + "…"
    assert one_line(ValueError("a\x07b")) == "ValueError: a\\x07b"
    assert one_line(MemoryError()) == "MemoryError"


def test_a_disk_that_is_full_does_not_hide_the_error(tmp_path, monkeypatch):
    def full(path, write):
        raise InputError("status.json: cannot be written")

    with pytest.raises(ValueError, match="the error"), attempt(tmp_path):
        monkeypatch.setattr(status, "atomically", full)
        raise ValueError("the error")


def test_the_next_attempt_knows_what_the_checkpoint_holds(tmp_path):
    with pytest.raises(ValueError, match="no"), attempt(tmp_path) as reporter:
        reporter.epoch_done(3, ended=True, val_accuracy=0.5, seconds=[2.0] * 3)
        raise ValueError("no")
    with attempt(tmp_path):
        found = read_status(tmp_path)
        assert (found.epoch, found.resumed, found.ended) == (3, 3, True)
        assert (found.reason, found.val_accuracy, found.epoch_seconds) == (None, None, None)
    with attempt(tmp_path, code="edited"):
        found = read_status(tmp_path)
        assert (found.epoch, found.resumed, found.ended) == (0, 0, False)


def left(folder, **changes):
    """Leave the status of a process that is gone; its lock is free."""
    folder.mkdir(exist_ok=True)
    with attempt(folder) as reporter:
        reporter.update(state="running")
        content = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(content | changes))


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_an_attempt_whose_lock_is_free_was_killed(tmp_path, state):
    left(tmp_path, state=state)
    assert (read_status(tmp_path).state, read_status(tmp_path).reason) == ("failed", KILLED)
    with exclusive_lock(tmp_path / ".lock", ""):  # another attempt has just begun
        assert read_status(tmp_path).state == state
    (tmp_path / ".lock").unlink()
    assert read_status(tmp_path).state == "failed"
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize(
    ("changes", "age", "state"),
    [
        ({"longest_epoch": 2.0}, 250, "running"),  # five minutes at least
        ({"longest_epoch": 2.0}, 350, "failed"),
        ({"longest_epoch": 200.0}, 550, "running"),  # three epochs
        ({"longest_epoch": 200.0}, 650, "failed"),
        ({}, 3500, "running"),  # an hour as long as nobody knows
        ({}, 3700, "failed"),
        ({"state": "waiting"}, 1e6, "waiting"),
    ],
)
@pytest.mark.parametrize("seen", [True, False])
def test_where_the_lock_does_not_show_the_last_sign_counts(
    tmp_path, monkeypatch, changes, age, state, seen
):
    if not seen:  # the file system has no locks
        left(tmp_path, **changes, updated=1e9)

        def refuse(*_):
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", refuse)
    else:  # another host, whose locks are not seen
        left(tmp_path, **changes, updated=1e9, host="elsewhere")
    monkeypatch.setattr(status.time, "time", lambda: 1e9 + age)
    assert read_status(tmp_path).state == state


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"state": "running"}', "\xff"])
def test_what_is_no_status_is_none(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) is None

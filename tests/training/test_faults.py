"""Faults while a run trains: one message, nothing lost, and the same bytes when it goes on."""

import errno
import os
import re
import signal
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from ablation import cli
from ablation.storage import exclusive_lock
from ablation.training.outputs import status_of
from ablation.training.status import read_status

from ..conftest import tiny_disk
from .conftest import command, settings, train, words

WANTED = settings(epochs=3, schedule="cosine")
LONG = settings(epochs=5000)


@pytest.fixture(scope="module")
def straight(digits, tmp_path_factory):
    """The run as it is when nothing happens."""
    folder = tmp_path_factory.mktemp("straight")
    assert train(WANTED, digits, folder).returncode == 0
    return folder


def check_same(folder, straight):
    for name in ("history.csv", "predictions.npz"):
        assert (folder / name).read_bytes() == (straight / name).read_bytes(), name


def error_of(done):
    """The one line that says what is wrong."""
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def start(*arguments, **options):
    """Start a training whose output can be read."""
    return subprocess.Popen(
        command(*arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_no_disk_space_for_a_checkpoint(train_here, digits, tmp_path, monkeypatch):
    def full(path, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    kept = tmp_path / "kept"
    with pytest.raises(SystemExit) as ended:
        train_here(WANTED, digits, tmp_path / "run", checkpoints=kept)
    reason = f"{kept / 'checkpoint.npz'}: cannot be written: No space left on device"
    assert str(ended.value) == f"error: {reason}"
    assert (read_status(kept).state, read_status(kept).reason) == ("failed", reason)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_no_disk_space_for_the_results(train_here, digits, straight, tmp_path, capsys):
    small = tiny_disk(tmp_path / "run", 4096)
    kept = tmp_path / "checkpoints"
    done = train(WANTED, digits, tmp_path / "run", before=small, checkpoints=kept)
    assert done.returncode == 1
    assert "cannot be written: No space left on device" in error_of(done)
    assert str(tmp_path / "run") in error_of(done)
    train_here(WANTED, digits, tmp_path / "run", checkpoints=kept)
    copied = "training has finished already; only its files are copied\n"
    assert capsys.readouterr().out == copied
    check_same(tmp_path / "run", straight)


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM of [9,9]\n(trace)")]
)
def test_not_enough_memory(train_here, digits, tmp_path, monkeypatch, error):
    def build(*_, **__):
        raise error

    monkeypatch.setattr("ablation.training.run.build", build)
    with pytest.raises(SystemExit) as ended:
        train_here(WANTED, digits, tmp_path / "run", checkpoints=tmp_path / "kept")
    detail = str(error).splitlines()[0] if str(error) else "allocation failed"
    assert str(ended.value).startswith(f"error: out of memory ({detail}): train fewer runs ")
    assert read_status(tmp_path / "kept").reason.startswith(f"out of memory ({detail})")


def test_a_signal_ends_a_job_that_waits(digits, tmp_path):
    """A job that waits for another one of the same run can be stopped."""
    kept = tmp_path / "kept"
    with exclusive_lock(kept / ".lock", ""):
        process = start(WANTED, digits, tmp_path / "run", checkpoints=kept)
        waiting = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    lock = kept / ".lock"
    assert waiting == f"waiting for another process that trains this run ({lock})\n"
    assert process.returncode == 128 + signal.SIGTERM
    stopped = "stopped by SIGTERM before training; the same command starts it again"
    assert errors == f"error: {stopped}\n"


@pytest.mark.slow
def test_a_signal_ends_training_long_before_the_last_epoch(digits, straight, tmp_path):
    kept = tmp_path / "kept"
    process = start(LONG, digits, tmp_path / "run", checkpoints=kept)
    try:
        while not process.stdout.readline().startswith("epoch 1/"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    stopped = re.fullmatch(r"error: (stopped by SIGTERM after epoch (\d+) of 5000; .*)\n", errors)
    status = read_status(kept)
    assert (status.state, status.reason) == ("interrupted", stopped[1])
    assert 1 <= status.epoch == int(stopped[2]) < 5000
    assert (kept / "checkpoint.npz").exists()
    assert not (tmp_path / "run").exists()
    # Its checkpoint is of no use to a run of other settings, which trains as if there were none.
    done = train(WANTED, digits, tmp_path / "run", checkpoints=kept)
    assert done.returncode == 0, done.stderr
    reason = "it was made with other settings"
    assert f"{kept / 'checkpoint.npz'}: not used ({reason}); training starts" in done.stdout
    check_same(tmp_path / "run", straight)
    assert sorted(file.name for file in kept.iterdir()) == [".lock", "finished", "status.json"]


def test_other_code_than_was_planned_is_refused(digits, tmp_path, capsys):
    kept = tmp_path / "kept"
    of_run = words(WANTED, digits, tmp_path / "run", checkpoints=kept)
    of_run[1:1] = ["--code", "0" * 16]
    with pytest.raises(SystemExit) as ended:
        cli.main(of_run)
    reason = "the code was edited while the study ran: run snakemake again"
    assert str(ended.value) == f"error: {reason}"
    assert (read_status(kept).state, read_status(kept).reason) == ("failed", reason)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "run").exists()


class _Log:
    def __init__(self, loss, epochs=1):
        self.history, self.epochs = [{"loss": loss}], epochs


@pytest.mark.parametrize(
    ("log", "results", "status"),
    [
        (_Log(1.0), [np.ones(2)], "completed"),
        (_Log(1.0, epochs=2), [np.ones(2)], "stopped_early"),
        (_Log(np.nan), [np.ones(2)], "diverged"),
        (_Log(1.0), [np.ones(2), np.array([[1, np.inf]])], "diverged"),
    ],
)
def test_what_is_not_finite_has_diverged(log, results, status):
    assert status_of(log, results) == status

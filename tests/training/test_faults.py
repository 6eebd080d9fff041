"""Faults while a run trains: one message, nothing lost, and the same bytes when it goes on."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from ablation.storage import alone
from ablation.training.outputs import status_of
from ablation.training.status import KILLED, read_status

from ..conftest import tiny_disk
from .conftest import command, settings, train

FULL = settings(epochs=3, schedule="cosine")


@pytest.fixture(scope="module")
def straight(digits, tmp_path_factory):
    """The run as it is when nothing happens."""
    folder = tmp_path_factory.mktemp("straight")
    assert train(FULL, digits, folder).returncode == 0
    return folder


def check_same(folder, straight):
    for name in ("history.csv", "predictions.npz"):
        assert (folder / name).read_bytes() == (straight / name).read_bytes(), name


def error_of(done):
    """The one line that tells what is wrong."""
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_no_room_for_a_checkpoint(digits, straight, tmp_path):
    small = tiny_disk(tmp_path / "checkpoints", 40_000)
    done = train(FULL, digits, tmp_path / "run", before=small, checkpoints=tmp_path / "checkpoints")
    assert done.returncode == 1
    file = tmp_path / "checkpoints/checkpoint.npz"
    assert error_of(done) == f"error: {file}: cannot be written: No space left on device"
    assert not (tmp_path / "run").exists()
    assert train(FULL, digits, tmp_path, checkpoints=tmp_path / "checkpoints").returncode == 0
    check_same(tmp_path, straight)


def test_no_room_for_the_results(digits, straight, tmp_path):
    small = tiny_disk(tmp_path / "run", 4096)
    kept = tmp_path / "checkpoints"
    done = train(FULL, digits, tmp_path / "run", before=small, checkpoints=kept)
    assert done.returncode == 1
    assert "cannot be written: No space left on device" in error_of(done)
    assert str(tmp_path / "run") in error_of(done)
    again = train(FULL, digits, tmp_path / "run", checkpoints=kept)
    assert again.stdout == "training had ended; its files are put in place\n"
    check_same(tmp_path / "run", straight)


def test_not_enough_memory(digits, tmp_path):
    # The widest convolutions alone need more than a process may have.
    wide = settings(epochs=1)
    wide["model"] |= {"width": 2048}
    limited = ["prlimit", "--as=6000000000"]
    done = train(wide, digits, tmp_path / "run", before=limited, checkpoints=tmp_path / "kept")
    assert done.returncode == 1, done.stderr
    assert error_of(done).startswith("error: out of memory (")
    assert read_status(tmp_path / "kept").reason.startswith("out of memory (")
    assert not (tmp_path / "run").exists()


def test_a_clock_that_jumps(digits, straight, tmp_path, monkeypatch):
    """It is seen in the record and nowhere else."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock/sitecustomize.py").write_text(
        "import itertools, time\n"
        "real, calls = time.time, itertools.count()\n"
        "time.time = lambda: real() + (-1) ** next(calls) * 86_400\n"
    )
    path = [str(tmp_path / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    done = train(FULL, digits, tmp_path, checkpoints=tmp_path / "kept")
    assert done.returncode == 0, done.stderr
    check_same(tmp_path, straight)
    assert 0 < json.loads((tmp_path / "run.json").read_text())["seconds"] < 600
    timing = np.loadtxt(tmp_path / "timing.csv", delimiter=",", skiprows=1)
    assert (timing > 0).all()
    assert timing[:, 1].sum() < 600


def test_stopped_before_it_began(digits, tmp_path):
    """A job that waits for another of the same run can be stopped."""
    kept = tmp_path / "kept"
    with alone(kept / ".lock", ""):
        process = subprocess.Popen(
            command(FULL, digits, tmp_path / "run", checkpoints=kept),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting = process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    lock = kept / ".lock"
    assert waiting == f"waiting for another process that trains this run ({lock})\n"
    assert process.returncode == 128 + signal.SIGTERM
    stopped = "stopped by SIGTERM before training; the same command starts it again"
    assert errors == f"error: {stopped}\n"


def test_a_checkpoint_of_other_code_is_put_aside(digits, straight, tmp_path):
    kept = tmp_path / "kept"
    process = subprocess.Popen(
        command(FULL, digits, tmp_path, checkpoints=kept), stdout=subprocess.PIPE, text=True
    )
    while not process.stdout.readline().startswith("epoch 1/"):
        assert process.poll() is None
    process.kill()
    process.wait()
    status = read_status(kept)
    assert (status.state, status.reason, status.epochs) == ("failed", KILLED, 3)
    assert status.epoch >= 1
    words = command(FULL, digits, tmp_path, checkpoints=kept)
    words[words.index("--code") + 1] = "abd"
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    told = f"{kept / 'checkpoint.npz'}: belongs to other code; put aside as put-aside.npz"
    assert told in done.stdout
    assert "goes on" not in done.stdout
    check_same(tmp_path, straight)
    assert sorted(file.name for file in kept.iterdir()) == [".lock", "finished", "status.json"]


def test_other_code_than_was_planned_is_refused(digits, tmp_path):
    words = command(FULL, digits, tmp_path / "run")
    words.insert(words.index("--code"), "--same-code")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = "error: the code was edited while the study ran: run snakemake again"
    assert error_of(done) == told


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

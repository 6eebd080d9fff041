"""Jobs that are forked from a process that has imported TensorFlow."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablation import warm_start

from ..conftest import ROOT
from .conftest import command, settings, warm

pytestmark = pytest.mark.slow
LONG = settings(epochs=100_000)
# Ends at once with an error, after the command line has been parsed.
QUICK = [sys.executable, "-m", "ablation", "gallery", "missing.json"]


class Invocation:
    """What Snakemake is for the jobs: a process whose end ends the servers."""

    def __init__(self):
        self.process = subprocess.Popen(["sleep", "1000"])
        self.jobs = []

    def start(self, words, prepare=None, **variables):
        job = subprocess.Popen(
            words,
            preexec_fn=prepare,  # noqa: PLW1509 (no threads are running)
            env={**warm(self.process.pid), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.jobs.append(job)
        return job

    def run(self, words, **variables):
        """Return exit status, output and errors of a job."""
        job = self.start(words, **variables)
        output, errors = job.communicate(timeout=100)
        return job.returncode, output, errors

    def servers(self):
        """The servers, without their children, which have the same command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.cmdline()[1:3] == ["-m", "ablation.warm_start"]
                    and process.environ()[warm_start.VARIABLE] == str(self.process.pid)
                    and process.parent().cmdline()[1:3] != ["-m", "ablation.warm_start"]
                ):
                    found.append(process)
            except (psutil.Error, KeyError, AttributeError):
                continue  # it has ended, is another user's, or has no parent
        return found

    def end(self):
        self.process.kill()
        self.process.wait()


def started():
    invocation = Invocation()
    yield invocation
    invocation.end()
    for job in invocation.jobs:
        job.kill()


@pytest.fixture(scope="module")
def invocation():
    yield from started()


@pytest.fixture
def separate():
    """An invocation that no other test uses."""
    yield from started()


def trained(invocation, digits, folder, until="epoch 2/", wanted=LONG):
    """A job that has trained for an epoch, and its child."""
    job = invocation.start(command(wanted, digits, folder, checkpoints=folder / "kept"))
    while not (line := job.stdout.readline()).startswith(until):
        assert line, job.communicate()
    (server,) = invocation.servers()
    return job, server.children()[-1]


def test_jobs_are_forked_from_one_server(invocation, digits, tmp_path):
    status, output, errors = invocation.run(QUICK)
    assert (status, output) == (1, "")
    assert errors.startswith("error: missing.json: cannot be read")
    (server,) = invocation.servers()
    job, child = trained(invocation, digits, tmp_path)
    assert child.parent() == server
    assert psutil.Process(job.pid).children() == []
    job.kill()
    assert invocation.servers() == [server]


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_training_in_order(invocation, digits, tmp_path, which):
    job, child = trained(invocation, digits, tmp_path)
    job.send_signal(which)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 128 + which
    assert re.fullmatch(rf"error: stopped by {which.name} after epoch \d+ of 100000; .*\n", errors)
    assert not child.is_running()
    assert (tmp_path / "kept/checkpoint.npz").exists()


def test_ctrl_z_pauses_the_training(invocation, digits, tmp_path):
    job, child = trained(invocation, digits, tmp_path)
    job.send_signal(signal.SIGTSTP)
    waiting = time.monotonic() + 60
    for process in (child, psutil.Process(job.pid)):
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < waiting
            time.sleep(0.01)
    job.send_signal(signal.SIGCONT)
    while child.status() == psutil.STATUS_STOPPED:
        assert time.monotonic() < waiting
        time.sleep(0.01)
    job.kill()
    child.wait(60)


@pytest.mark.parametrize("closed", [(0,), (0, 1), (0, 2)])
def test_a_job_with_closed_streams_is_ended_as_well(invocation, digits, tmp_path, closed):
    def close():
        for stream in closed:
            os.close(stream)

    words = command(LONG, digits, tmp_path, checkpoints=tmp_path / "kept")
    job = invocation.start(words, prepare=close)
    waiting = time.monotonic() + 100
    while not (tmp_path / "kept/checkpoint.npz").exists():
        assert job.poll() is None
        assert time.monotonic() < waiting
        time.sleep(0.05)
    (server,) = invocation.servers()
    (child,) = server.children()
    job.kill()
    child.wait(60)
    assert invocation.servers() == [server]


def test_a_child_ends_with_its_job_and_a_job_with_its_child(invocation, digits, tmp_path):
    job, child = trained(invocation, digits, tmp_path / "one")
    job.kill()
    child.wait(60)
    job, child = trained(invocation, digits, tmp_path / "two")
    child.kill()
    assert job.wait(60) == -signal.SIGKILL


def test_with_their_server_jobs_end_and_a_new_one_starts(invocation, digits, tmp_path):
    job, child = trained(invocation, digits, tmp_path)
    (server,) = invocation.servers()
    server.kill()
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "the server of the warm start was killed" in errors
    child.wait(60)
    assert invocation.run(QUICK)[2].startswith("error: missing.json")
    assert invocation.servers() not in ([], [server])


def test_servers_end_with_the_invocation_and_jobs_do_not(separate, digits, tmp_path):
    job, _ = trained(separate, digits, tmp_path, wanted=settings(epochs=20))
    (server,) = separate.servers()
    separate.end()
    assert job.communicate(timeout=100)[1] == ""
    assert job.returncode == 0
    assert (tmp_path / "history.csv").exists()
    server.wait(60)


def test_another_environment_or_edited_code_has_another_server(tmp_path, monkeypatch):
    def key():
        script = "from ablation import warm_start; print(warm_start._key())"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        return done.stdout

    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    shutil.copytree(ROOT / "src", tmp_path / "src")
    keys = [key()]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert key() == keys[0]
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    keys.append(key())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    keys.append(key())
    with (tmp_path / "src/ablation/errors.py").open("a") as file:
        file.write("# edited")
    keys.append(key())
    (tmp_path / "src/other-1.0.dist-info").mkdir()
    keys.append(key())
    monkeypatch.chdir(tmp_path)
    keys.append(key())
    assert len(set(keys)) == len(keys)


SERVER = """
from ablation import warm_start
from tensorflow.python.eager import context

key = warm_start._key()
print(warm_start._import(key), context.context_safe(), sep=";")
print(warm_start._import("another key"))
before = warm_start._open_files()
device = open("/dev/zero")
warm_start._open_files = iter([before, warm_start._open_files()]).__next__
print(warm_start._import(key))
import tensorflow
tensorflow.constant(1)
warm_start._open_files = set
print(warm_start._import(key))
"""


def test_a_server_forks_only_before_the_runtime_has_started():
    done = subprocess.run(
        [sys.executable, "-c", SERVER], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        ";None",  # importing everything has started nothing
        "the code was edited while it was imported",
        "the import has opened /dev/zero",
        "the runtime of TensorFlow has started",
    ]


def test_a_server_that_cannot_serve_leaves_jobs_to_a_cold_start(separate, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'ablation.warm_start' in sys.orig_argv:\n"
        "    import tensorflow\n"
        "    tensorflow.constant(1)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src")])
    errors = separate.run(QUICK, PYTHONPATH=path)[2].splitlines()
    assert errors[0] == "cold start: the runtime of TensorFlow has started"
    assert errors[1].startswith("error: missing.json")


@pytest.mark.parametrize("process", ["", "0"])
def test_without_an_invocation_jobs_start_cold(process):
    done = subprocess.run(QUICK, env=warm(process), capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("error: missing.json")
    assert ("cold start: " in done.stderr) == bool(process)


@pytest.mark.long
def test_hundreds_of_jobs_of_which_some_are_killed(separate):
    """None hangs, and nothing is left."""
    rng, jobs, status = random.Random(0), [], []
    for number in range(400):
        job = separate.start(QUICK)
        if number % 4 == 0:
            time.sleep(rng.uniform(0, 0.3))
            job.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        jobs.append(job)
        while len([one for one in jobs if one.poll() is None]) >= 16:
            time.sleep(0.01)
    for number, job in enumerate(jobs):
        job.communicate(timeout=100)
        if number % 4:
            status.append(job.returncode)
    (server,) = separate.servers()
    assert server.children() == []
    assert set(status) == {1}
    separate.end()
    server.wait(60)

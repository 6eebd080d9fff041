"""Which device a job takes, and that no two jobs take the same."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from ablation.errors import InputError
from ablation.training import devices
from ablation.training.devices import available, named, reserved_device


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine without GPUs, and locks of its own; returns a function that installs GPUs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is restored
    variables = (devices.VISIBLE, devices.SIMULATED, devices.RUNS_PER_DEVICE, *devices.CLUSTER_JOBS)
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "programs").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))

    def install(output="GPU-a\nGPU-b\n", status=0, error=""):
        script = tmp_path / "programs/nvidia-smi"
        script.write_text(
            f"#!/bin/sh\n[ \"$*\" = '--query-gpu=uuid --format=csv,noheader' ] || exit 99\n"
            f"printf '{output}'; echo '{error}' >&2; exit {status}\n"
        )
        script.chmod(0o755)
        return script

    return install


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        (" 2 , 0 ", ["2", "0"]),
        ("0,-1,1", ["0"]),
        ("1,1", ["1"]),
        ("GPU-a,MIG-b", ["GPU-a", "MIG-b"]),
    ],
)
def test_named_devices_are_taken_as_they_are(machine, monkeypatch, value, expected):
    machine(status=9)  # is not asked
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert named(value) == available() == expected


def test_otherwise_nvidia_smi_lists_the_devices(machine):
    assert available() == []  # no such program
    machine()
    assert available() == ["GPU-a", "GPU-b"]
    machine("No devices were found\n")
    assert available() == []


@pytest.mark.parametrize("how", ["failing", "broken", "hanging"])
def test_where_nvidia_smi_fails_no_device_is_taken(machine, monkeypatch, how):
    script = machine(status=9, error="no driver")
    if how == "broken":
        script.write_bytes(b"\x7fnot a program")
    elif how == "hanging":
        script.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
        monkeypatch.setattr(devices, "NVIDIA_SMI_SECONDS", 0.1)
    reason = {"failing": "no driver", "broken": "Exec format error", "hanging": "timed out"}[how]
    message = rf"^nvidia-smi failed: .*{reason}.*; fix it, or set CUDA_VISIBLE_DEVICES"
    with pytest.raises(InputError, match=message), reserved_device():
        pass


def test_without_devices_nothing_is_waited_for(tmp_path):
    with reserved_device() as one, reserved_device() as other:
        assert one is other is None
    assert not (tmp_path / "ablation-devices").exists()


@pytest.mark.parametrize("before", [None, "GPU-b,GPU-a"])
def test_a_job_sees_the_device_that_it_took_and_no_other(machine, monkeypatch, before):
    machine()
    if before:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    first, second = before.split(",") if before else ("GPU-a", "GPU-b")
    with reserved_device() as device:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == device == first
        devices._set_visible(before)  # another job finds the environment as it was
        with reserved_device() as other:
            assert os.environ["CUDA_VISIBLE_DEVICES"] == other == second
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    with reserved_device() as again:
        assert again == first


def test_every_device_has_a_job_before_any_is_shared(monkeypatch):
    monkeypatch.setenv("ABLATION_SIMULATED_DEVICES", "2")
    monkeypatch.setenv("ABLATION_RUNS_PER_DEVICE", "2")
    with ExitStack() as stack:
        taken = [stack.enter_context(reserved_device()) for _ in range(4)]
        assert taken == ["simulated-0", "simulated-1"] * 2
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(("device", "shared"), [("0", False), ("GPU-a", True)])
def test_a_number_is_a_device_of_one_job_of_a_cluster(monkeypatch, device, shared):
    def stop():
        raise InterruptedError

    def is_free():
        try:
            with reserved_device(stop):
                return True
        except InterruptedError:
            return False

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with reserved_device():
        assert not is_free()
        monkeypatch.setenv("SLURM_JOB_ID", "2")
        assert is_free() != shared


def test_a_device_in_use_is_waited_for_until_the_job_is_stopped(monkeypatch, capsys):
    monkeypatch.setenv("ABLATION_SIMULATED_DEVICES", "1")
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    with reserved_device(), pytest.raises(InterruptedError), reserved_device(stop):
        pass
    assert capsys.readouterr().out == "waiting for a free device (1 in use)\n"

    waits, got = threading.Event(), []

    def wait():
        with reserved_device(waits.set) as device:
            got.append(device)

    with reserved_device():
        thread = threading.Thread(target=wait)
        thread.start()
        assert waits.wait(20)
        assert not got
    thread.join(20)
    assert got == ["simulated-0"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ABLATION_SIMULATED_DEVICES", "1")
    (tmp_path / "ablation-devices").touch()
    with (
        pytest.raises(InputError, match="ablation-devices: cannot be written: "),
        reserved_device(),
    ):
        pass


JOB = """
import os, subprocess, sys, time
from ablation.training.devices import reserved_device
user, hold, children = map(int, sys.argv[1:])
os.umask(0o077)
if user:
    os.setgroups([]); os.setgid(user); os.setuid(user)
with reserved_device() as device:
    pids = []
    if children:
        pids = [subprocess.Popen(["sleep", "60"], close_fds=False).pid, os.fork()]
        if pids[1] == 0:
            time.sleep(60)
            os._exit(0)
    # Nobody else may be here.
    os.close(os.open(f"{os.environ['TMPDIR']}/inside-{device}", os.O_CREAT | os.O_EXCL))
    print(device, *pids, flush=True)
    time.sleep(hold / 1000)
    os.unlink(f"{os.environ['TMPDIR']}/inside-{device}")
assert "tensorflow" not in sys.modules
"""


def start(folder, count, user=0, hold=60_000, children=0):
    """Start a job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", JOB, *map(str, (user, hold, children))],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TMPDIR": str(folder),
            "ABLATION_SIMULATED_DEVICES": str(count),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_job_releases_its_device_though_its_children_live(tmp_path):
    with ExitStack() as started:
        job = started.enter_context(start(tmp_path, 1, children=1))
        _, *children = job.stdout.readline().split()
        other = started.enter_context(start(tmp_path, 1))
        try:
            assert other.stdout.readline() == "waiting for a free device (1 in use)\n"
            (tmp_path / "inside-simulated-0").unlink()
            job.kill()
            assert other.stdout.readline() == "simulated-0\n"
        finally:
            other.kill()
            for child in map(int, children):
                os.kill(child, signal.SIGKILL)  # still there


@pytest.mark.slow
def test_no_two_jobs_have_the_same_device(tmp_path):
    jobs = [start(tmp_path, 2, hold=50) for _ in range(6)]
    for job in jobs:
        output, _ = job.communicate(timeout=120)
        assert job.returncode == 0
        assert output.splitlines()[-1].startswith("simulated-")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("users", [(0, 65534), (65534, 0)])
def test_users_share_the_locks(users):
    # Not in pytest's folder, which only its user may enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        for user in users:
            with start(folder, 1, user, hold=0) as job:
                assert job.communicate(timeout=60)[0] == "simulated-0\n"
                assert job.returncode == 0
        locks = Path(folder) / "ablation-devices"
        assert stat.S_IMODE(locks.stat().st_mode) == 0o777
        assert stat.S_IMODE((locks / "simulated-0.0").stat().st_mode) == 0o666

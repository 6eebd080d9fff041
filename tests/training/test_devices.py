"""Which device a job takes, and that no two jobs take the same."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablation.errors import InputError
from ablation.training import devices
from ablation.training.devices import claim, visible_devices

A = "GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f"
B = "GPU-5c8f0001-aaaa-bbbb-cccc-000000000002"
C = "GPU-77777777-aaaa-bbbb-cccc-000000000003"
M = "MIG-dc7c3a2e-0000-5555-8888-000000000001"
N = "MIG-dc7c3a2e-0000-5555-8888-000000000002"
OLD = "MIG-GPU-77777777-aaaa-bbbb-cccc-000000000003/7/0"
THREE = f"""GPU 0: NVIDIA A100-SXM4-40GB (UUID: {A})
GPU 1: NVIDIA A100 (odd) name (UUID: {B})
GPU 2: Tesla T4 (UUID: {C})
"""
INSTANCES = f"""GPU 0: NVIDIA A100-SXM4-40GB (UUID: {A})
  MIG 3g.20gb     Device  0: (UUID: {M})
  MIG 3g.20gb     Device  1: (UUID: {N})
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {B})
GPU 2: Tesla T4 (UUID: {C})
  MIG 1g.5gb Device 0: (UUID: {OLD})
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Install a fake nvidia-smi that says what it is told; an environment of its own."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back, set or not
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(devices, "CONTROL", tmp_path / "no-nvidiactl")

    def say(text, status=0, error=""):
        (programs / "said").write_text(text)
        script = programs / "nvidia-smi"
        script.write_text(
            f'#!/bin/sh\n[ "$1" = -L ] || exit 99\nwhile IFS= read -r line; do echo "$line";'
            f" done < '{programs}/said'\necho '{error}' >&2\nexit {status}\n"
        )
        script.chmod(0o755)
        return script

    return say


@pytest.fixture
def locks(tmp_path):
    return tmp_path / "locks"


def found(shown=None):
    environment = {"PATH": os.environ["PATH"]}
    if shown is not None:
        environment["CUDA_VISIBLE_DEVICES"] = shown
    return visible_devices(environment)


# What is visible


def test_all_cards_are_chosen_by_uuid(smi):
    smi(THREE)
    assert found() == [A, B, C]


def test_instances_stand_in_the_place_of_their_card(smi):
    smi(INSTANCES)
    assert found() == [M, N, B, OLD]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("", []),
        (" ", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("all", []),
        ("3", []),
        ("99999999999", []),
        ("٢", []),
        ("1.0", []),
        ("0x1", []),
        ("2", [C]),
        ("2,0", [C, A]),
        (" 2 , 0 ", [C, A]),
        ("0,2,-1,1", [A, C]),
        ("0,7,1", [A]),
        ("0,,1", [A]),
        ("0,", [A]),
        (",0", []),
        ("1,1,01", [B]),
        (f"{B},{A}", [B, A]),
        (f"{A},0,2", [A, C]),
        ("GPU-7", [C]),
        ("GPU-5c89", [A]),
        ("GPU-5c8", []),  # two cards begin so
        ("GPU-7,GPU-5c8,0", [C]),
        ("GPU-unknown,0", []),
        ("5c89852c", []),
        (f"{M},0", []),
    ],
)
def test_a_given_choice_is_read_as_cuda_reads_it(smi, shown, expected):
    smi(THREE)
    assert found(shown) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (N, [N]),
        (f"{N},{M}", [N, M]),
        (OLD, [OLD]),
        ("MIG-dc7c3a2e", []),
        ("0,1,2", [M, B, OLD]),  # the first instance of a card
        (A, [M]),
        (f"{A},{M},{N}", [M, N]),
    ],
)
def test_a_given_choice_of_instances(smi, shown, expected):
    smi(INSTANCES)
    assert found(shown) == expected


def test_jobs_whose_clusters_number_anew_know_cards_by_uuid(smi):
    smi(f"GPU 0: Tesla T4 (UUID: {A})\n")
    first = found("0")
    smi(f"GPU 0: Tesla T4 (UUID: {B})\n")
    assert (first, found("0")) == ([A], [B])


@pytest.mark.parametrize(
    ("how", "shown", "told"),
    [
        ("absent", None, "no GPU known: there is no nvidia-smi"),
        ("absent", "0", "no GPU known: there is no nvidia-smi"),
        ("none", None, "no GPU known: nvidia-smi lists none"),
        ("none", "0", "no GPU known: nvidia-smi lists none"),
        ("some", "-1", "no GPU known: CUDA_VISIBLE_DEVICES is '-1'"),
        ("some", "7", "no GPU known: CUDA_VISIBLE_DEVICES is '7'"),
        ("failing", "-1", "no GPU known: CUDA_VISIBLE_DEVICES is '-1'"),
    ],
)
def test_no_device_is_told_with_its_reason(smi, locks, monkeypatch, how, shown, told):
    if how == "none":
        smi("No devices found.\n")
    elif how == "some":
        smi(THREE)
    elif how == "failing":
        smi("", status=9)
    if shown:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    with claim(folder=locks) as got, claim(folder=locks) as also:
        assert (got.device, got.told, also) == (None, told, got)
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == shown
    assert not locks.exists()


@pytest.mark.parametrize("shown", [None, "0", f"{A},1"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("absent", "nvidia-smi is not on the PATH"),
        ("failing", r"nvidia-smi failed with status 9: no driver \\x1b\[2J some text"),
        ("broken", "nvidia-smi cannot be run: Exec format error"),
        ("hanging", "nvidia-smi did not answer within 0.2 seconds"),
    ],
)
def test_cards_that_cannot_be_listed_are_not_taken(smi, locks, monkeypatch, how, shown, told):
    """Under another name than other jobs use, a card could be taken twice."""
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    if how == "absent":
        monkeypatch.setattr(devices, "CONTROL", locks.parent)  # a machine with cards
    elif how == "failing":
        smi("some\ntext\n", status=9, error="no driver \x1b[2J")
    elif how == "broken":
        smi("").write_bytes(b"\x7fnothing that runs")
    else:
        smi("").write_text("#!/bin/sh\nexec /bin/sleep 30\n")
        monkeypatch.setattr(devices, "NVIDIA_SMI_SECONDS", 0.2)
    if shown:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    message = f"^{told}; .*CUDA_VISIBLE_DEVICES=-1"
    with pytest.raises(InputError, match=message), claim(folder=locks):
        pass
    assert not locks.exists()


@pytest.mark.parametrize("shown", [None, "0"])
def test_a_job_whose_nvidia_smi_fails_once_waits_for_its_card(
    smi, locks, monkeypatch, capsys, shown
):
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    if shown:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    smi(f"GPU 0: Tesla T4 (UUID: {A})\n")
    checks = []

    def works_again():
        if not checks:
            smi(f"GPU 0: Tesla T4 (UUID: {A})\n")
        checks.append(1)

    with claim(folder=locks) as first:
        os.environ.pop("CUDA_VISIBLE_DEVICES")  # another job finds the environment as it was
        if shown:
            os.environ["CUDA_VISIBLE_DEVICES"] = shown
        smi("", status=9, error="busy")
        thread, got, leave = in_thread(folder=locks, check=works_again)
        eventually(lambda: len(checks) > 3)  # it waits
        assert not got
    eventually(lambda: got)
    leave.set()
    thread.join()
    assert got[0].device == first.device
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "nvidia-smi failed with status 9: busy; trying again",
        "waiting for a free device (1 in use)",
    ]


# Taking one


@pytest.mark.parametrize("before", [None, "1,0"])
def test_a_job_sees_the_device_that_it_took_and_no_other(smi, locks, monkeypatch, before):
    smi(THREE)
    if before:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    names = (B, A) if before else (A, B)
    count = 2 if before else 3
    with claim(folder=locks) as got:
        assert got.device == names[0]
        assert got.told == f"GPU 0 of {count} ({names[0]})"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == names[0]
        # Another job finds the environment as it was.
        if before:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        else:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        with claim(folder=locks) as other:
            assert other.told == f"GPU 1 of {count} ({names[1]})"
            assert os.environ["CUDA_VISIBLE_DEVICES"] == names[1]
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    with claim(folder=locks) as again:
        assert again == got
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_two_names_of_one_card_are_one_device(smi, locks, monkeypatch):
    smi(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with claim(folder=locks):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"GPU-5c89,{C}")
        with claim(folder=locks) as other:
            assert other.told == f"GPU 1 of 2 ({C})"


def test_simulated_devices_leave_cuda_alone(smi, locks, monkeypatch):
    smi(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    with claim(simulated=2, folder=locks) as first, claim(simulated=2, folder=locks) as second:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    assert first.told == "simulated device 0 of 2 (training is on what TensorFlow finds)"
    assert second.told == "simulated device 1 of 2 (training is on what TensorFlow finds)"


def test_names_cannot_leave_the_folder(smi, locks, monkeypatch):
    smi("GPU 0: Tesla T4 (UUID: GPU-/../../../escaped)\n")
    with claim(folder=locks) as got:
        assert got.told == "GPU 0 of 1 (GPU-/../../../escaped)"
        assert [file.name for file in locks.iterdir()] == ["GPU-%2F..%2F..%2F..%2Fescaped"]


def in_thread(**settings):
    """Claim in a thread; return the thread, and where it says what it got."""
    got, leave = [], threading.Event()

    def work():
        with claim(**settings) as claimed:
            got.append(claimed)
            leave.wait(20)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, got, leave


def eventually(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing happened for 20 seconds"
        time.sleep(0.005)


def test_the_only_device_is_waited_for(smi, locks, monkeypatch, capsys):
    smi(THREE)
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with claim(folder=locks):
        thread, got, leave = in_thread(folder=locks)
        time.sleep(0.3)  # a dozen tries
        assert not got
    eventually(lambda: got)
    leave.set()
    thread.join()
    assert got[0].device == B
    assert capsys.readouterr().out == "waiting for a free device (1 in use)\n"


def test_as_many_jobs_share_a_device_as_the_setting_says(locks, monkeypatch):
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    share = {"simulated": 2, "per_device": 2, "folder": locks}
    with claim(**share) as a, claim(**share) as b, claim(**share) as c:
        with claim(**share) as d:
            # A second job on a device comes after a first on each.
            names = [one.device for one in (a, b, c, d)]
            assert names == ["simulated-0", "simulated-1", "simulated-0", "simulated-1"]
            assert a.told.endswith("(training is on what TensorFlow finds), shared by up to 2 runs")
            thread, got, leave = in_thread(**share)
            time.sleep(0.2)
            assert not got
        eventually(lambda: got)
        leave.set()
        thread.join()
        assert got[0].device == d.device


@pytest.mark.parametrize(("first", "second"), [(1, 3), (3, 1)])
def test_a_job_that_wants_its_device_alone_shares_it_with_none(locks, monkeypatch, first, second):
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    with claim(simulated=1, per_device=first, folder=locks):
        thread, got, leave = in_thread(simulated=1, per_device=second, folder=locks)
        time.sleep(0.2)
        assert not got
    eventually(lambda: got)
    leave.set()
    thread.join()


def test_a_lock_that_was_tidied_away_is_made_anew(locks):
    with claim(simulated=1, folder=locks):
        pass
    shutil.rmtree(locks)
    with claim(simulated=1, folder=locks) as got:
        assert got.device


def test_a_lock_of_a_deleted_file_is_none(locks, monkeypatch):
    """Between opening and locking, the file is deleted, and another job makes and locks its own."""
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.02)
    flock, others = devices.fcntl.flock, []

    def later(file, kind):
        if not others:
            (locks / "simulated-0").unlink()
            others.append(claim(simulated=1, folder=locks))
            monkeypatch.setattr(devices.fcntl, "flock", flock)
            others[0].__enter__()
        return flock(file, kind)

    monkeypatch.setattr(devices.fcntl, "flock", later)
    thread, got, leave = in_thread(simulated=1, folder=locks)
    eventually(lambda: others)
    time.sleep(0.2)
    assert not got
    others[0].__exit__(None, None, None)
    eventually(lambda: got)
    leave.set()
    thread.join()


def test_a_lock_that_is_used_is_not_old(locks):
    with claim(simulated=1, folder=locks):
        pass
    os.utime(locks / "simulated-0", (0, 0))
    with claim(simulated=1, folder=locks):
        assert time.time() - (locks / "simulated-0").stat().st_mtime < 60


# A folder for all users of the machine


def test_folder_and_files_are_everybodys_whatever_the_umask(locks):
    before = os.umask(0o077)
    try:
        with claim(simulated=1, per_device=2, folder=locks):
            pass
        assert os.umask(0o077) == 0o077  # the job's own is as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE(locks.stat().st_mode) == 0o1777
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in locks.iterdir()}
    assert files == {"simulated-0": 0o666, "simulated-0.0": 0o666}


def test_the_default_folder_is_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with claim(simulated=1):
        assert (tmp_path / "ablation-devices/simulated-0").is_file()


def test_no_link_is_followed(tmp_path, locks):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    locks.symlink_to(elsewhere)
    with pytest.raises(InputError, match=f"{locks}: cannot be written"), claim(2, folder=locks):
        pass
    locks.unlink()
    locks.mkdir()
    for target in (elsewhere / "new", tmp_path / "file"):
        (tmp_path / "file").write_text("whose")
        (locks / "simulated-0").symlink_to(target)
        told = f"{locks}/simulated-0: cannot be written: Too many levels of symbolic links"
        with pytest.raises(InputError, match=told), claim(1, folder=locks):
            pass
        (locks / "simulated-0").unlink()
    assert not list(elsewhere.iterdir())
    assert (tmp_path / "file").read_text() == "whose"


def test_a_folder_that_cannot_be_used_is_named(tmp_path, locks):
    locks.write_text("")
    with (
        pytest.raises(InputError, match=f"{locks}: cannot be written: File exists"),
        claim(1, 1, locks),
    ):
        pass
    locks.unlink()
    (locks / "simulated-0").mkdir(parents=True)
    with (
        pytest.raises(InputError, match=f"{locks}/simulated-0: cannot be written: Is a directory"),
        claim(1, 1, locks),
    ):
        pass


def test_a_file_that_is_there_is_never_opened_as_if_to_make_it(locks, monkeypatch):
    """The kernel refuses that for a file of another user (fs.protected_regular)."""
    with claim(simulated=1, folder=locks):
        pass
    real = os.open

    def protected(path, flags, *rest, **options):
        if flags & os.O_CREAT and not flags & os.O_EXCL:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(devices.os, "open", protected)
    with claim(simulated=1, folder=locks) as got, claim(simulated=2, folder=locks) as new:
        assert (got.device, new.device) == ("simulated-0", "simulated-1")


HEAD = """
import os, sys, time
from pathlib import Path
from ablation.training import devices
devices.POLL_SECONDS = 0.01
"""


def start(body, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + body, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("first", ["root", "another"])
def test_users_share_locks(first):
    # Not in pytest's folder, which only its user may enter.
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folder = Path(outer) / "tmp"
        folder.mkdir()
        folder.chmod(0o1777)
        body = """
if sys.argv[2] != "0":
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
os.umask(0o077)
with devices.claim(simulated=2, folder=Path(sys.argv[1])) as got:
    print(os.getuid(), got.device, flush=True)
    sys.stdin.read()
"""
        users = [0, 65534] if first == "root" else [65534, 0]
        jobs, lines = [], []
        for user in users:
            jobs.append(start(body, folder / "locks", user, stdin=subprocess.PIPE))
            lines.append(jobs[-1].stdout.readline())
        assert lines == [f"{users[0]} simulated-0\n", f"{users[1]} simulated-1\n"]
        owners = [(folder / f"locks/simulated-{i}").stat().st_uid for i in range(2)]
        assert owners == users
        for job in jobs:
            job.communicate()
        # Each now takes the other's file.
        jobs = [start(body, folder / "locks", user, stdin=subprocess.PIPE) for user in users[::-1]]
        assert sorted(job.stdout.readline().split()[1] for job in jobs) == [
            "simulated-0",
            "simulated-1",
        ]
        for job in jobs:
            job.communicate()
            assert job.returncode == 0


# Kills


def test_a_child_that_outlives_its_job_does_not_hold_the_device(locks):
    body = """
import subprocess
with devices.claim(simulated=1, folder=Path(sys.argv[1])):
    program = subprocess.Popen(["sleep", "60"], close_fds=False)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print(program.pid, child, flush=True)
    time.sleep(60)
"""
    job = start(body, locks)
    children = [int(pid) for pid in job.stdout.readline().split()]
    assert len(children) == 2
    try:
        assert all_free(1, locks) == 0  # the children took nothing away from the job
        job.kill()
        job.wait()
        eventually(lambda: all_free(1, locks) == 1)
        for child in children:
            os.kill(child, 0)  # still there
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        job.stdout.close()


def test_a_forked_child_that_leaves_the_block_leaves_the_job_its_device(locks):
    body = """
block = devices.claim(simulated=1, folder=Path(sys.argv[1]))
block.__enter__()
child = os.fork()
if child == 0:
    block.__exit__(None, None, None)
    os._exit(0)
os.waitpid(child, 0)
print("left", flush=True)
sys.stdin.read()
block.__exit__(None, None, None)
"""
    job = start(body, locks, stdin=subprocess.PIPE)
    assert job.stdout.readline() == "left\n"
    assert all_free(1, locks) == 0
    job.communicate()
    assert job.returncode == 0
    assert all_free(1, locks) == 1


def all_free(count, folder):
    """Return how many of the simulated devices can be taken at once, without waiting."""

    class Busy(Exception):
        pass

    def stop(_):
        raise Busy

    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices.time, "sleep", stop)
        blocks = [claim(simulated=count, folder=folder) for _ in range(count)]
        for block in blocks:
            try:
                block.__enter__()
            except Busy:
                break
            taken.append(block)
        for block in reversed(taken):
            block.__exit__(None, None, None)
    return len(taken)


# Forks jobs and kills some of them, at any instant from their start on. Jobs tell on their own,
# without the locks, who had which device when: the times of a job lie within its claim, and the
# monotonic clock is the same for all processes. The end of a killed one is taken before the
# signal, so that what is counted as an overlap is one.
STORM = """
import json, random, signal
settings = json.loads(sys.argv[1])
draws = random.Random(settings["seed"])
devices.POLL_SECONDS = 0.004
log = os.open(settings["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)

def tell(*words):
    os.write(log, (" ".join(map(str, words)) + "\\n").encode())

def job(i, hold):
    folder = Path(settings["folder"] + (str(i) if settings["apart"] else ""))
    with devices.claim(settings["devices"], settings["per_device"], folder) as got:
        tell(os.getpid(), got.device, "start", time.monotonic())
        time.sleep(hold)
        tell(os.getpid(), got.device, "end", time.monotonic())

waiting = list(range(settings["jobs"]))
victims = set(draws.sample(waiting, settings["kills"]))
alive, to_kill, statuses = set(), {}, {}
while waiting or alive:
    while waiting and len(alive) < settings["at_once"]:
        i, hold, until = waiting.pop(0), draws.uniform(0.02, 0.05), draws.uniform(0, 0.3)
        pid = os.fork()
        if pid == 0:
            job(i, 60 if i in victims else hold)
            os._exit(0)
        alive.add(pid)
        if i in victims:
            to_kill[pid] = time.monotonic() + until
    for pid, at in list(to_kill.items()):
        if at <= time.monotonic():
            tell(pid, "-", "end", time.monotonic())
            os.kill(pid, signal.SIGKILL)
            del to_kill[pid]
    for pid in list(alive):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            alive.remove(pid)
            statuses[pid] = os.waitstatus_to_exitcode(status)
    time.sleep(0.001)
print("\\n" + json.dumps(statuses))
"""


@dataclass(frozen=True)
class Held:
    """That a process had a device from one instant to another, in seconds."""

    device: str
    start: float
    end: float
    killed: bool


def storm(tmp_path, jobs, at_once, count, per_device=1, kills=0, apart=False):
    """Run jobs, kill some of them, and return who had what when."""
    settings = {
        "seed": 1, "jobs": jobs, "at_once": at_once, "devices": count, "per_device": per_device,
        "kills": kills, "apart": apart, "folder": f"{tmp_path}/locks", "log": f"{tmp_path}/log",
    }  # fmt: skip
    out, _ = start(STORM, json.dumps(settings)).communicate(timeout=120)
    statuses = json.loads(out.splitlines()[-1])
    assert Counter(statuses.values()) == Counter({0: jobs - kills, -signal.SIGKILL: kills})
    starts, ends = {}, {}
    for line in (tmp_path / "log").read_text().splitlines():
        pid, device, what, at = line.split()
        if what == "start":
            starts[pid] = (device, float(at))
        else:
            ends[pid] = float(at)
    # A job may have told of its start after the signal was meant for it, but before it came.
    return [
        Held(device, at, max(at, ends[pid]), statuses[pid] != 0)
        for pid, (device, at) in starts.items()
    ]


def most_at_once(held):
    """Return the largest number of jobs that had a device at the same instant, a device."""
    most = Counter()
    for one in held:
        beside = sum(
            other.device == one.device and other.start <= one.start < other.end for other in held
        )
        most[one.device] = max(most[one.device], beside)
    return most


def test_many_jobs_and_kills_never_two_on_one_device_and_none_left_locked(
    tmp_path, record_property
):
    held = storm(tmp_path, jobs=240, at_once=12, count=4, kills=80)
    free = all_free(4, tmp_path / "locks")
    most = most_at_once(held)
    counts = {
        "jobs": 240,
        "kills": 80,
        "kills of jobs that held a device": sum(one.killed for one in held),
        "holds by device": dict(sorted(Counter(one.device for one in held).items())),
        "most at once by device": dict(sorted(most.items())),
        "overlaps": sum(number - 1 for number in most.values()),
        "free afterwards": free,
    }
    for name, value in counts.items():
        record_property(name, value)
        print(f"{name}: {value}")
    assert most == {f"simulated-{i}": 1 for i in range(4)}
    assert sum(not one.killed for one in held) == 160
    assert sum(one.killed for one in held) >= 10
    assert free == 4


def test_a_shared_device_has_two_jobs_at_most(tmp_path, record_property):
    held = storm(tmp_path, jobs=120, at_once=10, count=2, per_device=2, kills=40)
    most = most_at_once(held)
    record_property("most at once by device", dict(most))
    print(dict(most))
    assert most == {"simulated-0": 2, "simulated-1": 2}
    assert all_free(2, tmp_path / "locks") == 2


def test_the_witness_sees_jobs_that_do_not_share_locks(tmp_path):
    held = storm(tmp_path, jobs=24, at_once=6, count=1, kills=8, apart=True)
    assert most_at_once(held)["simulated-0"] > 1


def test_tensorflow_is_not_imported():
    body = "print([name for name in sys.modules if name.startswith(('tensorflow', 'keras'))])"
    assert start(body).communicate()[0] == "[]\n"

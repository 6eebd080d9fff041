"""Files that are whole or not there, and locks that end with their process."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from ablation.errors import InputError
from ablation.storage import (
    atomically,
    clear_folder,
    date_back,
    exclusive_lock,
    file_sha256,
    is_sealed,
    make_folder,
    remove_empty,
    require_writable,
    sealed,
    try_lock,
)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    file = tmp_path / "new/folder/file.txt"
    atomically(file, lambda part: part.write_text("one"))
    atomically(file, lambda part: part.write_text("two"))
    assert file.read_text() == "two"
    assert names(file.parent) == ["file.txt"]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), ValueError("broken")])
def test_what_fails_leaves_the_file_as_it_was(tmp_path, fault):
    file = tmp_path / "file.txt"
    file.write_text("before")

    def write(part):
        part.write_text("half")
        raise fault

    with pytest.raises(InputError if isinstance(fault, OSError) else ValueError) as told:
        atomically(file, write)
    assert file.read_text() == "before"
    assert names(tmp_path) == ["file.txt"]
    if isinstance(fault, OSError):
        assert str(told.value) == f"{file}: cannot be written: No space left on device"


def test_the_disk_has_it_before_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda _: done.append(names(tmp_path)))
    atomically(tmp_path / "file", lambda part: part.write_text("content"))
    assert done == [["part-file"], ["file"]]  # the content, then the folder


WRITER = """
import sys
from pathlib import Path
from ablation.storage import atomically
number = 0
while True:
    number += 1
    text = f"{number:06d}" * 50_000
    atomically(Path(sys.argv[1]), lambda part: part.write_text(text))
    print(number, flush=True)
"""


def test_killed_at_any_instant_a_file_is_the_last_or_the_next(tmp_path):
    rng, seen = random.Random(0), set()
    for attempt in range(12):
        file = tmp_path / f"{attempt}/file"
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "1\n"
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            told = [1, *map(int, process.stdout.read().split())][-1]
        text = file.read_text()
        assert len(text) == 300_000
        assert text == text[:6] * 50_000
        assert int(text[:6]) in (told, told + 1)
        seen.add(int(text[:6]))
    assert len(seen) > 1


HOLDER = """
import sys, time
from pathlib import Path
from ablation.storage import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "waiting"):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_lock_ends_with_its_process(tmp_path, capsys):
    file = tmp_path / "folder/.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with file.open() as lock:
            assert not try_lock(lock)
        threading.Timer(0.3, process.send_signal, [signal.SIGKILL]).start()
        with exclusive_lock(file, "waiting for it"):
            assert process.wait() == -signal.SIGKILL
    assert capsys.readouterr().out == "waiting for it\n"


def test_waiting_can_be_given_up(tmp_path):
    file = tmp_path / ".lock"
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with exclusive_lock(file, ""), pytest.raises(InterruptedError), exclusive_lock(file, "", check):
        raise AssertionError("two in one block")


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path):
    file = tmp_path / ".lock"
    with exclusive_lock(file, ""):
        waiting = threading.Event()
        entered = threading.Event()

        def other():
            with exclusive_lock(file, "", waiting.set):
                assert file.exists()
                entered.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(10)
        file.unlink()
    thread.join(10)
    assert entered.is_set()


def test_a_seal_breaks_with_any_edit():
    record = sealed({"a": 1.5, "b": [None, "é"]})
    assert is_sealed(record)
    assert sealed(record) == record
    assert not is_sealed(record | {"a": 1.6})
    assert not is_sealed(record | {"c": 0})
    assert not is_sealed({"a": 1.5})


def test_the_hash_of_a_file(tmp_path):
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    require_writable(tmp_path)
    require_writable(tmp_path / "missing")  # will be made
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"^/proc: cannot be written: "):
        require_writable(type(tmp_path)("/proc"))


def test_only_files_of_the_future_get_the_time_of_now(tmp_path):
    files = [tmp_path / name for name in ("folder/future", "folder/past", "file")]
    files[0].parent.mkdir()
    for file, when in zip(files, (4e9, 1e9, 4e9), strict=True):
        file.touch()
        os.utime(file, (when, when))
    for place in (files[0].parent, files[2], tmp_path / "missing"):
        date_back(place)
    times = [file.stat().st_mtime for file in files]
    assert times[1] == 1e9
    assert max(times) < 4e9


def test_where_there_are_no_locks_it_goes_on_with_a_warning(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive_lock(tmp_path / ".lock", "waiting"):
        pass
    warning = f"{tmp_path / '.lock'}: the file system has no locks (Function not implemented); run"
    assert warning in capsys.readouterr().out


def test_folders_are_removed_as_far_as_they_are_empty(tmp_path):
    deep = tmp_path / "a/b/c"
    make_folder(deep)
    (deep / ".lock").touch()
    (deep / "x").mkdir()
    (deep / "x/file").touch()
    (deep / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    clear_folder(deep, keep=".lock")
    assert names(deep) == [".lock"]
    remove_empty(deep, tmp_path / "a")  # as on a shared file system that keeps an open file
    assert deep.is_dir()
    clear_folder(deep)
    (tmp_path / "a/other").touch()
    remove_empty(deep, tmp_path / "a")
    assert names(tmp_path / "a") == ["other"]
    (tmp_path / "a/other").unlink()
    remove_empty(deep, tmp_path / "a")
    assert names(tmp_path) == ["elsewhere"]

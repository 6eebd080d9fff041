"""The state of a run, told from what it has left."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ablation.analysis.states import (
    QUEUED_AGAIN,
    SILENT_END,
    last_error,
    log_of,
    look,
    run_state,
    run_states,
)


def test_nothing_there_is_missing(place):
    state = run_state(place.run())
    assert (state.status, state.reason, state.log, state.updated) == ("missing", None, None, None)
    assert (state.epoch, state.epochs, state.val_accuracy) == (0, 4, None)


@pytest.mark.parametrize("status", ["completed", "stopped_early", "diverged"])
def test_a_result_is_done_whatever_it_is(place, status):
    run = place.run()
    place.finish(run, status=status)
    assert run_state(run).status == "done"


@pytest.mark.parametrize("name", ["history.csv", "timing.csv", "predictions.npz", "run.json"])
def test_without_one_of_its_files_it_is_not_done(place, name):
    run = place.run()
    place.finish(run)
    (place.folder / run.folder / name).unlink()
    assert run_state(run).status == "missing"


def test_the_record_of_another_run_is_told(place):
    run, other = place.run("none"), place.run("flip")
    place.finish(run)
    shutil.copytree(run.folder, other.folder)
    state = run_state(other)
    assert state.status == "failed"
    assert "run.json is of another run" in state.reason
    assert other.folder in state.reason


def test_a_damaged_record_is_told(place):
    run = place.run()
    place.finish(run)
    record = place.folder / run.folder / "run.json"
    whole = record.read_text()
    record.write_text('{"format": 1')
    state = run_state(run)
    assert state.status == "failed"
    assert state.reason.startswith(f"{run.folder}/run.json: cannot be read (Expecting")
    assert state.reason.endswith(f"; delete {run.folder} and run snakemake again")
    record.write_text(whole.replace('"epochs": 4', '"epochs": 5'))
    state = run_state(run)
    assert state.status == "failed"
    assert f"{run.folder}/run.json has changed since it was written" in state.reason


@pytest.mark.parametrize("name", ["history.csv", "timing.csv", "predictions.npz"])
def test_an_empty_file_is_told(place, name):
    run = place.run()
    place.finish(run)
    (place.folder / run.folder / name).write_text("")
    state = run_state(run)
    assert (state.status, state.reason) == (
        "failed",
        f"{run.folder}/{name} is empty; delete {run.folder} and run snakemake again",
    )


def test_an_older_format_is_told_unless_it_is_made_again_anyway(place):
    run = place.run()
    place.finish(run, code="old")
    record = place.folder / run.folder / "run.json"
    content = json.loads(record.read_text()) | {"format": 1}
    for key in ("files", "attempts", "seal"):
        content.pop(key)
    record.write_text(json.dumps(content))
    for code in (None, "old"):
        state = run_state(run, code=code)
        assert state.status == "failed"
        assert "run.json is of format 1, this version reads 2; delete " in state.reason
    state = run_state(run, code="new")
    assert (state.status, state.reason) == ("missing", "was made by other code")


def test_what_other_code_has_made_is_to_do(place):
    run = place.run()
    place.finish(run, code="old")
    assert run_state(run, code="old").status == "done"
    state = run_state(run, code="new")
    assert (state.status, state.reason) == ("missing", "was made by other code")


def test_weights_that_are_asked_for_have_to_be_there(place):
    run = place.run()
    place.finish(run)
    assert run_states([run], weights=[run.folder])[run.folder].status == "missing"
    (place.folder / run.folder / "model.weights.h5").touch()
    assert run_states([run], weights=[run.folder])[run.folder].status == "done"


def test_running_tells_epoch_accuracy_and_pace(place):
    run = place.run()
    log = place.log(run, epochs=[0.25, 0.5, 0.75], seconds=3.0)
    place.mark(run)
    state = run_state(run)
    assert state.status == "running"
    assert (state.epoch, state.epochs, state.val_accuracy) == (3, 4, 0.75)
    assert state.epoch_seconds == 3.0
    assert state.log == Path(log)
    assert state.updated == pytest.approx((place.folder / log).stat().st_mtime)


def test_long_names_are_found_among_the_marks(place):
    place.edit("crop: crop(2)", f"{'c' * 80}: crop(2)")
    place.edit("models: [resnet8]", f"models: [{{name: {'m' * 80}, architecture: resnet8}}]")
    run = place.run("c" * 80)
    place.log(run, epochs=[0.5])
    place.mark(run)
    assert any(file.is_dir() for file in Path(".snakemake/incomplete").iterdir())  # it was cut
    assert run_state(run).status == "running"


@pytest.mark.parametrize(
    ("seconds", "age", "status"),
    [
        (2.0, 250, "running"),  # within five minutes, whatever the pace
        (2.0, 350, "failed"),
        (200.0, 550, "running"),  # within three epochs
        (200.0, 650, "failed"),
    ],
)
def test_a_silent_log_means_the_end_after_three_epochs(place, seconds, age, status):
    run = place.run()
    place.log(run, epochs=[0.25, 0.5], seconds=seconds, age=age)
    place.mark(run, age=10_000)
    state = run_state(run)
    assert state.status == status
    assert state.reason == (None if status == "running" else SILENT_END)


@pytest.mark.parametrize(("age", "status"), [(3000, "running"), (4000, "failed")])
def test_the_first_epoch_may_take_an_hour(place, age, status):
    run = place.run()
    place.log(run, age=age)
    place.mark(run, age=10_000)
    assert run_state(run).status == status


def test_a_log_that_is_still_to_be_written_is_running(place):
    run = place.run()
    place.mark(run, age=0)
    state = run_state(run)
    assert (state.status, state.log, state.epoch) == ("running", None, 0)


def test_the_log_of_an_earlier_attempt_does_not_count(place):
    run = place.run()
    place.log(run, "error: no space left", epochs=[0.5], age=100)
    assert run_state(run).status == "failed"
    place.mark(run, age=10)
    state = run_state(run)
    assert (state.status, state.epoch, state.reason) == ("running", 0, None)


def test_after_an_interrupt_a_mark_stays_but_no_lock(place):
    run = place.run()
    place.log(run, epochs=[0.5])
    place.mark(run, locked=False)
    state = run_state(run)
    assert (state.status, state.reason, state.epoch) == ("failed", SILENT_END, 1)


def test_a_lock_alone_does_not_make_a_killed_job_running(place):
    run = place.run()
    place.log(run, epochs=[0.5])
    place.mark(run)
    shutil.rmtree(".snakemake/incomplete")
    assert run_state(run).status == "failed"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are told by /proc")
def test_a_training_process_in_this_folder_is_running_whatever_else(place, tmp_path_factory):
    run = place.run()
    place.log(run, epochs=[0.5], age=50_000)
    words = ["train", "--", f"{run.folder}/run.json"]
    for folder, status in ((tmp_path_factory.mktemp("elsewhere"), "failed"), (None, "running")):
        code = "print(flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            process.stdout.readline()  # it has begun
            assert run_state(run).status == status
            process.communicate(b"\n")
    assert run_state(run).status == "failed"


def test_files_that_are_gone_after_all_went_well_are_missing(place):
    run = place.run()
    place.log(run, "completed after 4 epochs, 0:20", epochs=[0.1, 0.2, 0.3, 0.4])
    state = run_state(run)
    assert (state.status, state.reason) == ("missing", "its files are gone")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "error: batch_size 1000 is more than the 50 training images",
            "batch_size 1000 is more than the 50 training images",
        ),
        (
            """\
            Traceback (most recent call last):
              File "run.py", line 1, in <module>
                train()
            ValueError: no such thing
            """,
            "ValueError: no such thing",
        ),
        (
            """\
            Traceback (most recent call last):
              File "run.py", line 1, in <module>
            KeyError: 'first'

            During handling of the above exception, another exception occurred:

            Traceback (most recent call last):
              File "run.py", line 9, in <module>
            framework.errors_impl.ResourceExhaustedError: Graph execution error:

            Detected at node conv defined at (most recent call last):
              File "run.py", line 7, in <module>

            OOM when allocating tensor with shape[128,64] [Op:multi_step]
            """,
            "framework.errors_impl.ResourceExhaustedError: Graph execution error: "
            "OOM when allocating tensor with shape[128,64] [Op:multi_step]",
        ),
        ("KeyboardInterrupt", None),  # the word alone is not a message
        ("Traceback (most recent call last):\n  File", None),  # still being written
        (
            "usage: ablation train\nablation train: error: argument --data: expected one argument",
            "argument --data: expected one argument",
        ),
        ("/usr/bin/bash: line 1: python: command not found", "python: command not found"),
        (
            "F0000 00:00:1795309173.654207    4084 conv.cc:153] Check failed: stream\n"
            "*** Check failure stack trace: ***",
            "Check failed: stream",
        ),
        ("E0000 00:00:1795309173.65 4084 dnn.cc:5] failed call to cuInit: INTERNAL: error", None),
    ],
)
def test_the_reason_is_what_the_log_ends_with(place, text, reason):
    run = place.run()
    place.log(run, text, epochs=[0.5])
    state = run_state(run)
    assert (state.status, state.epoch) == ("failed", 1)
    assert state.reason == (reason or SILENT_END)


def test_an_error_that_training_survived_is_none(place):
    run = place.run()
    traceback = "Traceback (most recent call last):\n  File\nValueError: never mind"
    place.log(run, traceback, epochs=[0.5])
    file = Path(log_of(run))
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    assert run_state(run).reason == SILENT_END


def test_a_reason_is_one_line_of_bounded_length():
    message = last_error([f"error: {'x' * 500}\x1b[31m"])
    assert len(message) == 300
    assert message.endswith("…")
    assert last_error(["error: a\x07b"]) == "a\\x07b"


def test_a_resumed_run_tells_its_epoch_from_the_beginning(place):
    run = place.run()
    place.log(run, resumed=3)
    place.mark(run)
    state = run_state(run)
    assert (state.status, state.epoch, state.resumed, state.kept) == ("running", 3, 3, 0)
    assert (state.val_accuracy, state.epoch_seconds) == (None, None)
    place.log(run, resumed=2, epochs=[0.75], seconds=3.0)
    state = run_state(run)
    assert (state.epoch, state.resumed, state.val_accuracy) == (3, 2, 0.75)
    assert state.epoch_seconds == 3.0
    place.log(run, resumed=4)  # training had ended, only the evaluation was left
    assert run_state(run).epoch == 4


STOPPED = "error: stopped by SIGTERM after epoch 2 of 4; the same command goes on from there"


def test_an_interrupted_run_tells_where_it_goes_on(place):
    run = place.run()
    place.log(run, STOPPED, resumed=1, epochs=[0.5])
    place.checkpoint(run, 2)
    state = run_state(run)
    assert (state.status, state.epoch, state.kept) == ("failed", 2, 2)
    assert state.reason == STOPPED.removeprefix("error: ")


def test_an_interrupted_run_that_snakemake_waits_for_is_to_do(place):
    """A cluster puts a job that it stops back into its queue; Snakemake keeps mark and lock."""
    run = place.run()
    place.mark(run, age=5000)
    place.checkpoint(run, 2)
    place.log(run, STOPPED, epochs=[0.5, 0.75], age=4000)
    state = run_state(run)
    assert (state.status, state.reason, state.kept) == ("missing", QUEUED_AGAIN, 2)
    place.log(run, "error: the disk is full", epochs=[0.5, 0.75])
    assert run_state(run).status == "failed"
    place.log(run, resumed=2, epochs=[0.8])  # it has started again
    assert (run_state(run).status, run_state(run).epoch) == ("running", 3)
    place.log(run, STOPPED, epochs=[0.5, 0.75])
    shutil.rmtree(".snakemake/locks")  # Snakemake has ended
    assert run_state(run).status == "failed"


def test_the_checkpoint_tells_what_is_kept_whatever_the_log_tells(place):
    run = place.run()
    place.checkpoint(run, 3)
    state = run_state(run)  # no log: killed before it wrote a line
    assert (state.status, state.reason, state.kept) == ("failed", SILENT_END, 3)
    place.log(run, epochs=[0.5])
    assert (run_state(run).epoch, run_state(run).kept) == (1, 3)
    place.checkpoint(run, 2, ended=True)  # it has stopped early: nothing is left to train
    assert run_state(run).kept == 4
    place.mark(run)
    assert (run_state(run).status, run_state(run).kept) == ("running", 0)


@pytest.mark.parametrize("fault", ["code", "settings", "damaged", "empty", "gone", "no about"])
def test_a_checkpoint_that_training_would_not_take_is_not_counted(place, fault):
    run = place.run()
    place.log(run, epochs=[0.5])
    other = place.run("flip").settings
    file = place.checkpoint(run, 3, code="a", settings=other if fault == "settings" else None)
    if fault == "damaged":
        os.truncate(file, file.stat().st_size // 2)
    elif fault == "empty":
        os.truncate(file, 0)
    elif fault == "gone":
        file.rename(file.with_name("put-aside.npz"))
    elif fault == "no about":
        np.savez(file, weights=np.ones(3))
    assert run_state(run, code="b" if fault == "code" else "a").kept == 0


def test_no_bit_of_a_checkpoint_makes_the_status_fail(place):
    run = place.run()
    file = place.checkpoint(run, 3)
    whole = file.read_bytes()
    found, at_work = set(), look()
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        found.add(run_state(run, at_work).kept)
        file.write_bytes(whole[:at])
        assert run_state(run, at_work).kept == 0
    assert found == {0, 3}


def test_files_that_wait_to_be_put_in_place_need_no_training(place):
    run = place.run()
    place.finish(run, code="a")
    place.log(run, "completed after 4 epochs, 0:20", epochs=[0.1, 0.2, 0.3, 0.4])
    Path(run.checkpoints).mkdir(parents=True)
    Path(run.folder).rename(Path(run.checkpoints) / "finished")
    state = run_state(run, code="a")
    assert (state.status, state.kept) == ("missing", 4)
    assert run_state(run, code="b").kept == 0


@pytest.mark.parametrize("years", [-30, -1, 1, 30])
def test_a_clock_that_jumps_does_not_change_what_is_done(place, years):
    run = place.run()
    place.finish(run)
    place.log(run, "completed after 4 epochs, 0:20", epochs=[0.5])
    place.mark(run)
    moment = time.time() + years * 365 * 86_400
    for file in (*Path(run.folder).iterdir(), log_of(run)):
        os.utime(file, (moment, moment))
    assert run_state(run).status == "done"


@pytest.mark.parametrize("years", [-30, -1, 1, 30])
@pytest.mark.parametrize("which", ["log", "marks", "both"])
def test_a_clock_that_jumps_never_makes_a_run_pass_for_done(place, years, which):
    run = place.run()
    log = Path(place.log(run, epochs=[0.5]))
    place.mark(run)
    moment = time.time() + years * 365 * 86_400
    marks = [file for file in Path(".snakemake/incomplete").rglob("*") if file.is_file()]
    for file in {"log": [log], "marks": marks, "both": [log, *marks]}[which]:
        os.utime(file, (moment, moment))
    state = run_state(run)
    assert state.status in ("running", "failed")
    assert state.epoch in (0, 1)


def test_a_file_that_is_gone_between_two_looks_is_no_failure(place, monkeypatch):
    """Snakemake removes the files of a job that it starts again while the status is asked for."""
    run = place.run()
    place.finish(run)
    record = Path(run.folder) / "run.json"
    read = Path.read_text

    def vanish(self, *words, **named):
        if self == record:
            record.unlink(missing_ok=True)
        return read(self, *words, **named)

    monkeypatch.setattr(Path, "read_text", vanish)
    assert "No such file" in run_state(run).reason
    assert run_state(run).status == "missing"

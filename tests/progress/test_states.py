"""The state of a run, told from what it has left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ablation.analysis.states import SILENT_END, last_error, log_of, run_state, run_states


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
    (place.folder / run.folder / "run.json").write_text('{"format": 1')
    state = run_state(run)
    assert (state.status, state.reason[:26]) == ("failed", "run.json cannot be read (E")


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

"""The state of a run, from its files and the status of its training."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ablation.progress.states import run_state, run_states
from ablation.training.code import LOOP, run_code
from ablation.training.status import KILLED

FILES = ("history.csv", "timing.csv", "predictions.npz", "run.json")


def test_without_files_a_run_is_missing(place):
    state = run_state(place.run())
    assert (state.status, state.reason, state.log, state.updated) == ("missing", None, None, None)
    assert (state.epoch, state.epochs, state.val_accuracy) == (0, 4, None)


@pytest.mark.parametrize("status", ["completed", "stopped_early", "diverged"])
def test_a_result_is_done_whatever_it_is(place, status):
    run = place.run()
    place.finish(run, status=status)
    assert run_state(run).status == "done"
    place.status(run, "running", [0.5])  # the process is just ending
    assert run_state(run).status == "done"


@pytest.mark.parametrize("name", FILES)
def test_without_one_of_its_files_it_is_not_done(place, name):
    run = place.run()
    place.finish(run)
    (place.folder / run.folder / name).unlink()
    assert run_state(run).status == "missing"


def test_the_record_of_another_run_is_reported(place):
    run, other = place.run("none"), place.run("flip")
    place.finish(run)
    shutil.copytree(run.folder, other.folder)
    state = run_state(other)
    assert state.status == "failed"
    assert f"{other.folder}/run.json is of another run" in state.reason


def test_a_damaged_record_is_reported(place):
    run = place.run()
    place.finish(run)
    record = place.folder / run.folder / "run.json"
    whole = record.read_text()
    for text, reason in (
        (whole[:300], f"{run.folder}/run.json: cannot be read ("),
        (whole.replace('"epochs": 4', '"epochs": 5'), "run.json has changed since it was written"),
    ):
        record.write_text(text)
        state = run_state(run)
        assert state.status == "failed"
        assert reason in state.reason
        assert state.reason.endswith(f"; delete {run.folder} and run snakemake again")


def test_of_the_other_files_only_the_size_is_looked_at(place):
    """It has to be quick; the analysis finds the rest."""
    run = place.run()
    place.finish(run)
    file = Path(run.folder) / "predictions.npz"
    os.truncate(file, 100)
    assert run_state(run).status == "done"
    os.truncate(file, 0)
    state = run_state(run)
    assert (state.status, state.reason) == (
        "failed",
        f"{file} is empty; delete {run.folder} and run snakemake again",
    )


def test_what_another_version_or_other_code_has_made_is_to_do(place):
    run = place.run()
    code = run_code(run.settings)
    place.finish(run, code=code | {LOOP: "0", "resnet": "0"})
    state = run_state(run)
    changed = "the code of the training loop and resnet has changed"
    assert (state.status, state.reason) == ("missing", changed)
    place.status(run, "running")
    assert run_state(run).status == "running"  # it is made again
    record = place.folder / run.folder / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"format": 1}))
    place.locks.close()
    state = run_state(run)
    assert state.status == "missing"
    assert "run.json is of format 1, this version reads 3; delete " in state.reason


def test_weights_that_are_asked_for_have_to_exist(place):
    run = place.run()
    place.finish(run)
    assert run_states([run], weights=[run.folder])[run.folder].status == "missing"
    (place.folder / run.folder / "model.weights.h5").touch()
    assert run_states([run], weights=[run.folder])[run.folder].status == "done"


def test_a_running_attempt_has_epoch_accuracy_and_pace(place):
    run = place.run()
    log = place.log(run)
    place.status(run, "running", [0.25, 0.5], seconds=3.0, resumed=1)
    state = run_state(run)
    assert (state.status, state.reason, state.waiting) == ("running", None, False)
    assert (state.epoch, state.epochs, state.resumed, state.kept) == (3, 4, 1, 0)
    assert (state.val_accuracy, state.epoch_seconds) == (0.5, 3.0)
    assert state.log == Path(log)


def test_an_attempt_that_waits_for_a_device_is_running(place):
    run = place.run()
    place.status(run, "waiting", resumed=2)
    state = run_state(run)
    assert (state.status, state.waiting, state.resumed) == ("running", True, 2)


def test_an_attempt_that_failed_keeps_its_epochs(place):
    run = place.run()
    place.status(run, "failed", [0.25, 0.5], reason="the disk is full", resumed=1)
    state = run_state(run)
    assert (state.status, state.reason) == ("failed", "the disk is full")
    assert (state.epoch, state.kept, state.val_accuracy) == (3, 3, 0.5)


def test_a_killed_attempt_has_failed_and_goes_on(place):
    run = place.run()
    place.status(run, "running", [0.25])
    place.locks.close()
    state = run_state(run)
    assert (state.status, state.reason, state.kept) == ("failed", KILLED, 1)


def test_an_interrupted_attempt_is_to_do(place):
    """A cluster that stops a job puts it back into its queue."""
    run = place.run()
    place.status(run, "interrupted", [0.25, 0.5], reason="stopped by SIGTERM after epoch 2 of 4")
    state = run_state(run)
    assert (state.status, state.reason, state.kept) == ("missing", "interrupted", 2)


@pytest.mark.parametrize(
    ("code", "ended", "checkpoint", "kept"),
    [
        (None, False, True, 2),
        (None, True, True, 4),  # it has stopped early: only the evaluation is left
        ("other", False, True, 0),  # training does not use the checkpoint of other code
        (None, False, False, 0),
    ],
)
def test_what_the_next_attempt_need_not_train(place, code, ended, checkpoint, kept):
    run = place.run()
    place.status(run, "failed", [0.25, 0.5], reason="no", code=code, ended=ended)
    if not checkpoint:
        (Path(run.checkpoints) / "checkpoint.npz").unlink()
    assert run_state(run).kept == kept


@pytest.mark.parametrize(("code", "kept"), [(None, 4), ("other", 0)])
def test_files_that_wait_to_be_put_in_place_need_no_training(place, code, kept):
    run = place.run()
    place.status(run, "finished", [0.1, 0.2, 0.3, 0.4], code=code, ended=True)
    (Path(run.checkpoints) / "checkpoint.npz").unlink()
    (Path(run.checkpoints) / "finished").mkdir()
    state = run_state(run)
    assert (state.status, state.reason, state.kept) == ("missing", None, kept)


def test_a_file_that_vanishes_between_two_looks_is_no_crash(place, monkeypatch):
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

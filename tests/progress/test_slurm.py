"""What Slurm knows of the jobs of runs, and what this says about the state of a run."""

import os

import pytest

from ablation.progress.states import run_states
from ablation.training.status import KILLED


@pytest.fixture
def squeue(place, monkeypatch):
    """A function that installs a `squeue` which lists jobs of the first run.

    A job is its state and reason, or its whole line; the oldest is first.
    """
    programs = place.folder / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    comment = "rule_train_wildcards_" + place.run().folder.split("/", 2)[2].replace("/", "_")

    def install(*jobs, status=0):
        lines = [job if job.count("|") > 1 else f"{job}|{comment}|{place.folder}" for job in jobs]
        (programs / "jobs").write_text("".join(f"{line}\n" for line in lines))
        script = programs / "squeue"
        script.write_text(f"#!/bin/sh\ncat '{programs}/jobs'\nexit {status}\n")
        script.chmod(0o755)

    return install


def state(place):
    """Status and reason of the first run."""
    found = run_states(place.plan.runs.values())[place.run().folder]
    return found.status, found.reason


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], ("missing", None)),
        (["PENDING|None"], ("missing", "queued in Slurm")),
        (["PENDING|PartitionTimeLimit"], ("missing", "queued in Slurm: PartitionTimeLimit")),
        (["FAILED|None", "PENDING|Resources"], ("missing", "queued in Slurm: Resources")),
        (["RUNNING|None"], ("running", None)),
        (["COMPLETING|None"], ("running", None)),
        (["RUNNING|None", "PENDING|Resources"], ("running", None)),
        (["RUNNING|None|rule_ablation_train_wildcards_RUN|/here"], ("running", None)),
        (["RUNNING|None|rule_train_keeping_weights_wildcards_RUN|/here"], ("running", None)),
        (["OUT_OF_MEMORY|None"], ("failed", "its job in Slurm ended: OUT_OF_MEMORY")),
        (["CANCELLED|None"], ("missing", None)),
        (["RUNNING|None|rule_train_wildcards_another|/here"], ("missing", None)),
        (["RUNNING|None|rule_train_train|/here"], ("missing", None)),
    ],
)
def test_a_run_that_has_not_started(place, squeue, jobs, expected):
    name = place.run().name.replace("/", "_")
    squeue(*(job.replace("/here", str(place.folder)).replace("RUN|", f"{name}|") for job in jobs))
    assert state(place) == expected


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], ("failed", KILLED)),
        (["RUNNING|None"], ("running", None)),  # its lock is not visible here, or it starts again
        (["PENDING|BeginTime"], ("missing", "queued in Slurm again: BeginTime")),
        (["OUT_OF_MEMORY|None"], ("failed", "killed (Slurm: OUT_OF_MEMORY)")),
        (["FAILED|None"], ("failed", KILLED)),
        # A job of several runs, in which it is trained again.
        (["PENDING|None|rule_train_train|/here"], ("missing", "queued in Slurm again")),
        (["FAILED|None|rule_train_train|/here"], ("failed", KILLED)),
        (["PENDING|None|rule_train_train|/elsewhere"], ("failed", KILLED)),
    ],
)
def test_a_run_whose_process_has_ended_without_a_word(place, squeue, jobs, expected):
    squeue(*(job.replace("/here", str(place.folder)) for job in jobs))
    place.status(place.run(), "running", [0.5])
    place.locks.close()
    assert state(place) == expected


def test_runs_that_were_interrupted_or_failed(place, squeue):
    place.status(place.run(), "interrupted", [0.5])
    squeue("TIMEOUT|None")
    assert state(place) == ("missing", "interrupted (Slurm: TIMEOUT)")
    place.status(place.run(), "failed", [0.5], reason="out of memory")
    squeue("FAILED|None")
    assert state(place) == ("failed", "out of memory")
    squeue("FAILED|None", "PENDING|Resources")
    reason = "queued in Slurm again: Resources, the last attempt failed: out of memory"
    assert state(place) == ("missing", reason)


def test_a_finished_run_is_done_and_a_failing_squeue_is_ignored(place, squeue):
    squeue("PENDING|None", status=1)
    assert state(place) == ("missing", None)
    place.finish(place.run())
    squeue("RUNNING|None")
    assert state(place) == ("done", None)

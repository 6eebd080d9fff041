"""Studies on a cluster of Slurm: whole, and with every interruption that a cluster brings."""

import re
import signal
from itertools import pairwise

import pytest

from ..workflow.conftest import STUDY, make_project
from .conftest import FILES, Study

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]


def logged(log):
    """The last epoch in a log."""
    return max(map(int, re.findall(r"^epoch (\d+)/", log, re.M)), default=0)


def check(study, local, table, event, status, then, before=None):
    """Compare the bytes with those of the local study, and add a row to the table.

    Args:
        study, local, table: fixtures; the study has finished.
        event: what happened.
        status: what `snakemake status` said.
        then: what happened then.
        before: log of the interrupted attempt; None if there was no interruption.
    """
    twice = "-"
    if before is not None:
        assert study.log(".log.before") == before
        on = re.search(r"^resuming after epoch (\d+) of", study.log(), re.M)
        twice = str(logged(before) - (int(on[1]) if on else 0))
    files = study.files()
    expected = {name: local[name] for name in files}
    table.append((event, status, then, twice, "equal" if files == expected else "DIFFER"))
    assert files.keys() == {file.parent / name for file in files for name in FILES} != set()
    assert files == expected
    assert not list(study.project.folder.glob("results/checkpoints/*/*/*/*/checkpoint.npz"))
    assert twice in ("-", "0")


def interval(job):
    return job["NodeList"], job["StartTime"], job["EndTime"]


def test_a_whole_study_uses_both_gpus_and_no_gpu_twice(cluster, tmp_path, table):
    project = make_project(tmp_path / "project")
    project.study.write_text(STUDY.replace("seeds: [0]", "seeds: [0, 1]"))
    local = Study(project.copy(tmp_path / "local"), cluster)
    local.project.snakemake("--until", "train", "--cores", "2", "--resources", "gpu=1")
    study = Study(project, cluster)
    study.start(until=None)
    study.status("2 running")
    study.finish()
    jobs = study.jobs().values()
    training = [job for job in jobs if job["Comment"].startswith("rule_train_")]
    assert len(training) == 4
    assert {job["TresPerJob"] for job in training} == {"gres:gpu:1"}
    assert not any("TresPerJob" in job for job in jobs if job not in training)
    # Each node has one GPU.
    intervals = sorted(map(interval, training))
    assert {node for node, _, _ in intervals} == {"node1", "node2"}
    assert all(one[0] != two[0] or one[2] <= two[1] for one, two in pairwise(intervals))
    log = study.log()
    assert "training on CPU (0)" in log  # the GPU is pretended
    assert "warning: GPU 0 is reserved for this job, but TensorFlow does not use it" in log
    assert "waiting for a free device" not in log
    report = (project.folder / "reports/tiny.md").read_text()
    assert "4 of 4 runs were trained on the CPU although a GPU was reserved" in report
    check(study, local.files(), table, "a whole study, 4 runs on 2 GPUs", "2 running", "report")


def test_a_group_of_runs_shares_one_gpu_one_after_another(study, local, table):
    text = study.project.study.read_text()
    study.project.study.write_text(text.replace("seeds: [0]", "seeds: [0, 1]"))
    groups = ("--groups", "train=train", "--group-components", "train=2")
    study.start(*groups, "--set-resources", "train:runtime=30")
    study.until(study.processes, "a training")
    while study.snakemake.poll() is None:
        assert len(study.processes()) < 2
    study.finish()
    (job,) = study.jobs().values()
    assert job["TresPerJob"] == "gres:gpu:1"
    assert job["TimeLimit"] == "01:00:00"  # the sum
    assert len(study.files()) == 4
    check(study, local, table, "a group of 2 runs", "-", "one job, one GPU, one run at a time")


def test_a_cancelled_job_is_submitted_again(study, local, table):
    number, _ = study.train_and_pause()
    study.status("1 running")
    study.cluster.call("scancel", str(number))
    study.until(lambda: "stopped by SIGTERM after epoch" in study.log(), "the end of the training")
    before = study.log()
    status = "interrupted (Slurm: CANCELLED)"
    study.status(status)
    study.finish()
    assert len(study.jobs()) == 2
    check(study, local, table, "`scancel`", status, "submitted again", before)


def test_a_requeued_job_resumes(study, local, table):
    number, _ = study.train_and_pause()
    study.cluster.call("scontrol", "requeue", str(number))
    study.until(lambda: "stopped by SIGTERM after epoch" in study.log(), "the end of the training")
    before = study.log()
    status = "queued in Slurm again"
    study.status(status)
    study.finish()
    ((_, job),) = study.jobs().items()
    assert job["Restarts"] == "1"
    check(study, local, table, "`scontrol requeue`", status, "the same job starts again", before)


def test_a_job_beyond_its_time_limit_is_submitted_again(study, local, table):
    number, process = study.train_and_pause("--set-resources", "train:runtime=1")
    study.until(lambda: study.jobs()[number]["JobState"] != "RUNNING", "the time limit")
    process.resume()  # Slurm does not
    study.until(lambda: "stopped by SIGTERM after epoch" in study.log(), "the end of the training")
    before = study.log()
    status = "interrupted (Slurm: TIMEOUT)"
    study.status(status)
    study.finish()
    check(study, local, table, "time limit", status, "submitted again", before)


def test_the_job_of_a_node_that_fails_starts_on_another(study, local, table):
    number, _ = study.train_and_pause()
    node, before = study.jobs()[number]["NodeList"], study.log()
    study.cluster.kill(node)
    status = "queued in Slurm again"
    try:
        study.status(status)
    finally:
        study.cluster.start_node(node)
    study.finish()
    ((_, job),) = study.jobs().items()
    assert job["Restarts"] == "1"
    study.until(lambda: study.cluster.state_of(node) == "idle", node)
    check(study, local, table, "node fails", status, "the same job starts on another", before)


def test_a_job_without_enough_memory_gets_more(study, local, table):
    study.start("--set-resources", "train:mem_mb=600*attempt")
    study.finish()
    first, second = study.jobs().values()
    # Without control groups, Slurm does not say OUT_OF_MEMORY.
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("600M", "1200M")
    (log,) = study.project.folder.glob(".snakemake/slurm_logs/rule_train/*/*.log")
    assert "exceeded memory limit" in log.read_text()  # that of the failed job is kept
    then = "submitted again with twice the memory"
    check(study, local, table, "memory exhausted", "-", then)


def test_jobs_outlive_snakemake(study, local, table):
    _, process = study.train_and_pause()
    study.snakemake.send_signal(signal.SIGKILL)
    study.snakemake.wait()
    study.status("1 running")
    study.project.snakemake("--unlock")
    study.start()
    waiting = "waiting for another process that trains this run"
    study.until(lambda: waiting in study.log(), waiting)
    study.status("1 running")
    process.resume()
    study.finish()
    assert "training has finished already; only its files are copied" in study.log()
    then = "the job goes on, and the next Snakemake uses its result"
    check(study, local, table, "`snakemake` killed", "1 running", then)


def test_two_studies_in_one_folder(study, local, table):
    other = Study(study.project, study.cluster, "other")
    study.start()
    other.start()
    study.finish()
    other.finish()
    assert len(study.files()) == 4
    check(study, local, table, "two studies in one folder", "-", "both finish")

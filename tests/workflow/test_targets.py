"""The targets that tell of a study before, after and while it runs: plan, status, partial."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ablation.progress.terminal import duration

from .conftest import make_project

pytestmark = pytest.mark.workflow

# One arm ends, one would take for ever, one cannot be trained.
STUDY = """\
title: Can one look on?
experiments:
  tiny:
    question: Does CutMix help?
    datasets: [{name: digits, source: mnist5k, limit: 60}]
    models: [{name: small, architecture: resnet8, width: 4}]
    augmentations: {none: "", cutmix: crop(2) | cutmix, mixup: mixup}
    seeds: [0]
    baseline: {augmentation: none}
    overrides:
      - {where: {augmentation: cutmix}, training: {epochs: 100000}}
      - {where: {augmentation: mixup}, training: {batch_size: 1000}}
    training: {epochs: 3, batch_size: 10, learning_rate: 0.05, momentum: 0.9}
"""


def start(project, *words):
    """Start snakemake; what it prints on standard output is kept apart."""
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "snakemake"), *words],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(project, *words):
    """What bare ``snakemake TARGET`` prints on standard output, without any option."""
    with start(project, *words) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def rows(text):
    """Arm and the cells after it of each row of a table of runs."""
    cells = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {row[2]: row[3:] for row in cells if row[0] == "digits"}


def wait_for(condition, process, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    raise AssertionError("it did not come to that")


def jobs_of(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def looked_on(tmp_path_factory):
    """A study that was looked at before, while and after it ran; do not change it."""
    project = make_project(tmp_path_factory.mktemp("targets") / "project")
    project.study.write_text(STUDY)
    project.before = told(project, "plan")
    project.left_by_plan = sorted(file.name for file in (project.folder / "results").iterdir())
    locks = project.folder / ".snakemake/locks"
    logs = project.folder / "results/logs/train/digits/small/cutmix"
    with start(
        project, "--keep-going", "--until", "train", "--cores", "8", "--resources", "gpu=1"
    ) as study:

        def training():
            texts = [file.read_text() for file in logs.glob("*.log")]
            return any("epoch 2/" in text for text in texts)

        try:
            wait_for(training, study)
            project.locked = sorted(file.name for file in locks.iterdir())
            project.during = told(project, "status")
            other = project.study.with_name("other.yaml")
            other.write_text(STUDY.replace("limit: 60", "limit: 70"))
            project.data = told(project, "data", "--config", "study=other")
            project.still_locked = sorted(file.name for file in locks.iterdir())
            project.second = project.snakemake(check=False)
            (job,) = [child for child in jobs_of(study) if "train" in child.cmdline()]
            job.kill()
            study.communicate(timeout=300)
        except BaseException:
            for process in [*jobs_of(study), study]:
                process.kill()
            raise
    project.returncode = study.returncode
    project.after = told(project, "status")
    return project


def test_the_plan_is_told_before_anything_and_makes_nothing(looked_on):
    assert "3 runs, 0 done, 0 running, 0 failed, 3 to do" in looked_on.before
    assert "Training time still needed: unknown" in looked_on.before
    assert "give no verdicts" in looked_on.before  # one seed
    assert looked_on.left_by_plan == ["logs"]


def test_status_tells_the_epoch_of_a_run_that_is_training(looked_on):
    assert "1 running" in looked_on.during
    seed, epoch, accuracy, *_ = rows(looked_on.during)["cutmix"]
    assert seed == "0"
    assert int(epoch.removesuffix("/100000")) >= 2
    assert re.fullmatch(r"\d+\.\d\d %", accuracy)
    assert "Training will end" in looked_on.during


def test_looking_on_leaves_the_lock_of_the_study(looked_on):
    assert looked_on.locked == ["0.input.lock", "0.output.lock"]
    assert "digits (native-stretch-" in looked_on.data  # another study, with files to lock
    assert looked_on.still_locked == looked_on.locked
    assert looked_on.second.returncode != 0
    assert "LockException" in looked_on.second.output


def test_afterwards_failures_are_told_with_reason_and_log(looked_on):
    assert looked_on.returncode != 0
    assert "3 runs, 1 done, 0 running, 2 failed, 0 to do" in looked_on.after
    found = dict(
        re.findall(
            r"  small on digits, (\w+), seed 0 \(tiny\)\n    (.*)\n(?:    .*\n)?    results/logs",
            looked_on.after,
        )
    )
    assert found["cutmix"] == "killed (out of memory?)"
    assert re.fullmatch(r"batch_size 1000 is more than the \d+ training images", found["mixup"])
    assert re.search(r"resumes after epoch \d+ of 100000", looked_on.after)
    for log in re.findall(r"results/logs/\S+\.log", looked_on.after):
        assert (looked_on.folder / log).is_file()


def test_afterwards_the_plan_estimates_what_is_to_come(looked_on, tmp_path):
    project = looked_on.copy(tmp_path / "project")
    project.edit("seeds: [0]", "seeds: [0, 1]")
    text = told(project, "plan", "--resources", "gpu=2", "--cores", "4")
    assert "6 runs, 1 done, 0 running, 2 failed, 3 to do" in text
    lines = [re.split(r" {2,}", line) for line in text.splitlines() if "small  none" in line]
    assert [line[3:5] + line[7:] for line in lines] == [["0", "done", "-"], ["1", "to do", "same"]]
    (record,) = project.folder.glob("results/runs/digits/small/none/seed-0-*/run.json")
    assert lines[1][6] == duration(json.loads(record.read_text())["seconds"])
    assert "With 2 runs at a time" in text
    # On a cluster, jobs count. Slurm is not needed, because the target runs here.
    slurm = ("--workflow-profile", "profiles/slurm", "--jobs", "3")
    quickly = ("--slurm-init-seconds-before-status-checks", "1")
    assert "With 3 runs at a time" in told(project, "plan", *slurm, *quickly)


def test_edited_training_code_makes_every_run_one_to_do(looked_on, tmp_path):
    project = looked_on.copy(tmp_path / "project")
    with (project.folder / "src/ablation/training/optimizer.py").open("a") as file:
        file.write("\nADDED = 1\n")
    text = told(project, "status")
    assert "3 runs, 0 done, 0 running, 2 failed, 1 to do" in text


def test_without_prepared_data_a_partial_report_says_so(tmp_path):
    project = make_project(tmp_path / "project")
    done = project.snakemake("partial", check=False)
    assert done.returncode != 0
    assert "error: no data is prepared (digits)" in done.output
    assert "Traceback" not in done.output
    assert not (project.folder / "reports").exists()


def test_a_partial_report_leaves_the_study_as_it_is(looked_on, tmp_path):
    project = looked_on.copy(tmp_path / "project")
    expected = project.plan()
    runs = {file: file.stat().st_mtime_ns for file in project.folder.glob("results/runs/**/*")}
    output = told(project, "partial")
    assert output.splitlines()[-1] == "reports/tiny-partial.html"
    for name in ("tiny-partial.html", "tiny-partial.md"):
        assert (project.folder / "reports" / name).stat().st_size > 0
    assert "batch_size 1000" in (project.folder / "reports/tiny-partial.html").read_text()
    left = {file.name for file in (project.folder / "results/tiny").iterdir()}
    assert left == {"partial", "looks.csv"}
    partial = {file.name for file in (project.folder / "results/tiny/partial").iterdir()}
    assert {"analysis.json", "mistakes.npz", "findings.csv", "rubric.csv"} <= partial
    header, look = (project.folder / "results/tiny/looks.csv").read_text().splitlines()
    assert header == "look,time,seeds,open"
    assert re.fullmatch(r"1,[^,]+Z,tiny: 0 lacking 2 of 3 runs,0", look)
    assert not list(project.folder.glob("reports/tiny.*"))
    after = {file: file.stat().st_mtime_ns for file in project.folder.glob("results/runs/**/*")}
    assert after == runs
    assert project.plan() == expected
    assert {"analyse", "report"} <= set(expected)

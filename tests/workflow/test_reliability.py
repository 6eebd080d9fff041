"""The same bytes however a study is run, and what Snakemake does when something is wrong."""

import json
import os
import re
import shutil
import threading
import time

import pytest

from ablation.storage import file_sha256, sealed

from ..conftest import tiny_disk
from .conftest import STUDY, make_project

pytestmark = pytest.mark.workflow


def bytes_of(project):
    return {
        file.relative_to(project.folder): file.read_bytes()
        for name in ("history.csv", "predictions.npz")
        for file in project.folder.glob(f"results/runs/*/*/*/*/{name}")
    }


def runs_of(project):
    return {file.parent.parent.name: file.parent for file in project.folder.rglob("run.json")}


def test_other_parallelism_and_another_order_give_the_same_bytes(finished, tmp_path):
    project = make_project(tmp_path / "project")
    before, after = '{none: "", cutmix: crop(2) | cutmix}', '{cutmix: crop(2) | cutmix, none: ""}'
    assert before in STUDY
    project.study.write_text(STUDY.replace(before, after))
    project.snakemake("--until", "train", "--cores", "8", "--resources", "gpu=2")
    assert bytes_of(project) == bytes_of(finished)
    assert len(bytes_of(project)) == 4
    records = [json.loads(file.read_text()) for file in project.folder.rglob("run.json")]
    begun, ended = zip(
        *((time.mktime(time.strptime(r["started"], "%Y-%m-%dT%H:%M:%SZ")), r) for r in records),
        strict=True,
    )
    spans = [(start, start + record["seconds"]) for start, record in zip(begun, ended, strict=True)]
    assert max(start for start, _ in spans) < min(end for _, end in spans)  # side by side


def test_nothing_is_left_of_checkpoints(finished):
    assert not (finished.folder / "results/checkpoints").exists()


def test_a_finished_run_is_repeated_and_compared(project):
    quick = min(
        runs_of(project).values(),
        key=lambda folder: json.loads((folder / "run.json").read_text())["seconds"],
    )
    done = project.snakemake("recheck")
    assert re.search(r"history\.csv: the same \d+ bytes", done.output)
    assert re.search(r"predictions\.npz: the same [\d,]+ bytes", done.output)
    assert f"{quick.relative_to(project.folder)}: repeated, the same" in done.output
    assert not (project.folder / "results/recheck").exists()
    assert project.plan() == {}


def test_a_run_that_cannot_be_repeated_is_told(project):
    folder = runs_of(project)["cutmix"]
    run = folder.name.rpartition("-")[2]
    history = folder / "history.csv"
    history.write_text(history.read_text().replace("\n1,", "\n1,9", 1))
    told = f"{history.relative_to(project.folder)} has changed since it was written"
    assert told in project.snakemake("recheck", "--config", f"recheck={run}", check=False).output
    record = json.loads((folder / "run.json").read_text())
    record["files"]["history.csv"] = file_sha256(history)  # as if training had written it
    (folder / "run.json").write_text(json.dumps(sealed(record)))
    done = project.snakemake("recheck", "--config", f"recheck={run}", check=False)
    assert done.returncode != 0
    assert f"history.csv: differs from {history.relative_to(project.folder)}" in done.output
    assert "predictions.npz: the same" in done.output
    assert "processor, versions and variables have not changed" in done.output
    assert (project.folder / "results/recheck" / run / "history.csv").is_file()


def test_there_has_to_be_a_run_to_repeat(project, tmp_path):
    done = project.snakemake("recheck", "--config", "recheck=0123abcd", check=False)
    assert done.returncode != 0
    ids = sorted(folder.name.rpartition("-")[2] for folder in runs_of(project).values())
    assert f"no finished run '0123abcd'; finished runs: {', '.join(ids)}" in done.output
    new = make_project(tmp_path / "new")
    done = new.snakemake("recheck", check=False)
    assert done.returncode != 0
    assert "study 'tiny': no run is finished with the current code" in done.output
    assert "Traceback" not in done.output


def test_results_that_may_not_be_written_are_told_before_anything(project):
    edited = "learning_rate: 0.06"
    project.edit("learning_rate: 0.05", edited)
    results = project.folder / "results"
    # Root may write everywhere, unless it gives that right up.
    drop = "-dac_override,-dac_read_search"
    words = ["setpriv", "--bounding-set", drop, "--"] if os.geteuid() == 0 else []
    results.chmod(0o555)
    try:
        done = project.snakemake(check=False, before=words)
    finally:
        results.chmod(0o755)
    assert done.returncode == 1
    assert "error: results: cannot be written: Permission denied" in done.output
    assert "Traceback" not in done.output
    assert not list(project.folder.glob(".snakemake/locks/*"))
    assert project.plan()["train"] == 2


def test_code_that_is_edited_while_the_study_runs_makes_no_result(tmp_path):
    project = make_project(tmp_path / "project")
    edited = project.folder / "src/ablation/training/outputs.py"

    def edit():
        while not list(project.folder.glob("results/logs/prepare/*/*.log")):
            time.sleep(0.05)
        with edited.open("a") as file:
            file.write("\nADDED = 1\n")

    thread = threading.Thread(target=edit)
    thread.start()
    done = project.snakemake("--until", "train", check=False)
    thread.join()
    assert done.returncode != 0
    assert "error: the code was edited while the study ran: run snakemake again" in done.output
    assert not list(project.folder.rglob("run.json"))


def test_a_job_on_another_machine_checks_the_code_that_it_was_planned_with(project):
    """There, Snakemake loads the workflow again, possibly after an edit."""
    run = runs_of(project)["cutmix"]
    record = json.loads((run / "run.json").read_text())
    planned = record["code"] | {"cutmix": "0" * 16}
    file = (run / "history.csv").relative_to(project.folder)
    done = project.snakemake(
        "--mode", "remote", "--force", str(file), check=False,
        ABLATION_PLANNED_CODE=json.dumps(planned),
    )  # fmt: skip
    assert done.returncode != 0
    log = f"results/logs/train/{run.relative_to(project.folder / 'results/runs')}.log"
    assert "the code was edited while the study ran" in (project.folder / log).read_text()


def test_a_failed_job_ends_with_its_message_and_its_log_outlives_the_next_attempt(project):
    shutil.rmtree(runs_of(project)["cutmix"])
    (images,) = project.folder.glob("results/data/*/*/images.npy")
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    data = str(images.parent.relative_to(project.folder))
    message = (
        f"error: {data}/images.npy: has changed since it was made; "
        f"delete {data} and run snakemake again"
    )
    done = project.snakemake("--until", "train", check=False)
    (log,) = project.folder.glob("results/logs/train/digits/small/cutmix/*.log")
    assert done.returncode != 0
    assert log.read_text() == f"{message}\n"
    assert done.output.rstrip().endswith("At least one job did not complete successfully.")
    assert done.output.splitlines().count(message) == 1
    assert done.output.index(message) > done.output.rindex("--settings")  # after the command

    images.write_bytes(content)
    project.snakemake("--until", "train")
    assert log.with_name(f"{log.name}.before").read_text() == f"{message}\n"
    assert message not in log.read_text()


def test_a_disk_too_full_for_a_log_does_not_hide_the_message(project):
    logs = project.folder / "results/logs/tiny"
    shutil.rmtree(logs)
    (run := runs_of(project)["cutmix"]).joinpath("history.csv").write_text("edited")
    project.edit("Does CutMix help?", "Does it?")
    fill = 'head -c 4096 /dev/zero > "$0/fill"; exec "$@"'
    words = [*tiny_disk(logs, 4096), "sh", "-c", fill, str(logs)]
    done = project.snakemake(check=False, before=words)
    assert done.returncode != 0
    name = (run / "history.csv").relative_to(project.folder)
    assert f"error: {name} has changed since it was written" in done.output


def test_results_that_were_copied_with_the_records_of_snakemake_run_nothing(finished, tmp_path):
    """With other times, in any order."""
    moved = make_project(tmp_path / "moved")
    for name in ("results", "reports", ".snakemake"):
        shutil.copytree(finished.folder / name, moved.folder / name, copy_function=shutil.copyfile)
    assert moved.plan() == {}
    shutil.rmtree(moved.folder / "results/data")
    assert moved.plan() == {}


def test_times_in_the_past_and_in_the_future_run_nothing(project):
    """As a clock that jumps leaves them; contents are what counts."""
    now = time.time()
    for file in (project.folder / "results").rglob("*"):
        os.utime(file, (now - 1e7, now - 1e7))
    for file in (project.folder / "results/data").rglob("*"):
        os.utime(file, (now + 1e6, now + 1e6))
    assert project.plan() == {}
    assert "2 done" in project.snakemake("status").output


@pytest.mark.long
def test_a_clock_that_went_back_fails_no_job(project):
    """Snakemake refuses output that is older than its input."""
    later = time.time() + 3600
    for file in (project.folder / "results").rglob("*"):
        os.utime(file, (later, later))
    shutil.rmtree(runs_of(project)["cutmix"])
    done = project.snakemake()
    assert done.output.count("Train digits/small/") == 1
    assert project.plan() == {}

"""Whole runs through Snakemake."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile

import pandas as pd
import pytest

from ablation.analysis.tables import TABLES

from .conftest import STUDY, make_project

pytestmark = pytest.mark.workflow
AFTERWARDS = {"analyse": 1, "report": 1}
EDITED = {"resolve": 1, **AFTERWARDS}
REPORTED = ("results/tiny/findings.csv", "results/tiny/rubric.csv")


def test_bare_snakemake_runs_the_study_to_its_report(finished):
    for file in ("reports/tiny.html", "reports/tiny.md", *REPORTED, "results/tiny/runs.csv"):
        assert (finished.folder / file).stat().st_size > 0
    runs = pd.read_csv(finished.folder / "results/tiny/runs.csv")
    assert list(runs["augmentation"]) == ["none", "cutmix"]
    assert set(runs["status"]) == {"completed"}
    for row in runs.itertuples():
        folder = f"results/runs/digits/small/{row.augmentation}/seed-{row.seed}-{row.id}"
        files = {file.name for file in (finished.folder / folder).iterdir()}
        assert files == {"history.csv", "timing.csv", "predictions.npz", "run.json"}


def test_the_record_of_looks_outlives_what_snakemake_deletes(project):
    """The outputs of a rule are deleted before it runs again and when it fails."""
    looks = project.folder / "results/tiny/looks.csv"
    before = looks.read_bytes()
    header, look = before.decode().splitlines()
    assert header == "look,time,seeds,open"
    assert re.fullmatch(r"1,[^,]+Z,tiny: 0,1", look)
    again = project.snakemake("--forcerun", "analyse", "--until", "analyse")
    assert "Analyse the runs of tiny" in again.output
    assert looks.read_bytes() == before  # the same runs are no second look

    (file,) = project.folder.glob("results/runs/digits/small/cutmix/*/history.csv")
    file.write_text("edited")
    failed = project.snakemake("--forcerun", "analyse", "--until", "analyse", check=False)
    assert failed.returncode != 0
    assert not (project.folder / "results/tiny/analysis.json").exists()
    assert looks.read_bytes() == before


def test_one_job_trains_at_a_time(finished):
    text = finished.printed
    steps = [line for line in text.splitlines() if "Train digits/small/" in line]
    assert len(steps) == 2
    first, second = (text.index(step) for step in steps)
    assert "(Rule: train)" in text[first:second]  # the first had finished when the second began


def test_the_archive_of_a_study_is_verified_elsewhere(project, tmp_path):
    def ablation(*words, folder):
        source = {"PYTHONPATH": str(project.folder / "src")}
        return subprocess.run(
            [sys.executable, "-m", "ablation", *words], cwd=folder, env=os.environ | source,
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    archive = project.folder / ablation("archive", folder=project.folder).strip()
    with zipfile.ZipFile(archive) as packed:
        assert "4 -> 3" in packed.read("rulegraph.dot").decode()
        logs = [name for name in packed.namelist() if name.startswith("results/logs/train/")]
    assert len(logs) == 2
    run = logs[0].removesuffix(".log").rpartition("-")[2]
    printed = ablation("verify", str(archive), "--rerun", run, folder=tmp_path)
    assert "predictions.npz: the same bytes" in printed
    assert printed.endswith(f"{archive}: verified\n")


def test_a_second_snakemake_really_does_nothing(project):
    before = {f: f.stat().st_mtime_ns for f in project.folder.glob("re*/**/*") if f.is_file()}
    assert "Nothing to be done" in project.snakemake().output
    after = {f: f.stat().st_mtime_ns for f in project.folder.glob("re*/**/*") if f.is_file()}
    assert after == before


def test_an_edit_runs_what_changed_and_undoing_it_nothing_but_the_report(project):
    """Really run: one arm's learning rate is edited, then edited back."""
    project.edit(
        "    training:",
        "    overrides: [{where: {augmentation: cutmix}, training: {learning_rate: 0.01}}]\n"
        "    training:",
    )
    done = project.snakemake()
    assert done.output.count("Train digits/small/cutmix/") == 1
    assert "Train digits/small/none/" not in done.output
    assert len(list(project.folder.glob("results/runs/digits/small/cutmix/seed-*"))) == 2
    project.study.write_text(STUDY)
    assert project.plan() == EDITED


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seeds: [0]", "seeds: [0, 1]", {"train": 2, **EDITED}),
        (
            "crop(2) | cutmix",
            "crop(1) | cutmix",
            {"gallery": 1, "train": 1, **EDITED, "resolve": 2},
        ),
        ("Does CutMix help?", "Does it?", EDITED),
        ("learning_rate: 0.05", "learning_rate: 0.06", {"train": 2, **EDITED}),
        ("tiny:\n", "tiny:\n    keep_weights: true\n", {"train_keeping_weights": 2, **AFTERWARDS}),
        (
            "width: 4}",
            "width: 4}, {name: plain, architecture: plain8, width: 4}",
            {"describe_models": 1, "train": 2, **EDITED, "resolve": 2},
        ),
    ],
)
def test_only_what_changed_runs_again(project, old, new, expected):
    project.edit(old, new)
    assert project.plan() == expected


def test_narratives_and_rubrics_run_only_what_reads_them(project):
    text = project.study.with_name("my 'text' $(x).md")
    text.write_text(
        "It reaches {{ value('cells', 'test_accuracy', augmentation='cutmix') | percent }} %.\n"
    )
    rubric = project.folder / "config/rubrics/mine.yaml"
    rubric.parent.mkdir()
    rubric.write_text(
        "criteria:\n  - question: Is there a small one?\n"
        "    checks: [{check: network, model: resnet8}]\n"
    )
    project.edit("    seeds: [0]", f'    narrative: "{text.name}"\n    seeds: [0]')
    assert project.plan() == EDITED
    project.edit("experiments:", "rubric: mine\nexperiments:")
    project.snakemake()
    report, pictures = (project.folder / place for place in ("reports/tiny.md", "reports/tiny"))
    accuracy = pd.read_csv(project.folder / "results/tiny/cells.csv")["test_accuracy"].iloc[1]
    assert f"It reaches {100 * accuracy:.1f} %." in report.read_text()
    (row,) = pd.read_csv(project.folder / "results/tiny/rubric.csv").itertuples()
    assert row.question == "Is there a small one?"
    assert row.status in ("met", "not met", "cannot be decided")
    assert row.question in report.read_text()

    project.edit("criteria:", "# a comment\ncriteria:", rubric)
    assert project.plan() == {}
    project.edit("It reaches", "CutMix reaches", text)
    assert project.plan() == {"report": 1}
    project.edit("a small one", "a network of 20 layers", rubric)
    assert project.plan() == EDITED

    text.write_text("First.\n\n{{ value('cells', 'test_acc') | percent }}\n")
    failed = project.snakemake(check=False)
    assert failed.returncode != 0
    assert f"error: config/studies/{text.name}, line 3: " in failed.output
    assert not report.exists()
    assert not pictures.exists()
    assert not any((project.folder / file).exists() for file in REPORTED)
    assert not list(project.folder.glob("reports/.*"))


def test_equivalent_studies_and_other_files_run_nothing(project):
    project.edit("title:", "# a comment\ntitle:")
    project.edit("{epochs: 1, batch_size: 10", "{batch_size: 10, epochs: 1")
    project.edit("crop(2) | cutmix", "crop( padding = 2 )|cutmix()")
    for name in ("training/.run.py.swp", "models/.DS_Store", "data/prepare.py.orig"):
        (project.folder / "src/ablation" / name).write_text("x")
    later = time.time() + 60
    for pattern in ("src/**/*", "workflow/**/*", "config/**/*", "envs/*", "Snakefile"):
        for file in project.folder.glob(pattern):
            os.utime(file, (later, later))
    assert project.plan() == {}


def test_two_values_swapped(project):
    project.edit("learning_rate: 0.05, momentum: 0.9", "learning_rate: 0.9, momentum: 0.05")
    assert project.plan() == {"train": 2, **EDITED}


def test_switching_branches_and_back_runs_nothing(project):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(
            ["git", *identity, *words], cwd=project.folder, check=True, capture_output=True
        )

    (project.folder / ".gitignore").write_text("results\nreports\n.snakemake\n")
    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "one")
    git("switch", "-c", "other")
    for name in ("src/ablation/training/run.py", "workflow/rules/train.smk"):
        file = project.folder / name
        file.write_text(f"{file.read_text()}\n\nADDED = 1\n")
    git("commit", "-am", "two")
    assert project.plan()["train"] == 2
    git("switch", "main")
    assert project.plan() == {}


def test_a_half_finished_study_is_taken_up(project):
    for file in project.folder.glob("results/runs/digits/small/cutmix/*/*"):
        file.unlink()
    assert project.plan() == {"train": 1, **AFTERWARDS}


@pytest.mark.parametrize("name", ["timing.csv", "run.json"])
def test_a_lost_file_is_made_again(project, name):
    for file in project.folder.glob(f"results/runs/digits/small/cutmix/*/{name}"):
        file.unlink()
    assert project.plan() == {"train": 1, **AFTERWARDS}


def test_a_failing_run_leaves_the_others(project, tmp_path):
    """Under --keep-going every run that can finish does; the message names what is wrong."""
    project.edit("seeds: [0]", "seeds: [1]")
    project.edit(
        "    training:",
        "    overrides: [{where: {augmentation: cutmix}, training: {batch_size: 1000}}]\n"
        "    training:",
    )
    done = project.snakemake("--keep-going", check=False)
    assert done.returncode != 0
    assert "batch_size 1000 is more than the" in done.output
    assert list(project.folder.glob("results/runs/digits/small/none/seed-1-*/run.json"))
    assert not list(project.folder.glob("results/runs/digits/small/cutmix/seed-1-*/*"))


def test_weights_are_kept_where_the_study_asks(project, finished):
    project.edit("tiny:\n", "tiny:\n    keep_weights: true\n")
    project.edit('{none: "", cutmix: crop(2) | cutmix}', '{none: ""}')
    project.snakemake("--until", "train_keeping_weights")
    (folder,) = project.folder.glob("results/runs/digits/small/none/seed-0-*")
    assert (folder / "model.weights.h5").stat().st_size > 10_000
    assert not {"train", "train_keeping_weights"} & set(project.plan())
    (again,) = finished.folder.glob("results/runs/digits/small/none/seed-0-*")
    for name in ("history.csv", "predictions.npz"):  # keeping weights changes no number
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    project.edit("    keep_weights: true\n", "")
    assert not {"train", "train_keeping_weights"} & set(project.plan())


def test_prune_lists_and_removes_what_no_study_asks_for(project):
    project.edit('{none: "", cutmix: crop(2) | cutmix}', '{none: ""}')
    listed = project.snakemake("prune", "--cores", "1").output
    assert "unused" in listed
    assert "small/cutmix/seed-0-" in listed
    assert "small/none" not in listed
    assert list(project.folder.glob("results/runs/*/*/cutmix"))
    removed = project.snakemake("prune", "--cores", "1", "--config", "prune=remove").output
    assert "removed" in removed
    assert not list(project.folder.glob("results/runs/*/*/cutmix"))
    assert list(project.folder.glob("results/runs/*/*/none/*/history.csv"))
    assert list(project.folder.glob("results/data/*/*/images.npy"))
    assert "looks.csv" not in listed + removed
    assert (project.folder / "results/tiny/looks.csv").exists()


def test_prune_leaves_alone_what_is_not_its_own(project, tmp_path):
    elsewhere = tmp_path / "elsewhere/native-stretch-00000000"
    elsewhere.mkdir(parents=True)
    (elsewhere / "description.json").write_text('{"settings": {"source": "mine"}}')
    (project.folder / "results/data/shared").symlink_to(elsewhere.parent)
    (project.folder / "results/data/tfds/cifar10").mkdir(parents=True)
    words = ("prune", "--cores", "1", "--config", "prune=remove")
    assert "0 folder(s)" in project.snakemake(*words).output
    assert (elsewhere / "description.json").exists()


def test_prune_refuses_where_a_study_cannot_be_read(project):
    project.edit('{none: "", cutmix: crop(2) | cutmix}', '{none: ""}')
    (project.folder / "config/studies/broken.yaml").write_text("title: [")
    done = project.snakemake("prune", "--cores", "1", "--config", "prune=remove", check=False)
    assert done.returncode != 0
    assert "broken.yaml" in done.output
    assert list(project.folder.glob("results/runs/*/*/cutmix"))


def test_a_mistake_is_told_in_one_line_and_leaves_nothing(tmp_path):
    project = make_project(tmp_path / "project")
    project.edit("epochs: 1", "epoch: 1")
    before = {f for f in project.folder.rglob("*") if "__pycache__" not in f.parts}
    done = project.snakemake(check=False, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode != 0
    assert "Traceback" not in done.output
    assert (
        "config/studies/tiny.yaml:10:16: experiments.tiny.training.epoch: unknown key"
        in done.output
    )
    new = set(project.folder.rglob("*")) - before
    assert all(".snakemake" in f.parts for f in new)


def test_another_study_by_config(project):
    other = STUDY.replace("Does a tiny study run?", "Another").replace(
        "seeds: [0]", "seeds: [0, 3]"
    )
    (project.folder / "config/studies/other.yaml").write_text(other)
    assert project.plan("--config", "study=other", "--cores", "8") == {
        "describe_models": 1,
        "gallery": 1,
        "train": 2,  # the other two are shared
        **EDITED,
        "resolve": 3,
    }


def test_snakemakes_own_report_has_the_report_its_figures_and_tables(project):
    project.snakemake("--report", "results/own.zip")
    with zipfile.ZipFile(project.folder / "results/own.zip") as file:
        page = file.read("own/report.html").decode()
        names = [name.rpartition("/")[2] for name in file.namelist()]
    read = json.JSONDecoder().raw_decode
    categories, results = (
        read(page, re.search(rf"var {name} = (?={{)", page).end())[0]
        for name in ("categories", "results")
    )
    shown = {
        (category, *results[path]["labels"].values())
        for category, subcategories in categories.items()
        for paths in subcategories.values()
        for path in paths
    }
    assert {(category, study) for category, study, _ in shown} == {
        ("Report", "tiny"), ("Figures", "tiny"), ("Tables", "tiny"),
    }  # fmt: skip
    assert ("Report", "tiny", "page") in shown
    assert ("Figures", "tiny", "headline-tiny-digits") in shown
    assert {label for category, _, label in shown if category == "Tables"} == set(TABLES)
    assert {"tiny.html", "headline-tiny-digits.svg", "comparisons.csv"} <= set(names)
    assert "has the answers to the questions of the study" in page  # the landing page


def test_batches_train_all_runs_and_the_last_one_reports(project):
    for name in ("results/runs", "results/tiny", "reports"):
        shutil.rmtree(project.folder / name)
    too_early = project.snakemake("--batch", "analyse=2/2", check=False)
    assert "not all previous batches" in too_early.output
    first = project.snakemake("--batch", "analyse=1/2")
    assert first.output.count("Train digits/small/") == 1
    assert not (project.folder / "reports").exists()
    second = project.snakemake("--batch", "analyse=2/2")
    assert second.output.count("Train digits/small/") == 1
    assert (project.folder / "reports/tiny.html").exists()
    assert project.plan() == {}

"""Snakemake's time on a study, against a bare Snakemake grid of as many jobs and files."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path

from ablation.data.files_digest import files_digest
from ablation.study.plan import load_config, load_plan
from ablation.training.records import OUTPUTS
from benchmarks.measure import Case, in_turn
from tests.factory import write_run

ROOT = Path(__file__).parents[1]
RUNS = (10, 1000, 5000)
REPETITIONS = 3
STUDY = """\
title: A grid
experiments:
  grid:
    question: Does it pay?
    datasets: [mnist5k]
    models: [resnet8, plain8]
    augmentations: {{none: "", crop: crop(2), cutmix: cutmix, mixup: mixup, flip: flip}}
    seeds: {seeds}
    training: {{epochs: 2}}
"""
# The directives that rules of a published workflow have.
BARE = """\
RUNS = [str(number) for number in range({runs})]
FILES = {files}


rule all:
    input: "report.html"


rule data:
    output: "data/description.json"
    shell: "touch {{output}}"


rule train:
    input: "data/description.json"
    output: [f"runs/{{{{id}}}}/{{file}}" for file in FILES]
    log: "logs/{{id}}.log"
    conda: "environment.yaml"
    threads: 2
    resources: gpu=1
    params: settings=lambda wildcards: {{"seed": wildcards.id, "text": "x" * 1000}}
    message: "Train {{wildcards.id}}"
    shell: "touch {{output:q}} > {{log:q}} 2>&1"


rule analyse:
    input: [f"runs/{{run}}/{{file}}" for run in RUNS for file in FILES], "data/description.json"
    output: [f"tables/{{number}}.csv" for number in range(20)]
    shell: "touch {{output:q}}"


rule report:
    input: rules.analyse.output
    output: "report.html"
    shell: "touch {{output}}"
"""


def workflows(*, quick: bool) -> Iterator[Case]:
    """Measure dry runs of studies of which nothing is done and of which every run is done."""
    with tempfile.TemporaryDirectory() as folder:
        for runs in RUNS[:1] if quick else RUNS:
            ours, bare = Path(folder) / f"ours-{runs}", Path(folder) / f"bare-{runs}"
            _copy_workflow(ours, runs)
            bare.mkdir()
            (bare / "Snakefile").write_text(BARE.format(runs=runs, files=OUTPUTS))
            (bare / "environment.yaml").write_text("dependencies: [python]\n")
            yield _dry_runs(f"{runs} new runs", ours, bare)
            _finish(ours, bare, runs)
            yield _dry_runs(f"{runs} finished runs", ours, bare, "--until", "train")


def _dry_runs(what: str, ours: Path, bare: Path, *more: str) -> Case:
    sides = [partial(_dry_run, ours, *more), partial(_dry_run, bare, *more)]
    mine, theirs = in_turn(sides, REPETITIONS)
    return Case("workflow", f"dry run of {what}: bare grid", mine, theirs, "s", less=True)


def _copy_workflow(folder: Path, runs: int) -> None:
    folder.mkdir()
    shutil.copy(ROOT / "Snakefile", folder)
    for name in ("workflow", "config", "envs", "profiles", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    study = STUDY.format(seeds=list(range(runs // 10)))
    (folder / "config/studies/grid.yaml").write_text(study)
    (folder / "config/config.yaml").write_text("study: grid\n")


def _finish(ours: Path, bare: Path, runs: int) -> None:
    """Write the files of all runs."""
    with chdir(ours):
        for run in load_plan(load_config()).runs.values():
            data = {
                "source": "mnist5k/1.0.0", "hash": "h", "shape": [28, 28, 1], "train": 3600,
                "validation": 20, "test": 20, "files_digest": files_digest(run.data.settings),
            }  # fmt: skip
            write_run(run, images=20, validation=20, data=data)
    (bare / "data").mkdir()
    (bare / "data/description.json").touch()
    for number in range(runs):
        folder = bare / "runs" / str(number)
        folder.mkdir(parents=True)
        for name in OUTPUTS:
            (folder / name).touch()


def _dry_run(folder: Path, *more: str) -> float:
    command = ["snakemake", "-n", "--quiet", "all", "--cores", "2", "--resources", "gpu=1", *more]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return time.perf_counter() - began

"""A tiny study run once through Snakemake; the tests edit copies of what it left."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ..conftest import ROOT, copy_tracked

SOURCES = ("Snakefile", "workflow", "src", "profiles", "envs")

CONFIG = ROOT / ".test/config"
STUDY = (CONFIG / "studies/tiny.yaml").read_text()


class Project:
    """A checkout of its own with a tiny study."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "config/config.yaml"
        self.study = folder / "config/studies/tiny.yaml"

    def snakemake(self, *words, check=True, before=(), **environment):
        command = [*before, str(Path(sys.executable).parent / "snakemake"), *words]
        if "--cores" not in words:
            command += ["--cores", "8", "--resources", "gpu=1"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        done.output = done.stdout
        return done

    def plan(self, *words):
        """What a real invocation would run now: rule name to the lines that tell its jobs."""
        done = self.snakemake(*words, "--dry-run")
        if "Nothing to be done" in done.output:
            return {}
        stats = re.search(r"Job stats:\n.*?\n-+.*?\n(.*?)\ntotal", done.output, re.S)
        counts = {line.split()[0]: int(line.split()[1]) for line in stats[1].splitlines()}
        return {rule: count for rule, count in counts.items() if rule != "default"}

    def edit(self, old, new, file=None):
        file = file or self.study
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def copy(self, folder):
        # Times are kept: what Snakemake decides must not come from the copying.
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def history(folder):
    """The bytes of the history of each run below a folder, by the run's name."""
    runs = folder / "results/runs"
    return {str(f.relative_to(runs)): f.read_bytes() for f in runs.glob("*/*/*/*/history.csv")}


def make_project(folder):
    copy_tracked(folder, *SOURCES)
    shutil.copytree(CONFIG, folder / "config")
    return Project(folder)


@pytest.fixture(scope="session")
def finished(shared_folder):
    """The study, run by bare ``snakemake --cores 8 --resources gpu=1``; do not change it."""
    folder, printed = shared_folder / "finished", shared_folder / "finished.txt"
    with FileLock(f"{folder}.lock"):
        if not printed.exists():
            printed.write_text(make_project(folder).snakemake().output)
    project = Project(folder)
    project.printed = printed.read_text()
    return project


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    return finished.copy(tmp_path / "project")

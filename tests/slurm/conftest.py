"""A cluster, studies that run on it, and the table of what came of them."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from ..kill.conftest import STUDY
from ..workflow.conftest import make_project
from .cluster import Cluster, install

OTHER = STUDY.replace("seeds: [0]", "seeds: [1]")
PROFILE = ("--workflow-profile", "profiles/slurm")
QUICKLY = ("--slurm-init-seconds-before-status-checks", "2")
FILES = ("history.csv", "predictions.npz")
LONGEST = 240  # seconds until something happens that has to

TABLE = pytest.StashKey[list]()
COLUMNS = ("event", "`snakemake status` says", "then", "trained twice", "bytes")


@pytest.fixture(scope="session")
def table(request):
    """A row for each event; printed at the end, as Markdown."""
    return request.config.stash.setdefault(TABLE, [])


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    slurm = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=False)
    names = ("snakemake", "snakemake-executor-plugin-slurm", "tensorflow")
    versions = [slurm.stdout.strip(), *(f"{name} {version(name)}" for name in names)]
    terminalreporter.section("slurm")
    terminalreporter.write_line(f"{time.strftime('%Y-%m-%d')}: {', '.join(versions)}\n")
    for row in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        terminalreporter.write_line(f"| {' | '.join(row)} |")


@pytest.fixture(scope="session")
def cluster():
    if platform.system() != "Linux" or os.getuid() != 0 or not shutil.which("apt-get"):
        pytest.fail("the tests with Slurm need root on Debian, to install and start it")
    install()
    # Not in pytest's folder, which stays, and whose path is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Cluster(folder) as cluster:
            yield cluster


class Study:
    """A study in a folder of its own that runs on the cluster."""

    def __init__(self, project, cluster, name="tiny"):
        self.project, self.cluster, self.name = project, cluster, name
        self.snakemake = None

    def start(self, *words, until="train"):
        """Start Snakemake with the profile for Slurm."""
        command = [str(Path(sys.executable).parent / "snakemake"), *PROFILE, *QUICKLY, *words]
        command += [*(["--until", until] if until else []), "--config", f"study={self.name}"]
        with (self.project.folder / f"{self.name}.txt").open("w") as output:
            self.snakemake = subprocess.Popen(
                command,
                cwd=self.project.folder,
                env={**os.environ, **self.cluster.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self):
        return (self.project.folder / f"{self.name}.txt").read_text()

    def finish(self):
        """Wait for Snakemake, which has to succeed."""
        assert self.snakemake.wait(LONGEST) == 0, self.output

    def end(self):
        """End Snakemake and all jobs."""
        if self.snakemake is not None:
            self.snakemake.kill()
            self.snakemake.wait()
        self.cluster.call("scancel", "--full", "--me")
        for process in self.processes():
            process.kill()
        self.until(lambda: not self.queue(), "the end of the jobs")

    def jobs(self):
        """The jobs in Slurm, also ended ones."""
        return self.cluster.jobs(self.project.folder)

    def queue(self):
        """The jobs that have not ended."""
        going = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED")
        return {number: job for number, job in self.jobs().items() if job["JobState"] in going}

    def processes(self):
        """The processes that train."""
        found = {}
        for process in psutil.process_iter():
            try:
                trains = process.cmdline()[2:4] == ["ablation", "train"]
                if trains and process.cwd() == str(self.project.folder.resolve()):
                    found[process.pid] = process, process.ppid()
            except psutil.Error:  # it has just ended
                continue
        # Without children that have not yet started their program.
        return [process for process, parent in found.values() if parent not in found]

    def log(self, ending=".log"):
        """The log of the run."""
        files = list(self.project.folder.glob(f"results/logs/train/*/*/*/*{ending}"))
        return files[0].read_text(errors="replace") if files else ""

    def until(self, condition, what):
        end = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < end, f"{what} did not come\n{self.output}\n{self.log()}"
            ended = self.snakemake is not None and self.snakemake.poll() not in (None, 0)
            assert not ended or self.snakemake.returncode == -signal.SIGKILL, self.output
            time.sleep(0.02)

    def train_and_pause(self, *words):
        """Start, and pause the training after an epoch; return the job and the process."""
        self.start(*words)
        self.until(lambda: "epoch 1/" in self.log(), "an epoch")
        (process,) = self.processes()
        process.suspend()
        assert "epoch 5/" not in self.log()
        ((number, _),) = self.queue().items()
        return number, process

    def status(self, words):
        """Wait until the status has these words, and never calls a run failed before."""
        command = [sys.executable, "-m", "ablation", "status", "--config", '{"study": "tiny"}']
        printed = []

        def says():
            done = subprocess.run(
                command,
                cwd=self.project.folder,
                env={
                    **os.environ,
                    **self.cluster.environment,
                    "PYTHONPATH": str(self.project.folder / "src"),
                },
                capture_output=True,
                text=True,
                check=True,
            )
            printed.append(done.stdout)
            assert ", 0 failed" in done.stdout, done.stdout
            return words in done.stdout

        self.until(says, f"the status '{words}'")
        return printed[-1]

    def files(self):
        return {
            file.relative_to(self.project.folder): file.read_bytes()
            for name in FILES
            for file in self.project.folder.glob(f"results/runs/*/*/*/*/{name}")
        }


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Two studies of a run each, with their data prepared; do not change it."""
    project = make_project(tmp_path_factory.mktemp("slurm") / "prepared")
    project.study.write_text(STUDY)
    project.study.with_stem("other").write_text(OTHER)
    project.snakemake("data", "--cores", "2")
    return project


@pytest.fixture(scope="session")
def local(prepared, tmp_path_factory):
    """The files of the two runs, trained on this computer without Slurm."""
    project = prepared.copy(tmp_path_factory.mktemp("slurm") / "local")
    for name in ("tiny", "other"):
        words = ("--until", "train", "--cores", "2", "--resources", "gpu=1")
        project.snakemake(*words, "--config", f"study={name}")
    return Study(project, None).files()


@pytest.fixture
def study(prepared, cluster, tmp_path):
    study = Study(prepared.copy(tmp_path / "project"), cluster)
    yield study
    study.end()

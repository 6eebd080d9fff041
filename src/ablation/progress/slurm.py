"""Jobs of Slurm that train runs, as `squeue` lists them."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablation.study.grid import Run

QUEUED = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD")
ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "TIMEOUT",
)  # fmt: skip
SQUEUE_SECONDS = 60
# Comments that Snakemake's executor gives to jobs of the training rules and to groups of them. A
# module may give the rules a longer name.
_RUN = re.compile(r"rule_\w*train(?:_keeping_weights)?_wildcards_(.+)")
_GROUP = re.compile(r"rule_\w*train")


@dataclass(frozen=True)
class Job:
    """A job of Slurm.

    Attributes:
        state: in Slurm's words, for example ``PENDING``.
        reason: why it is in that state, in Slurm's words; ``None`` if there is no reason.
    """

    state: str
    reason: str

    @property
    def queued(self) -> bool:
        """Whether it waits to start, also again."""
        return self.state in QUEUED

    @property
    def ended(self) -> bool:
        """Whether it has ended, and will not start again."""
        return self.state in ENDED


@dataclass(frozen=True)
class Jobs:
    """The jobs that train runs.

    Attributes:
        of_runs: the last job of each run that has one, by the run's folder. Slurm lists ended jobs
            for some minutes.
        groups: whether a job of several runs is queued or running. Slurm does not know its runs.
    """

    of_runs: dict[str, Job]
    groups: bool


def slurm_jobs(runs: Iterable[Run]) -> Jobs:
    """Return the jobs of the current user that train runs in the current folder.

    Args:
        runs: the runs. No jobs are found if ``squeue`` is missing or fails.
    """
    folders = {run.name.replace("/", "_"): run.folder for run in runs}
    of_runs: dict[str, Job] = {}
    groups = False
    for comment, job in _listed():
        name = _RUN.fullmatch(comment)
        if name is None:
            groups = groups or (not job.ended and _GROUP.match(comment) is not None)
        elif folder := folders.get(name[1]):
            before = of_runs.get(folder)
            # A job may wait while one that an earlier Snakemake submitted still trains the run.
            if before is None or before.queued or before.ended or not job.queued:
                of_runs[folder] = job
    return Jobs(of_runs, groups)


def _listed() -> list[tuple[str, Job]]:
    """Return comment and job of the jobs that were submitted in this folder, the last one last."""
    program = shutil.which("squeue")
    if program is None:
        return []
    command = [program, "--me", "--states=all", "--sort=i", "--noheader", "--format=%T|%r|%k|%Z"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SQUEUE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split("|", 3) for line in done.stdout.splitlines()]
    here = str(Path.cwd())
    return [(row[2], Job(*row[:2])) for row in rows if len(row) > 3 and row[3] == here]

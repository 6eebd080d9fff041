"""Killed at any instant, a study that is started again ends with the same bytes.

``KILLS`` is how many kills are tried: three in ``make test``, more in ``make test-kill``.
"""

import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from .conftest import TRAIN

pytestmark = pytest.mark.workflow

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("KILL_SEED", "1"))
LONGEST = 240  # seconds until something is seen that has to come

FILES = ("history.csv", "predictions.npz")
# Until what is seen, and how long after that at most.
INSTANTS = {
    "checkpoint": ("part-checkpoint.npz", 0.0),  # after the first one
    "training": ("epoch 2/", 0.2),
    "evaluation": ("epoch 5/", 0.0),  # the last one
    "predictions": ("finished", 0.05),
    "import": ("process", 2.0),
    "tracing": ("training on", 1.5),
    "any": ("process", 12.0),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("study", "job")


def kills():
    """Instant, signal, what it is sent to, and the seconds after that instant."""
    rng = random.Random(SEED)
    named = [name for name in INSTANTS if name != "any"]
    for number in range(KILLS):
        # Every instant with each signal, then instants anywhere.
        round_, place = divmod(number, len(named))
        instant = named[place] if round_ < 3 else "any"
        which = SIGNALS[(place + round_) % 3]
        target = TARGETS[(place + round_) % 2]
        yield number, instant, which, target, rng.uniform(0, INSTANTS[instant][1])


class Study:
    """A study of one run in a folder of its own, which can be killed."""

    def __init__(self, project):
        self.project = project
        results = project.folder / "results"
        self.logs, self.checkpoints = results / "logs/train", results / "checkpoints"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "snakemake"), *TRAIN],
            cwd=self.project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def log(self):
        files = list(self.logs.rglob("*.log"))
        return files[0].read_text(errors="replace") if files else ""

    def job(self):
        """The process that trains, if there is one."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            found = [one for one in children if one.cmdline()[2:4] == ["ablation", "train"]]
        except psutil.Error:  # one of them has just ended
            return None
        return found[0] if found else None

    def seen(self, sign):
        if sign == "process":
            return self.job() is not None
        if sign in ("part-checkpoint.npz", "finished"):
            folder = next(self.checkpoints.glob("*/*/*/*"), None)
            there = folder is not None and (folder / sign).exists()
            return there and (sign == "finished" or (folder / "checkpoint.npz").exists())
        return sign in self.log()

    def wait(self, sign, pause=0.0005):
        end = time.monotonic() + LONGEST
        while not self.seen(sign) and self.process.poll() is None:
            assert time.monotonic() < end, f"no sign of '{sign}':\n{self.log()}"
            time.sleep(pause)

    def kill(self, which, target):
        """Send a signal to the job alone, or to all processes, as Ctrl-C and a cluster do."""
        job = self.job()
        try:
            if target == "job" and job is not None:
                job.send_signal(which)
            elif target == "snakemake":
                self.process.send_signal(which)
            else:
                os.killpg(self.process.pid, which)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass  # it has ended in the meantime, an instant like any other
        self.process.wait(LONGEST)
        if job is not None and target != "snakemake":
            job.wait(LONGEST)

    def go_on(self):
        """What is documented: unlock if Snakemake was killed, and the same command again."""
        if list(self.project.folder.glob(".snakemake/locks/*")):
            self.project.snakemake("--unlock")
        return self.project.snakemake(*TRAIN)


def files_of(project):
    return {
        file.relative_to(project.folder): file.read_bytes()
        for name in FILES
        for file in project.folder.glob(f"results/runs/*/*/*/*/{name}")
    }


def logged_epochs(log):
    return max(map(int, re.findall(r"^epoch (\d+)/", log, re.M)), default=0)


def resumed_after(log):
    """The epoch that an attempt went on after; infinite if nothing was left to train."""
    if "training has finished already" in log:
        return math.inf
    found = re.search(r"^(?:resuming|evaluating) after epoch (\d+) of", log, re.M)
    return int(found[1]) if found else 0


def check_like_undisturbed(project, undisturbed):
    assert files_of(project) == files_of(undisturbed)
    assert len(files_of(project)) == len(FILES)
    assert not list(project.folder.glob("results/checkpoints/*/*/*/*/checkpoint.npz"))
    assert not list(project.folder.rglob("part-*"))


def test_the_study_exercises_what_could_be_lost(undisturbed):
    (history,) = (
        content for name, content in files_of(undisturbed).items() if "history" in str(name)
    )
    epochs = len(history.splitlines()) - 1
    assert epochs == 5  # of 7: stopped early
    check_like_undisturbed(undisturbed, undisturbed)


@pytest.mark.parametrize(
    ("number", "instant", "which", "target", "seconds"),
    [pytest.param(*kill, id=f"{kill[0]}-{kill[1]}-{kill[2].name}-{kill[3]}") for kill in kills()],
)
def test_killed_once(
    prepared, undisturbed, tmp_path, table, number, instant, which, target, seconds
):
    study = Study(prepared.copy(tmp_path / "project"))
    study.start()
    study.wait(INSTANTS[instant][0])
    time.sleep(seconds)
    study.kill(which, target)
    killed = study.log()
    study.go_on()
    # Its log is the same one if all was done by then.
    ended = study.log()
    again = "" if ended == killed else ended
    done = logged_epochs(killed)
    on = resumed_after(again) if again else math.inf
    table.append(
        {
            "instant": f"{instant} + {seconds:.2f} s" if seconds else instant,
            "signal": which.name,
            "to": target,
            "logged": done,
            "resumed": f"after {on}" if on < math.inf else "has ended",
            "repeated": max(done - on, 0),
            "bytes": "equal" if files_of(study.project) == files_of(undisturbed) else "DIFFER",
        }
    )
    assert table[-1]["repeated"] == 0  # an epoch is logged after its checkpoint is written
    check_like_undisturbed(study.project, undisturbed)
    if instant == "evaluation":
        assert "evaluating after epoch 5 of 7" in again
    if done and on < math.inf and which != signal.SIGKILL:
        assert f"stopped by {which.name} after epoch {on} of 7" in killed


def test_a_training_that_outlives_snakemake_is_waited_for(prepared, undisturbed, tmp_path):
    study = Study(prepared.copy(tmp_path / "project"))
    study.start()
    study.wait("epoch 1/")
    orphan = study.job()
    orphan.suspend()
    study.kill(signal.SIGKILL, "snakemake")
    study.project.snakemake("--unlock")
    study.start()
    study.wait("waiting for another process that trains this run")
    orphan.resume()
    assert study.process.wait(LONGEST) == 0
    assert "training has finished already; only its files are copied" in study.log()
    check_like_undisturbed(study.project, undisturbed)


@pytest.mark.skipif(KILLS <= 3, reason="takes minutes: make test-kill")
def test_killed_again_and_again(prepared, undisturbed, tmp_path, table):
    study = Study(prepared.copy(tmp_path / "project"))
    rng = random.Random(SEED)
    safe = 0
    for attempt in range(10):
        before = study.log()
        study.start()
        study.wait("process")
        # Some never get past their import, some do an epoch or two.
        end = time.monotonic() + rng.uniform(1, 4.5)
        while time.monotonic() < end and study.process.poll() is None:
            time.sleep(0.01)
        study.kill(SIGNALS[attempt % 2], "study")
        log = study.log()
        on, done = resumed_after(log), logged_epochs(log)
        table.append(
            {
                "instant": f"attempt {attempt + 1} of ten",
                "signal": SIGNALS[attempt % 2].name,
                "to": "study",
                "logged": done,
                "resumed": f"after {on}",
                # The log is the one before if nothing was left to train.
                "repeated": max(safe - on, 0) if "training on" in log and log != before else 0,
                "bytes": "-",
            }
        )
        assert table[-1]["repeated"] == 0
        safe = max(safe, done)
        if list(study.project.folder.glob(".snakemake/locks/*")):
            study.project.snakemake("--unlock")
    study.go_on()
    table[-1]["bytes"] = "equal" if files_of(study.project) == files_of(undisturbed) else "DIFFER"
    check_like_undisturbed(study.project, undisturbed)

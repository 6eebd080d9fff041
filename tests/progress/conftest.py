"""A study in a folder, and runs that have left files or a status there."""

import json
import platform
import textwrap
import time
from contextlib import ExitStack

import pytest

from ablation.progress.machine import this_machine
from ablation.storage import exclusive_lock
from ablation.study.plan import load_config, load_plan
from ablation.training.code import code_of, run_code
from ablation.training.status import Status

from ..factory import write_run

STUDY = """\
title: A study
experiments:
  first:
    question: Which?
    datasets: [{name: digits, source: mnist5k}]
    models: [resnet8]
    augmentations: {none: "", flip: flip, crop: crop(2)}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    training: {epochs: 4, batch_size: 50}
"""


class Place:
    """The working directory of a study."""

    def __init__(self, folder):
        self.folder = folder
        self.locks = ExitStack()
        self.study(STUDY)

    def study(self, text):
        (self.folder / "config/studies").mkdir(parents=True, exist_ok=True)
        (self.folder / "config/studies/mine.yaml").write_text(textwrap.dedent(text))

    def edit(self, old, new):
        file = self.folder / "config/studies/mine.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    @property
    def plan(self):
        return load_plan(load_config({"study": "mine"}))

    def run(self, augmentation="none", seed=0):
        wanted = [
            r for r in self.plan.runs.values() if (r.augmentation, r.seed) == (augmentation, seed)
        ]
        return wanted[0]

    def finish(
        self, run, seconds=(9.0, 2.0, 2.0, 2.0), total=20.0, right=5, images=3600, machine=None,
        **record,
    ):  # fmt: skip
        """Leave the files of a finished run; ``right`` of its 10 test images are classified so."""
        machine = machine or this_machine()
        data = {"train": images, "shape": [5000, 28, 28, 1], "hash": "h", "files_digest": "files"}
        write_run(
            run, accuracy=right / 10, images=10, validation=10, epoch_seconds=seconds,
            history={"val_accuracy": [0.1, 0.2, 0.3, 0.4]}, seconds=total, prepared=False,
            data=data,
            environment={"processor": machine.processor, "gpus": list(machine.gpus)}, **record,
        )  # fmt: skip

    def status(
        self, run, state, accuracies=(), seconds=2.0, reason=None, resumed=0, age=0.0, code=None,
        ended=False,
    ):  # fmt: skip
        """Leave the status of an attempt and, after an epoch, a checkpoint.

        Args:
            run: the run.
            state: as in ``status.json``; the lock of a process that lives is held.
            accuracies: on validation, after the epochs of this attempt.
            seconds: what each epoch took.
            reason, resumed, code, ended: as in ``status.json``.
            age: seconds since the status was written.
        """
        folder = self.folder / run.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        status = Status(
            state=state, reason=reason, host=platform.node(),
            code=code_of(run_code(run.settings)) if code is None else code,
            updated=time.time() - age, epochs=run.settings.training.epochs,
            epoch=resumed + len(accuracies), resumed=resumed, ended=ended,
            val_accuracy=accuracies[-1] if accuracies else None,
            epoch_seconds=seconds if accuracies else None,
        )  # fmt: skip
        (folder / "status.json").write_text(status.model_dump_json())
        if status.epoch:
            (folder / "checkpoint.npz").touch()
        if state in ("waiting", "running"):
            self.locks.enter_context(exclusive_lock(folder / ".lock", ""))

    def log(self, run):
        """Leave a log; return its path."""
        file = self.folder / run.log
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("epoch 1/4\n")
        return run.log

    def prepare(self, images=3600):
        """Leave the description of the prepared data."""
        (data,) = self.plan.data.values()
        folder = self.folder / data.folder
        folder.mkdir(parents=True, exist_ok=True)
        counts = {"train": [images // 2] * 2, "validation": [20, 20], "test": [5, 5]}
        description = {"shape": [5000, 28, 28, 1], "counts": counts}
        (folder / "description.json").write_text(json.dumps(description))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place(tmp_path)
    with place.locks:
        yield place

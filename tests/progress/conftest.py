"""A study in a folder of its own, and runs that have left files or logs there."""

import base64
import json
import os
import textwrap

import numpy as np
import pytest

from ablation.analysis.records import write_record
from ablation.progress.machine import this_machine
from ablation.study.plan import load_config, load_plan

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
EPOCH = (
    "epoch {n}/{epochs}  loss 1.2500  accuracy 0.5000  val_loss 0.7500  val_accuracy {accuracy}  "
    "{seconds:.1f} s  283 images/s  0:07 left"
)


class Place:
    """The working directory of a study."""

    def __init__(self, folder):
        self.folder = folder
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
        self, run, seconds=(9.0, 2.0, 2.0, 2.0), total=20.0, right=5, images=3600,
        shape=(28, 28, 1), status="completed", machine=None, code="",
        attempts=None,
    ):  # fmt: skip
        """Leave the files of a finished run; ``right`` of its 10 test images are classified so."""
        machine = machine or this_machine()
        folder = self.folder / run.folder
        folder.mkdir(parents=True)
        rows = [f"{n},{s},100.0" for n, s in enumerate(seconds, start=1)]
        (folder / "timing.csv").write_text("\n".join(["epoch,seconds,images_per_second", *rows]))
        rows = [f"{n},1.0,0.5,1.0,{n / 10},0.1" for n in range(1, len(seconds) + 1)]
        (folder / "history.csv").write_text(
            "\n".join(["epoch,loss,accuracy,val_loss,val_accuracy,learning_rate", *rows])
        )
        probability = np.zeros((10, 2), np.float32)
        probability[:right, 0] = probability[right:, 1] = 1
        np.savez(folder / "predictions.npz", label=np.zeros(10, int), probability=probability)
        record = {
            "id": run.id,
            "status": status,
            "settings": run.settings,
            "code": code,
            "data": {"train": images, "validation": 40, "test": 10, "shape": [5000, *shape]},
            "epochs": len(seconds),
            "seconds": total,
            "started": "2026-01-01T00:00:00Z",
            "environment": {"processor": machine.processor, "gpus": list(machine.gpus)},
        }
        write_record(folder, record | ({"attempts": attempts} if attempts else {}))

    def log(self, run, text="", epochs=(), seconds=2.0, asked=4, age=0.0, resumed=0):
        """Leave a log; ``epochs`` are the validation accuracies after its epochs.

        If ``resumed`` is not 0, it is of an attempt that goes on after this epoch.
        """
        lines = [
            "training on CPU (no card): 3600 images, 72 steps of 50 an epoch, 1,234 parameters"
        ]
        if resumed:
            what = "is evaluated" if resumed == asked else "goes on"
            file = f"{run.checkpoints}/checkpoint.npz"
            lines.append(f"{what} after epoch {resumed} of {asked} ({file})")
        lines += [
            EPOCH.format(n=n, epochs=asked, accuracy=accuracy, seconds=seconds)
            for n, accuracy in enumerate(epochs, start=resumed + 1)
        ]
        path = run.folder.replace("results/runs/", "results/logs/train/") + ".log"
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([*lines, textwrap.dedent(text)]) + "\n")
        self.age(file, age)
        return path

    def mark(self, run, age=60.0, locked=True):
        """Leave what Snakemake leaves while a job is at work: marks of its outputs, and locks."""
        for name in ("history.csv", "timing.csv", "predictions.npz", "run.json"):
            code = base64.urlsafe_b64encode(f"{run.folder}/{name}".encode()).decode()
            parts = [code[i : i + 254] for i in range(0, len(code), 254)]
            file = self.folder.joinpath(
                ".snakemake/incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1]
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('{"external_jobid": null}')
            self.age(file, age)
        if locked:
            locks = self.folder / ".snakemake/locks"
            locks.mkdir(parents=True, exist_ok=True)
            with (locks / "0.output.lock").open("a") as file:
                file.write(f"{run.folder}/run.json\n")

    def checkpoint(self, run, epoch, ended=False, code="", settings=None):
        """Leave the checkpoint of a run after an epoch."""
        about = {"epoch": epoch, "ended": ended, "code": code, "settings": settings or run.settings}
        folder = self.folder / run.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            folder / "checkpoint.npz",
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            weights=np.ones(9),
        )
        return folder / "checkpoint.npz"

    def prepare(self, images=3600, shape=(28, 28, 1)):
        """Leave the description of the prepared data."""
        (data,) = self.plan.data.values()
        folder = self.folder / data.folder
        folder.mkdir(parents=True, exist_ok=True)
        counts = {"train": [images // 2] * 2, "validation": [20, 20], "test": [5, 5]}
        description = {"shape": [5000, *shape], "counts": counts}
        (folder / "description.json").write_text(json.dumps(description))

    @staticmethod
    def age(file, seconds):
        time = file.stat().st_mtime - seconds
        os.utime(file, (time, time))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)

"""A small run that tests train in processes of its own."""

import os
import subprocess
import sys

import pytest

from ablation import cli, warm_start
from ablation.augmentation.parsing import parse_pipeline
from ablation.data.prepare import prepare
from ablation.models.families import resolve_network
from ablation.study.grid import prepared_data
from ablation.study.schema import Dataset
from ablation.training.settings import RunSettings, Training

FILES = ("history.csv", "timing.csv", "predictions.npz", "run.json")
DATA = prepared_data(Dataset(name="digits", source="mnist5k", limit=110)).settings


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(DATA, folder)
    return folder


def settings(pipeline="crop(2) | cutmix", validation="held-out", seed=0, **training):
    training = {"epochs": 2, "batch_size": 20, "learning_rate": 0.05, **training}
    return RunSettings(
        dataset=DATA,
        model=resolve_network("resnet8", {"width": 4}),
        augmentation=parse_pipeline(pipeline),
        training=Training.model_validate(training),
        validation=validation,
        seed=seed,
        threads=2,
    )


def words(wanted, data, folder, *more, checkpoints=None):
    """The words of the command that trains a run into a folder."""
    of_run = ["--settings", wanted.json_text, "--data", str(data / "description.json")]
    if checkpoints:
        of_run += ["--checkpoints", str(checkpoints)]
    return ["train", *of_run, "--", *(str(folder / name) for name in (*FILES, *more))]


def command(*arguments, **options):
    """The same as a process."""
    return [sys.executable, "-m", "ablation", *words(*arguments, **options)]


def warm(process):
    """Variables with which jobs start warm until the process ends."""
    # Pytest's variable would give each test a server of its own.
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {**kept, warm_start.VARIABLE: str(process)}


def train(*arguments, before=(), **options):
    """Train a run in a process of its own; what stands before starts it."""
    return subprocess.run(
        [*before, *command(*arguments, **options)],
        env=warm(os.getpid()),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def train_here(monkeypatch):
    """A function that trains a run in this process, whose threads are fixed already."""
    monkeypatch.setattr("ablation.training.run.make_deterministic", lambda *threads: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is restored

    def run(*arguments, **options):
        cli.main(words(*arguments, **options))

    return run

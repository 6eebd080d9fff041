"""A small run that tests train in processes of its own."""

import subprocess
import sys

import pytest

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


def command(wanted, data, folder, *more, checkpoints=None):
    """The words that train a run into a folder."""
    words = ["--settings", wanted.json_text, "--data", str(data / "description.json")]
    if checkpoints:
        words += ["--checkpoints", str(checkpoints)]
    outputs = [str(folder / name) for name in (*FILES, *more)]
    return [sys.executable, "-m", "ablation", "train", *words, "--", *outputs]


def train(wanted, data, folder, *more, before=(), **options):
    """Train a run in a process of its own; what stands before starts it."""
    return subprocess.run(
        [*before, *command(wanted, data, folder, *more, **options)],
        capture_output=True,
        text=True,
        check=False,
    )

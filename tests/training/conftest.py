"""A small run that tests train in processes of its own."""

import subprocess
import sys

import pytest

from ablation.data.prepare import prepare
from ablation.study.architectures import resolve_architecture
from ablation.study.grid import canonical_json, prepared_data
from ablation.study.pipelines import parse_pipeline
from ablation.study.schema import Dataset, Training

FILES = ("history.csv", "timing.csv", "predictions.npz", "run.json")
DATA = prepared_data(Dataset(name="digits", source="mnist5k", limit=110)).settings


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(DATA, folder)
    return folder


def settings(pipeline="crop(2) | cutmix", validation="held-out", seed=0, **training):
    training = {"epochs": 2, "batch_size": 20, "learning_rate": 0.05, **training}
    return {
        "dataset": DATA.model_dump(mode="json"),
        "model": resolve_architecture("resnet20", {"width": 4}) | {"depth": 8},
        "augmentation": parse_pipeline(pipeline),
        "training": Training.model_validate(training).model_dump(),
        "validation": validation,
        "seed": seed,
        "threads": 2,
    }


def command(wanted, data, folder, *more, checkpoints=None, machine=None):
    """The words that train a run into a folder."""
    words = ["--settings", canonical_json(wanted), "--data", str(data / "description.json")]
    words += ["--code", "abc"]
    if checkpoints:
        words += ["--checkpoints", str(checkpoints)]
    if machine:
        words += ["--machine", canonical_json(machine)]
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

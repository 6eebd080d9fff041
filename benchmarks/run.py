"""What a small run costs beside its steps, against importing TensorFlow."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ablation import warm_start
from ablation.data.prepare import prepare
from ablation.training.settings import RunSettings
from benchmarks.measure import Case, in_turn
from benchmarks.same_bytes import DATA, SETTINGS, command

REPETITIONS = 5
BARE = [sys.executable, "-c", "import tensorflow"]


def runs(*, quick: bool) -> Iterator[Case]:
    """Measure a run that starts warm, as in a study, and one that starts cold."""
    training = SETTINGS.training.model_copy(update={"intra_op_threads": 1})
    settings = SETTINGS.model_copy(update={"training": training})
    repetitions = 2 if quick else REPETITIONS
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        prepare(DATA, data)
        for start, variable in (("warm", str(os.getpid())), ("cold", "")):
            environment = os.environ | {warm_start.VARIABLE: variable}

            def ours(environment: dict[str, str] = environment) -> float:
                return _fixed_cost(Path(folder) / "run", data, settings, environment)

            ours()  # starts the process that the others are forked from
            mine, bare = in_turn([ours, _import], repetitions)
            yield Case(
                "run", f"ResNet-8, 4 epochs, {start}: all but steps, against import tensorflow",
                mine, bare, "s", less=True,
            )  # fmt: skip


def _fixed_cost(
    folder: Path, data: Path, settings: RunSettings, environment: dict[str, str]
) -> float:
    """Return the seconds of a training job less those of its steps, at the rate after epoch 1."""
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    subprocess.run(
        command(settings, data, folder), env=environment, stdout=subprocess.DEVNULL, check=True
    )
    seconds = time.perf_counter() - began
    rates = pd.read_csv(folder / "timing.csv")["images_per_second"][1:]
    images = json.loads((folder / "run.json").read_text())["data"]["train"]
    return seconds - settings.training.epochs * images / float(rates.median())


def _import() -> float:
    began = time.perf_counter()
    subprocess.run(BARE, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began

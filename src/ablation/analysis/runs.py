"""Reading what runs have left, and the measures of one run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from ablation.errors import InputError
from ablation.study.grid import Run

FORMAT = 1


@dataclass(frozen=True)
class RunResult:
    """What one run has left.

    Attributes:
        run: what was asked for.
        record: the content of ``run.json``.
        history, timing: ``history.csv`` and ``timing.csv``.
        label: class of each test example, int [examples].
        probability: float32 [examples, classes], of the test examples.
    """

    run: Run
    record: dict[str, Any]
    history: pd.DataFrame
    timing: pd.DataFrame
    label: np.ndarray
    probability: np.ndarray

    @property
    def diverged(self) -> bool:
        """Whether training ended with something that is not finite."""
        return self.record["status"] == "diverged"

    @property
    def correct(self) -> np.ndarray:
        """Whether each test example was classified rightly, bool [examples]."""
        return self.probability.argmax(axis=1) == self.label

    def measures(self) -> dict[str, float]:
        """Return the measures of the run; those of a diverged run that mean nothing are NaN."""
        accuracy = self.history["val_accuracy"]
        nothing = float("nan")
        return {
            "test_accuracy": nothing if self.diverged else float(self.correct.mean()),
            "test_loss": nothing
            if self.diverged
            else float(
                log_loss(self.label, self.probability, labels=range(self.probability.shape[1]))
            ),
            "val_accuracy_last": nothing if self.diverged else float(accuracy.iloc[-1]),
            "val_accuracy_best": nothing if self.diverged else float(accuracy.max()),
            "train_accuracy_clean": nothing
            if self.diverged
            else float(self.record["train_accuracy_clean"]),
            "epochs": float(len(self.history)),
            "seconds": float(self.record["seconds"]),
            "images_per_second": float(self.timing["images_per_second"].median()),
        }


def read_run(run: Run) -> RunResult:
    """Read the files of a run.

    Raises:
        InputError: a file is missing, cannot be read, or belongs to another run.
    """
    folder = Path(run.folder)
    mend = f"delete {folder} and run snakemake again"
    try:
        record = json.loads((folder / "run.json").read_text())
        history = pd.read_csv(folder / "history.csv")
        timing = pd.read_csv(folder / "timing.csv")
        with np.load(folder / "predictions.npz", allow_pickle=False) as file:
            label, probability = file["label"], file["probability"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: cannot be read ({error}); {mend}") from None
    if record.get("format") != FORMAT or record.get("id") != run.id:
        raise InputError(f"{folder}/run.json: is of another run or an older format; {mend}")
    if len(history) != record["epochs"] or len(label) != record["data"]["test"]:
        raise InputError(f"{folder}: its files do not belong together; {mend}")
    return RunResult(run, record, history, timing, label, probability)

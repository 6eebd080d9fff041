"""Reading what runs have left, and the measures of one run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import brier_score_loss, recall_score, top_k_accuracy_score

from ablation.analysis.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    scale_by_temperature,
)
from ablation.analysis.measures import MEASURES
from ablation.analysis.records import check_files, mend, read_record
from ablation.errors import InputError
from ablation.storage import UNREADABLE
from ablation.study.grid import Run

LAST_EPOCHS = 5  # whose median is told
TOP = 5


@dataclass(frozen=True)
class RunResult:
    """What one run has left.

    Attributes:
        run: what was asked for.
        record: the content of ``run.json`` (`ablation.analysis.records`).
        history, timing: ``history.csv`` and ``timing.csv``.
        label: class of each test example, int [examples].
        probability: float64 [examples, classes], of the test examples; rows sum to 1 unless the
            run has diverged.
        val_label, val_probability: the same of the validation examples.
    """

    run: Run
    record: dict[str, Any]
    history: pd.DataFrame
    timing: pd.DataFrame
    label: np.ndarray
    probability: np.ndarray
    val_label: np.ndarray
    val_probability: np.ndarray

    @property
    def diverged(self) -> bool:
        """Whether training ended with something that is not finite."""
        return bool(self.record["status"] == "diverged")

    @cached_property
    def answer(self) -> np.ndarray:
        """The class that each test example was given, int [examples]."""
        return np.asarray(self.probability.argmax(axis=1))

    @property
    def correct(self) -> np.ndarray:
        """Whether each test example was classified rightly, bool [examples]."""
        return np.asarray(self.answer == self.label)

    @cached_property
    def scaled(self) -> np.ndarray:
        """The test examples' probabilities after temperature scaling."""
        return scale_by_temperature(self.probability, self.measures["temperature"])

    @cached_property
    def measures(self) -> dict[str, float]:
        """Every measure of the run by name; those that mean nothing are NaN."""
        found = dict.fromkeys(MEASURES, float("nan"))
        found["epochs"] = float(len(self.history))
        found["seconds"] = float(self.record["seconds"])
        found["images_per_second"] = float(self.timing["images_per_second"].median())
        if self.diverged:
            return found
        classes = self.probability.shape[1]
        every = range(classes)
        validated = self.history["val_accuracy"]
        accuracy = float(self.correct.mean())
        clean = float(self.record["train_accuracy_clean"])
        temperature = fit_temperature(self.val_label, self.val_probability)
        scaled = scale_by_temperature(self.probability, temperature)
        found |= {
            "test_accuracy": accuracy,
            "balanced_accuracy": balanced_accuracy(self.label, self.answer),
            "val_accuracy_last": float(validated.iloc[-1]),
            "val_accuracy_best": float(validated.max()),
            "val_accuracy_median5": float(validated.tail(LAST_EPOCHS).median()),
            "best_epoch_gain": float(validated.max() - validated.iloc[-1]),
            "nll": negative_log_likelihood(self.label, self.probability),
            "brier": float(
                brier_score_loss(
                    self.label, self.probability, labels=list(every), scale_by_half=False
                )
                if classes > 2
                else 2 * brier_score_loss(self.label, self.probability[:, 1], pos_label=1)
            ),
            "ece": expected_calibration_error(self.label, self.probability),
            "ece_scaled": expected_calibration_error(self.label, scaled),
            "temperature": temperature,
            "train_accuracy_clean": clean,
            "gap": clean - accuracy,
        }
        if classes > TOP:
            found["top5_accuracy"] = float(
                top_k_accuracy_score(self.label, self.probability, k=TOP, labels=list(every))
            )
        return found


def balanced_accuracy(label: np.ndarray, answer: np.ndarray) -> float:
    """Return the mean of the classes' recalls (Brodersen et al. 2010), 0 to 1.

    A class without examples has no recall and is left out; to be taken for it is wrong as ever.
    scikit-learn's function of this name does the same, but warns of such answers.

    Args:
        label: class of each example, int [examples], at least one.
        answer: the class that each was given, int [examples].
    """
    return float(recall_score(label, answer, labels=np.unique(label), average="macro"))


def read_run(run: Run) -> RunResult:
    """Read the files of a run, after a look at whether they are as they were written.

    Raises:
        InputError: a file is missing, cannot be read, belongs to another run, is of another
            format, or has changed since it was written.
    """
    folder = Path(run.folder)
    record = read_record(folder, run.id)
    try:
        check_files(folder, record)
        history = pd.read_csv(folder / "history.csv")
        timing = pd.read_csv(folder / "timing.csv")
        label, probability, val_label, val_probability = read_predictions(folder)
        whole = (
            len(history) == len(timing) == record["epochs"]
            and len(label) == record["data"]["test"]
            and len(val_label) == record["data"]["validation"]
        )
    except UNREADABLE as error:
        raise InputError(f"{folder}: cannot be read ({error!r}); {mend(folder)}") from None
    if not whole:
        raise InputError(f"{folder}: its files do not belong together; {mend(folder)}")
    return RunResult(run, record, history, timing, label, probability, val_label, val_probability)


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and probabilities of the test and then of the validation examples.

    Raises:
        UNREADABLE: the file is missing or damaged.
    """
    with np.load(folder / "predictions.npz", allow_pickle=False) as file:
        return (
            file["label"],
            _normalised(file["probability"]),
            file["val_label"],
            _normalised(file["val_probability"]),
        )


def _normalised(probability: np.ndarray) -> np.ndarray:
    """Probabilities in float64 whose rows sum to 1 to its precision, not to that of float32."""
    precise = probability.astype(float)
    return np.asarray(precise / precise.sum(axis=1, keepdims=True))

"""Reading the files of a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from ablation.analysis.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    scale_by_temperature,
)
from ablation.analysis.scores import balanced_accuracy, brier_score, top_accuracy
from ablation.errors import InputError
from ablation.storage import UNREADABLE
from ablation.study.grid import Run
from ablation.study.metrics import METRICS
from ablation.training.records import check_files, read_record, remedy


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        run: the run.
        record: content of ``run.json`` (`ablation.training.records`).
        history, timing: content of ``history.csv`` and ``timing.csv``.
        label: class of each test example, int [examples].
        probability: predicted probabilities of the test examples, float64 [examples, classes];
            rows sum to 1 unless the run diverged.
        val_label, val_probability: the same for the validation examples.
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
        """Whether the loss or the outputs were not finite."""
        return bool(self.record["status"] == "diverged")

    @cached_property
    def answer(self) -> np.ndarray:
        """Predicted class of each test example, int [examples]."""
        return np.asarray(self.probability.argmax(axis=1))

    @property
    def correct(self) -> np.ndarray:
        """Whether each test example is classified correctly, bool [examples]."""
        return np.asarray(self.answer == self.label)

    @property
    def accuracy(self) -> float:
        """Share of the test examples that are classified correctly."""
        return float(self.correct.mean())

    @property
    def train_accuracy(self) -> float:
        """Accuracy on the training images without augmentation."""
        return float(self.record["train_accuracy_clean"])

    @property
    def validated(self) -> "pd.Series[float]":
        """Validation accuracy after each epoch."""
        return self.history["val_accuracy"]

    @cached_property
    def temperature(self) -> float:
        """Temperature that fits the validation examples best."""
        return fit_temperature(self.val_label, self.val_probability)

    @cached_property
    def scaled(self) -> np.ndarray:
        """The test examples' probabilities after temperature scaling."""
        return scale_by_temperature(self.probability, self.temperature)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of the classes."""
        return balanced_accuracy(self.label, self.answer)

    @property
    def top5_accuracy(self) -> float:
        """Share of the test examples whose class is among the five most probable ones."""
        return top_accuracy(self.label, self.probability)

    @property
    def nll(self) -> float:
        """Negative log-likelihood of the test examples, in nats."""
        return negative_log_likelihood(self.label, self.probability)

    @property
    def brier(self) -> float:
        """Brier score of the test examples, 0 to 2."""
        return brier_score(self.label, self.probability)

    @property
    def ece(self) -> float:
        """Expected calibration error of the test examples."""
        return expected_calibration_error(self.label, self.probability)

    @property
    def ece_scaled(self) -> float:
        """The same after temperature scaling."""
        return expected_calibration_error(self.label, self.scaled)

    def score(self, name: str, **options: Any) -> float:
        """Return a score of the predicted classes of the test examples.

        Args:
            name: name of a function of `sklearn.metrics` that takes true and predicted classes,
                such as ``f1_score``.
            options: further arguments of the function.
        """
        return float(getattr(metrics, name)(self.label, self.answer, **options))

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every metric by name; NaN if it is not defined for the run."""
        return {
            metric.name: metric.compute(self)
            if metric.of_diverged or not self.diverged
            else float("nan")
            for metric in METRICS
        }


def read_run(run: Run) -> RunResult:
    """Read the files of a run and check that they have not changed.

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
        raise InputError(f"{folder}: cannot be read ({error!r}); {remedy(folder)}") from None
    if not whole:
        raise InputError(f"{folder}: its files are of different runs; {remedy(folder)}")
    return RunResult(run, record, history, timing, label, probability, val_label, val_probability)


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return labels and probabilities of the test examples, then of the validation examples.

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
    """Return probabilities whose rows sum to 1 in float64, not only in float32."""
    precise = probability.astype(float)
    return np.asarray(precise / precise.sum(axis=1, keepdims=True))

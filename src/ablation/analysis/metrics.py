"""The metrics of a run: what each is called, what it means and how it is computed.

A new metric is one entry of `METRICS` and its direction in `ablation.study.measures`; tables,
report and reference follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.metrics import brier_score_loss, recall_score, top_k_accuracy_score

from ablation.analysis.calibration import (
    BINS,
    expected_calibration_error,
    negative_log_likelihood,
)
from ablation.study.measures import DIRECTIONS, Direction

if TYPE_CHECKING:
    from ablation.analysis.runs import RunResult

LAST_EPOCHS = 5  # of which val_accuracy_median5 is the median
TOP = 5

Shown = Literal["always", "more than 5 classes", "unequal classes", "10 epochs", "appendix"]


@dataclass(frozen=True)
class Metric:
    """A number that describes how a run did.

    Attributes:
        name: its column in the tables.
        title: its heading in the report.
        unit: ``share``, ``difference`` (of shares), ``count``, ``seconds`` or ``number``.
        direction: which values are better, ``higher`` or ``lower``; None where neither are.
        compute: its value for a run.
        shown: where the report shows it.
        definition: what it is, in a sentence.
        of_diverged: whether it is known for a run that has diverged.
    """

    name: str
    title: str
    unit: str
    direction: Direction | None
    compute: Callable[["RunResult"], float]
    shown: Shown
    definition: str
    of_diverged: bool = False


def balanced_accuracy(label: np.ndarray, answer: np.ndarray) -> float:
    """Return the mean of the classes' recalls (Brodersen et al. 2010), 0 to 1.

    A class without examples has no recall and is left out; predicting it counts as an error.
    scikit-learn's function of this name does the same, but warns of such predictions.

    Args:
        label: class of each example, int [examples], at least one.
        answer: predicted class of each, int [examples].
    """
    return float(recall_score(label, answer, labels=np.unique(label), average="macro"))


def brier_score(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean over the examples of the sum of squared errors over the classes, 0 to 2.

    Args:
        label: class of each example, int [examples].
        probability: float [examples, classes].
    """
    classes = range(probability.shape[1])
    if len(classes) == 2:
        return float(2 * brier_score_loss(label, probability[:, 1], pos_label=1))
    score = brier_score_loss(label, probability, labels=list(classes), scale_by_half=False)
    return float(score)


def top_accuracy(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the share of examples whose class is among the five most probable ones.

    Not-a-number with five classes or fewer, where it is always 1.
    """
    classes = range(probability.shape[1])
    if len(classes) <= TOP:
        return float("nan")
    return float(top_k_accuracy_score(label, probability, k=TOP, labels=list(classes)))


METRICS: tuple[Metric, ...] = (
    Metric(
        "test_accuracy", "Test accuracy", "share", DIRECTIONS["test_accuracy"],
        lambda run: run.accuracy, "always",
        "Share of the test images that are classified correctly after the last epoch.",
    ),
    Metric(
        "balanced_accuracy", "Balanced accuracy", "share", DIRECTIONS["balanced_accuracy"],
        lambda run: balanced_accuracy(run.label, run.answer), "unequal classes",
        "Mean of the recalls of the classes (Brodersen et al. 2010). Classes without test images "
        "are left out.",
    ),
    Metric(
        "val_accuracy_last", "Validation accuracy, last epoch", "share",
        DIRECTIONS["val_accuracy_last"], lambda run: float(run.validated.iloc[-1]), "always",
        "Share of the validation images that are classified correctly after the last epoch.",
    ),
    Metric(
        "val_accuracy_best", "Validation accuracy, best epoch", "share",
        DIRECTIONS["val_accuracy_best"], lambda run: float(run.validated.max()), "always",
        "Highest validation accuracy of all epochs.",
    ),
    Metric(
        "val_accuracy_median5", "Validation accuracy, median of the last 5 epochs", "share",
        DIRECTIONS["val_accuracy_median5"],
        lambda run: float(run.validated.tail(LAST_EPOCHS).median()), "10 epochs",
        "Median of the validation accuracies of the last five epochs, or of all where there are "
        "fewer.",
    ),
    Metric(
        "best_epoch_gain", "Gain of the best epoch", "difference", DIRECTIONS["best_epoch_gain"],
        lambda run: float(run.validated.max() - run.validated.iloc[-1]), "appendix",
        "Validation accuracy of the best epoch less that of the last one.",
    ),
    Metric(
        "top5_accuracy", "Top-5 accuracy", "share", DIRECTIONS["top5_accuracy"],
        lambda run: top_accuracy(run.label, run.probability), "more than 5 classes",
        "Share of the test images whose class is among the five most probable ones.",
    ),
    Metric(
        "nll", "Negative log-likelihood", "number", DIRECTIONS["nll"],
        lambda run: negative_log_likelihood(run.label, run.probability), "always",
        "Mean negative logarithm of the probability of the true class, in nats.",
    ),
    Metric(
        "brier", "Brier score", "number", DIRECTIONS["brier"],
        lambda run: brier_score(run.label, run.probability), "always",
        "Mean over the test images of the squared errors of the probabilities, summed over the "
        "classes: 0 to 2.",
    ),
    Metric(
        "ece", "Expected calibration error", "share", DIRECTIONS["ece"],
        lambda run: expected_calibration_error(run.label, run.probability), "always",
        f"Mean difference of confidence and accuracy over {BINS} bins of equal width, weighted by "
        "their test images (Guo et al. 2017).",
    ),
    Metric(
        "ece_scaled", "Expected calibration error after temperature scaling", "share",
        DIRECTIONS["ece_scaled"],
        lambda run: expected_calibration_error(run.label, run.scaled), "always",
        "Expected calibration error of the probabilities after temperature scaling.",
    ),
    Metric(
        "temperature", "Temperature", "number", DIRECTIONS["temperature"],
        lambda run: run.temperature, "always",
        "Number by which the logits are divided so that the negative log-likelihood of the "
        "validation images is least; above 1 the network is overconfident.",
    ),
    Metric(
        "confidence", "Mean confidence", "share", DIRECTIONS["confidence"],
        lambda run: float(run.probability.max(axis=1).mean()), "appendix",
        "Mean over the test images of the largest probability.",
    ),
    Metric(
        "train_accuracy_clean", "Training accuracy without augmentation", "share",
        DIRECTIONS["train_accuracy_clean"], lambda run: run.train_accuracy, "always",
        "Share of the training images that are classified correctly without augmentation after "
        "the last epoch.",
    ),
    Metric(
        "generalization_gap", "Generalization gap", "difference",
        DIRECTIONS["generalization_gap"], lambda run: run.train_accuracy - run.accuracy, "always",
        "Training accuracy without augmentation less test accuracy.",
    ),
    Metric(
        "epochs", "Epochs", "count", DIRECTIONS["epochs"],
        lambda run: float(len(run.history)), "appendix", "Epochs that the run was trained for.",
        of_diverged=True,
    ),
    Metric(
        "seconds", "Training time", "seconds", DIRECTIONS["seconds"],
        lambda run: float(run.record["seconds"]), "always", "Time of training and evaluation.",
        of_diverged=True,
    ),
    Metric(
        "images_per_second", "Images per second", "number", DIRECTIONS["images_per_second"],
        lambda run: float(run.timing["images_per_second"].median()), "always",
        "Training images per second, median over the epochs.", of_diverged=True,
    ),
)  # fmt: skip

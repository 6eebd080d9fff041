"""The metrics of a run: names, definitions and computation.

A new metric is one entry of `METRICS`; tables, comparisons, report and reference use it. Scores of
scikit-learn are available as ``run.score("f1_score", average="macro")``. This module imports no
large library, because Snakemake imports it at each start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ablation.errors import nearest

LAST_EPOCHS = 5  # of which val_accuracy_median5 is the median
TOP = 5
BINS = 15  # of confidence

TEST_ACCURACY = "test_accuracy"
VAL_ACCURACY = "val_accuracy"  # of a comparison at an epoch

Direction = Literal["higher", "lower"]
Shown = Literal["always", "more than 5 classes", "unequal classes", "10 epochs", "appendix"]


@dataclass(frozen=True)
class Metric:
    """A metric of a run.

    Attributes:
        name: its column in the tables.
        title: its heading in the report.
        unit: ``share``, ``difference`` (of shares), ``count``, ``seconds`` or ``number``.
        direction: which values are better, ``higher`` or ``lower``; None if neither.
        compute: function of an `ablation.analysis.runs.RunResult` that returns the value.
        shown: where the report shows it.
        definition: a sentence.
        of_diverged: whether diverged runs have a value.
    """

    name: str
    title: str
    unit: str
    direction: Direction | None
    compute: Callable[[Any], float]
    shown: Shown
    definition: str
    of_diverged: bool = False


METRICS: tuple[Metric, ...] = (
    Metric(
        "test_accuracy", "Test accuracy", "share", "higher",
        lambda run: run.accuracy, "always",
        "Share of the test images that are classified correctly after the last epoch.",
    ),
    Metric(
        "balanced_accuracy", "Balanced accuracy", "share", "higher",
        lambda run: run.balanced_accuracy, "unequal classes",
        "Mean of the recalls of the classes (Brodersen et al. 2010). Classes without test images "
        "are left out.",
    ),
    Metric(
        "val_accuracy_last", "Validation accuracy, last epoch", "share",
        "higher", lambda run: float(run.validated.iloc[-1]), "always",
        "Share of the validation images that are classified correctly after the last epoch.",
    ),
    Metric(
        "val_accuracy_best", "Validation accuracy, best epoch", "share",
        "higher", lambda run: float(run.validated.max()), "always",
        "Highest validation accuracy of all epochs.",
    ),
    Metric(
        "val_accuracy_median5", "Validation accuracy, median of the last 5 epochs", "share",
        "higher",
        lambda run: float(run.validated.tail(LAST_EPOCHS).median()), "10 epochs",
        "Median of the validation accuracies of the last five epochs, or of all where there are "
        "fewer.",
    ),
    Metric(
        "best_epoch_gain", "Gain of the best epoch", "difference", None,
        lambda run: float(run.validated.max() - run.validated.iloc[-1]), "appendix",
        "Validation accuracy of the best epoch less that of the last one.",
    ),
    Metric(
        "top5_accuracy", "Top-5 accuracy", "share", "higher",
        lambda run: run.top5_accuracy, "more than 5 classes",
        "Share of the test images whose class is among the five most probable ones.",
    ),
    Metric(
        "nll", "Negative log-likelihood", "number", "lower",
        lambda run: run.nll, "always",
        "Mean negative logarithm of the probability of the true class, in nats.",
    ),
    Metric(
        "brier", "Brier score", "number", "lower",
        lambda run: run.brier, "always",
        "Mean over the test images of the squared errors of the probabilities, summed over the "
        "classes: 0 to 2.",
    ),
    Metric(
        "ece", "Expected calibration error", "share", "lower",
        lambda run: run.ece, "always",
        f"Mean difference of confidence and accuracy over {BINS} bins of equal width, weighted by "
        "their test images (Guo et al. 2017).",
    ),
    Metric(
        "ece_scaled", "Expected calibration error after temperature scaling", "share",
        "lower",
        lambda run: run.ece_scaled, "always",
        "Expected calibration error of the probabilities after temperature scaling.",
    ),
    Metric(
        "temperature", "Temperature", "number", None,
        lambda run: run.temperature, "always",
        "Number by which the logits are divided so that the negative log-likelihood of the "
        "validation images is least; above 1 the network is overconfident.",
    ),
    Metric(
        "confidence", "Mean confidence", "share", None,
        lambda run: float(run.probability.max(axis=1).mean()), "appendix",
        "Mean over the test images of the largest probability.",
    ),
    Metric(
        "train_accuracy_clean", "Training accuracy without augmentation", "share",
        "higher", lambda run: run.train_accuracy, "always",
        "Share of the training images that are classified correctly without augmentation after "
        "the last epoch.",
    ),
    Metric(
        "generalization_gap", "Generalization gap", "difference",
        "lower", lambda run: run.train_accuracy - run.accuracy, "always",
        "Training accuracy without augmentation less test accuracy.",
    ),
    Metric(
        "epochs", "Epochs", "count", None,
        lambda run: float(len(run.history)), "appendix", "Epochs that the run was trained for.",
        of_diverged=True,
    ),
    Metric(
        "seconds", "Training time", "seconds", "lower",
        lambda run: float(run.record["seconds"]), "always", "Time of training and evaluation.",
        of_diverged=True,
    ),
    Metric(
        "images_per_second", "Images per second", "number", "higher",
        lambda run: float(run.timing["images_per_second"].median()), "always",
        "Training images per second, median over the epochs.", of_diverged=True,
    ),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}
COMPARABLE = [metric.name for metric in METRICS if metric.direction is not None]


def refused_measure(name: str) -> str | None:
    """Return why a metric cannot be compared; None if it can."""
    if name not in BY_NAME:
        return f"there is no metric '{name}'{nearest(name, COMPARABLE)}"
    if BY_NAME[name].direction is None:
        return (
            f"'{name}' cannot be compared, because neither higher nor lower values are better; "
            f"give one of {', '.join(COMPARABLE)}"
        )
    return None

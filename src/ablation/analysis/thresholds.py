"""Every threshold that results are compared with."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ablation.analysis import effects, power, testing
from ablation.study.metrics import BINS, LAST_EPOCHS


@dataclass(frozen=True)
class Threshold:
    """A number that results are compared with.

    Attributes:
        value: its value.
        unit: ``share``, ``difference`` (of shares), ``count`` or ``number``.
        meaning: what it decides.
    """

    value: float
    unit: str
    meaning: str


THRESHOLDS: dict[str, Threshold] = {
    "level": Threshold(
        testing.LEVEL, "share",
        "largest corrected p-value of a significant difference; the family-wise error rate of a "
        "study",
    ),
    "paired_level": Threshold(
        testing.PAIRED_LEVEL, "share",
        "level of the additional paired t-test of each comparison, uncorrected",
    ),
    "interval": Threshold(
        effects.INTERVAL, "share", "confidence level of the intervals over the test images"
    ),
    "power": Threshold(
        power.POWER, "share", "power at the minimum detectable effect"
    ),
    "seeds_for_verdicts": Threshold(
        testing.SEEDS_FOR_VERDICTS, "count", "fewest seeds that give a verdict"
    ),
    "most_seeds": Threshold(
        power.MAX_SEEDS, "count", "largest number of seeds that is tried to decide a comparison",
    ),
    "failed_run": Threshold(
        effects.FAILED_RUN_SDS, "number",
        "standard deviations below the other runs of its cell from which a run has failed",
    ),
    "failures_missed": Threshold(
        0.05, "share", "probability of seeing no failure at the failure rate that is excluded"
    ),
    "calibration_bins": Threshold(
        BINS, "count", "bins of equal width over the confidence"
    ),
    "last_epochs": Threshold(
        LAST_EPOCHS, "count", "last epochs whose median validation accuracy is taken"
    ),
    "loss_jump": Threshold(
        0.25, "share", "rise of the training loss above its running minimum, of its range"
    ),
    "still_improving": Threshold(
        0.05, "share", "relative decrease of the validation loss in the last epoch"
    ),
    "longer_budget": Threshold(
        2, "number", "budget to try, relative to the longest budget of a run that still improves"
    ),
    "overfitting": Threshold(
        0.05, "difference", "clean training accuracy above test accuracy"
    ),
    "miscalibrated": Threshold(0.05, "share", "expected calibration error"),
    "near_chance": Threshold(
        0.2, "share",
        "of the way from chance (the share of the largest class) to 1, up to which an accuracy is "
        "near chance",
    ),
    "unequal_classes": Threshold(
        1.1, "number",
        "test images in the largest class, relative to the smallest, above which balanced "
        "accuracy is shown",
    ),
    "low_balanced_accuracy": Threshold(
        0.02, "difference", "balanced accuracy below test accuracy"
    ),
    "train_share": Threshold(
        0.5, "share",
        "of the difference in test accuracy: optimization failed if the difference in clean "
        "training accuracy is at least this",
    ),
    "little_to_regularize": Threshold(
        0.02, "difference", "generalization gap below which augmentation has little to gain"
    ),
    "too_strong_for_budget": Threshold(
        0.01, "difference", "clean training accuracy below that without augmentation"
    ),
    "unstable_ratio": Threshold(
        3, "number", "range over seeds, relative to the median range of the cells of an experiment"
    ),
    "unstable": Threshold(0.01, "difference", "range of test accuracy over seeds"),
}  # fmt: skip


def threshold(name: str) -> float:
    """Return the value of a threshold."""
    return THRESHOLDS[name].value


def threshold_rows(margin: float, experiments: int) -> list[dict[str, Any]]:
    """Return the rows of the table of thresholds.

    Args:
        margin: margin of the study, as a share.
        experiments: number of experiments with comparisons.
    """
    of_study = {
        "margin": Threshold(margin, "difference", "differences within it count as the same"),
        "experiments": Threshold(experiments, "count", "experiments that share the level equally"),
    }
    return [
        {"threshold": name, "value": one.value, "unit": one.unit, "meaning": one.meaning}
        for name, one in {**THRESHOLDS, **of_study}.items()
    ]


def unequal(images: Any) -> bool:
    """Return whether classes are so unequal that balanced accuracy is shown.

    Args:
        images: number of test images of each class.
    """
    return len(images) > 0 and max(images) > threshold("unequal_classes") * min(images)


def chance(label: np.ndarray) -> float:
    """Return the accuracy of always predicting the largest class.

    Args:
        label: class of each example, int [examples], at least one.
    """
    return float(np.bincount(label).max() / len(label))


def near_chance(accuracy: float, chance_accuracy: float) -> bool:
    """Return whether an accuracy is near chance.

    Args:
        accuracy: accuracy, as a share.
        chance_accuracy: result of `chance` for the same examples.
    """
    return accuracy <= chance_limit(chance_accuracy)


def chance_limit(chance_accuracy: float) -> float:
    """Return the largest accuracy that is near chance."""
    return chance_accuracy + threshold("near_chance") * (1 - chance_accuracy)

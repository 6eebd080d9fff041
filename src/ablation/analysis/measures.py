"""The measures of a run by name, in the order of the tables, and where one of them is told."""

from collections.abc import Sequence

import numpy as np

# Of the network as training left it; then of the epochs and of the cost.
MEASURES = (
    "test_accuracy",
    "balanced_accuracy",
    "val_accuracy_last",
    "val_accuracy_best",
    "val_accuracy_median5",
    "best_epoch_gain",
    "top5_accuracy",
    "nll",
    "brier",
    "ece",
    "ece_scaled",
    "temperature",
    "train_accuracy_clean",
    "gap",
    "epochs",
    "seconds",
    "images_per_second",
)

UNEQUAL_CLASSES = 1.1  # test images of the largest class as a multiple of those of the smallest
ABOVE_CHANCE = 0.2  # of the way from chance to 1; up to it a network has learned little


def unequal(images: Sequence[float]) -> bool:
    """Return whether classes are so unequal that balanced accuracy is told beside accuracy.

    Args:
        images: number of test images of each class; a class without any is smaller than all others.
    """
    return len(images) > 0 and max(images) > UNEQUAL_CLASSES * min(images)


def chance(label: np.ndarray) -> float:
    """Return the accuracy of always predicting the largest class.

    It is the share of that class: one in the number of classes where they are equal, and more
    elsewhere.

    Args:
        label: class of each example, int [examples], at least one.
    """
    return float(np.bincount(label).max() / len(label))


def near_chance(accuracy: float, by_chance: float) -> bool:
    """Return whether an accuracy is so little above chance that a network has learned little.

    Args:
        accuracy: a share.
        by_chance: what `chance` returns for the same examples.
    """
    return accuracy <= by_chance + ABOVE_CHANCE * (1 - by_chance)

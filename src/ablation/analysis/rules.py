"""Every threshold that the analysis holds something against, in one place and as a table."""

import pandas as pd

from ablation.analysis import calibration, effects, power, runs, testing
from ablation.analysis.measures import ABOVE_CHANCE, UNEQUAL_CLASSES

OVERFITTING_GAP = 0.05  # clean training accuracy above test accuracy
LOSS_JUMP = 0.25  # rise of the training loss from an epoch to the next
STILL_FALLING = 0.05  # fall of the validation loss in the last epoch
MISCALIBRATED = 0.05  # expected calibration error
BALANCED_BELOW = 0.02  # balanced accuracy below test accuracy
LONGER_BUDGET = 2  # what a budget that is too short is multiplied by


def rules_table(margin: float, experiments: int) -> pd.DataFrame:
    """Return the rules as the report prints them: ``rule``, ``value``, ``unit``, ``meaning``.

    Args:
        margin: differences within it do not matter, as a share.
        experiments: how many experiments compare something.
    """
    rows = [
        ("interval", 100 * effects.INTERVAL, "%", "level of the intervals over the test images"),
        (
            "level", 100 * testing.LEVEL, "%",
            "of studies without any difference, at most so many claim one: the line for corrected "
            "p-values",
        ),
        (
            "paired level", 100 * testing.PAIRED_LEVEL, "%",
            "at which a paired t-test has to agree, for each comparison by itself",
        ),
        ("experiments", experiments, "", "experiments that share the level equally"),
        ("margin", 100 * margin, "points", "differences within it count as the same"),
        ("power", 100 * power.POWER, "%", "how often a detectable difference is found"),
        (
            "seeds for verdicts", testing.SEEDS_FOR_VERDICTS, "seeds",
            "with fewer there is no verdict",
        ),
        (
            "most seeds", power.MOST_SEEDS, "seeds",
            "as many as are looked through for how many would do",
        ),
        (
            "overfitting gap", 100 * OVERFITTING_GAP, "points",
            "clean training accuracy above test accuracy from which overfitting is told",
        ),
        (
            "loss jump", 100 * LOSS_JUMP, "%",
            "rise of the training loss from one epoch to the next that is told",
        ),
        (
            "still falling", 100 * STILL_FALLING, "%",
            "fall of the validation loss in the last epoch from which a run still improves",
        ),
        (
            "near chance", 100 * ABOVE_CHANCE, "%",
            "of the way from chance, the share of the largest class, to 100 %; up to it a network "
            "has learned little",
        ),
        ("longer budget", LONGER_BUDGET, "times", "budget proposed where runs still improve"),
        (
            "miscalibration", 100 * MISCALIBRATED, "points",
            "expected calibration error that is told",
        ),
        (
            "unequal classes", UNEQUAL_CLASSES, "times",
            "as many test images has the largest class as the smallest, from where on balanced "
            "accuracy is told",
        ),
        (
            "balanced accuracy", 100 * BALANCED_BELOW, "points",
            "balanced accuracy below test accuracy from which small classes are told to suffer",
        ),
        ("calibration bins", calibration.BINS, "bins", "of equal width, over the confidence"),
        ("last epochs", runs.LAST_EPOCHS, "epochs", "whose median accuracy is told"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["rule", "value", "unit", "meaning"])
    return table.assign(value=table["value"].astype(float).round(10))

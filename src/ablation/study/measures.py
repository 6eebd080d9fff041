"""The metrics of a run that comparisons may name; `ablation.analysis.metrics` computes them."""

from typing import Literal

from ablation.errors import nearest

Direction = Literal["higher", "lower"]

TEST_ACCURACY = "test_accuracy"
VAL_ACCURACY = "val_accuracy"  # of a comparison at an epoch
DIRECTIONS: dict[str, Direction | None] = {
    "test_accuracy": "higher",
    "balanced_accuracy": "higher",
    "val_accuracy_last": "higher",
    "val_accuracy_best": "higher",
    "val_accuracy_median5": "higher",
    "best_epoch_gain": None,
    "top5_accuracy": "higher",
    "nll": "lower",
    "brier": "lower",
    "ece": "lower",
    "ece_scaled": "lower",
    "temperature": None,
    "confidence": None,
    "train_accuracy_clean": "higher",
    "generalization_gap": "lower",
    "epochs": None,
    "seconds": "lower",
    "images_per_second": "higher",
}
"""For each metric which values are better; None where neither are."""
COMPARABLE = [name for name, direction in DIRECTIONS.items() if direction is not None]


def refused_measure(name: str) -> str | None:
    """Return why a comparison cannot be of a metric, or None if it can."""
    if name not in DIRECTIONS:
        return f"there is no metric '{name}'{nearest(name, COMPARABLE)}"
    if DIRECTIONS[name] is None:
        return (
            f"neither higher nor lower values of '{name}' are better, so that no arm could be; "
            f"give one of {', '.join(COMPARABLE)}"
        )
    return None

"""The measures of a run by name, in the order of the tables."""

# Of the network as training left it; then of the epochs and of the cost.
MEASURES = (
    "test_accuracy",
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

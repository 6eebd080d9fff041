"""Scores of predictions, as wrappers of scikit-learn functions."""

import numpy as np
from sklearn.metrics import brier_score_loss, recall_score, top_k_accuracy_score

from ablation.study.metrics import TOP


def balanced_accuracy(label: np.ndarray, answer: np.ndarray) -> float:
    """Return the mean of the classes' recalls (Brodersen et al. 2010), 0 to 1.

    A class without examples has no recall and is left out; predicting it is an error. Unlike
    scikit-learn's function of this name, it does not warn about such predictions.

    Args:
        label: class of each example, int [examples], at least one.
        answer: predicted class of each example, int [examples].
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

    NaN with five classes or fewer, where the share is always 1.
    """
    classes = range(probability.shape[1])
    if len(classes) <= TOP:
        return float("nan")
    return float(top_k_accuracy_score(label, probability, k=TOP, labels=list(classes)))

"""Calibration of predicted probabilities, and temperature scaling."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from ablation.study.metrics import BINS

TEMPERATURES = (0.02, 50.0)  # range of the search
_SMALLEST = 1e-12  # smaller probabilities are clipped before the logarithm


def expected_calibration_error(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the expected calibration error over 15 bins of equal width.

    The mean absolute difference of confidence (the largest probability) and accuracy over the
    bins, weighted by their examples (Guo et al. 2017, On Calibration of Modern Neural Networks,
    section 2). scikit-learn has no such metric.

    Args:
        label: class of each example, int [examples].
        probability: float [examples, classes]; rows sum to 1.

    Returns:
        The error, 0 to 1.
    """
    bins = reliability(label, probability)
    distance = (bins["confidence"] - bins["accuracy"]).abs()
    return float((distance * bins["count"]).sum() / bins["count"].sum())


def reliability(label: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """Return confidence and accuracy in each nonempty bin of 15 bins of equal width.

    Args:
        label: class of each example, int [examples].
        probability: float [examples, classes].

    Returns:
        Columns ``bin`` (from 1), ``bin_low`` (exclusive), ``bin_high`` (inclusive), ``count``,
        ``confidence`` and ``accuracy`` (means over the bin).
    """
    confidence = probability.max(axis=1)
    correct = probability.argmax(axis=1) == label
    number = np.clip(np.ceil(confidence * BINS), 1, BINS).astype(int)
    count = np.bincount(number, minlength=BINS + 1)
    filled = np.flatnonzero(count)
    return pd.DataFrame(
        {
            "bin": filled,
            "bin_low": (filled - 1) / BINS,
            "bin_high": filled / BINS,
            "count": count[filled],
            "confidence": np.bincount(number, confidence)[filled] / count[filled],
            "accuracy": np.bincount(number, correct)[filled] / count[filled],
        }
    )


def fit_temperature(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the temperature that minimises the negative log-likelihood.

    All logits are divided by the temperature (Guo et al. 2017, section 4.2). The logarithms of the
    probabilities serve as logits; they differ from these by a constant for each example.

    Args:
        label: class of each example, int [examples]. The examples are neither training nor test
            examples.
        probability: float [examples, classes].

    Returns:
        The temperature, 0.02 to 50; above 1 the network is overconfident.
    """
    logits = _logits(probability)
    own = logits[np.arange(len(label)), label]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        chosen = log_softmax(scale * logits, axis=1)[np.arange(len(label)), label]
        return float(-chosen.mean())

    if not np.ptp(logits, axis=1).any() or not np.isfinite(own).all():
        return 1.0  # all classes are equally likely at every temperature
    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def scale_by_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities after division of all logits by the temperature.

    Args:
        probability: float [examples, classes].
        temperature: above 0.

    Returns:
        float [examples, classes]; the predicted classes do not change.
    """
    return np.asarray(softmax(_logits(probability) / temperature, axis=1))


def negative_log_likelihood(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the mean negative log-likelihood in nats, at least 0."""
    return float(log_loss(label, probability, labels=range(probability.shape[1])))


def _logits(probability: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probability.astype(float), _SMALLEST))

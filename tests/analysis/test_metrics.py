"""Measures of calibration and of one run, against values worked out by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from ablation.analysis.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    scale_by_temperature,
)


def test_the_calibration_error_of_a_known_case():
    # Ten answers at confidence 0.9, seven of them right; ten at 0.6, all right.
    probability = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    label = np.array([0] * 7 + [1] * 3 + [0] * 10)
    assert expected_calibration_error(label, probability) == pytest.approx((0.2 + 0.4) / 2)
    bins = reliability(label, probability)
    assert bins["count"].tolist() == [10, 10]
    assert bins["confidence"].tolist() == pytest.approx([0.6, 0.9])
    assert bins["accuracy"].tolist() == pytest.approx([1.0, 0.7])
    assert bins["bin"].tolist() == [9, 14]  # up to 9/15 and 14/15


def test_full_confidence_is_in_the_last_bin():
    bins = reliability(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert bins["bin"].tolist() == [15]
    assert bins["accuracy"].tolist() == [0.5]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_distorted_probabilities_is_found_again(temperature):
    random = np.random.RandomState(1)
    logits = random.normal(scale=2, size=(20000, 5))
    right = softmax(logits, axis=1)
    label = (right.cumsum(axis=1) > random.random((20000, 1))).argmax(axis=1)
    distorted = softmax(logits * temperature, axis=1)  # too confident where above 1
    found = fit_temperature(label, distorted)
    assert found == pytest.approx(temperature, rel=0.05)
    scaled = scale_by_temperature(distorted, found)
    assert expected_calibration_error(label, scaled) < 0.02
    assert negative_log_likelihood(label, scaled) <= negative_log_likelihood(label, distorted)


def test_scaling_keeps_the_answers_and_the_sums():
    random = np.random.RandomState(2)
    probability = softmax(random.normal(size=(100, 7)), axis=1)
    scaled = scale_by_temperature(probability, 2.5)
    assert (scaled.argmax(axis=1) == probability.argmax(axis=1)).all()
    assert scaled.sum(axis=1) == pytest.approx(np.ones(100))


def test_certain_and_wrong_answers_stay_finite():
    label, probability = np.array([1, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert np.isfinite(fit_temperature(label, probability))
    assert np.isfinite(negative_log_likelihood(label, probability))
    assert fit_temperature(np.array([0, 1]), np.full((2, 4), 0.25)) == 1.0

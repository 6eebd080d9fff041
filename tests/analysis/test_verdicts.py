"""Comparisons of metrics other than test accuracy."""

import math

import numpy as np
import pytest
from scipy import stats

from .. import factory

STUDY = """\
title: Measures
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2)}
    seeds: [0, 1, 2]
    final_seeds: 3
    comparisons:
      - {kind: arm, arm: {augmentation: crop}, reference: {augmentation: none}DECLARED}
    training: {epochs: 4}
"""
SPREAD = (0.0, 0.004, -0.003)


@pytest.fixture
def compared(tmp_path):
    """A function that compares crop, which has these options, with none and returns the rows."""

    def compared(declared, study=STUDY, **crop):
        def options(cell, seed):
            own = {"confidence": 0.9, **(crop if cell[2] == "crop" else {})}
            own["confidence"] += SPREAD[seed] * (2 if cell[2] == "crop" else -1)
            return own

        text = study.replace("DECLARED", f", {declared}" if declared else "")
        plan = factory.simulated_study(
            tmp_path, text, lambda cell, seed: 0.9 + SPREAD[seed], options=options
        )
        _, tables = factory.analysed(tmp_path, plan)
        return tables["comparisons"].to_dict("records")

    return compared


def test_lower_values_of_a_loss_are_better(compared):
    (row,) = compared("measure: ece", confidence=0.6)
    assert (row["measure"], row["verdict"], row["basis"]) == ("ece", "worse", "seeds")
    assert row["difference"] > 0.2
    assert row["ci_low"] > 0
    assert row["arm_value"] - row["reference_value"] == pytest.approx(row["difference"])
    assert (row["prob_superiority"], row["sign_agreement"]) == (0, 1)


def test_without_values_for_each_image_only_the_seeds_decide(compared):
    (row,) = compared("measure: ece", confidence=0.6)
    assert math.isnan(row["image_ci_low"])
    differences = np.array(row["by_seed"].split(), float)
    t = stats.ttest_1samp(differences, 0)
    assert row["p"] == pytest.approx(t.pvalue, rel=1e-3)
    low, high = t.confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), rel=1e-3)


def test_nothing_is_the_same_without_a_margin(compared):
    (row,) = compared("measure: nll")
    assert (row["verdict"], math.isnan(row["margin"])) == ("open", True)
    (row,) = compared("measure: nll, margin: 0.5")
    assert (row["verdict"], row["margin"]) == ("same", 0.5)
    assert row["failure_rate"] > 0


def test_the_margin_of_a_share_is_in_points(compared):
    (row,) = compared("measure: ece, margin: 3")
    assert (row["verdict"], row["margin"]) == ("same", 0.03)
    (row,) = compared("measure: ece, margin: 0.1")
    assert (row["verdict"], row["margin"]) == ("open", 0.001)


def test_a_margin_of_a_comparison_of_test_accuracies(compared):
    (row,) = compared("margin: 0.1")
    assert (row["measure"], row["verdict"], row["margin"]) == ("test_accuracy", "open", 0.001)
    (row,) = compared("")
    assert (row["verdict"], row["margin"]) == ("same", 0.005)


def test_metrics_are_one_family(compared):
    """Two comparisons: the smaller p-value counts twice."""
    pair = "{kind: arm, arm: {augmentation: crop}, reference: {augmentation: none}"
    both = f"measure: ece}}\n      - {pair}"
    (by_itself,) = compared("measure: ece", confidence=0.8)
    ece, accuracy = compared(both, confidence=0.8)
    assert accuracy["measure"] == "test_accuracy"
    assert ece["p"] == by_itself["p"]
    assert ece["p_adjusted"] == pytest.approx(2 * by_itself["p_adjusted"])


def test_a_metric_of_fewer_than_three_seeds_has_no_interval(compared):
    few = STUDY.replace("[0, 1, 2]", "[0, 1]").replace("final_seeds: 3", "final_seeds: 2")
    (row,) = compared("measure: nll", few, confidence=0.6)
    assert (row["seeds"], row["verdict"], row["basis"]) == (2, "open", "")
    assert math.isnan(row["ci_low"])
    assert row["difference"] > 0


def test_a_metric_that_no_run_has_is_not_compared(compared):
    """Top-5 accuracy is not defined for three classes."""
    (row,) = compared("measure: top5_accuracy", class_names=("a", "b", "c"))
    assert (row["seeds"], row["verdict"]) == (0, "")

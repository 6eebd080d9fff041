"""Tests of differences, and their correction by Holm's method."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablation.analysis.pooling import VarianceEstimate
from ablation.analysis.testing import (
    LEVEL,
    PAIRED_LEVEL,
    Decision,
    DifferenceTest,
    combined_error,
    decide,
    difference_test,
    holm,
)


def one_set(tests, paired, difference=1.0):
    return DifferenceTest(difference, ((1.0, tests),), paired)


def of_p(p, df=10.0, paired=1e-6):
    """A difference with these p-values in its only test and in the paired test."""
    error = 1 / float(stats.t.isf(p / 2, df))
    return one_set(((error, df),), (1 / float(stats.t.isf(paired / 2, 2)), 2.0))


def test_the_larger_p_value_counts():
    both = one_set(((0.5, 4.0), (0.4, 3.0)), (0.1, 2.0))
    assert both.p == pytest.approx(max(2 * stats.t.sf(2, 4), 2 * stats.t.sf(2.5, 3)))
    assert both.paired_p == pytest.approx(2 * stats.t.sf(10, 2))


def test_the_interval_is_the_widest_of_the_tests():
    both = one_set(((0.5, 4.0), (0.4, 3.0)), (0.1, 2.0))
    assert both.half_width(0.01) == pytest.approx(0.4 * stats.t.isf(0.005, 3))
    paired = one_set(((0.5, 4.0),), (0.9, 2.0))
    assert paired.half_width(0.05) == pytest.approx(0.9 * stats.t.isf(PAIRED_LEVEL / 2, 2))


def test_holms_method_steps_down_to_two_thirds_of_the_comparisons():
    p = np.array([0.011, 0.2, 0.004, 0.03, 0.9, 0.5])
    for level in (0.05, 0.02):
        corrected, levels = holm(p, level)
        expected = multipletests(p, alpha=level, method="holm")[1]  # steps down to one
        first = np.argsort(p)[:3]
        assert corrected[first] == pytest.approx(np.minimum(expected[first] * LEVEL / level, 1))
        assert (corrected >= np.minimum(expected * LEVEL / level, 1) - 1e-12).all()
        assert (corrected <= LEVEL).tolist() == (p <= levels).tolist()


def test_holms_method_leaves_more_to_later_comparisons():
    corrected, levels = holm(np.array([0.02, 0.001, 0.02]), 0.05)
    assert corrected == pytest.approx([0.04, 0.003, 0.04])
    assert levels == pytest.approx([0.025, 0.05 / 3, 0.025])
    corrected, levels = holm(np.array([0.03, 0.001, 0.3]), 0.05)
    assert corrected == pytest.approx([0.06, 0.003, 0.6])


def test_nothing_is_significant_at_level_0():
    corrected, levels = holm(np.array([0.0, 0.5]), 0.0)
    assert (corrected.tolist(), levels.tolist()) == ([1, 1], [0, 0])
    (decision,) = decide([of_p(1e-9)], ["a"], 0.0)
    assert (decision.p, decision.low) == (1.0, -math.inf)
    assert decision.verdict(0.5) == "open"


def test_interval_p_value_and_verdict_agree():
    random = np.random.default_rng(0)
    claimed = 0
    for _ in range(300):
        family = [
            DifferenceTest(
                difference,
                tuple(
                    (share, tuple((float(error), 6.0) for error in random.uniform(0.2, 1, 2)))
                    for share in (0.7, 0.3)
                ),
                (float(random.uniform(0.1, 1)), 2.0),
            )
            for difference in random.normal(0, 2.5, 4)
        ]
        for found, one in zip(decide(family, range(4), 0.03), family, strict=True):
            sure = found.p <= LEVEL
            assert sure == (not found.low <= 0 <= found.high)
            assert (found.low + found.high) / 2 == pytest.approx(one.difference)
            assert found.verdict(10) == (
                "same" if not sure else "better" if found.low > 0 else "worse"
            )
            claimed += sure
    assert 200 < claimed < 1000


def test_a_paired_test_has_to_agree_at_another_level():
    agrees, disagrees = (
        decide([of_p(1e-6, paired=at)], ["a"])[0]
        for at in (0.99 * PAIRED_LEVEL, 1.01 * PAIRED_LEVEL)
    )
    assert agrees.p == pytest.approx(0.99 * LEVEL)
    assert disagrees.p == pytest.approx(1.01 * LEVEL)
    assert (agrees.verdict(0.1), disagrees.verdict(0.1)) == ("better", "open")


def test_a_question_counts_once():
    twice = decide([of_p(0.02), of_p(0.02), of_p(0.04)], ["a", "a", "b"])
    once = decide([of_p(0.02), of_p(0.04)], ["a", "b"])
    assert [twice[0], twice[2]] == once
    assert twice[0] == twice[1]
    assert decide([], []) == []


def test_the_same_lies_within_the_margin():
    assert Decision(0.3, -0.004, 0.005, 0.95).verdict(0.005) == "same"
    assert Decision(0.3, -0.006, 0.002, 0.95).verdict(0.005) == "open"
    assert Decision(0.01, 0.001, 0.002, 0.95).verdict(0.005) == "better"
    assert Decision(0.01, -0.002, -0.001, 0.95).verdict(0.005) == "worse"


def test_one_of_two_sets_of_tests_is_enough_at_its_share_of_the_level():
    first, second = ((0.5, 4.0),), ((0.1, 2.0), (0.2, 2.0))
    both = DifferenceTest(1.0, ((0.9, first), (0.1, second)), (0.1, 2.0))
    p = [2 * stats.t.sf(2, 4) / 0.9, 2 * stats.t.sf(5, 2) / 0.1]
    assert both.p == pytest.approx(min(p))
    halves = [0.5 * stats.t.isf(0.9 * 0.01 / 2, 4), 0.2 * stats.t.isf(0.1 * 0.01 / 2, 2)]
    assert both.half_width(0.01) == pytest.approx(min(halves))


def test_the_paired_test_decides_without_a_pool():
    differences = np.array([0.02, 0.01, 0.03, 0.02])
    found = difference_test(differences, None)
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    low, high = stats.t.interval(0.95, 3, 0.02, differences.std(ddof=1) / 2)
    assert found.half_width(0.05) == pytest.approx((high - low) / 2)
    assert found.test_sets[0][1] == (found.paired,)


def test_pooled_and_paired_tests_have_the_images_added():
    differences = np.array([0.02, 0.01, 0.03, 0.02])
    pooled = VarianceEstimate(0.0004, 9.0, 0.1)
    found = difference_test(
        differences, pooled, image_error=0.004, seed_image_variance=1e-6, images=1000
    )
    over_seeds = (0.01, 9.0)
    assert found.test_sets[0] == (0.9, (over_seeds, combined_error(*over_seeds, 0.004, 1e-6, 1000)))
    assert found.test_sets[1] == (
        0.1,
        (found.paired, combined_error(*found.paired, 0.004, 1e-6, 1000)),
    )
    without = difference_test(differences, VarianceEstimate(0.0004, 9.0, 0.0))
    assert without.test_sets == ((1.0, (over_seeds,)),)


def test_no_standard_deviation_is_less_than_an_image():
    assert difference_test(np.zeros(4), None, images=100).paired == (0.01 / 2, 3)

"""Tests of differences, and what Holm's method leaves of them."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablation.analysis.testing import LEVEL, PAIRED_LEVEL, Decision, Estimate, decide, holm


def estimate(p, freedom=10.0, paired=1e-6):
    """One that has these p-values, in its only test and in the paired test."""
    error = 1 / float(stats.t.isf(p / 2, freedom))
    return Estimate(1.0, ((error, freedom),), (1 / float(stats.t.isf(paired / 2, 2)), 2.0))


def test_the_larger_p_value_counts():
    both = Estimate(1.0, ((0.5, 4.0), (0.4, 3.0)), (0.1, 2.0))
    assert both.p == pytest.approx(max(2 * stats.t.sf(2, 4), 2 * stats.t.sf(2.5, 3)))
    assert both.paired_p == pytest.approx(2 * stats.t.sf(10, 2))


def test_the_interval_is_the_widest_of_the_tests():
    both = Estimate(1.0, ((0.5, 4.0), (0.4, 3.0)), (0.1, 2.0))
    assert both.half_width(0.01) == pytest.approx(0.4 * stats.t.isf(0.005, 3))
    paired = Estimate(1.0, ((0.5, 4.0),), (0.9, 2.0))
    assert paired.half_width(0.05) == pytest.approx(0.9 * stats.t.isf(PAIRED_LEVEL / 2, 2))


def test_holm_is_that_of_statsmodels_at_every_level():
    p = np.array([0.011, 0.2, 0.004, 0.03, 0.9])
    for level in (0.05, 0.02):
        corrected, levels = holm(p, level)
        expected = multipletests(p, alpha=level, method="holm")
        assert corrected == pytest.approx(np.minimum(expected[1] * LEVEL / level, 1))
        assert (corrected <= LEVEL).tolist() == expected[0].tolist() == (p <= levels).tolist()


def test_holm_leaves_more_to_what_comes_later():
    corrected, levels = holm(np.array([0.03, 0.001, 0.02]), 0.05)
    assert corrected == pytest.approx([0.04, 0.003, 0.04])
    assert levels == pytest.approx([0.05, 0.05 / 3, 0.025])
    corrected, levels = holm(np.array([0.03, 0.001, 0.3]), 0.05)
    assert corrected == pytest.approx([0.06, 0.003, 0.3])
    assert levels == pytest.approx([0.025, 0.05 / 3, 0.025])  # two are left, whichever it is


def test_nothing_is_claimed_at_level_0():
    corrected, levels = holm(np.array([0.0, 0.5]), 0.0)
    assert (corrected.tolist(), levels.tolist()) == ([1, 1], [0, 0])
    (decision,) = decide([estimate(1e-9)], ["a"], 0.0)
    assert (decision.p, decision.low) == (1.0, -math.inf)
    assert decision.verdict(0.5) == "open"


def test_interval_p_value_and_verdict_agree():
    random = np.random.default_rng(0)
    claimed = 0
    for _ in range(300):
        family = [
            Estimate(
                difference,
                tuple((float(error), 6.0) for error in random.uniform(0.2, 1, 2)),
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


def test_a_paired_test_has_to_agree_at_a_level_of_its_own():
    agrees, disagrees = (
        decide([estimate(1e-6, paired=at)], ["a"])[0]
        for at in (0.99 * PAIRED_LEVEL, 1.01 * PAIRED_LEVEL)
    )
    assert agrees.p == pytest.approx(0.99 * LEVEL)
    assert disagrees.p == pytest.approx(1.01 * LEVEL)
    assert (agrees.verdict(0.1), disagrees.verdict(0.1)) == ("better", "open")


def test_a_question_counts_once():
    twice = decide([estimate(0.02), estimate(0.02), estimate(0.04)], ["a", "a", "b"])
    once = decide([estimate(0.02), estimate(0.04)], ["a", "b"])
    assert [twice[0], twice[2]] == once
    assert twice[0] == twice[1]
    assert decide([], []) == []


def test_the_same_lies_within_the_margin():
    assert Decision(0.3, -0.004, 0.005).verdict(0.005) == "same"
    assert Decision(0.3, -0.006, 0.002).verdict(0.005) == "open"
    assert Decision(0.01, 0.001, 0.002).verdict(0.005) == "better"
    assert Decision(0.01, -0.002, -0.001).verdict(0.005) == "worse"

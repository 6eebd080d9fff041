"""Minimum detectable effects, compared with simulated studies."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ablation.analysis.effects import ComparisonDesign, Effect
from ablation.analysis.pooling import pooled_variances
from ablation.analysis.power import MAX_SEEDS, detectable, detectable_factor, seeds_needed
from ablation.analysis.testing import decide, difference_test

PAIR = ComparisonDesign((1.0, -1.0), (False, False), 1.0, math.inf)


def of_arms(arms):
    """The last arm against the first of so many, of which the first is in every comparison."""
    frequent = (arms > 3, *(False,) * (arms - 1))
    return ComparisonDesign((-1.0, *(0.0,) * (arms - 2), 1.0), frequent, 1.0, math.inf)


def effect(design, seeds, difference=0.0, image_error=0.0, seed_image_variance=0.0):
    return Effect(
        (0.0,) * seeds, difference, None, 1.0, 0.5, 0.0, 0.0, image_error,
        seed_image_variance, 1000, 0.9, 0.9, near_chance=False, failing=False, design=design,
    )  # fmt: skip


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (2, 8), (6, 3), (6, 5), (12, 3)])
def test_a_difference_of_the_detectable_size_is_found_four_times_in_five(arms, seeds):
    level = 0.05 / (arms - 1)
    size = detectable_factor(of_arms(arms), seeds, level) * math.sqrt(2)
    random = np.random.default_rng(100 + arms + seeds)
    frequent = np.array(of_arms(arms).frequent)
    weights = np.eye(arms)[-1] - np.eye(arms)[0]
    hits = 0
    for _ in range(800):
        drawn = random.standard_normal((arms, seeds))
        drawn[-1] += size
        paired = weights @ drawn
        pooled = None
        if arms > 2:
            pooled = pooled_variances(drawn, frequent, math.inf).of_contrast(weights, weights[None])
        (found,) = decide([difference_test(paired, pooled)], ["a"], level)
        hits += found.p <= 0.05 and found.low > 0
    assert hits / 800 == pytest.approx(0.8, abs=0.05)


def test_an_estimated_spread_is_allowed_for():
    """On average over estimates of the spread, the size that they give is found as often."""
    random = np.random.default_rng(1)
    for df, seeds in ((2.0, 3), (10.0, 3), (16.0, 5)):
        factor = detectable_factor(replace(PAIR, df=df), seeds, 0.05)
        known = detectable_factor(PAIR, seeds, 0.05)
        assert factor > known
        sizes = factor * np.sqrt(random.chisquare(df, 20_000) / df)
        sample = random.standard_normal((20_000, seeds)) + sizes[:, None]
        p = stats.ttest_1samp(sample, 0, axis=1).pvalue
        assert (p <= 0.05).mean() == pytest.approx(0.8, abs=0.03)


def test_it_shrinks_with_seeds_and_arms_and_grows_with_comparisons():
    factors = [detectable_factor(PAIR, seeds, 0.05) for seeds in (3, 4, 5, 8, 20)]
    assert factors == sorted(factors, reverse=True)
    assert detectable_factor(PAIR, 5, 0.01) > detectable_factor(PAIR, 5, 0.05)
    assert detectable_factor(of_arms(6), 3, 0.01) < 0.6 * detectable_factor(PAIR, 3, 0.01)
    # for many seeds it is that of the normal test
    assert detectable_factor(PAIR, 100, 0.05) == pytest.approx((1.96 + 0.8416) / 10, rel=0.05)


def test_the_images_are_allowed_for():
    factor = detectable_factor(PAIR, 20, 0.05, image_error=3.0)
    assert factor == pytest.approx((1.96 + 0.8416) * math.hypot(3, 1 / math.sqrt(20)), rel=0.06)


def test_its_interval_is_that_of_the_spread():
    design = replace(PAIR, sd=0.01, df=8.0)
    size, low, high = detectable(effect(design, 5), 0.05)
    known = 0.01 * detectable_factor(PAIR, 5, 0.05)
    lowest, highest = (math.sqrt(8 / stats.chi2.ppf(at, 8)) for at in (0.975, 0.025))
    assert (low, high) == pytest.approx((known * lowest, known * highest))
    assert low < known < size < high
    assert detectable(effect(None, 2), 0.05) is None


def test_the_seeds_needed_would_detect_the_difference():
    design = replace(PAIR, sd=0.004)
    needed = seeds_needed(effect(design, 4, 0.003), lambda _: 0.05, 0.001)
    assert needed > 4
    assert 0.004 * detectable_factor(design, needed, 0.05) <= 0.003
    assert 0.004 * detectable_factor(design, needed - 1, 0.05) > 0.003
    # the margin, if that is more; and a lower level takes more seeds
    assert seeds_needed(effect(design, 4, 0.003), lambda _: 0.05, 0.02) < needed
    assert seeds_needed(effect(design, 4, 0.003), lambda _: 0.01, 0.001) > needed


def test_no_number_of_seeds_shrinks_what_the_images_leave_open():
    fixed = effect(replace(PAIR, sd=0.001), 3, 0.003, image_error=0.002)
    assert seeds_needed(fixed, lambda _: 0.05, 0.001) is None
    # what varies between seeds and images at once does shrink
    shrinks = replace(fixed, seed_image_variance=0.002**2)
    assert 3 < seeds_needed(shrinks, lambda _: 0.05, 0.001) < MAX_SEEDS
    assert seeds_needed(effect(None, 2, 0.003), lambda _: 0.05, 0.001) is None

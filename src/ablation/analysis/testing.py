"""Tests of a difference over seeds and images, and their correction for multiple comparisons."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ablation.analysis.pooling import ROUNDING, VarianceEstimate

LEVEL = 0.05  # family-wise error rate of a study
PAIRED_LEVEL = 0.06  # of the additional paired t-test, for each comparison, uncorrected
OPEN = "open"  # verdict without a decision
SEEDS_FOR_VERDICTS = 3  # fewest seeds that give a verdict
MIN_HOLM_SHARE = 2 / 3  # of the comparisons that the last steps of Holm's method count
Numbers = float | np.ndarray


def family_level(comparing: int) -> float:
    """Return the family-wise error rate of one experiment.

    The 5 % of the study are shared equally between the experiments with comparisons.

    Args:
        comparing: number of these experiments.
    """
    return LEVEL / max(1, comparing)


@dataclass(frozen=True)
class DifferenceTest:
    """A difference and its tests.

    A difference is found if all tests of one set find it at the set's share of the level, and the
    paired t-test at `PAIRED_LEVEL`.

    Attributes:
        difference: mean over the seeds, as a share.
        test_sets: sets of tests, each with its share of the level; a test is a standard error and
            its degrees of freedom.
        paired: standard error and degrees of freedom of the paired t-test.
    """

    difference: float
    test_sets: tuple[tuple[float, tuple[tuple[float, float], ...]], ...]
    paired: tuple[float, float]

    @property
    def p(self) -> float:
        """Uncorrected p-value: the smallest over the sets of the largest of their tests."""
        return min(
            1.0,
            *(
                max(float(t_test(self.difference / error, df)) for error, df in tests) / share
                for share, tests in self.test_sets
            ),
        )

    @property
    def paired_p(self) -> float:
        """p-value of the paired t-test."""
        error, df = self.paired
        return float(t_test(self.difference / error, df))

    def half_width(self, level: float) -> float:
        """Return half the width of the confidence interval that inverts the tests.

        Args:
            level: of the corrected tests; at level 0 the interval is infinite.
        """
        by_set = [
            max(error * _quantile(level * share, df) for error, df in tests)
            for share, tests in self.test_sets
        ]
        error, df = self.paired
        return max(min(by_set), error * _quantile(PAIRED_LEVEL, df))


def _quantile(level: float, df: float) -> float:
    return float(stats.t.isf(level / 2, df))


def difference_test(
    differences: np.ndarray,
    pooled: VarianceEstimate | None,
    *,
    image_error: float = 0.0,
    seed_image_variance: float = 0.0,
    images: float = math.inf,
) -> DifferenceTest:
    """Return the tests of a difference over at least three seeds.

    Args:
        differences: difference at each seed, as shares [seeds].
        pooled: variance over seeds pooled over the arms of the experiment; None for the paired
            t-test only.
        image_error: standard error over the images, as a share; 0 if unknown.
        seed_image_variance: variance of the interaction of seeds and images, which both squared
            standard errors contain.
        images: number of test images; a standard deviation is at least one image.
    """
    seeds = len(differences)
    spread = max(float(differences.std(ddof=1)), 1 / images, ROUNDING)
    paired = (spread / math.sqrt(seeds), seeds - 1.0)

    def tests(over_seeds: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        if not image_error:
            return (over_seeds,)
        return over_seeds, combined_error(*over_seeds, image_error, seed_image_variance, images)

    test_sets = [(1.0, tests(paired))]
    if pooled is not None:
        share = float(pooled.paired_share)
        over_seeds = (math.sqrt(pooled.variance / seeds), float(pooled.df))
        both = [(1 - share, tests(over_seeds)), (share, tests(paired))]
        test_sets = [(part, of_set) for part, of_set in both if part]
    return DifferenceTest(float(differences.mean()), tuple(test_sets), paired)


@dataclass(frozen=True)
class Decision:
    """The result of a comparison after correction for multiple comparisons.

    Attributes:
        p: corrected p-value; the difference is significant if it is at most `LEVEL`.
        low, high: ends of the interval, as shares; it excludes zero if and only if the difference
            is significant.
        confidence: confidence level of the interval, 0 to 1.
    """

    p: float
    low: float
    high: float
    confidence: float

    def verdict(self, margin: float) -> str:
        """Return ``better``, ``worse``, ``same`` or ``open``.

        Args:
            margin: ``same`` requires an interval within ± margin, as a share.
        """
        if self.p <= LEVEL:
            return "better" if self.low + self.high > 0 else "worse"
        return "same" if max(-self.low, self.high) <= margin else OPEN


def decide(
    tests: Sequence[DifferenceTest], questions: Sequence[Hashable], level: float = LEVEL
) -> list[Decision]:
    """Correct a family of comparisons by Holm's method.

    Args:
        tests: the tests of each comparison.
        questions: key of each comparison; equal keys count once.
        level: family-wise error rate.

    Returns:
        A decision for each comparison. Its p-value is corrected over the family and scaled so that
        the threshold is `LEVEL` for every level. Its interval has the level that Holm's method
        leaves to the comparison.
    """
    distinct = dict(zip(questions, tests, strict=True))
    corrected, levels = holm(np.array([one.p for one in distinct.values()]), level)
    found = {}
    for (question, one), p, at in zip(distinct.items(), corrected, levels, strict=True):
        paired = one.paired_p * LEVEL / PAIRED_LEVEL
        found[question] = min(max(float(p), paired), 1.0), one.half_width(float(at)), float(at)
    decisions = []
    for question, one in zip(questions, tests, strict=True):
        p_value, half, at = found[question]
        low, high = one.difference - half, one.difference + half
        decisions.append(Decision(p_value, low, high, 1 - at))
    return decisions


def holm(p: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values corrected by Holm's method, and the level of each comparison.

    The method steps down to two thirds of the comparisons only. Its last steps need p-values that
    are valid for each comparison. Those from pooled variances are valid over the family: a noisy
    arm that is not recognised as one has p-values that are too small.

    Args:
        p: p-values [comparisons].
        level: family-wise error rate; at 0 nothing is significant.

    Returns:
        Corrected p-values, scaled so that the threshold is `LEVEL`, and levels [comparisons].
    """
    order = np.argsort(p, kind="stable")
    left = np.maximum(len(p) - np.arange(len(p)), MIN_HOLM_SHARE * len(p))
    corrected, levels = np.ones(len(p)), np.zeros(len(p))
    if not level:
        return corrected, levels
    largest = np.maximum.accumulate(p[order] * left)
    corrected[order] = np.minimum(largest * LEVEL / level, 1.0)
    rejected = int((corrected <= LEVEL).sum())
    levels[order] = level / np.maximum(left, len(p) - rejected)
    return corrected, levels


def combined_error(
    seed_error: Numbers,
    seed_df: Numbers,
    image_error: Numbers,
    seed_image_variance: Numbers,
    images: Numbers,
) -> tuple[Any, Any]:
    """Return the standard error over seeds and images, and its degrees of freedom.

    Seeds and images are both random effects (quasi-F of Clark 1973, The Language-as-Fixed-Effect
    Fallacy, with Satterthwaite's degrees of freedom). Without this error, equally accurate arms
    differ significantly if one happens to find these test images easier.

    Args:
        seed_error, seed_df: standard error over seeds and its degrees of freedom.
        image_error: standard error over images.
        seed_image_variance: variance of the interaction of seeds and images. Both squared errors
            contain it, so it is subtracted once.
        images: number of images, at least 2.
    """
    squared = np.maximum(
        seed_error**2 + image_error**2 - seed_image_variance,
        np.maximum(seed_error, image_error) ** 2,
    )
    df = squared**2 / (seed_error**4 / seed_df + image_error**4 / (images - 1))
    return np.sqrt(squared), np.maximum(df, seed_df)


def t_test(t: Numbers, df: Numbers) -> Any:
    """Return the two-sided p-value of Student's t."""
    return 2 * stats.t.sf(np.abs(t), df)

"""Tests of a difference over seeds and images, and what is left of them for many comparisons."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ablation.analysis.pooling import ROUNDING, Spread

LEVEL = 0.05  # how often a study without any difference may claim one
PAIRED_LEVEL = 0.06  # of the paired t-test that has to agree, for each comparison by itself
OPEN = "open"  # the verdict where the sample does not tell
SEEDS_FOR_VERDICTS = 3  # with fewer there is no verdict
LEAST_COUNTED = 2 / 3  # of the comparisons of a family, in the last steps of Holm's method
Numbers = float | np.ndarray


def family_level(comparing: int) -> float:
    """Return how often all comparisons of one experiment may claim a difference without any.

    The study's 5 % are shared equally between the experiments that compare anything.

    Args:
        comparing: how many experiments those are.
    """
    return LEVEL / max(1, comparing)


@dataclass(frozen=True)
class Estimate:
    """A difference and the tests that have to find it.

    Attributes:
        difference: mean over the seeds, as a share.
        ways: of finding a difference, each with its share of the level and with the standard error
            and degrees of freedom of its tests, which all have to find it.
        paired: those of the paired t-test, which is held against `PAIRED_LEVEL` besides.
    """

    difference: float
    ways: tuple[tuple[float, tuple[tuple[float, float], ...]], ...]
    paired: tuple[float, float]

    @property
    def p(self) -> float:
        """The p-value at the corrected level: the least of the ways, the largest of its tests."""
        return min(
            1.0,
            *(
                max(float(t_test(self.difference / error, of)) for error, of in tests) / share
                for share, tests in self.ways
            ),
        )

    @property
    def paired_p(self) -> float:
        """The p-value of the paired t-test."""
        error, freedom = self.paired
        return float(t_test(self.difference / error, freedom))

    def half_width(self, level: float) -> float:
        """Return half of the interval that excludes zero where a difference is found.

        Args:
            level: of the corrected tests; the interval is infinite at level 0.
        """
        of_ways = [
            max(error * _quantile(level * share, freedom) for error, freedom in tests)
            for share, tests in self.ways
        ]
        error, freedom = self.paired
        return max(min(of_ways), error * _quantile(PAIRED_LEVEL, freedom))


def _quantile(level: float, freedom: float) -> float:
    return float(stats.t.isf(level / 2, freedom))


def estimate(
    differences: np.ndarray,
    pooled: Spread | None,
    *,
    image_error: float = 0.0,
    shared: float = 0.0,
    images: float = math.inf,
) -> Estimate:
    """Estimate a difference from three seeds or more.

    Args:
        differences: at each seed, as shares [seeds].
        pooled: how much they vary from seed to seed, as all arms of the experiment tell it; None
            where they do not, so that the paired t-test decides.
        image_error: standard error over the images, as a share; 0 if it is not known.
        shared: variance that is in the squared errors over seeds and over images alike.
        images: number of test images; a standard deviation is no less than one of them.
    """
    seeds = len(differences)
    spread = max(float(differences.std(ddof=1)), 1 / images, ROUNDING)
    paired = (spread / math.sqrt(seeds), seeds - 1.0)

    def tests(over_seeds: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        if not image_error:
            return (over_seeds,)
        return over_seeds, together(*over_seeds, image_error, shared, images)

    ways = [(1.0, tests(paired))]
    if pooled is not None:
        share = float(pooled.paired_share)
        over_seeds = (math.sqrt(pooled.variance / seeds), float(pooled.freedom))
        both = [(1 - share, tests(over_seeds)), (share, tests(paired))]
        ways = [(part, of_way) for part, of_way in both if part]
    return Estimate(float(differences.mean()), tuple(ways), paired)


@dataclass(frozen=True)
class Decision:
    """What the tests of a comparison say once all comparisons are counted.

    Attributes:
        p: corrected p-value: a difference is claimed where it is at most `LEVEL`.
        low, high: ends of the interval, shares; it excludes zero where a difference is claimed.
        confidence: confidence level of the interval, a share.
    """

    p: float
    low: float
    high: float
    confidence: float

    def verdict(self, margin: float) -> str:
        """Return ``better`` or ``worse`` where a difference is claimed, otherwise ``same`` or open.

        Args:
            margin: share that does not matter; ``same`` where the interval lies within it.
        """
        if self.p <= LEVEL:
            return "better" if self.low + self.high > 0 else "worse"
        return "same" if max(-self.low, self.high) <= margin else OPEN


def decide(
    estimates: Sequence[Estimate], questions: Sequence[Hashable], level: float = LEVEL
) -> list[Decision]:
    """Correct the tests of a family of comparisons by Holm's method.

    Args:
        estimates: of each comparison.
        questions: what each asks; the same question counts once.
        level: how often the family may claim a difference where there is none.

    Returns:
        A decision for each. Its p-value is corrected over the family and scaled so that `LEVEL` is
        the line whatever the level; its interval is at the level that Holm's method leaves to the
        comparison.
    """
    distinct = dict(zip(questions, estimates, strict=True))
    corrected, levels = holm(np.array([one.p for one in distinct.values()]), level)
    found = {}
    for (question, one), p, at in zip(distinct.items(), corrected, levels, strict=True):
        paired = one.paired_p * LEVEL / PAIRED_LEVEL
        found[question] = min(max(float(p), paired), 1.0), one.half_width(float(at)), float(at)
    decisions = []
    for question, one in zip(questions, estimates, strict=True):
        p_value, half, at = found[question]
        low, high = one.difference - half, one.difference + half
        decisions.append(Decision(p_value, low, high, 1 - at))
    return decisions


def holm(p: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values corrected by Holm's method, and the level that each p-value is held against.

    The method steps down to two thirds of the comparisons only. Its last steps need p-values that
    hold for each comparison by itself. Those from pooled variances hold over the family: of a few
    noisy arms, each is taken for a quiet one too often.

    Args:
        p: p-values [comparisons].
        level: of the family; with 0 nothing is claimed.

    Returns:
        Corrected p-values, scaled so that `LEVEL` is the line, and levels [comparisons].
    """
    order = np.argsort(p, kind="stable")
    left = np.maximum(len(p) - np.arange(len(p)), LEAST_COUNTED * len(p))
    corrected, levels = np.ones(len(p)), np.zeros(len(p))
    if not level:
        return corrected, levels
    largest = np.maximum.accumulate(p[order] * left)
    corrected[order] = np.minimum(largest * LEVEL / level, 1.0)
    rejected = int((corrected <= LEVEL).sum())
    levels[order] = level / np.maximum(left, len(p) - rejected)
    return corrected, levels


def together(
    seed_error: Numbers,
    seed_freedom: Numbers,
    image_error: Numbers,
    shared: Numbers,
    images: Numbers,
) -> tuple[Any, Any]:
    """Return the error over seeds and images together, and its degrees of freedom.

    Both are taken as drawn at random (Clark 1973, The Language-as-Fixed-Effect Fallacy: quasi-F,
    with Satterthwaite's degrees of freedom). Without it, arms that are equally accurate are told
    apart by which of them happens to find these very test images easier.

    Args:
        seed_error, seed_freedom: standard error over seeds and its degrees of freedom.
        image_error: standard error over images.
        shared: what of the squares of both errors comes from what varies between seeds and images
            at once; it is in both, so it is taken out once.
        images: how many, 2 or more.
    """
    squared = np.maximum(
        seed_error**2 + image_error**2 - shared, np.maximum(seed_error, image_error) ** 2
    )
    freedom = squared**2 / (seed_error**4 / seed_freedom + image_error**4 / (images - 1))
    return np.sqrt(squared), np.maximum(freedom, seed_freedom)


def t_test(t: Numbers, freedom: Numbers) -> Any:
    """Return the two-sided p-value of Student's t."""
    return 2 * stats.t.sf(np.abs(t), freedom)

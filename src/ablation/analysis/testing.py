"""Tests of a difference over seeds and images, and what is left of them for many comparisons."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.05  # how often a study without any difference may claim one
PAIRED_LEVEL = 0.06  # of the paired t-test that has to agree, for each comparison by itself
OPEN = "open"  # the verdict where the sample does not tell
SEEDS_FOR_VERDICTS = 3  # with fewer there is no verdict
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
        errors: standard error and degrees of freedom of each test at the corrected level.
        paired: those of the paired t-test, which is held against `PAIRED_LEVEL`.
    """

    difference: float
    errors: tuple[tuple[float, float], ...]
    paired: tuple[float, float]

    @property
    def p(self) -> float:
        """The largest of the p-values at the corrected level."""
        return max(float(t_test(self.difference / error, of)) for error, of in self.errors)

    @property
    def paired_p(self) -> float:
        """The p-value of the paired t-test."""
        error, freedom = self.paired
        return float(t_test(self.difference / error, freedom))

    def half_width(self, level: float) -> float:
        """Return half of the interval that excludes zero where every test finds a difference.

        Args:
            level: of the corrected tests; the interval is infinite at level 0.
        """
        tests = [(*test, level) for test in self.errors] + [(*self.paired, PAIRED_LEVEL)]
        return max(error * float(stats.t.isf(at / 2, freedom)) for error, freedom, at in tests)


@dataclass(frozen=True)
class Decision:
    """What the tests of a comparison say once all comparisons are counted.

    Attributes:
        p: corrected p-value: a difference is claimed where it is at most `LEVEL`.
        low, high: ends of the interval, shares; it excludes zero where a difference is claimed.
    """

    p: float
    low: float
    high: float

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
        found[question] = min(max(float(p), paired), 1.0), one.half_width(float(at))
    decisions = []
    for question, one in zip(questions, estimates, strict=True):
        p_value, half = found[question]
        decisions.append(Decision(p_value, one.difference - half, one.difference + half))
    return decisions


def holm(p: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values corrected by Holm's method, and the level that each p-value is held against.

    Args:
        p: p-values [comparisons].
        level: of the family; with 0 nothing is claimed.

    Returns:
        Corrected p-values, scaled so that `LEVEL` is the line, and levels [comparisons].
    """
    order = np.argsort(p, kind="stable")
    left = len(p) - np.arange(len(p))
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

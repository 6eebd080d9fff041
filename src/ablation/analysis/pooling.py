"""Variances of accuracies over seeds, pooled over the arms of an experiment.

With three seeds, the variance of one arm has two degrees of freedom, so a t-test on it has little
power. The arms of an experiment mostly have equal variances. Each arm therefore uses the pooled
variance, or its own if that is larger. docs/conclusions.md has the formulas, `benchmarks/rules.py`
estimates error and power.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import orth

NOISIER_LEVEL = 0.01  # of the F-test for arms with a larger variance than the others
NOISIER_LEVEL_OF_FEW = 0.2  # the same with up to `FEW` arms
FEW = 4
TRIMMED = 2  # noisiest other arms that the F-test leaves out,
TRIMMED_SHARE = 4  # or one in so many of all arms, whichever is more
UNEQUAL_LEVEL = 0.01  # of the F-tests for unequal variances and for an effect of the seed
SHARE_OF_UNEQUAL = 0.5  # of the level, for the paired t-test if one of them is significant
SHARE_OF_FEW_SEEDS = 0.1  # the same with too few seeds for these F-tests
SEED_EFFECT_LEVEL = 0.1  # of the F-test from which contrasts use residual variances
MAX_DF_FACTOR = 3  # largest degrees of freedom of a contrast, relative to its family's
OUTLIER_LEVEL = 0.01  # of the F-test for an outlier, before division by the candidates
SEEDS_FOR_OUTLIERS = 5  # fewest seeds for F-tests for outliers and unequal variances
FLOOR = 0.7  # smallest variance of a frequent arm, relative to the pooled variance
ARMS_TO_POOL = 3  # fewest arms; with fewer, the paired t-test decides
FREQUENT = 3  # comparisons of two arms from which an arm is frequent
ROUNDING = 1e-12  # smallest standard deviation, for runs of equal accuracy


@dataclass(frozen=True)
class VarianceEstimate:
    """Variance of a difference over seeds.

    Attributes:
        variance: of the difference at one seed.
        df: degrees of freedom of the estimate.
        paired_share: share of the comparison's level for a separate paired t-test.
    """

    variance: Any
    df: Any
    paired_share: Any


@dataclass(frozen=True)
class Variances:
    """Variances of the arms of an experiment over seeds, for one run of each arm.

    Attributes:
        own: variance of each arm [..., arms].
        pooled: pooled variance, or a larger own one [..., arms].
        df: degrees of freedom of ``pooled`` [..., arms].
        noisier: which arms an F-test finds noisier than the others [..., arms].
        residual: ``own`` without the effect of the seed on all arms, if that is significant
            [..., arms].
        paired_share: share of the level of a difference of two arms for a paired t-test [...].
        seed_effect_p: p-value of the effect of the seed on all arms [...].
        accuracy: data of the estimate [..., arms, seeds].
    """

    own: np.ndarray
    pooled: np.ndarray
    df: np.ndarray
    noisier: np.ndarray
    residual: np.ndarray
    paired_share: np.ndarray
    seed_effect_p: np.ndarray
    accuracy: np.ndarray

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return int(self.accuracy.shape[-1])

    def of_contrast(self, weights: np.ndarray, family: np.ndarray) -> VarianceEstimate:
        """Return the variance of a contrast of the arms at one seed.

        The difference of two arms uses the pooled variances. A contrast of more arms (a main
        effect, an interaction) uses the arms' own variances, which together have enough degrees of
        freedom. These are too small if some arms share an effect of the seed. The variance is
        therefore at least the mean square of the family, as in a repeated-measures analysis of
        variance.

        Args:
            weights: weight of each arm, with sum 0 [arms].
            family: weights of all comparisons of its kind, such as the main effects of one factor,
                including this one [comparisons, arms].

        Returns:
            The variance and its degrees of freedom, each [...] (Satterthwaite 1946, An Approximate
            Distribution of Estimates of Variance Components).
        """
        if np.count_nonzero(weights) == 2:
            parts = weights**2 * self.pooled
            total = parts.sum(axis=-1)
            df = total**2 / (parts**2 / self.df).sum(axis=-1)
            return VarianceEstimate(total, df, self.paired_share)
        parts = weights**2 * self.residual
        total = parts.sum(axis=-1)
        df = total**2 / (parts**2 / (self.seeds - 1)).sum(axis=-1)
        basis = orth(family.T).T
        mean_square = (basis @ self.accuracy).var(axis=-1, ddof=1).mean(axis=-1)
        variance = np.maximum(total, mean_square * (weights**2).sum())
        most = MAX_DF_FACTOR * len(basis) * (self.seeds - 1)
        return VarianceEstimate(variance, np.minimum(df, most), np.zeros(total.shape))

    def expected(self, weights: np.ndarray) -> tuple[float, float]:
        """Return the variance of a contrast expected in other runs, and its degrees of freedom.

        Arms that are not noisier than the others are assumed to have equal variances. For a single
        study only.
        """
        own = self.own if np.count_nonzero(weights) == 2 else self.residual
        quiet = float(own[~self.noisier].mean()) if not self.noisier.all() else 0.0
        of_quiet = quiet * float((weights[~self.noisier] ** 2).sum())
        of_noisy = weights[self.noisier] ** 2 * own[self.noisier]
        df = self.seeds - 1
        denominator = of_quiet**2 / ((len(own) - 1) * df) + float((of_noisy**2).sum()) / df
        total = of_quiet + float(of_noisy.sum())
        return total, total**2 / denominator


def pooled_variances(accuracy: np.ndarray, frequent: np.ndarray, images: float) -> Variances:
    """Estimate the variances over seeds of the arms of an experiment.

    The variance of an arm is its own, but at least the mean of all arms. It has the degrees of
    freedom of all arms, or those of the arm's seeds if an F-test finds the arm noisier.

    An error in the variance of a frequent arm, one with many comparisons, affects all of these.
    Such an arm does not enter the mean; it has its own variance with its own degrees of freedom,
    but at least `FLOOR` of the mean.

    With more than four arms and at least five seeds, an arm that an F-test finds to be an outlier
    does not enter the mean either.

    A noisy arm makes the mean too large for the others. An effect of the seed on all arms makes all
    variances larger than those of paired differences. If an F-test finds either, half of the level
    goes to the paired t-test. With three or four seeds a tenth always does.

    Args:
        accuracy: accuracies, as shares; at least three arms and three seeds [arms, seeds].
        frequent: which arms are frequent [arms].
        images: number of test images; a variance is at least that of half an image.
    """
    arms, seeds = accuracy.shape
    found = pool(accuracy, frequent, images)
    if arms <= FEW or seeds < SEEDS_FOR_OUTLIERS:
        return found
    candidates = ~frequent if not frequent.all() else np.ones(arms, dtype=bool)
    noisiest = int(np.argmax(np.where(candidates, found.own, -1)))
    rest = _pool_members(frequent, noisiest)
    count = int(rest.sum())
    critical = _critical_f(OUTLIER_LEVEL / (count + 1), seeds - 1, count * (seeds - 1))
    if found.own[noisiest] <= critical * found.own[rest].mean():
        return found
    kept = np.arange(arms) != noisiest
    others = pool(accuracy[kept], frequent[kept], images)
    return replace(
        found,
        pooled=np.insert(others.pooled, noisiest, found.own[noisiest]),
        df=np.insert(others.df, noisiest, seeds - 1),
        noisier=np.insert(others.noisier, noisiest, values=True),
    )


def pool(accuracy: np.ndarray, frequent: np.ndarray, images: float = math.inf) -> Variances:
    """Pool variances as `pooled_variances` does, without a test for outliers.

    Args:
        accuracy: accuracies, as shares [..., arms, seeds].
        frequent, images: see `pooled_variances`.
    """
    arms, seeds = accuracy.shape[-2:]
    df = seeds - 1
    least_variance = max(1 / (2 * images**2), ROUNDING**2)
    own = np.maximum(accuracy.var(axis=-1, ddof=1), least_variance)
    level = NOISIER_LEVEL if arms > FEW else NOISIER_LEVEL_OF_FEW
    trimmed = max(TRIMMED, arms // TRIMMED_SHARE)
    noisier = np.stack(
        [_is_noisier(own, frequent, arm, df, level, trimmed) for arm in range(arms)], axis=-1
    )
    mean = own[..., _pool_members(frequent)].mean(axis=-1, keepdims=True)
    least = np.where(frequent, FLOOR * mean, mean)
    has_own_df = np.where(frequent, own >= least, noisier)
    seed_effect_p = _seed_effect_p(accuracy, least_variance)
    residual = _residual_variances(accuracy, least_variance)
    share = np.full(own.shape[:-1], SHARE_OF_FEW_SEEDS)
    if seeds >= SEEDS_FOR_OUTLIERS:
        none = np.zeros(arms, dtype=bool)
        level = UNEQUAL_LEVEL / arms
        unequal = np.any(
            [_is_noisier(own, none, arm, df, level, TRIMMED) for arm in range(arms)], axis=0
        )
        share = np.where(unequal | (seed_effect_p < UNEQUAL_LEVEL), SHARE_OF_UNEQUAL, 0.0)
    return Variances(
        own=own,
        pooled=np.maximum(own, least),
        df=np.where(has_own_df, df, (arms - 1) * df),
        noisier=noisier,
        residual=np.where((seed_effect_p < SEED_EFFECT_LEVEL)[..., None], residual, own),
        paired_share=share,
        seed_effect_p=seed_effect_p,
        accuracy=accuracy,
    )


def _residual_variances(accuracy: np.ndarray, least_variance: float) -> np.ndarray:
    """Return the variance of each arm without the effect of the seed on all arms [..., arms].

    Solved from the expected squares of the residuals of the two-way table of arms and seeds; at
    least a quarter of the mean.
    """
    arms, seeds = accuracy.shape[-2:]
    squares = (_residuals(accuracy) ** 2).sum(axis=-1) / (seeds - 1)
    total = squares.sum(axis=-1, keepdims=True) * arms / (arms - 1)
    solved = (squares - total / arms**2) / (1 - 2 / arms)
    return np.asarray(np.maximum(solved, np.maximum(total / arms / 4, least_variance)))


def _residuals(accuracy: np.ndarray) -> np.ndarray:
    """Return the residuals of the two-way table of arms and seeds [..., arms, seeds]."""
    by_arm, by_seed = accuracy.mean(axis=-1, keepdims=True), accuracy.mean(axis=-2, keepdims=True)
    return np.asarray(accuracy - by_arm - by_seed + accuracy.mean(axis=(-2, -1), keepdims=True))


def _seed_effect_p(accuracy: np.ndarray, least_variance: float) -> np.ndarray:
    """Return the p-value of the F-test for an effect of the seed on all arms [...]."""
    arms, seeds = accuracy.shape[-2:]
    df = (arms - 1) * (seeds - 1)
    residual = (_residuals(accuracy) ** 2).sum(axis=(-2, -1)) / df
    between = arms * accuracy.mean(axis=-2).var(axis=-1, ddof=1)
    return np.asarray(stats.f.sf(between / np.maximum(residual, least_variance), seeds - 1, df))


def _pool_members(frequent: np.ndarray, excluded: int | None = None) -> np.ndarray:
    """Return which arms enter the mean: the infrequent ones if there are two, otherwise all."""
    members = ~frequent if (~frequent).sum() >= 2 else np.ones(len(frequent), dtype=bool)
    return members if excluded is None else members & (np.arange(len(frequent)) != excluded)


def _is_noisier(
    own: np.ndarray, frequent: np.ndarray, arm: int, df: int, level: float, trimmed: int
) -> np.ndarray:
    """Return whether an F-test finds an arm noisier than the trimmed mean of the others."""
    rest = np.sort(own[..., _pool_members(frequent, arm)], axis=-1)
    rest = rest[..., : max(2, rest.shape[-1] - trimmed)]
    critical = _critical_f(level, df, rest.shape[-1] * df)
    return np.asarray(own[..., arm] > critical * rest.mean(axis=-1))


@lru_cache(maxsize=4096)
def _critical_f(level: float, numerator: int, denominator: int) -> float:
    return float(stats.f.isf(level, numerator, denominator))

"""How much accuracies vary from seed to seed, estimated from all arms of an experiment at once.

With three seeds an arm's own variance has two degrees of freedom, so a t-test on it finds little.
The arms of an experiment mostly vary alike, so each borrows from the others, and an arm that varies
more keeps its own variance. docs/conclusions.md has the formulas; `benchmarks/rules.py` shows the
error and the power that follow.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import orth

NOISIER = 0.01  # significance from which an arm has the degrees of freedom of its own seeds alone
NOISIER_OF_FEW = 0.2  # the same with up to four arms, whose pooled variance is of little weight
FEW = 4
TRIMMED = 2  # of the other arms, so many of the noisiest are left out of the test for noisier arms,
TRIMMED_SHARE = 4  # or one in so many of all arms, if that is more
UNEQUAL = 0.01  # significance from which variances differ, or arms share what a seed does to them
SHARE_OF_UNEQUAL = 0.5  # of the level, for the paired t-test
SHARE_OF_FEW_SEEDS = 0.1  # the same with fewer seeds than can show that variances differ
SEED_EFFECT = 0.1  # significance from which sums of arms leave out what a seed does to all alike
SUM_FREEDOM = 3  # times the degrees of freedom of its family: those of a sum over arms at most
OUTLIER = 0.01  # significance from which the noisiest arm is left out of what the others share
SEEDS_FOR_OUTLIERS = 5  # with fewer, a second noisy arm could pass for a quiet one
FLOOR = 0.7  # of the pooled variance: the least that an arm of many comparisons is taken to have
ARMS_TO_POOL = 3  # with fewer, the paired t-test decides
OFTEN = 3  # comparisons of two arms from which on an arm's variance counts in many
ROUNDING = 1e-12  # the least standard deviation, where every run has the same accuracy


@dataclass(frozen=True)
class Spread:
    """How much a difference varies from seed to seed.

    Attributes:
        variance: at one seed.
        freedom: its degrees of freedom.
        paired_share: of the level of the comparison, for a paired t-test by itself.
    """

    variance: Any
    freedom: Any
    paired_share: Any


@dataclass(frozen=True)
class Variances:
    """How much the accuracy of each arm varies from seed to seed: variances of one run.

    Attributes:
        own: of each arm by itself [..., arms].
        pooled: with what the arms share [..., arms].
        freedom: degrees of freedom of ``pooled`` [..., arms].
        noisier: which arms an F-test finds noisier than the others [..., arms].
        residual: as ``own``, without what a seed does to all arms alike if that matters
            [..., arms].
        paired_share: of the level of a difference of two arms, for a paired t-test [...].
        seeds_matter: significance of what a seed does to all arms alike [...].
        accuracy: what they were estimated from [..., arms, seeds].
    """

    own: np.ndarray
    pooled: np.ndarray
    freedom: np.ndarray
    noisier: np.ndarray
    residual: np.ndarray
    paired_share: np.ndarray
    seeds_matter: np.ndarray
    accuracy: np.ndarray

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return int(self.accuracy.shape[-1])

    def of_contrast(self, weights: np.ndarray, family: np.ndarray) -> "Spread":
        """Return the variance of a weighted sum of the arms' accuracies of one seed.

        A difference of two arms takes the pooled variances.

        A sum over more arms (a main effect, an interaction) takes the variances of the arms by
        themselves, which have enough degrees of freedom together. They are too small where some
        arms share what a seed does to them, such as those of one network. So the variance is at
        least the mean square of the family, as in an analysis of variance with repeated measures.

        Args:
            weights: of each arm, summing to zero [arms].
            family: weights of all comparisons of its kind, such as the main effects of one factor,
                this one included [comparisons, arms].

        Returns:
            The variance, its degrees of freedom (Satterthwaite 1946, An Approximate Distribution
            of Estimates of Variance Components), each [...].
        """
        if np.count_nonzero(weights) == 2:
            parts = weights**2 * self.pooled
            total = parts.sum(axis=-1)
            freedom = total**2 / (parts**2 / self.freedom).sum(axis=-1)
            return Spread(total, freedom, self.paired_share)
        parts = weights**2 * self.residual
        total = parts.sum(axis=-1)
        freedom = total**2 / (parts**2 / (self.seeds - 1)).sum(axis=-1)
        basis = orth(family.T).T
        squares = (basis @ self.accuracy).var(axis=-1, ddof=1).mean(axis=-1)
        variance = np.maximum(total, squares * (weights**2).sum())
        most = SUM_FREEDOM * len(basis) * (self.seeds - 1)
        return Spread(variance, np.minimum(freedom, most), np.zeros(total.shape))

    def expected(self, weights: np.ndarray) -> tuple[float, float]:
        """Return the variance of such a sum to expect in other runs, and its degrees of freedom.

        Arms that are not noisier than the others are taken to vary alike. For one study only.
        """
        own = self.own if np.count_nonzero(weights) == 2 else self.residual
        quiet = float(own[~self.noisier].mean()) if not self.noisier.all() else 0.0
        alike = quiet * float((weights[~self.noisier] ** 2).sum())
        alone = weights[self.noisier] ** 2 * own[self.noisier]
        freedom = self.seeds - 1
        spread = alike**2 / ((len(own) - 1) * freedom) + float((alone**2).sum()) / freedom
        total = alike + float(alone.sum())
        return total, total**2 / spread


def pooled_variances(accuracy: np.ndarray, often: np.ndarray, images: float) -> Variances:
    """Estimate the variances over seeds of the arms of an experiment.

    Each arm has its own variance, but at least the mean of all. It has the degrees of freedom of
    all arms together, or those of its own seeds where an F-test finds it noisier than the others.

    An error in the variance of an arm of many comparisons would count in all of them. Such an arm
    is left out of the mean; it keeps its own variance with its own degrees of freedom, but at
    least `FLOOR` of the mean.

    With more than four arms and five seeds or more, an arm that an F-test finds to be an outlier
    is left out of the mean.

    A noisy arm makes the mean too large for quiet ones, and what a seed does to all arms makes all
    variances larger than those of paired differences. Where F-tests find one of these, half of the
    level is left to the paired t-test. Three or four seeds cannot show it, and always leave it a
    tenth.

    Args:
        accuracy: shares of right answers [arms, seeds], at least three of each.
        often: which arms are in many comparisons [arms].
        images: number of test images; a variance is at least that of half an image.
    """
    arms, seeds = accuracy.shape
    found = pool(accuracy, often, images)
    if arms <= FEW or seeds < SEEDS_FOR_OUTLIERS:
        return found
    candidates = ~often if not often.all() else np.ones(arms, dtype=bool)
    noisiest = int(np.argmax(np.where(candidates, found.own, -1)))
    rest = _others(often, noisiest)
    count = int(rest.sum())
    critical = _critical_f(OUTLIER / (count + 1), seeds - 1, count * (seeds - 1))
    if found.own[noisiest] <= critical * found.own[rest].mean():
        return found
    kept = np.arange(arms) != noisiest
    others = pool(accuracy[kept], often[kept], images)
    return replace(
        found,
        pooled=np.insert(others.pooled, noisiest, found.own[noisiest]),
        freedom=np.insert(others.freedom, noisiest, seeds - 1),
        noisier=np.insert(others.noisier, noisiest, values=True),
    )


def pool(accuracy: np.ndarray, often: np.ndarray, images: float = math.inf) -> Variances:
    """Pool variances as `pooled_variances` does, without looking for an outlier.

    Args:
        accuracy: shares of right answers [..., arms, seeds].
        often, images: as there.
    """
    arms, seeds = accuracy.shape[-2:]
    freedom = seeds - 1
    least_variance = max(1 / (2 * images**2), ROUNDING**2)
    own = np.maximum(accuracy.var(axis=-1, ddof=1), least_variance)
    level = NOISIER if arms > FEW else NOISIER_OF_FEW
    trimmed = max(TRIMMED, arms // TRIMMED_SHARE)
    noisier = np.stack(
        [_stands_out(own, often, arm, freedom, level, trimmed) for arm in range(arms)], axis=-1
    )
    mean = own[..., _others(often)].mean(axis=-1, keepdims=True)
    least = np.where(often, FLOOR * mean, mean)
    by_itself = np.where(often, own >= least, noisier)
    seeds_matter = _significance_of_seeds(accuracy, least_variance)
    residual = _residual_variances(accuracy, least_variance)
    share = np.full(own.shape[:-1], SHARE_OF_FEW_SEEDS)
    if seeds >= SEEDS_FOR_OUTLIERS:
        none = np.zeros(arms, dtype=bool)
        unequal = np.any(
            [_stands_out(own, none, arm, freedom, UNEQUAL / arms, TRIMMED) for arm in range(arms)],
            axis=0,
        )
        share = np.where(unequal | (seeds_matter < UNEQUAL), SHARE_OF_UNEQUAL, 0.0)
    return Variances(
        own=own,
        pooled=np.maximum(own, least),
        freedom=np.where(by_itself, freedom, (arms - 1) * freedom),
        noisier=noisier,
        residual=np.where((seeds_matter < SEED_EFFECT)[..., None], residual, own),
        paired_share=share,
        seeds_matter=seeds_matter,
        accuracy=accuracy,
    )


def _residual_variances(accuracy: np.ndarray, least_variance: float) -> np.ndarray:
    """The variance of each arm without what a seed does to all arms alike [..., arms].

    Solved from the expected squares of the residuals of arms and seeds; at least a quarter of the
    mean.
    """
    arms, seeds = accuracy.shape[-2:]
    squares = (_residuals(accuracy) ** 2).sum(axis=-1) / (seeds - 1)
    total = squares.sum(axis=-1, keepdims=True) * arms / (arms - 1)
    solved = (squares - total / arms**2) / (1 - 2 / arms)
    return np.asarray(np.maximum(solved, np.maximum(total / arms / 4, least_variance)))


def _residuals(accuracy: np.ndarray) -> np.ndarray:
    """What is left of accuracies without the means of arms and of seeds [..., arms, seeds]."""
    by_arm, by_seed = accuracy.mean(axis=-1, keepdims=True), accuracy.mean(axis=-2, keepdims=True)
    return np.asarray(accuracy - by_arm - by_seed + accuracy.mean(axis=(-2, -1), keepdims=True))


def _significance_of_seeds(accuracy: np.ndarray, least_variance: float) -> np.ndarray:
    """The p-value of the F-test for what a seed does to all arms alike [...]."""
    arms, seeds = accuracy.shape[-2:]
    freedom = (arms - 1) * (seeds - 1)
    residual = (_residuals(accuracy) ** 2).sum(axis=(-2, -1)) / freedom
    between = arms * accuracy.mean(axis=-2).var(axis=-1, ddof=1)
    return np.asarray(
        stats.f.sf(between / np.maximum(residual, least_variance), seeds - 1, freedom)
    )


def _others(often: np.ndarray, arm: int | None = None) -> np.ndarray:
    """Which arms tell what arms share: those of few comparisons if there are two, but not one."""
    others = ~often if (~often).sum() >= 2 else np.ones(len(often), dtype=bool)
    return others if arm is None else others & (np.arange(len(often)) != arm)


def _stands_out(
    own: np.ndarray, often: np.ndarray, arm: int, freedom: int, level: float, trimmed: int
) -> np.ndarray:
    """Whether an F-test finds an arm noisier than the others, without the noisiest of these."""
    rest = np.sort(own[..., _others(often, arm)], axis=-1)
    rest = rest[..., : max(2, rest.shape[-1] - trimmed)]
    critical = _critical_f(level, freedom, rest.shape[-1] * freedom)
    return np.asarray(own[..., arm] > critical * rest.mean(axis=-1))


@lru_cache(maxsize=4096)
def _critical_f(level: float, numerator: int, denominator: int) -> float:
    return float(stats.f.isf(level, numerator, denominator))

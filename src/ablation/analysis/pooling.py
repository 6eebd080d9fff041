"""How much the accuracies of arms vary from seed to seed, learnt from all arms at once.

With three seeds an arm's own variance has two degrees of freedom, so a t-test on it finds little.
The arms of an experiment mostly vary alike; here each borrows from the others, and an arm that
varies more keeps its own variance. `benchmarks/judge.py` shows the error and power that follow.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

OUTLIER = 0.01  # significance from which the noisiest arm is kept apart from the others
SEEDS_FOR_OUTLIERS = 5  # with fewer, a second noisy arm could pass for a quiet one
NOISIER = 0.05  # significance from which an arm has the degrees of freedom of its own seeds alone
NOISIER_OF_FEW = 0.2  # the same with up to four arms, whose pooled variance is of little weight
FEW = 4
ROUNDING = 1e-12  # the least standard deviation, where every run has the same accuracy
FLOOR = 0.7  # of the pooled variance: the least that the reference is taken to have


@dataclass(frozen=True)
class Variance:
    """How much the accuracy of an arm varies from seed to seed.

    Attributes:
        value: variance of one run, as a squared share.
        freedom: its degrees of freedom.
    """

    value: float
    freedom: float


def pooled_variances(accuracy: np.ndarray, images: float) -> list[Variance]:
    """Estimate the variance over seeds of each arm, in their order.

    The arms' variances are estimated by themselves first, with what a seed does to all arms
    removed: Grubbs' estimator (Grubbs 1948, On Estimating Precision of Measuring Instruments),
    kept positive; with three arms, the plain variance. An arm has then at least the mean of the
    variances of all arms but the reference. Its degrees of freedom are those of all arms together,
    or of its own seeds where an F-test finds it noisier than the others. The reference is in every
    comparison, so that an error in its variance would count in all: it keeps its own, but at least
    `FLOOR` of the mean.

    With more than four arms and five seeds or more, an arm that an F-test finds to be an outlier
    has its plain variance, and the others are estimated without it: it would hide what they show.

    Args:
        accuracy: shares of right answers [arms, seeds], three of each or more; the reference first.
        images: number of test images; a variance is at least that of half an image.
    """
    arms, seeds = accuracy.shape
    freedom, count = seeds - 1, arms - 1
    own = _own_variances(accuracy, images)
    if arms > FEW and seeds >= SEEDS_FOR_OUTLIERS:
        noisiest = 1 + int(np.argmax(own[1:]))
        of_rest = np.delete(own[1:], noisiest - 1).mean()
        critical = stats.f.isf(OUTLIER / count, freedom, (count - 1) * freedom)
        if own[noisiest] > critical * of_rest:
            rest = np.delete(accuracy, noisiest, axis=0)
            found = _pooled(_own_variances(rest, images), freedom)
            plain = max(float(accuracy[noisiest].var(ddof=1)), _least(images))
            found.insert(noisiest, Variance(plain, freedom))
            return found
    return _pooled(own, freedom)


def _pooled(own: np.ndarray, freedom: int) -> list[Variance]:
    """Pool the variances of single arms, each with so many degrees of freedom."""
    reference, others = float(own[0]), own[1:]
    count = len(others)
    floor = float(others.mean())
    of_rest = (others.sum() - others) / (count - 1)
    level = NOISIER if count >= FEW else NOISIER_OF_FEW
    noisier = others > stats.f.isf(level, freedom, (count - 1) * freedom) * of_rest
    least = FLOOR * floor
    return [
        Variance(max(reference, least), freedom if reference >= least else count * freedom),
        *(
            Variance(float(max(value, floor)), freedom if alone else count * freedom)
            for value, alone in zip(others, noisier, strict=True)
        ),
    ]


def _own_variances(accuracy: np.ndarray, images: float) -> np.ndarray:
    arms, seeds = accuracy.shape
    if arms == 3:
        return np.maximum(accuracy.var(axis=1, ddof=1), _least(images))
    residual = (
        accuracy - accuracy.mean(axis=1, keepdims=True) - accuracy.mean(axis=0) + accuracy.mean()
    )
    squared = (residual**2).sum(axis=1) / (seeds - 1)
    total = squared.sum() * arms / (arms - 1)
    grubbs = (squared - total / arms**2) / (1 - 2 / arms)
    return np.maximum(grubbs, max(total / (4 * arms), _least(images)))


def _least(images: float) -> float:
    return max(1 / (2 * images**2), ROUNDING**2)

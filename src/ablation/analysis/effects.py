"""Differences between arms, and whether they are large enough to rank."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
SEEDS_FOR_METHODS = 3  # with fewer, nothing is said beyond the networks that were trained


@dataclass(frozen=True)
class Difference:
    """How much more accurate one arm is than another, paired by seed and test image.

    Attributes:
        mean: difference in test accuracy, as a share, -1 to 1.
        low, high: simultaneous 95 % interval over all comparisons of the experiment.
        seeds: pairs of runs.
        agree: whether every seed's difference has the same sign.
        basis: ``seeds``: the interval is over the seeds, and speaks of the arms; ``images``: over
            the test images alone, and speaks of these trained networks only.
        arm, reference: their accuracies over the same pairs, as shares.
        p_images: p-value of the exact sign test over the test images that the arms classify
            differently on balance (McNemar's exact test, for one seed).
        level: what p-values are held against: 0.05, shared out over the comparisons.
        verdict: ``better``, ``worse`` or ``unclear``.
    """

    mean: float
    low: float
    high: float
    seeds: int
    agree: bool
    basis: str
    arm: float
    reference: float
    p_images: float
    level: float

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval excludes 0 and the seeds agree.

        On the basis of images the sign test has to agree as well: with few images that differ,
        the normal interval is too narrow.
        """
        if not self.agree or (self.basis == "images" and self.p_images > self.level):
            return "unclear"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unclear"


def difference(
    arm: Mapping[int, np.ndarray], reference: Mapping[int, np.ndarray], comparisons: int
) -> Difference | None:
    """Compare two arms on the seeds that both have.

    From three seeds on, the interval is Student's t over the paired differences of the seeds;
    a zero spread is taken to be no less than one test image. With fewer seeds it is the normal
    interval over the test images, each image's difference averaged over the seeds. Both are at
    the level that Bonferroni's inequality asks for.

    Args:
        arm, reference: for each seed, whether each test image was classified rightly, bool
            [images], the same images in the same order.
        comparisons: how many the experiment makes, 1 or more.

    Returns:
        The difference, or None where no seed has both.
    """
    seeds = sorted(arm.keys() & reference.keys())
    if not seeds:
        return None
    paired = np.array([arm[s].astype(float) - reference[s] for s in seeds])  # seeds × images
    by_seed = paired.mean(axis=1)
    mean = float(by_seed.mean())
    tail = (1 - LEVEL) / 2 / comparisons
    images = paired.shape[1]
    if len(seeds) >= SEEDS_FOR_METHODS:
        spread = max(float(by_seed.std(ddof=1)), 1 / images)
        half = stats.t.ppf(1 - tail, len(seeds) - 1) * spread / math.sqrt(len(seeds))
        basis = "seeds"
    else:
        by_image = paired.mean(axis=0)
        half = stats.norm.ppf(1 - tail) * float(by_image.std(ddof=1)) / math.sqrt(images)
        basis = "images"
    balance = paired.sum(axis=0)
    won, lost = int((balance > 0).sum()), int((balance < 0).sum())
    return Difference(
        mean=mean,
        low=mean - float(half),
        high=mean + float(half),
        seeds=len(seeds),
        agree=bool((by_seed > 0).all() or (by_seed < 0).all()),
        basis=basis,
        arm=float(np.mean([arm[s].mean() for s in seeds])),
        reference=float(np.mean([reference[s].mean() for s in seeds])),
        p_images=float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0,
        level=2 * tail,
    )


def spread(values: Sequence[float]) -> dict[str, float | int | None] | None:
    """Summarise one measure over seeds: mean, sd, low, high, n; None where there is no value.

    Not-a-number (a diverged run) is left out; ``sd`` is None for a single value.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return {
        "mean": float(np.mean(finite)),
        "sd": float(np.std(finite, ddof=1)) if len(finite) > 1 else None,
        "low": min(finite),
        "high": max(finite),
        "n": len(finite),
    }

"""Minimum detectable effects, and the number of seeds that a difference needs."""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special, stats

from ablation.analysis.effects import INTERVAL, ComparisonDesign, Effect
from ablation.analysis.pooling import ARMS_TO_POOL, VarianceEstimate, pool
from ablation.analysis.testing import PAIRED_LEVEL, combined_error

POWER = 0.8
MAX_SEEDS = 100  # that are tried
STUDIES = 1000  # that are simulated
MAX_CELLS = 12  # that are simulated; more hardly improve the variance estimate


def detectable(found: Effect, level: float) -> tuple[float, float, float] | None:
    """Return the minimum detectable effect: the smallest true difference found with 80 % power.

    Args:
        found: the effect; other runs are assumed to have its standard deviation over seeds.
        level: level of the comparison.

    Returns:
        The difference, as a share, and the ends of its 95 % interval, which reflects that the
        standard deviation is an estimate; None with fewer than three seeds, and at level 0.
    """
    design = found.design
    if design is None or not level:
        return None
    tail = (1 - INTERVAL) / 2
    lowest, highest = (
        design.sd * math.sqrt(design.df / float(stats.chi2.isf(at, design.df)))
        for at in (tail, 1 - tail)
    )
    known = replace(design, df=math.inf)
    size, low, high = (
        sd * detectable_factor(of, found.seeds, level, found.image_error / sd)
        for of, sd in ((design, design.sd), (known, lowest), (known, highest))
    )
    return size, low, high


def seeds_needed(found: Effect, level: Callable[[int], float], margin: float) -> int | None:
    """Return how many seeds detect the observed difference, or the margin if that is larger.

    More seeds reduce the error over seeds, but not the error over these test images.

    Args:
        found: the effect.
        level: level of the comparison at a look with a given number of seeds.
        margin: largest difference that does not matter, as a share.

    Returns:
        At most 100; None if more are needed, if no number is enough, or with fewer than three
        seeds.
    """
    design = found.design
    if design is None:
        return None
    wanted = max(abs(found.difference), margin)
    image_variance = max(found.image_error**2 - found.seed_image_variance, 0.0)

    def enough(seeds: int) -> bool:
        image_error = math.sqrt(image_variance + found.seed_image_variance * found.seeds / seeds)
        ratio = image_error / design.sd
        factor = detectable_factor(design, seeds, level(seeds), ratio)
        return factor * design.sd <= wanted

    candidates = range(found.seeds + 1, MAX_SEEDS + 1)
    at = bisect.bisect_left(candidates, True, key=enough)
    return candidates[at] if at < len(candidates) else None


def detectable_factor(
    design: ComparisonDesign, seeds: int, level: float, image_error: float = 0.0
) -> float:
    """Return the minimum detectable effect in standard deviations of the difference over seeds.

    Studies with equal variances are simulated and tested as real ones are. The error of the
    estimated standard deviation is taken into account.

    Args:
        design: the compared cells and the others of the experiment; with infinite degrees of
            freedom its standard deviation is taken as known.
        seeds: at least 3.
        level: level of the comparison; at 0 the result is infinite.
        image_error: standard error over the images, in the same unit.
    """
    if not level:
        return math.inf
    cells = list(zip(design.frequent, design.weights, *design.family, strict=True))
    used = [cell for cell in cells if any(cell[1:])]
    rest = [cell for cell in cells if not any(cell[1:])]
    simulated = tuple(used + rest[: max(MAX_CELLS - len(used), 0)])
    study, level = _simulate(simulated, seeds), level * design.level_share
    sd = np.ones(STUDIES)  # true standard deviation over the estimated one
    if math.isfinite(design.df):
        drawn = np.random.default_rng(1).chisquare(design.df, STUDIES)
        sd = np.sqrt(design.df / drawn)

    def half_width(error: np.ndarray, df: Any, share: Any) -> np.ndarray:
        both, combined_df = combined_error(sd * error, df, image_error, 0.0, math.inf)
        over_seeds = sd * error * _quantiles(level * share, df)
        return np.maximum(over_seeds, both * _quantiles(level * share, combined_df))

    share = study.variance.paired_share
    half = np.minimum(
        half_width(np.sqrt(study.variance.variance / seeds), study.variance.df, 1 - share),
        half_width(study.paired, seeds - 1, share),
    )
    half = np.maximum(half, sd * study.paired * stats.t.isf(PAIRED_LEVEL / 2, seeds - 1))
    noise = sd * study.mean + image_error * study.image_noise
    return float(np.quantile(half - noise, POWER))


def _quantiles(level: np.ndarray, df: Any) -> np.ndarray:
    """Return quantiles of Student's t for two-sided tests; infinite at level 0, which is usual."""
    level, df = np.broadcast_arrays(level, df)
    found = np.full(level.shape, math.inf)
    some = level > 0
    found[some] = -special.stdtrit(df[some], level[some] / 2)
    return found


@dataclass(frozen=True)
class _SimulatedStudies:
    """Simulated studies, in units of the standard deviation of the difference over seeds.

    Attributes:
        mean: mean difference [studies].
        variance: its pooled variance, each field [studies].
        paired: standard error of the paired t-test [studies].
        image_noise: standard normal numbers [studies].
    """

    mean: np.ndarray
    variance: VarianceEstimate
    paired: np.ndarray
    image_noise: np.ndarray


@lru_cache(maxsize=256)
def _simulate(cells: tuple[tuple[float, ...], ...], seeds: int) -> _SimulatedStudies:
    """Simulate studies without differences, with equal variances.

    Args:
        cells: for each cell whether it is frequent, its weight, and its weights in the family.
        seeds: runs of each cell.
    """
    is_frequent, weights, *family = np.array(cells).T
    weights = weights / math.sqrt((weights**2).sum())
    random = np.random.default_rng(0)
    drawn = random.standard_normal((STUDIES, len(cells), seeds))
    differences = np.einsum("c,ncs->ns", weights, drawn)
    own = differences.std(axis=1, ddof=1)
    variance = VarianceEstimate(own**2, np.full(STUDIES, seeds - 1.0), np.zeros(STUDIES))
    if len(cells) >= ARMS_TO_POOL:
        variance = pool(drawn, is_frequent.astype(bool)).of_contrast(weights, np.array(family))
    noise = random.standard_normal(STUDIES)
    return _SimulatedStudies(differences.mean(axis=1), variance, own / math.sqrt(seeds), noise)

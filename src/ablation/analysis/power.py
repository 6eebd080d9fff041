"""How small a difference a study finds, and how many seeds would find one."""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from ablation.analysis.effects import INTERVAL, Effect, Sample
from ablation.analysis.pooling import ARMS_TO_POOL, Spread, pool
from ablation.analysis.testing import PAIRED_LEVEL, together

POWER = 0.8
MOST_SEEDS = 100  # as many as are looked through for how many would do
STUDIES = 1000  # that are simulated
MOST_CELLS = 12  # more cells hardly make the variance surer


def detectable(found: Effect, level: float) -> tuple[float, float, float] | None:
    """Return the smallest true difference that other such runs call better or worse 4 times in 5.

    Args:
        found: the effect, whose spread over seeds is taken to be that of other runs.
        level: of the comparison by itself.

    Returns:
        The difference, a share, and the ends of its 95 % interval, which come from the spread
        being an estimate; None below three seeds, and at level 0.
    """
    sample = found.sample
    if sample is None or not level:
        return None
    tail = (1 - INTERVAL) / 2
    lowest, highest = (
        sample.spread * math.sqrt(sample.freedom / float(stats.chi2.isf(at, sample.freedom)))
        for at in (tail, 1 - tail)
    )
    known = replace(sample, freedom=math.inf)
    size, low, high = (
        spread * detectable_factor(of, found.seeds, level, found.image_error / spread)
        for of, spread in ((sample, sample.spread), (known, lowest), (known, highest))
    )
    return size, low, high


def seeds_needed(found: Effect, level: Callable[[int], float], margin: float) -> int | None:
    """Return how many seeds would detect the difference seen, or the margin if that is more.

    More seeds shrink what varies between seeds, but not what these test images leave open.

    Args:
        found: the effect.
        level: of the comparison by itself, at a look with so many seeds.
        margin: differences within it do not matter, as a share.

    Returns:
        At most 100; None where more are needed, where no number does, or below three seeds.
    """
    sample = found.sample
    if sample is None:
        return None
    wanted = max(abs(found.difference), margin)
    lasting = max(found.image_error**2 - found.shared, 0.0)

    def enough(seeds: int) -> bool:
        image_error = math.sqrt(lasting + found.shared * found.seeds / seeds)
        ratio = image_error / sample.spread
        factor = detectable_factor(sample, seeds, level(seeds), ratio)
        return factor * sample.spread <= wanted

    candidates = range(found.seeds + 1, MOST_SEEDS + 1)
    at = bisect.bisect_left(candidates, True, key=enough)
    return candidates[at] if at < len(candidates) else None


def detectable_factor(sample: Sample, seeds: int, level: float, image_error: float = 0.0) -> float:
    """Return the smallest difference found with 80 % power, in standard deviations.

    In units of the standard deviation of the difference over seeds, as the sample estimates it: how
    far such an estimate is off is allowed for. Studies are simulated whose cells vary alike, and
    judged as real ones are.

    Args:
        sample: which cells are compared, beside which others; with an infinite number of degrees of
            freedom its spread is taken as known.
        seeds: 3 or more.
        level: of the comparison by itself; at 0 nothing is found.
        image_error: standard error over the images, in the same units.
    """
    if not level:
        return math.inf
    cells = list(zip(sample.often, sample.weights, *sample.family, strict=True))
    used = [cell for cell in cells if any(cell[1:])]
    rest = [cell for cell in cells if not any(cell[1:])]
    simulated = tuple(used + rest[: max(MOST_CELLS - len(used), 0)])
    study, level = _simulate(simulated, seeds), level * sample.share
    spread = np.ones(STUDIES)  # that there really is
    if math.isfinite(sample.freedom):
        drawn = np.random.default_rng(1).chisquare(sample.freedom, STUDIES)
        spread = np.sqrt(sample.freedom / drawn)

    def needed(error: np.ndarray, freedom: Any, share: Any) -> np.ndarray:
        both, of_both = together(spread * error, freedom, image_error, 0.0, math.inf)
        over_seeds = spread * error * stats.t.isf(level * share / 2, freedom)
        return np.maximum(over_seeds, both * stats.t.isf(level * share / 2, of_both))

    share = study.spread.paired_share
    half = np.minimum(
        needed(np.sqrt(study.spread.variance / seeds), study.spread.freedom, 1 - share),
        needed(study.paired, seeds - 1, share),
    )
    half = np.maximum(half, spread * study.paired * stats.t.isf(PAIRED_LEVEL / 2, seeds - 1))
    luck = spread * study.mean + image_error * study.image_luck
    return float(np.quantile(half - luck, POWER))


@dataclass(frozen=True)
class _Studies:
    """Simulated studies, in units of the standard deviation of the difference over seeds.

    Attributes:
        mean: of the difference [studies].
        spread: as it is estimated, each part [studies].
        paired: standard error of the paired t-test [studies].
        image_luck: a standard normal number [studies].
    """

    mean: np.ndarray
    spread: Spread
    paired: np.ndarray
    image_luck: np.ndarray


@lru_cache(maxsize=256)
def _simulate(cells: tuple[tuple[float, ...], ...], seeds: int) -> _Studies:
    """Simulate studies without any difference whose cells vary alike.

    Args:
        cells: of each whether it is in many comparisons, its weight, and those of the family.
        seeds: runs of each cell.
    """
    is_often, weights, *family = np.array(cells).T
    weights = weights / math.sqrt((weights**2).sum())
    random = np.random.default_rng(0)
    drawn = random.standard_normal((STUDIES, len(cells), seeds))
    differences = np.einsum("c,ncs->ns", weights, drawn)
    own = differences.std(axis=1, ddof=1)
    spread = Spread(own**2, np.full(STUDIES, seeds - 1.0), np.zeros(STUDIES))
    if len(cells) >= ARMS_TO_POOL:
        spread = pool(drawn, is_often.astype(bool)).of_contrast(weights, np.array(family))
    luck = random.standard_normal(STUDIES)
    return _Studies(differences.mean(axis=1), spread, own / math.sqrt(seeds), luck)

"""Effects: estimated differences between arms, and their errors."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from ablation.analysis.pooling import (
    ARMS_TO_POOL,
    FREQUENT,
    ROUNDING,
    SHARE_OF_UNEQUAL,
    Variances,
    pooled_variances,
)
from ablation.analysis.testing import SEEDS_FOR_VERDICTS, DifferenceTest, difference_test
from ablation.study.comparisons import CellKey, Comparison, Contrast, Outcome

INTERVAL = 0.95  # confidence level of the interval over the test images
FAILED_RUN_SDS = 6  # standard deviations below the other runs of its cell from which a run failed


@dataclass(frozen=True)
class CellScores:
    """Values of one metric for the runs of a cell that have not diverged.

    Attributes:
        values: value by seed; an accuracy is a share.
        images: number of images; infinite for a metric without a value for each image.
        correct: by seed whether each image was classified correctly, bool [images]; empty if only
            accuracies are known.
        data: identifies the images; equal for cells scored on the same images.
        source: source of the images; other data of the same source may contain the same images.
        near_chance: whether the mean accuracy is near chance.
        diverged: whether other runs of the cell diverged.
        lower_is_better: whether lower values are better.
    """

    values: Mapping[int, float]
    images: float
    correct: Mapping[int, np.ndarray]
    data: str
    source: str = ""
    near_chance: bool = False
    diverged: bool = False
    lower_is_better: bool = False


@dataclass(frozen=True)
class Effect:
    """The estimated difference of a comparison, before correction for the other comparisons.

    Attributes:
        by_seed: arm minus reference at each seed of all cells, in order, as shares, -1 to 1 (an
            interaction: -2 to 2).
        difference: mean of ``by_seed``.
        test: the tests of the difference; None with fewer than three seeds.
        sign_agreement: share of the seeds whose difference has the sign of the mean.
        superiority: probability that a run of the arm is better than an independent run of the
            reference; ties count half.
        image_low, image_high: 95 % interval over the images, for these trained networks.
        image_error: standard error over the images; 0 for a metric without a value for each image.
        seed_image_variance: variance of the interaction of seeds and images, which the squared
            errors over seeds and over images both contain.
        images: number of images of the smallest data set.
        arm, reference: means over the same seeds.
        near_chance: whether all cells are near chance.
        failing: whether a cell has runs that diverged, or a run far worse than its others.
        design: what the minimum detectable effect depends on; None with fewer than three seeds.
    """

    by_seed: tuple[float, ...]
    difference: float
    test: DifferenceTest | None
    sign_agreement: float
    superiority: float
    image_low: float
    image_high: float
    image_error: float
    seed_image_variance: float
    images: float
    arm: float
    reference: float
    near_chance: bool
    failing: bool
    design: "ComparisonDesign | None"

    @property
    def seeds(self) -> int:
        """Number of seeds that all cells of the comparison have."""
        return len(self.by_seed)


@dataclass(frozen=True)
class ComparisonDesign:
    """What the minimum detectable effect of a comparison depends on.

    Attributes:
        weights: weight of each cell; zero for cells that only contribute to the pooled variance.
        frequent: which of the cells are in many comparisons.
        sd: expected standard deviation of the difference over seeds.
        df: degrees of freedom of its estimate.
        level_share: share of the comparison's level that the test has.
        family: weights of each comparison of its kind, for a contrast of more than two cells.
    """

    weights: tuple[float, ...]
    frequent: tuple[bool, ...]
    sd: float
    df: float
    level_share: float = 1.0
    family: tuple[tuple[float, ...], ...] = ()


def effects(
    comparisons: Sequence[Comparison], scores: Mapping[Outcome, Mapping[CellKey, CellScores]]
) -> list[Effect | None]:
    """Estimate the effect of each comparison of an experiment on the seeds that its cells share.

    With three seeds or more, a difference is tested over the seeds, and over seeds and images
    (`testing.combined_error`). The variance over seeds is pooled over the cells of the experiment
    on the same data set (`pooling`). With fewer than three such cells, and between experiments, it
    is that of the paired differences. A paired t-test at `testing.PAIRED_LEVEL` is required in
    addition. A standard deviation is at least one image.

    Args:
        comparisons: comparisons of one experiment.
        scores: scores of every cell of the study, by outcome.

    Returns:
        The effect of each comparison; None if its cells share no seed.
    """
    pools = {
        outcome: _VariancePools(scores[outcome], frequent)
        for outcome, frequent in _frequent_cells(comparisons).items()
    }
    families: dict[Any, list[Mapping[CellKey, float]]] = {}
    for one in comparisons:
        families.setdefault(_family_key(one), []).append(one.weights)
    return [_effect(one, pools[one.outcome], families[_family_key(one)]) for one in comparisons]


def _family_key(comparison: Comparison) -> Any:
    """Return what a family has in common, such as the main effects of one factor."""
    return comparison.factors, comparison.dataset, comparison.outcome


def _frequent_cells(comparisons: Sequence[Comparison]) -> dict[Outcome, set[CellKey]]:
    """Return by outcome the cells that are in many comparisons of two cells."""
    distinct = {one.question: one for one in comparisons}
    found = {}
    for outcome in {one.outcome for one in comparisons}:
        pairs = [one.sources for one in distinct.values() if one.outcome == outcome]
        counted = Counter(source for pair in pairs if len(pair) == 2 for source in pair)
        found[outcome] = {source for source, number in counted.items() if number >= FREQUENT}
    return found


class _VariancePools:
    """Pooled variances of the cells, estimated once for each experiment, data set and seeds.

    Args:
        scores: scores of every cell of the study.
        frequent: cells that are in many comparisons.
    """

    def __init__(self, scores: Mapping[CellKey, CellScores], frequent: set[CellKey]) -> None:
        self.scores, self.frequent = scores, frequent
        self._known: dict[Any, tuple[list[CellKey], Variances | None]] = {}

    def pool_of(
        self,
        weights: Mapping[CellKey, float],
        family: Sequence[Mapping[CellKey, float]],
        seeds: tuple[int, ...],
        images: float,
    ) -> tuple[Variances, np.ndarray, tuple[bool, ...]] | None:
        """Return variances, weights and which cells are frequent, for the cells with all seeds.

        The weights are those of the comparison, then those of its family. None with too few cells,
        and for comparisons between experiments or data sets, in which an effect of the seed on all
        cells does not cancel.
        """
        grids = {(experiment, cell[0]) for experiment, cell in weights}
        if len(grids) > 1:
            return None
        (grid,) = grids
        if (grid, seeds) not in self._known:
            self._known[grid, seeds] = self._estimate(grid, seeds, images)
        cells, variances = self._known[grid, seeds]
        if variances is None:
            return None
        known = [one for one in family if one.keys() <= set(cells)] if len(weights) > 2 else []
        of_cells = np.array([[one.get(cell, 0.0) for cell in cells] for one in (weights, *known)])
        return variances, of_cells, tuple(cell in self.frequent for cell in cells)

    def _estimate(
        self, grid: tuple[str, str], seeds: tuple[int, ...], images: float
    ) -> tuple[list[CellKey], Variances | None]:
        cells = [
            source
            for source, one in self.scores.items()
            if (source[0], source[1][0]) == grid and all(seed in one.values for seed in seeds)
        ]
        if len(cells) < ARMS_TO_POOL:
            return cells, None
        values = np.array([[self.scores[cell].values[s] for s in seeds] for cell in cells])
        frequent = np.array([cell in self.frequent for cell in cells])
        return cells, pooled_variances(values, frequent, images)


def _effect(
    comparison: Comparison, pools: _VariancePools, family: Sequence[Mapping[CellKey, float]]
) -> Effect | None:
    of_cells = {source: pools.scores[source] for source in comparison.sources}
    seeds = sorted(set.intersection(*(set(one.values) for one in of_cells.values())))
    if not seeds:
        return None
    arm, reference = (
        np.array([_value(side, of_cells, seed) for seed in seeds])
        for side in (comparison.arm, comparison.reference)
    )
    paired = arm - reference
    mean = float(paired.mean())
    images = min(one.images for one in of_cells.values())
    image_error, seed_image_variance = _image_errors(comparison, of_cells, seeds)
    image_error = max(image_error, 1 / images)
    half_width = float(stats.norm.ppf((1 + INTERVAL) / 2)) * image_error
    test, design, usual_sd = None, None, 1 / images
    if len(seeds) >= SEEDS_FOR_VERDICTS:
        sd = max(float(paired.std(ddof=1)), 1 / images, ROUNDING)
        design = ComparisonDesign((1.0, -1.0), (False, False), sd, len(seeds) - 1.0)
        pooled = None
        if pool := pools.pool_of(comparison.weights, family, tuple(seeds), images):
            variances, (weights, *of_family), frequent = pool
            usual_sd = max(usual_sd, math.sqrt(float(np.median(variances.own))))
            pooled = variances.of_contrast(weights, np.array(of_family))
            variance, df = variances.expected(weights)
            if pooled.paired_share == SHARE_OF_UNEQUAL and sd < math.sqrt(variance):
                # the paired t-test has more power
                design = replace(design, level_share=SHARE_OF_UNEQUAL)
            else:
                design = ComparisonDesign(
                    tuple(map(float, weights)),
                    frequent,
                    math.sqrt(variance),
                    df,
                    family=tuple(tuple(map(float, of)) for of in of_family),
                )
        test = difference_test(
            paired,
            pooled,
            image_error=image_error,
            seed_image_variance=seed_image_variance,
            images=images,
        )
    return Effect(
        by_seed=tuple(map(float, paired)),
        difference=mean,
        test=test,
        sign_agreement=float((np.sign(paired) == np.sign(mean)).mean()),
        superiority=superiority(arm, reference),
        image_low=mean - half_width,
        image_high=mean + half_width,
        image_error=image_error,
        seed_image_variance=seed_image_variance,
        images=images,
        arm=float(arm.mean()),
        reference=float(reference.mean()),
        near_chance=all(one.near_chance for one in of_cells.values()),
        failing=any(one.diverged or _has_failed_run(one, usual_sd) for one in of_cells.values()),
        design=design,
    )


def _has_failed_run(scores: CellScores, least_sd: float) -> bool:
    """Return whether a run is far worse than the others of its cell."""
    values = np.array(list(scores.values.values()))
    values = -values if scores.lower_is_better else values
    for place, value in enumerate(values):
        others = np.delete(values, place)
        if len(others) > 1:
            sd = max(float(others.std(ddof=1)), least_sd)
            if value < others.mean() - FAILED_RUN_SDS * sd:
                return True
    return False


def superiority(arm: np.ndarray, reference: np.ndarray) -> float:
    """Return the probability that a value of ``arm`` is above one of ``reference``.

    Over all pairs, ties counting half: the common-language effect size (McGraw & Wong 1992), as
    the Mann-Whitney statistic.
    """
    above = arm[:, None] > reference
    return float((above + 0.5 * (arm[:, None] == reference)).mean())


def _value(side: Contrast, scores: Mapping[CellKey, CellScores], seed: int) -> float:
    """Return the value of a side, rounded so that the order of summation cannot break ties."""
    value = sum(weight * scores[source].values[seed] for weight, source in side.terms)
    return round(value, 12)


def _by_image(
    comparison: Comparison, scores: Mapping[CellKey, CellScores], seeds: Sequence[int]
) -> dict[str, tuple[str, np.ndarray]]:
    """Return for each data set its source and its part of the difference [seeds, images]."""
    parts: dict[str, tuple[str, np.ndarray]] = {}
    for source, weight in comparison.weights.items():
        one = scores[source]
        own = weight * np.array([one.correct[seed] for seed in seeds], float)
        known = parts.get(one.data)
        parts[one.data] = (one.source, own if known is None else known[1] + own)
    return parts


def _image_errors(
    comparison: Comparison, scores: Mapping[CellKey, CellScores], seeds: Sequence[int]
) -> tuple[float, float]:
    """Return the standard error over the images and the variance of seeds × images.

    Data sets are independent, unless they have one source and may share images: their errors are
    then added, which is an upper bound. If only accuracies are known, cells are treated as
    independent, which is conservative, and the interaction is 0. A metric without a value for each
    image has no error.
    """
    seed_image_variance = 0.0
    if all(one.correct for one in scores.values()):
        errors: dict[str, float] = {}
        for origin, part in _by_image(comparison, scores, seeds).values():
            count, images = part.shape
            by_image = part.mean(axis=0)
            error = math.sqrt(float(by_image.var(ddof=1)) / images)
            errors[origin] = errors.get(origin, 0.0) + error
            if count > 1:
                rest = part - by_image - part.mean(axis=1, keepdims=True) + part.mean()
                squares = float((rest**2).sum())
                seed_image_variance += squares / (count - 1) / (images - 1) / count / images
        return math.hypot(*errors.values()), seed_image_variance
    variance = 0.0
    if math.isinf(max(one.images for one in scores.values())):
        return variance, seed_image_variance
    for source, weight in comparison.weights.items():
        share = float(np.mean([scores[source].values[seed] for seed in seeds]))
        variance += weight**2 * share * (1 - share) / scores[source].images
    return math.sqrt(variance), seed_image_variance

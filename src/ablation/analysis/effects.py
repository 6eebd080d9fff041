"""Effects: how far arms differ, and what the sample leaves open."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from ablation.analysis.pooling import (
    ARMS_TO_POOL,
    OFTEN,
    ROUNDING,
    SHARE_OF_UNEQUAL,
    Variances,
    pooled_variances,
)
from ablation.analysis.testing import SEEDS_FOR_VERDICTS, Estimate, estimate
from ablation.study.comparisons import Comparison, Contrast, Outcome, Source

INTERVAL = 0.95  # of the interval over the test images
FALLEN = 6  # standard deviations below the other runs of its cell, from which a run has failed


@dataclass(frozen=True)
class Scores:
    """How the runs of one cell did.

    Attributes:
        accuracy: share of right answers by seed, or another metric.
        images: number of images that were classified; infinite for a metric without values for
            each image.
        correct: for each seed whether each image was classified rightly, bool [images]; empty
            where only accuracies are known.
        data: which images they are; the same for cells that were scored on the same ones.
        source: where the images come from; other data of the same source may hold the same ones.
        near_chance: whether the mean accuracy is near chance.
        diverged: whether runs have diverged, which are not among these.
        lower_is_better: whether lower values are better.
    """

    accuracy: Mapping[int, float]
    images: float
    correct: Mapping[int, np.ndarray]
    data: str
    source: str = ""
    near_chance: bool = False
    diverged: bool = False
    lower_is_better: bool = False


@dataclass(frozen=True)
class Effect:
    """The result of a comparison, before it is corrected for the other comparisons.

    Attributes:
        by_seed: arm less reference at each seed that every cell of the comparison has, in their
            order, as shares, -1 to 1 (an interaction: -2 to 2).
        difference: their mean.
        estimate: what a verdict rests on; None below three seeds, which give none.
        agree: share of the seeds whose difference has the sign of the mean.
        superiority: probability that the arm beats the reference at seeds drawn independently,
            ties counting half.
        image_low, image_high: 95 % interval over the images for these trained networks.
        image_error: its standard error; 0 for a metric without values for each image.
        shared: variance that is in the squared errors over seeds and over images alike.
        images: number of images of the smallest data set.
        arm, reference: their values over the same seeds.
        near_chance: whether every cell of the comparison is near chance.
        failing: whether runs of some cell of the comparison have diverged, or are far worse than
            the others of their cell.
        sample: what decides how small a difference such a study finds; None below three seeds.
    """

    by_seed: tuple[float, ...]
    difference: float
    estimate: Estimate | None
    agree: float
    superiority: float
    image_low: float
    image_high: float
    image_error: float
    shared: float
    images: float
    arm: float
    reference: float
    near_chance: bool
    failing: bool
    sample: "Sample | None"

    @property
    def seeds(self) -> int:
        """How many seeds every cell of the comparison has."""
        return len(self.by_seed)


@dataclass(frozen=True)
class Sample:
    """What decides how small a difference a comparison finds.

    Attributes:
        weights: of the cells that are compared, then zeros for those that only tell the variance.
        often: which of the cells are in many comparisons.
        spread: standard deviation of the difference over seeds, to expect of other runs.
        freedom: degrees of freedom that it is estimated with.
        share: of the level of the comparison that such a test has.
        family: of a sum over more than two cells, such weights of each comparison of its kind.
    """

    weights: tuple[float, ...]
    often: tuple[bool, ...]
    spread: float
    freedom: float
    share: float = 1.0
    family: tuple[tuple[float, ...], ...] = ()


def effects(
    comparisons: Sequence[Comparison], scores: Mapping[Outcome, Mapping[Source, Scores]]
) -> list[Effect | None]:
    """Estimate the effect of each comparison of an experiment on the seeds that its cells have.

    From three seeds on, two tests have to find a difference: one over the seeds, and one whose
    error holds seeds and images together (`testing.together`). The variance over seeds is pooled
    over the cells of the experiment on the same data set (`pooling`); where there are fewer than
    three with these seeds, or cells of several experiments are compared, it is that of the paired
    differences. A paired t-test has to agree at a level of its own (`testing.PAIRED_LEVEL`). A
    standard deviation is taken to be no less than one image.

    Args:
        comparisons: of one experiment.
        scores: of every cell of the study, by what the comparisons compare.

    Returns:
        For each its effect, or None where no seed has every cell.
    """
    pools = {of: _Pools(scores[of], often) for of, often in _often(comparisons).items()}
    families: dict[Any, list[Mapping[Source, float]]] = {}
    for one in comparisons:
        families.setdefault(_kind(one), []).append(_weights(one))
    return [_effect(one, pools[one.outcome], families[_kind(one)]) for one in comparisons]


def _kind(comparison: Comparison) -> Any:
    """What the comparisons of a family have in common: the main effects of one factor, say."""
    return comparison.factors, comparison.dataset, comparison.outcome


def _often(comparisons: Sequence[Comparison]) -> dict[Outcome, set[Source]]:
    """By what is compared, the cells that are in many comparisons of two cells."""
    asked = {one.question: one for one in comparisons}
    found = {}
    for outcome in {one.outcome for one in comparisons}:
        pairs = [one.sources for one in asked.values() if one.outcome == outcome]
        counted = Counter(source for pair in pairs if len(pair) == 2 for source in pair)
        found[outcome] = {source for source, number in counted.items() if number >= OFTEN}
    return found


class _Pools:
    """The variances of the cells of each experiment and data set, estimated once for each seeds.

    Args:
        scores: of every cell of the study.
        often: cells that are in many comparisons.
    """

    def __init__(self, scores: Mapping[Source, Scores], often: set[Source]) -> None:
        self.scores, self.often = scores, often
        self._known: dict[Any, tuple[list[Source], Variances | None]] = {}

    def sample(
        self,
        weights: Mapping[Source, float],
        family: Sequence[Mapping[Source, float]],
        seeds: tuple[int, ...],
        images: float,
    ) -> tuple[Variances, np.ndarray, tuple[bool, ...]] | None:
        """Return the variances of cells, the weights of each, and which are in many comparisons.

        The cells are those of the experiment and data set that have all of the seeds. The weights
        are those of the comparison, then those of its family. None where the cells are too few, or
        where cells of several experiments or data sets are compared, so that what a seed does to
        all cells does not cancel out.
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
        there = [of for of in family if of.keys() <= set(cells)] if len(weights) > 2 else []
        of_cells = np.array([[of.get(source, 0.0) for source in cells] for of in (weights, *there)])
        return variances, of_cells, tuple(source in self.often for source in cells)

    def _estimate(
        self, grid: tuple[str, str], seeds: tuple[int, ...], images: float
    ) -> tuple[list[Source], Variances | None]:
        cells = [
            source
            for source, one in self.scores.items()
            if (source[0], source[1][0]) == grid and all(seed in one.accuracy for seed in seeds)
        ]
        if len(cells) < ARMS_TO_POOL:
            return cells, None
        accuracy = np.array([[self.scores[cell].accuracy[s] for s in seeds] for cell in cells])
        often = np.array([cell in self.often for cell in cells])
        return cells, pooled_variances(accuracy, often, images)


def _effect(
    comparison: Comparison, pools: _Pools, family: Sequence[Mapping[Source, float]]
) -> Effect | None:
    of_cells = {source: pools.scores[source] for source in comparison.sources}
    seeds = sorted(set.intersection(*(set(one.accuracy) for one in of_cells.values())))
    if not seeds:
        return None
    arm, reference = (
        np.array([_value(side, of_cells, seed) for seed in seeds])
        for side in (comparison.arm, comparison.reference)
    )
    paired = arm - reference
    mean = float(paired.mean())
    images = min(one.images for one in of_cells.values())
    image_error, shared = _image_errors(comparison, of_cells, seeds)
    image_error = max(image_error, 1 / images)
    reach = float(stats.norm.ppf((1 + INTERVAL) / 2)) * image_error
    found, sample, quiet = None, None, 1 / images
    if len(seeds) >= SEEDS_FOR_VERDICTS:
        spread = max(float(paired.std(ddof=1)), 1 / images, ROUNDING)
        sample = Sample((1.0, -1.0), (False, False), spread, len(seeds) - 1.0)
        pooled = None
        if pool := pools.sample(_weights(comparison), family, tuple(seeds), images):
            variances, (weights, *of_family), often = pool
            quiet = max(quiet, math.sqrt(float(np.median(variances.own))))
            pooled = variances.of_contrast(weights, np.array(of_family))
            variance, freedom = variances.expected(weights)
            if pooled.paired_share == SHARE_OF_UNEQUAL and spread < math.sqrt(variance):
                sample = replace(sample, share=SHARE_OF_UNEQUAL)  # the paired t-test finds more
            else:
                sample = Sample(
                    tuple(map(float, weights)),
                    often,
                    math.sqrt(variance),
                    freedom,
                    family=tuple(tuple(map(float, of)) for of in of_family),
                )
        found = estimate(paired, pooled, image_error=image_error, shared=shared, images=images)
    return Effect(
        by_seed=tuple(map(float, paired)),
        difference=mean,
        estimate=found,
        agree=float((np.sign(paired) == np.sign(mean)).mean()),
        superiority=superiority(arm, reference),
        image_low=mean - reach,
        image_high=mean + reach,
        image_error=image_error,
        shared=shared,
        images=images,
        arm=float(arm.mean()),
        reference=float(reference.mean()),
        near_chance=all(one.near_chance for one in of_cells.values()),
        failing=any(one.diverged or _has_fallen(one, quiet) for one in of_cells.values()),
        sample=sample,
    )


def _has_fallen(scores: Scores, spread: float) -> bool:
    """Whether a run is far worse than the others of its cell, measured by the spread of most."""
    accuracy = np.array(list(scores.accuracy.values()))
    accuracy = -accuracy if scores.lower_is_better else accuracy
    for place, value in enumerate(accuracy):
        others = np.delete(accuracy, place)
        if len(others) > 1:
            usual = max(float(others.std(ddof=1)), spread)
            if value < others.mean() - FALLEN * usual:
                return True
    return False


def superiority(arm: np.ndarray, reference: np.ndarray) -> float:
    """Return the probability that a draw of ``arm`` is above one of ``reference``.

    Over all pairs of draws, ties counting half: the common-language effect size (McGraw & Wong
    1992), in the form of the Mann-Whitney statistic.
    """
    above = arm[:, None] > reference
    return float((above + 0.5 * (arm[:, None] == reference)).mean())


def _value(side: Contrast, scores: Mapping[Source, Scores], seed: int) -> float:
    """The side's value; rounded, so that sums in another order are ties where they should be."""
    value = sum(weight * scores[source].accuracy[seed] for weight, source in side.terms)
    return round(value, 12)


def _weights(comparison: Comparison) -> dict[Source, float]:
    weights: dict[Source, float] = {}
    for sign, side in ((1, comparison.arm), (-1, comparison.reference)):
        for weight, source in side.terms:
            weights[source] = weights.get(source, 0.0) + sign * weight
    return weights


def _by_image(
    comparison: Comparison, scores: Mapping[Source, Scores], seeds: Sequence[int]
) -> dict[str, tuple[str, np.ndarray]]:
    """For each data set its source, and each seed's and image's part of the difference."""
    parts: dict[str, tuple[str, np.ndarray]] = {}
    for source, weight in _weights(comparison).items():
        one = scores[source]
        own = weight * np.array([one.correct[seed] for seed in seeds], float)
        known = parts.get(one.data)
        parts[one.data] = (one.source, own if known is None else known[1] + own)
    return parts


def _image_errors(
    comparison: Comparison, scores: Mapping[Source, Scores], seeds: Sequence[int]
) -> tuple[float, float]:
    """Standard error of the difference if the images were drawn anew, and a variance.

    The variance is the part of the error's square that comes from what varies between seeds and
    images at once. Data sets are independent of each other, unless they come from one source and
    may hold the same images: then their errors are added, which is the most they can be. Where only
    accuracies are known, cells are taken as independent, which is too much rather than too little,
    and the shared part is not known: zero. A metric without values for each image has no error.
    """
    shared = 0.0
    if all(one.correct for one in scores.values()):
        errors: dict[str, float] = {}
        for origin, part in _by_image(comparison, scores, seeds).values():
            count, images = part.shape
            by_image = part.mean(axis=0)
            error = math.sqrt(float(by_image.var(ddof=1)) / images)
            errors[origin] = errors.get(origin, 0.0) + error
            if count > 1:
                rest = part - by_image - part.mean(axis=1, keepdims=True) + part.mean()
                shared += float((rest**2).sum()) / (count - 1) / (images - 1) / count / images
        return math.hypot(*errors.values()), shared
    variance = 0.0
    if math.isinf(max(one.images for one in scores.values())):
        return variance, shared
    for source, weight in _weights(comparison).items():
        share = float(np.mean([scores[source].accuracy[seed] for seed in seeds]))
        variance += weight**2 * share * (1 - share) / scores[source].images
    return math.sqrt(variance), shared

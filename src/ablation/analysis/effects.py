"""Effects: how far arms differ, what the sample leaves open, and what may be said of it."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

from ablation.study.comparisons import Comparison, Contrast, Source

LEVEL = 0.05  # how often a study without any difference may claim one
INTERVAL = 0.95
POWER = 0.8
SEEDS_FOR_METHODS = 3  # with fewer, nothing is said beyond the networks that were trained
Numbers = float | np.ndarray

MOST_SEEDS = 100  # as many as are looked through for how many would do


@dataclass(frozen=True)
class Scores:
    """How the runs of one cell did.

    Attributes:
        accuracy: share of right answers by seed.
        images: number of images that were classified.
        correct: for each seed whether each image was classified rightly, bool [images]; empty
            where only accuracies are known.
        data: which images they are; the same for cells that were scored on the same ones.
        source: where the images come from; other data of the same source may hold the same ones.
        near_chance: whether the mean accuracy is near chance.
    """

    accuracy: Mapping[int, float]
    images: int
    correct: Mapping[int, np.ndarray]
    data: str
    source: str = ""
    near_chance: bool = False


@dataclass(frozen=True)
class Effect:
    """A comparison's result, before it is held against the other comparisons.

    Attributes:
        seeds: seeds that every cell of the comparison has.
        basis: ``seeds``: interval and p-value are over the seeds, and speak of the arms;
            ``images``: over the test images, and speak of these trained networks only.
        difference: mean over the seeds of arm less reference, as a share, -1 to 1 (an
            interaction: -2 to 2).
        low, high: its 95 % interval.
        p: p-value of the claim that there is a difference.
        spread: standard deviation over the seeds; NaN for one seed.
        agree: share of the seeds whose difference has the sign of the mean.
        superiority: probability that the arm beats the reference at seeds drawn independently,
            ties counting half.
        image_low, image_high: 95 % interval over the images for these trained networks.
        image_error: its standard error.
        error, freedom: standard error over seeds and images together, and its degrees of freedom;
            with fewer than three seeds over the images alone.
        shared: variance that is in the squared errors over seeds and over images alike.
        images: number of images of the smallest data set.
        arm, reference: their accuracies (or values) over the same seeds.
        near_chance: whether every cell of the comparison is near chance.
    """

    seeds: int
    basis: str
    difference: float
    low: float
    high: float
    p: float
    spread: float
    agree: float
    superiority: float
    image_low: float
    image_high: float
    image_error: float
    error: float
    freedom: float
    shared: float
    images: int
    arm: float
    reference: float
    near_chance: bool


def effect(comparison: Comparison, scores: Mapping[Source, Scores]) -> Effect | None:
    """Estimate the effect of a comparison on the seeds that all of its cells have.

    From three seeds on, the interval is Student's t over the paired differences of the seeds; their
    spread is taken to be no less than one image. The p-value is the larger of two: that of the
    t-test over the seeds, and that of a t-test whose error holds seeds and images together, both
    taken as drawn at random (Clark 1973, The Language-as-Fixed-Effect Fallacy: quasi-F, with
    Satterthwaite's degrees of freedom). Without the second, arms that are equally accurate are
    told apart by which of them happens to find these very test images easier.

    With fewer seeds both are over the images: interval and test are normal, with each image's
    difference averaged over the seeds. For two cells the exact sign test over the images that they
    classify differently has to agree (for one seed it alone counts: McNemar's exact test), because
    few such images make the normal interval too narrow.

    Returns:
        The effect, or None where no seed has every cell.
    """
    of_cells = {source: scores[source] for source in comparison.sources}
    seeds = sorted(set.intersection(*(set(one.accuracy) for one in of_cells.values())))
    if not seeds:
        return None
    arm, reference = (
        np.array([_value(side, of_cells, seed) for seed in seeds])
        for side in (comparison.arm, comparison.reference)
    )
    paired = arm - reference
    mean, count = float(paired.mean()), len(seeds)
    images = min(one.images for one in of_cells.values())
    image_error, shared = _image_errors(comparison, of_cells, seeds)
    image_error = max(image_error, 1 / images)
    reach = float(stats.norm.ppf((1 + INTERVAL) / 2)) * image_error
    spread = float(paired.std(ddof=1)) if count > 1 else math.nan
    if count >= SEEDS_FOR_METHODS:
        basis = "seeds"
        seed_error = max(spread, 1 / images) / math.sqrt(count)
        half = float(stats.t.ppf((1 + INTERVAL) / 2, count - 1)) * seed_error
        error, freedom = map(float, together(seed_error, image_error, shared, count, images))
        p = float(max(t_test(mean / seed_error, count - 1), t_test(mean / error, freedom)))
    else:
        basis, half, error, freedom = "images", reach, image_error, math.inf
        p = _image_p(comparison, of_cells, seeds, mean / image_error)
    return Effect(
        seeds=count,
        basis=basis,
        difference=mean,
        low=mean - half,
        high=mean + half,
        p=p,
        spread=spread,
        agree=float((np.sign(paired) == np.sign(mean)).mean()),
        superiority=superiority(arm, reference),
        image_low=mean - reach,
        image_high=mean + reach,
        image_error=image_error,
        error=error,
        freedom=freedom,
        shared=shared,
        images=images,
        arm=float(arm.mean()),
        reference=float(reference.mean()),
        near_chance=all(one.near_chance for one in of_cells.values()),
    )


def together(
    seed_error: Numbers, image_error: Numbers, shared: Numbers, seeds: Numbers, images: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the error over seeds and images together, and its degrees of freedom.

    Args:
        seed_error, image_error: standard errors over the one and over the other.
        shared: what of the squares of both comes from what varies between seeds and images at
            once; it is in both, so it is taken out once.
        seeds, images: how many, 2 or more: the degrees of freedom of each error and 1.
    """
    squared = np.maximum(
        seed_error**2 + image_error**2 - shared, np.maximum(seed_error, image_error) ** 2
    )
    freedom = squared**2 / (seed_error**4 / (seeds - 1) + image_error**4 / (images - 1))
    return np.sqrt(squared), np.maximum(freedom, seeds - 1)


def t_test(t: Numbers, freedom: Numbers) -> Any:
    """Return the two-sided p-value of Student's t."""
    return 2 * stats.t.sf(np.abs(t), freedom)


def superiority(arm: np.ndarray, reference: np.ndarray) -> float:
    """Return the probability that a draw of ``arm`` is above one of ``reference``.

    Over all pairs of draws, ties counting half: the common-language effect size (McGraw & Wong
    1992), in the form of the Mann-Whitney statistic.
    """
    above = arm[:, None] > reference
    return float((above + 0.5 * (arm[:, None] == reference)).mean())


def holm(p: Sequence[float], questions: Sequence[Any]) -> list[float]:
    """Return p-values corrected by Holm's method over distinct questions.

    Args:
        p: p-values.
        questions: what each asks; the same question counts once.
    """
    asked = dict(zip(questions, p, strict=True))
    if not asked:
        return []
    corrected = multipletests(list(asked.values()), method="holm")[1]
    by_question = dict(zip(asked, corrected, strict=True))
    return [float(by_question[question]) for question in questions]


def family_level(comparing: int) -> float:
    """Return how often all comparisons of one experiment may claim a difference without any.

    The study's 5 % are shared equally between the experiments that compare anything.

    Args:
        comparing: how many experiments those are.
    """
    return LEVEL / max(1, comparing)


def verdict(found: Effect, p_holm: float, level: float, margin: float) -> str:
    """Return what may be said of an effect.

    ``better`` or ``worse`` where the corrected p-value is at most the level (and with fewer than
    three seeds the interval excludes zero and all seeds agree in sign); otherwise ``same`` where
    the interval over the seeds and that over seeds and images together lie within the margin;
    otherwise ``inconclusive``. Cells near chance are never the ``same``: networks that learned
    nothing are equal whatever is compared.
    """
    sure = found.basis == "seeds" or (found.agree == 1 and not found.low <= 0 <= found.high)
    if p_holm <= level and sure:
        return "better" if found.difference > 0 else "worse"
    if found.near_chance:
        return "inconclusive"
    tail = (1 + INTERVAL) / 2
    of = stats.t(found.freedom) if math.isfinite(found.freedom) else stats.norm
    reach = float(of.ppf(tail)) * found.error
    ends = (found.low, found.high, found.difference - reach, found.difference + reach)
    return "same" if max(map(abs, ends)) <= margin else "inconclusive"


def detectable(found: Effect, level: float, accuracies: bool) -> float:
    """Return the smallest difference that such a sample calls better or worse 4 times in 5.

    Both the test over the seeds and the one over seeds and images together have to find it.

    Args:
        found: the sample.
        level: two-sided error probability that one comparison has.
        accuracies: whether arm and reference are accuracies of cells. A loss then makes wrong
            answers more frequent and so more variable, which is allowed for.
    """
    of_normal = stats.t(found.freedom) if math.isfinite(found.freedom) else stats.norm
    reach = float(of_normal.ppf(1 - level / 2) + of_normal.ppf(POWER))
    together = reach * found.error
    if found.basis == "images":
        return together
    factor, spread = detectable_factor(found.seeds, level), _spread(found)
    size = factor * spread
    if accuracies:
        before = (found.arm + found.reference) / 2
        for _ in range(50):  # grows towards its limit, because a variance is a quarter at most
            lower = max(before - size, 0.0)
            more = max(lower * (1 - lower) - before * (1 - before), 0.0) / found.images
            size = factor * math.sqrt(spread**2 + more)
    return max(size, together)


def seeds_needed(found: Effect, level: float, margin: float) -> int | None:
    """Return how many seeds would detect the difference seen, or the margin if that is more.

    Both tests would find it: more seeds shrink what varies between seeds, but not what these test
    images leave open.

    Returns:
        At most 100; None where more are needed, where no number does, or where the spread over
        seeds is not known.
    """
    if found.basis == "images":
        return None
    wanted, spread = max(abs(found.difference), margin), _spread(found)
    lasting = max(found.image_error**2 - found.shared, 0.0)

    def enough(seeds: int) -> bool:
        shared = found.shared * found.seeds / seeds
        over_seeds, over_images = spread / math.sqrt(seeds), math.sqrt(lasting + shared)
        error, freedom = together(over_seeds, over_images, shared, seeds, found.images)
        reach = stats.t.ppf(1 - level / 2, freedom) + stats.t.ppf(POWER, freedom)
        return bool(detectable_factor(seeds, level) * spread <= wanted and reach * error <= wanted)

    candidates = range(found.seeds + 1, MOST_SEEDS + 1)
    at = bisect.bisect_left(candidates, True, key=enough)
    return candidates[at] if at < len(candidates) else None


@lru_cache(maxsize=4096)
def detectable_factor(seeds: int, level: float) -> float:
    """Return the smallest difference found with 80 % power, in observed standard deviations.

    A paired t-test of a new sample finds a difference of this many standard deviations of the
    paired differences with probability 0.8, allowing for the standard deviation being an estimate
    from as many seeds itself: with three seeds that matters by half.

    Args:
        seeds: 3 or more.
        level: two-sided error probability, above 0.
    """
    freedom = seeds - 1
    threshold = stats.t.ppf(1 - level / 2, freedom)
    shares = (np.arange(200) + 0.5) / 200
    estimates = np.sqrt(stats.chi2.ppf(shares, freedom) / freedom)  # of a spread of 1

    def lacking(shift: float) -> float:
        return float(np.mean(stats.nct.sf(threshold, freedom, shift * estimates))) - POWER

    highest = 2.0
    while lacking(highest) < 0:
        highest *= 2
    return float(optimize.brentq(lacking, 0, highest, xtol=1e-3)) / math.sqrt(seeds)


def _spread(found: Effect) -> float:
    """The spread that the interval was made from, never zero."""
    half = found.high - found.difference
    reach = float(stats.t.ppf((1 + INTERVAL) / 2, found.seeds - 1))
    return half / reach * math.sqrt(found.seeds)


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
    and the shared part is not known: zero.
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
    for source, weight in _weights(comparison).items():
        share = float(np.mean([scores[source].accuracy[seed] for seed in seeds]))
        variance += weight**2 * share * (1 - share) / scores[source].images
    return math.sqrt(variance), shared


def _image_p(
    comparison: Comparison, scores: Mapping[Source, Scores], seeds: Sequence[int], z: float
) -> float:
    normal = float(2 * stats.norm.sf(abs(z)))
    pair = comparison.arm.cell is not None and comparison.reference.cell is not None
    if not pair or not all(one.correct for one in scores.values()):
        return normal
    ((_, parts),) = _by_image(comparison, scores, seeds).values()
    exact = sign_test(parts.mean(axis=0))
    # Over two seeds images count by halves, and an arm that is right on other images at each seed
    # wins more of them than it is better by.
    return exact if len(seeds) == 1 else max(exact, normal)


def sign_test(difference: np.ndarray) -> float:
    """Return the p-value of the exact sign test over images, from each image's difference."""
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0

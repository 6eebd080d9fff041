"""Estimates and verdicts against values that are known or worked out another way."""

import math

import numpy as np
import pytest
from scipy import stats

from ablation.analysis import effects
from ablation.analysis.effects import Scores, detectable, detectable_factor, effect, holm
from ablation.study.comparisons import Comparison, Contrast

ARM, REFERENCE = ("e", ("d", "arm", "a")), ("e", ("d", "reference", "a"))
PAIR = Comparison(
    ("arm",), "d", Contrast("arm", ((1.0, ARM),)), Contrast("reference", ((1.0, REFERENCE),))
)


def scores(correct, data="d"):
    accuracy = {seed: float(right.mean()) for seed, right in correct.items()}
    images = len(next(iter(correct.values()))) if correct else 0
    return Scores(accuracy, images, correct, data, data)


def exactly(counts, images=1000):
    """Runs with exactly so many right answers, on the first images."""
    return {s: np.arange(images) < count for s, count in enumerate(counts)}


def drawn(accuracies, images=1000, seed=0):
    """Runs whose right answers are drawn independently."""
    random = np.random.RandomState(seed)
    return {s: random.random(images) < a for s, a in enumerate(accuracies)}


def compared(arm, reference):
    return effect(PAIR, {ARM: scores(arm), REFERENCE: scores(reference)})


def verdict(found, p=None, level=0.05, margin=0.005):
    return effects.verdict(found, found.p if p is None else p, level, margin)


def test_three_seeds_give_students_interval_and_test_over_the_seeds():
    found = compared(exactly([960, 955, 970]), exactly([940, 945, 950]))
    differences = np.array([0.020, 0.010, 0.020])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert (found.difference, found.low, found.high) == pytest.approx(
        (differences.mean(), low, high)
    )
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert (found.seeds, found.basis) == (3, "seeds")
    assert (found.arm, found.reference) == pytest.approx((0.96166667, 0.945))


@pytest.mark.parametrize(
    ("won", "lost", "said"),
    [(4, 0, "same"), (5, 0, "inconclusive"), (6, 0, "better"), (0, 6, "worse")],
)
def test_few_images_that_differ_take_an_exact_test(won, lost, said):
    """McNemar's exact test gives p = .125, .0625 and .03125 for 4, 5 and 6 images of one kind."""
    arm, reference = np.zeros(1000, bool), np.zeros(1000, bool)
    arm[:won] = True
    reference[:lost] = True
    found = compared({0: arm}, {0: reference})
    assert found.p == pytest.approx(2 * 0.5 ** (won + lost))
    assert found.basis == "images"
    assert verdict(found, margin=0.008) == said


def test_one_seed_gives_the_normal_interval_over_the_images():
    arm, reference = drawn([0.95]), drawn([0.90], seed=1)
    found = compared(arm, reference)
    difference = arm[0].astype(float) - reference[0]
    half = stats.norm.ppf(0.975) * difference.std(ddof=1) / np.sqrt(1000)
    assert (found.low, found.high) == pytest.approx(
        (difference.mean() - half, difference.mean() + half)
    )
    assert math.isnan(found.spread)


def test_the_interval_over_the_images_is_a_second_one():
    arm, reference = drawn([0.95] * 4), drawn([0.90] * 4, seed=1)
    found = compared(arm, reference)
    by_image = np.mean([arm[s].astype(float) - reference[s] for s in range(4)], axis=0)
    half = stats.norm.ppf(0.975) * by_image.std(ddof=1) / np.sqrt(1000)
    assert found.image_high - found.image_low == pytest.approx(2 * half)
    assert (found.low, found.high) != (found.image_low, found.image_high)


def test_a_verdict_needs_the_seeds_and_the_images():
    # The same three images make the difference at every seed: sure of the seeds, not of the images.
    arm, reference = exactly([955, 955, 955, 955]), exactly([952, 952, 952, 952])
    found = compared(arm, reference)
    assert found.low > 0
    assert found.image_low < 0 < found.image_high
    assert found.p > 0.05
    assert verdict(found) == "inconclusive"


def test_the_error_over_seeds_and_images_together_is_that_of_drawing_both_anew():
    """Over many draws of seeds and of images; what varies with both at once counts once."""
    random = np.random.RandomState(5)
    seeds, images, means, squares = 6, 200, [], []
    for _ in range(1500):
        difficulty = random.normal(size=images)
        chance = np.array(
            [
                0.6 + 0.06 * random.normal() + 0.15 * difficulty + 0.1 * random.normal(size=images)
                for _ in range(seeds)
            ]
        )
        arm = dict(enumerate(random.random((seeds, images)) < chance))
        reference = dict(enumerate(random.random((seeds, images)) < 0.6))
        found = compared(arm, reference)
        means.append(found.difference)
        squares.append(found.error**2)
    assert np.mean(squares) == pytest.approx(np.var(means), rel=0.15)


def test_the_p_value_is_the_larger_of_two():
    random, larger = np.random.RandomState(6), 0
    for _ in range(20):
        own = random.random(500) < 0.2  # images that one arm finds harder, at every seed
        arm = {s: random.random(500) < np.where(own, 0.8, 0.98) for s in range(8)}
        reference = {s: random.random(500) < 0.95 for s in range(8)}
        found = compared(arm, reference)
        over_seeds = stats.ttest_1samp([(arm[s] * 1.0 - reference[s]).mean() for s in range(8)], 0)
        together = 2 * stats.t.sf(abs(found.difference) / found.error, found.freedom)
        assert found.p == pytest.approx(max(over_seeds.pvalue, together))
        larger += together > over_seeds.pvalue
    assert 0 < larger < 20


def test_two_seeds_that_disagree_have_no_verdict():
    found = compared(exactly([990, 949]), exactly([900, 950]))
    assert found.low > 0
    assert found.agree == 0.5
    assert verdict(found) == "inconclusive"


def test_the_same_takes_both_intervals_within_the_margin():
    found = compared(exactly([9501, 9500, 9499], 10000), exactly([9500, 9500, 9500], 10000))
    assert verdict(found) == "same"
    assert verdict(found, margin=found.image_high - 1e-6) == "inconclusive"
    wide = compared(exactly([950, 955, 945]), exactly([950, 950, 950]))
    assert verdict(wide) == "inconclusive"


def test_a_clear_difference_within_the_margin_is_still_told_as_one():
    found = compared(exactly([9530, 9531, 9529], 10000), exactly([9500, 9500, 9500], 10000))
    assert verdict(found) == "better"
    assert found.high < 0.005


def test_only_seeds_that_both_have_are_compared():
    arm = exactly([960, 970, 980])
    del arm[1]
    assert compared(arm, exactly([950, 950, 950])).seeds == 2
    assert compared({}, exactly([1])) is None


def test_the_same_networks_are_not_ranked():
    same = exactly([950, 950, 950])
    found = compared(same, same)
    assert (found.p, found.difference) == (1.0, 0.0)
    assert verdict(found) == "same"


def test_seeds_that_agree_to_the_image_are_no_certainty():
    found = compared(exactly([951] * 3), exactly([950] * 3))
    assert found.high > found.low
    assert verdict(found, margin=0.0001) == "inconclusive"


def test_superiority_counts_every_pair_of_seeds_and_ties_by_half():
    assert effects.superiority(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == (2 + 0 + 0.5) / 4
    found = compared(exactly([960, 955, 970]), exactly([940, 945, 950]))
    assert (found.superiority, found.agree) == (1.0, 1.0)


def test_an_interaction_is_a_difference_of_differences():
    cells = {name: ("e", ("d", name, "a")) for name in ("A1", "A0", "B1", "B0")}
    counts = {"A1": [600, 610, 590], "A0": [800, 805, 800], "B1": [850, 852, 851], "B0": [900] * 3}
    comparison = Comparison(
        ("factor",),
        "d",
        Contrast("a", ((1.0, cells["A1"]), (-1.0, cells["A0"]))),
        Contrast("b", ((1.0, cells["B1"]), (-1.0, cells["B0"]))),
    )
    correct = {cells[name]: exactly(values) for name, values in counts.items()}
    found = effect(comparison, {cell: scores(one) for cell, one in correct.items()})
    assert found.arm == pytest.approx(0.6 - 0.8016667)
    assert found.reference == pytest.approx(-0.049)
    assert found.difference == pytest.approx(found.arm - found.reference)
    by_image = np.mean(
        [
            correct[cells["A1"]][s] * 1.0 - correct[cells["A0"]][s] * 1.0
            - correct[cells["B1"]][s] * 1.0 + correct[cells["B0"]][s] * 1.0
            for s in range(3)
        ],
        axis=0,
    )  # fmt: skip
    half = stats.norm.ppf(0.975) * by_image.std(ddof=1) / np.sqrt(1000)
    assert found.image_high - found.difference == pytest.approx(half)


def test_images_of_two_data_sets_vary_independently():
    one, two = ("e", ("one", "m", "a")), ("e", ("two", "m", "a"))
    comparison = Comparison(
        ("factor",), "all", Contrast("a", ((1.0, one),)), Contrast("b", ((1.0, two),))
    )
    found = effect(
        comparison,
        {one: scores(drawn([0.9] * 3), "one"), two: scores(drawn([0.8] * 3, 400, 1), "two")},
    )
    first = np.mean(list(drawn([0.9] * 3).values()), axis=0)
    second = np.mean(list(drawn([0.8] * 3, 400, 1).values()), axis=0)
    error = math.sqrt(first.var(ddof=1) / 1000 + second.var(ddof=1) / 400)
    assert found.image_error == pytest.approx(error)


def test_images_of_one_source_may_be_the_same():
    """The errors are added then: two independent data sets would give less."""
    one, two = ("e", ("one", "m", "a")), ("e", ("two", "m", "a"))
    comparison = Comparison(
        ("factor",), "all", Contrast("a", ((1.0, one),)), Contrast("b", ((1.0, two),))
    )
    first, second = drawn([0.9] * 3), drawn([0.8] * 3, 400, 1)
    accuracy = [{s: float(r.mean()) for s, r in of.items()} for of in (first, second)]
    found = effect(
        comparison,
        {
            one: Scores(accuracy[0], 1000, first, "one", "mnist"),
            two: Scores(accuracy[1], 400, second, "two", "mnist"),
        },
    )
    errors = [
        math.sqrt(np.mean(list(of.values()), axis=0).var(ddof=1) / n)
        for of, n in ((first, 1000), (second, 400))
    ]
    assert found.image_error == pytest.approx(sum(errors))


def test_two_seeds_do_not_take_consistency_for_accuracy():
    """An arm that errs on the same images at both seeds, and one that errs on others each time."""
    images = np.arange(2000)
    same = {0: images >= 120, 1: images >= 120}
    other = {0: images >= 120, 1: (images < 1000) | (images >= 1120)}
    found = compared(other, same)
    assert found.difference == 0
    assert effects.sign_test(np.mean([other[s] * 1.0 - same[s] for s in (0, 1)], axis=0)) == 1.0
    uneven = {0: images >= 120, 1: (images < 1000) | (images >= 1100)}  # 20 images better at once
    found = compared(uneven, same)
    z = found.difference / found.image_error
    assert found.p >= 2 * stats.norm.sf(z) * (1 - 1e-9)


def test_sums_in_another_order_are_ties():
    one = Scores({0: 0.1 + 0.2, 1: 0.5, 2: 0.5}, 10, {}, "d")
    other = Scores({0: 0.3, 1: 0.5, 2: 0.5}, 10, {}, "d")
    found = effect(PAIR, {ARM: one, REFERENCE: other})
    assert (found.difference, found.agree) == (0, 1.0)
    assert found.superiority == 0.5


def test_accuracies_without_images_are_taken_as_independent():
    known = Scores({0: 0.9, 1: 0.92, 2: 0.91}, 400, {}, "d")
    other = Scores({0: 0.85, 1: 0.88, 2: 0.86}, 400, {}, "d")
    found = effect(PAIR, {ARM: known, REFERENCE: other})
    p, q = 0.91, (0.85 + 0.88 + 0.86) / 3
    assert found.image_error == pytest.approx(math.sqrt((p * (1 - p) + q * (1 - q)) / 400))


def test_holm_counts_a_question_once():
    assert holm([0.01, 0.04, 0.03], ["a", "b", "c"]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, 0.01, 0.04], ["a", "a", "b"]) == pytest.approx([0.02, 0.02, 0.04])
    assert holm([], []) == []


@pytest.mark.parametrize(("seeds", "level"), [(3, 0.05), (5, 0.05), (8, 0.01)])
def test_a_difference_of_the_detectable_size_is_found_four_times_in_five(seeds, level):
    """Both the spread that the size is told from and that of the new sample are drawn."""
    random = np.random.RandomState(seeds)
    told = random.normal(size=(20000, seeds)).std(axis=1, ddof=1) * detectable_factor(seeds, level)
    sample = random.normal(size=(20000, seeds)) + told[:, None]
    p = stats.ttest_1samp(sample, 0, axis=1).pvalue
    assert (p <= level).mean() == pytest.approx(0.8, abs=0.015)


def test_the_detectable_difference_shrinks_with_seeds_and_grows_with_comparisons():
    factors = [detectable_factor(seeds, 0.05) for seeds in (3, 4, 5, 8, 20)]
    assert factors == sorted(factors, reverse=True)
    assert detectable_factor(5, 0.01) > detectable_factor(5, 0.05)
    # for many seeds it is that of the normal test
    assert detectable_factor(100, 0.05) == pytest.approx((1.96 + 0.8416) / 10, rel=0.03)


def test_what_is_detectable_covers_the_images_as_well():
    steady = compared(exactly([955] * 8), exactly([950] * 8))  # no spread over seeds
    of = stats.t(steady.freedom)
    over_images = (of.ppf(0.975) + of.ppf(0.8)) * steady.error
    assert steady.error >= steady.image_error
    assert detectable(steady, 0.05, accuracies=True) == pytest.approx(over_images)


def test_a_loss_that_makes_errors_frequent_is_harder_to_detect():
    found = compared(drawn([0.98] * 3, 500), drawn([0.98] * 3, 500, 1))
    plain, allowed = (detectable(found, 0.01, accuracies=a) for a in (False, True))
    assert allowed > 1.1 * plain
    of_many = compared(drawn([0.75] * 5, 100_000), drawn([0.75] * 5, 100_000, 1))
    plain, allowed = (detectable(of_many, 0.05, accuracies=a) for a in (False, True))
    assert allowed == pytest.approx(plain, rel=0.02)


def test_the_seeds_needed_would_detect_the_difference():
    random = np.random.RandomState(4)

    def arm(accuracy, seeds=4):
        return {s: random.random(20_000) < accuracy + 0.004 * random.normal() for s in range(seeds)}

    found = compared(arm(0.956), arm(0.95))
    needed = effects.seeds_needed(found, 0.05, 0.001)
    size = abs(found.difference)
    assert needed > 4
    assert detectable_factor(needed, 0.05) * found.spread <= size
    assert detectable_factor(needed - 1, 0.05) * found.spread > size
    assert effects.seeds_needed(found, 0.05, 0.02) < needed  # the margin, if that is more
    # What these very images leave open does not shrink with more seeds.
    fixed = compared({s: np.arange(1000) >= 60 for s in range(3)}, drawn([0.945] * 3, 1000))
    assert effects.seeds_needed(fixed, 0.05, 0.001) is None
    hopeless = compared(exactly([955, 900, 1000, 945]), exactly([950, 950, 950, 950]))
    assert effects.seeds_needed(hopeless, 0.05, 0.0001) is None

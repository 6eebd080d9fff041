"""Estimates and verdicts against values that are known or worked out another way."""

import math

import numpy as np
import pytest
from scipy import stats

from ablation.analysis.effects import CellScores, effects, superiority
from ablation.analysis.pooling import pooled_variances
from ablation.study.comparisons import Comparison, Contrast

AFTER, AT_TWO = ("test_accuracy", None), ("val_accuracy", 2)
ARM, REFERENCE = ("e", ("d", "arm", "a")), ("e", ("d", "reference", "a"))
PAIR = Comparison(
    ("arm",), "d", Contrast("arm", ((1.0, ARM),)), Contrast("reference", ((1.0, REFERENCE),))
)


def scores(correct, data="d"):
    accuracy = {seed: float(right.mean()) for seed, right in correct.items()}
    images = len(next(iter(correct.values()))) if correct else 0
    return CellScores(accuracy, images, correct, data, data)


def exactly(counts, images=1000):
    """Runs with exactly so many right answers, on the first images."""
    return {s: np.arange(images) < count for s, count in enumerate(counts)}


def drawn(accuracies, images=1000, seed=0):
    """Runs whose right answers are drawn independently."""
    random = np.random.RandomState(seed)
    return {s: random.random(images) < a for s, a in enumerate(accuracies)}


def effect(comparison, of_cells):
    (found,) = effects([comparison], {comparison.outcome: of_cells})
    return found


def compared(arm, reference):
    return effect(PAIR, {ARM: scores(arm), REFERENCE: scores(reference)})


def test_two_arms_are_tested_by_the_paired_t_test_over_the_seeds():
    found = compared(exactly([960, 955, 970]), exactly([940, 945, 950]))
    differences = np.array([0.020, 0.010, 0.020])
    assert found.by_seed == pytest.approx(tuple(differences))
    assert found.difference == pytest.approx(differences.mean())
    error = differences.std(ddof=1) / np.sqrt(3)
    assert found.test.test_sets[0][1][0] == pytest.approx((error, 2))
    assert found.test.paired == pytest.approx((error, 2))
    assert found.test.paired_p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert (found.seeds, found.arm, found.reference) == (3, *map(pytest.approx, (0.961667, 0.945)))


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_leave_the_images(seeds):
    arm, reference = drawn([0.95] * seeds), drawn([0.90] * seeds, seed=1)
    found = compared(arm, reference)
    assert (found.test, found.design) == (None, None)
    by_image = np.mean([arm[s] * 1.0 - reference[s] for s in range(seeds)], axis=0)
    half = stats.norm.ppf(0.975) * by_image.std(ddof=1) / np.sqrt(1000)
    assert (found.image_low, found.image_high) == pytest.approx(
        (found.difference - half, found.difference + half)
    )
    assert found.by_seed == pytest.approx([(arm[s] * 1.0 - reference[s]).mean() for s in arm])


def test_a_difference_of_the_same_images_at_every_seed_is_not_sure():
    """Sure of the seeds, not of the images: three images make the difference each time."""
    found = compared(exactly([955, 955, 955, 955]), exactly([952, 952, 952, 952]))
    ((_, (over_seeds, over_both)),) = found.test.test_sets
    assert found.difference > 5 * over_seeds[0]
    assert over_both[0] > over_seeds[0]
    assert found.test.p > 0.05


ARMS = {name: ("e", ("d", name, "a")) for name in ("base", "a", "b", "c")}


def of_base(name, epoch=None):
    return Comparison(
        ("baseline",), "d", Contrast(name, ((1.0, ARMS[name]),)),
        Contrast("base", ((1.0, ARMS["base"]),)), epoch,
        measure="test_accuracy" if epoch is None else "val_accuracy",
    )  # fmt: skip


def accuracies(table, images=10_000, experiment="e"):
    """Scores of cells from accuracies without predictions [cells, seeds]."""
    return {
        (experiment, ("d", name, "a")): CellScores(dict(enumerate(map(float, of))), images, {}, "d")
        for name, of in zip(ARMS, table, strict=True)
    }


def test_the_variance_is_pooled_over_the_cells_of_the_experiment():
    random = np.random.RandomState(3)
    table = 0.9 + 0.01 * random.normal(size=(4, 3))
    found = effects([of_base(name) for name in "abc"], {AFTER: accuracies(table)})
    frequent = np.array([True, False, False, False])
    variances = pooled_variances(table, frequent, 10_000)
    for position, one in enumerate(found, 1):
        weights = np.eye(4)[position] - np.eye(4)[0]
        estimate = variances.of_contrast(weights, weights[None])
        variance, df = estimate.variance, estimate.df
        assert one.test.test_sets[0][1][0] == pytest.approx((math.sqrt(variance / 3), df))
        assert one.test.paired[0] == pytest.approx(
            (table[position] - table[0]).std(ddof=1) / math.sqrt(3)
        )
        assert one.design.df >= 2


def test_cells_without_all_seeds_are_not_pooled():
    random = np.random.RandomState(4)
    table = 0.9 + 0.01 * random.normal(size=(4, 4))
    every = accuracies(table)
    lost = {**every, ARMS["c"]: CellScores({0: 0.9, 1: 0.5, 2: 0.1}, 10_000, {}, "d")}
    without = {source: one for source, one in every.items() if source != ARMS["c"]}
    found, expected = (
        effects([of_base(name) for name in "ab"], {AFTER: given}) for given in (lost, without)
    )
    assert [one.test for one in found] == [one.test for one in expected]


def test_arms_of_another_experiment_data_set_or_epoch_are_not_pooled():
    random = np.random.RandomState(5)
    table = 0.9 + 0.01 * random.normal(size=(4, 4))
    own = accuracies(table)
    loud = 0.5 + 0.2 * random.normal(size=(4, 4))
    others = {("f", cell): one for (_, cell), one in accuracies(loud).items()}
    others |= {("e", ("other", *cell[1:])): one for (_, cell), one in accuracies(loud).items()}
    (by_itself,) = effects([of_base("a")], {AFTER: own})
    (beside,) = effects([of_base("a")], {AFTER: {**own, **others}, AT_TWO: accuracies(loud)})
    assert by_itself.test == beside.test
    (at_epoch,) = effects([of_base("a", 2)], {AFTER: own, AT_TWO: accuracies(loud)})
    assert at_epoch.test.test_sets[0][1][0][0] > 5 * by_itself.test.test_sets[0][1][0][0]


def test_between_experiments_the_paired_differences_decide():
    """An effect of the seed on all cells does not cancel between experiments."""
    random = np.random.RandomState(6)
    seeds = 0.05 * random.normal(size=4)
    one = accuracies(0.8 + seeds + 0.001 * random.normal(size=(4, 4)))
    other = accuracies(0.8 + 0.001 * random.normal(size=(4, 4)), experiment="f")
    comparison = Comparison(
        ("budget",), "d", Contrast("e", ((1.0, ARMS["a"]),)),
        Contrast("f", ((1.0, ("f", ARMS["a"][1])),)),
    )  # fmt: skip
    found = effect(comparison, {**one, **other})
    assert found.test.test_sets[0][1][0] == found.test.paired
    assert found.test.test_sets[0][1][0][0] > 0.01


def test_a_main_effect_takes_the_variances_of_its_cells_by_themselves():
    random = np.random.RandomState(10)
    table = 0.9 + 0.01 * random.normal(size=(4, 3))
    comparison = Comparison(
        ("factor",), "d",
        Contrast("one", ((0.5, ARMS["base"]), (0.5, ARMS["a"]))),
        Contrast("two", ((0.5, ARMS["b"]), (0.5, ARMS["c"]))),
    )  # fmt: skip
    found = effect(comparison, accuracies(table))
    own = pooled_variances(table, np.zeros(4, bool), 10_000).own
    error, df = found.test.test_sets[0][1][0]
    of_seeds = table[:2].mean(axis=0) - table[2:].mean(axis=0)
    assert error == pytest.approx(math.sqrt(max(own.sum() / 4, of_seeds.var(ddof=1)) / 3))
    assert df == pytest.approx(min(own.sum() ** 2 / ((own**2).sum() / 2), 6))
    assert df > 2


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
        squares.append(found.test.test_sets[0][1][1][0] ** 2)
    assert np.mean(squares) == pytest.approx(np.var(means), rel=0.15)


def test_only_seeds_that_both_have_are_compared():
    arm = exactly([960, 970, 980])
    del arm[1]
    assert compared(arm, exactly([950, 950, 950])).seeds == 2
    assert compared({}, exactly([1])) is None


def test_superiority_counts_every_pair_of_seeds_and_ties_by_half():
    assert superiority(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == (2 + 0 + 0.5) / 4
    found = compared(exactly([960, 955, 970]), exactly([940, 945, 950]))
    assert (found.superiority, found.sign_agreement) == (1.0, 1.0)


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
            one: CellScores(accuracy[0], 1000, first, "one", "mnist"),
            two: CellScores(accuracy[1], 400, second, "two", "mnist"),
        },
    )
    errors = [
        math.sqrt(np.mean(list(of.values()), axis=0).var(ddof=1) / n)
        for of, n in ((first, 1000), (second, 400))
    ]
    assert found.image_error == pytest.approx(sum(errors))


def test_sums_in_another_order_are_ties():
    one = CellScores({0: 0.1 + 0.2, 1: 0.5, 2: 0.5}, 10, {}, "d")
    other = CellScores({0: 0.3, 1: 0.5, 2: 0.5}, 10, {}, "d")
    found = effect(PAIR, {ARM: one, REFERENCE: other})
    assert (found.difference, found.sign_agreement) == (0, 1.0)
    assert found.superiority == 0.5


def test_accuracies_without_images_are_taken_as_independent():
    known = CellScores({0: 0.9, 1: 0.92, 2: 0.91}, 400, {}, "d")
    other = CellScores({0: 0.85, 1: 0.88, 2: 0.86}, 400, {}, "d")
    found = effect(PAIR, {ARM: known, REFERENCE: other})
    p, q = 0.91, (0.85 + 0.88 + 0.86) / 3
    assert found.image_error == pytest.approx(math.sqrt((p * (1 - p) + q * (1 - q)) / 400))


def test_seeds_that_agree_to_the_image_are_no_certainty():
    found = compared(exactly([951] * 3), exactly([950] * 3))
    assert found.test.test_sets[0][1][0][0] == pytest.approx(1 / 1000 / math.sqrt(3))
    assert found.test.p > 0.05
    same = compared(exactly([950] * 3), exactly([950] * 3))
    assert (same.difference, same.test.p) == (0.0, 1.0)


def test_a_cell_in_three_comparisons_of_two_counts_in_many():
    random = np.random.RandomState(8)
    table = 0.9 + 0.01 * random.normal(size=(4, 3))
    (two, _), three = (
        effects([of_base(name) for name in names], {AFTER: accuracies(table)})
        for names in ("ab", "abc")
    )
    assert two.design.frequent == (False, False, False, False)
    assert three[0].design.frequent == (True, False, False, False)


def test_where_variances_differ_what_is_detectable_is_that_of_the_paired_test():
    random = np.random.RandomState(11)
    spreads = np.array([[0.1], [0.003], [0.024], [0.003]])
    table = 0.8 + spreads * random.normal(size=(4, 5))
    comparison = Comparison(
        ("arm",), "d", Contrast("a", ((1.0, ARMS["a"]),)), Contrast("c", ((1.0, ARMS["c"]),))
    )
    design = effect(comparison, accuracies(table)).design
    assert design.sd == pytest.approx((table[1] - table[3]).std(ddof=1))
    assert (design.df, design.level_share) == (4, 0.5)


def test_a_run_far_below_the_others_of_its_cell_has_failed():
    random = np.random.RandomState(12)
    table = 0.9 + 0.002 * random.normal(size=(4, 6))
    failed_table = table.copy()
    failed_table[1, 2] -= 0.03
    sound, failed, beside = (
        effects([of_base(name)], {AFTER: accuracies(of)})[0].failing
        for name, of in (("a", table), ("a", failed_table), ("b", failed_table))
    )
    assert (sound, failed, beside) == (False, True, False)
    noisy = table.copy()
    noisy[1] = 0.9 + 0.03 * random.normal(size=6)
    assert not effects([of_base("a")], {AFTER: accuracies(noisy)})[0].failing


def test_of_two_arms_a_run_far_below_the_others_has_failed_too():
    table = 0.9 + 0.002 * np.random.RandomState(12).normal(size=(4, 6))
    failed_table = table.copy()
    failed_table[1, 2] -= 0.03
    for of, expected in ((table, False), (failed_table, True)):
        two = {ARMS[name]: accuracies(of)[ARMS[name]] for name in ("base", "a")}
        assert effects([of_base("a")], {AFTER: two})[0].failing == expected

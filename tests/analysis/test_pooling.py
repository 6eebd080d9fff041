"""Variances over seeds, pooled over arms."""

import math

import numpy as np
import pytest

from ablation.analysis.pooling import pooled_variances

NONE = np.zeros(6, dtype=bool)
REFERENCE = np.arange(6) == 0


def arms(variances, seeds=3):
    """Accuracies of arms whose variances by themselves are these, for three arms or fewer."""
    steps = np.linspace(-1, 1, seeds)
    return 0.5 + np.sqrt(variances)[:, None] * steps / steps.std(ddof=1)


def test_an_arm_has_its_own_variance_and_at_least_the_mean():
    found = pooled_variances(arms([0.01, 0.0004, 0.0016]), NONE[:3], math.inf)
    mean = (0.01 + 0.0004 + 0.0016) / 3
    assert found.own == pytest.approx([0.01, 0.0004, 0.0016])
    assert found.pooled == pytest.approx([0.01, mean, mean])
    # The F-test of the first, at 20 %: 0.01 / 0.001 is above 3.4.
    assert found.noisier.tolist() == [True, False, False]
    assert found.df.tolist() == [2, 4, 4]


def test_an_arm_of_many_comparisons_keeps_its_own_variance_above_a_floor():
    random = np.random.default_rng(2)
    accuracy = 0.5 + 0.01 * random.standard_normal((6, 4))
    loud, quiet = accuracy.copy(), accuracy.copy()
    loud[0] = 0.5 + 8 * (accuracy[0] - accuracy[0].mean())
    quiet[0] = 0.5
    mean = {key: pooled_variances(of, REFERENCE, math.inf) for key, of in
            (("loud", loud), ("quiet", quiet))}  # fmt: skip
    for found in mean.values():
        assert found.pooled[1:].min() == pytest.approx(found.own[1:].mean())
    assert mean["loud"].pooled[0] == mean["loud"].own[0]
    assert mean["loud"].df[0] == 3
    assert mean["quiet"].pooled[0] == pytest.approx(0.7 * mean["quiet"].own[1:].mean())
    assert mean["quiet"].df[0] == 15


def test_what_a_seed_does_to_all_arms_leaves_half_of_the_level_to_the_paired_test():
    """The variances then hold what cancels out in a difference."""
    random = np.random.default_rng(0)
    accuracy = 0.5 + 0.01 * random.standard_normal((6, 5))
    moved = accuracy + 0.1 * random.standard_normal(5)
    one, other = (pooled_variances(of, NONE, math.inf) for of in (accuracy, moved))
    assert (one.paired_share, other.paired_share) == (0, 0.5)
    assert one.seed_effect_p > 0.01 > other.seed_effect_p


ROWS = np.array([[1, 1, 1, -1, -1, -1]]) / 3  # of a grid of two rows


def test_the_variance_of_a_main_effect_holds_what_a_seed_does_to_a_whole_row():
    """It is in each arm of a row, so that it does not average out over them."""
    random = np.random.default_rng(1)
    own = 0.003 * random.standard_normal((6, 8))
    rows = np.repeat(0.01 * random.standard_normal((2, 8)), 3, axis=0)
    accuracy = 0.5 + own + rows
    found = pooled_variances(accuracy, NONE, math.inf)
    estimate = found.of_contrast(ROWS[0], ROWS)
    assert estimate.variance == pytest.approx((ROWS[0] @ accuracy).var(ddof=1))
    assert estimate.variance > 1.5 * (ROWS[0] ** 2 * found.own).sum()
    assert estimate.df <= 3 * 7
    assert estimate.paired_share == 0


def test_the_mean_square_of_a_family_is_that_of_repeated_measures():
    """With three levels: the mean of the variances of two orthonormal contrasts."""
    random = np.random.default_rng(2)
    rows = np.repeat(0.01 * random.standard_normal((3, 5)), 2, axis=0)
    accuracy = 0.5 + rows + 0.001 * random.standard_normal((6, 5))
    family = np.array([[-1, -1, 1, 1, 0, 0], [-1, -1, 0, 0, 1, 1]]) / 2
    estimate = pooled_variances(accuracy, NONE, math.inf).of_contrast(family[0], family)
    of_rows = accuracy.reshape(3, 2, 5).mean(axis=1)
    rest = of_rows - of_rows.mean(axis=1, keepdims=True) - of_rows.mean(axis=0) + of_rows.mean()
    mean_square = 2 * (rest**2).sum() / (2 * 4)  # of two arms a row
    assert estimate.variance == pytest.approx(mean_square * (family[0] ** 2).sum())


def test_what_a_seed_does_to_all_arms_is_left_out_of_a_sum_where_it_matters():
    random = np.random.default_rng(4)
    own = 0.003 * random.standard_normal((6, 5))
    accuracy = 0.5 + own + 0.03 * random.standard_normal(5)
    found = pooled_variances(accuracy, NONE, math.inf)
    assert found.seed_effect_p < 0.1
    assert found.own.mean() > 20 * found.residual.mean()
    estimate = found.of_contrast(ROWS[0], ROWS)
    expected = pooled_variances(0.5 + own, NONE, math.inf).of_contrast(ROWS[0], ROWS)
    assert estimate.variance == pytest.approx(expected.variance, rel=0.5)


def test_an_outlier_is_left_out_from_five_seeds_on():
    random = np.random.default_rng(3)
    accuracy = 0.5 + 0.004 * random.standard_normal((6, 5))
    loud = accuracy.copy()
    loud[3] = 0.5 + 0.08 * random.standard_normal(5)
    rest = np.arange(6) != 3
    found = pooled_variances(loud, REFERENCE, math.inf)
    others = pooled_variances(accuracy[rest], REFERENCE[rest], math.inf)
    assert found.pooled[rest] == pytest.approx(others.pooled)
    assert found.pooled[3] == pytest.approx(loud[3].var(ddof=1))
    assert found.paired_share == 0.5
    assert found.df[3] == 4
    with_three_seeds = pooled_variances(loud[:, :3], REFERENCE, math.inf)
    assert with_three_seeds.pooled[1] > 3 * found.pooled[1]


def test_a_noisy_arm_does_not_hide_another():
    random = np.random.default_rng(4)
    accuracy = 0.5 + 0.002 * random.standard_normal((8, 3))
    accuracy[2:4] = 0.5 + np.array([[-0.09, 0.0, 0.09], [0.1, -0.08, 0.0]])
    found = pooled_variances(accuracy, np.arange(8) == 0, math.inf)
    assert found.noisier.tolist() == [False, False, True, True, False, False, False, False]
    assert found.df.tolist()[2:5] == [2, 2, 14]


def test_a_variance_is_that_of_half_an_image_at_least():
    found = pooled_variances(np.full((4, 3), 0.9), NONE[:4], 100)
    assert found.pooled == pytest.approx([1 / (2 * 100**2)] * 4)
    assert pooled_variances(np.full((4, 3), 0.9), NONE[:4], math.inf).pooled.min() > 0


def test_a_difference_takes_pooled_variances_and_a_wider_contrast_its_own():
    random = np.random.default_rng(5)
    accuracy = 0.5 + 0.01 * random.standard_normal((6, 4))
    found = pooled_variances(accuracy, REFERENCE, math.inf)
    pair = np.array([-1.0, 1, 0, 0, 0, 0])
    estimate = found.of_contrast(pair, pair[None])
    parts = found.pooled[:2]
    assert estimate.variance == pytest.approx(parts.sum())
    assert estimate.paired_share == 0.1
    assert estimate.df == pytest.approx(parts.sum() ** 2 / (parts**2 / found.df[:2]).sum())
    estimate = found.of_contrast(ROWS[0], ROWS)
    assert estimate.variance == pytest.approx(found.own.sum() / 9)
    assert estimate.paired_share == 0
    df = found.own.sum() ** 2 / ((found.own**2).sum() / 3)
    assert estimate.df == pytest.approx(min(df, 9))


def test_what_to_expect_is_the_mean_of_arms_that_vary_alike():
    random = np.random.default_rng(8)
    accuracy = 0.5 + 0.01 * random.standard_normal((6, 3))
    found = pooled_variances(accuracy, REFERENCE, math.inf)
    assert not found.noisier.any()
    variance, df = found.expected(np.array([-1.0, 0, 0, 0, 0, 1]))
    assert variance == pytest.approx(2 * found.own.mean())
    assert df == pytest.approx(10)
    accuracy[5] = 0.5 + np.array([-0.3, 0.0, 0.3])
    found = pooled_variances(accuracy, REFERENCE, math.inf)
    variance, df = found.expected(np.array([-1.0, 0, 0, 0, 0, 1]))
    assert variance == pytest.approx(found.own[:5].mean() + found.own[5])
    assert 2 <= df < 2.3


def test_where_variances_differ_the_paired_test_has_a_share_of_the_level():
    random = np.random.default_rng(9)
    spreads = np.array([0.004, 0.004, 0.024, 0.1])
    few, many = random.standard_normal((4, 3)), random.standard_normal((4, 5))
    alike = 0.5 + 0.004 * many
    shares = [
        pooled_variances(accuracy, NONE[:4], math.inf).paired_share
        for accuracy in (alike, 0.5 + spreads[:, None] * many, 0.5 + 0.004 * few)
    ]
    assert shares == [0, 0.5, 0.1]  # three seeds cannot show that variances differ

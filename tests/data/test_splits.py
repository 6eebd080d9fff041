import numpy as np
import pytest

from ablation.data.splits import stratified_choice, stratified_limit, stratified_share


def test_the_same_share_of_every_class_is_chosen():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    chosen = stratified_choice(labels, 0.1)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 1]


def test_small_classes_give_one_and_keep_one():
    labels = np.array([0, 0, 1, 1, 1])
    assert np.bincount(labels[stratified_choice(labels, 0.01)]).tolist() == [1, 1]
    assert np.bincount(labels[~stratified_choice(labels, 0.99)]).tolist() == [1, 1]


def test_a_class_with_one_example_is_refused():
    with pytest.raises(ValueError, match="class 1 has 1 example"):
        stratified_choice(np.array([0, 0, 1]), 0.1)


def test_the_choice_is_the_same_for_ever():
    labels = np.repeat([0, 1], 10)
    assert np.flatnonzero(stratified_choice(labels, 0.2, seed=1)).tolist() == KNOWN


# A change of these indices would silently change every split that was ever made.
KNOWN = [2, 9, 15, 19]


@pytest.mark.parametrize("limit", [1, 7, 30, 159, 160, 1000])
def test_a_limit_keeps_the_shares_of_the_classes(limit):
    labels = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [100, 50, 10]))
    kept = stratified_limit(labels, limit)
    assert kept.sum() == min(limit, 160)
    expected = np.array([100, 50, 10]) * min(limit, 160) / 160
    assert np.abs(np.bincount(labels[kept], minlength=3) - expected).max() <= 1


def test_groups_of_one_change_nothing():
    labels = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [100, 50, 10]))
    groups = np.random.RandomState(1).permutation(160)
    assert (stratified_choice(labels, 0.2, groups=groups) == stratified_choice(labels, 0.2)).all()


def test_groups_stay_together_and_shares_hold():
    random = np.random.RandomState(0)
    for _ in range(20):
        labels = random.randint(0, 3, 300)
        groups = random.randint(0, 200, 300)  # also across classes
        chosen = stratified_choice(labels, 0.2, seed=random.randint(1000), groups=groups)
        for group in np.unique(groups):
            assert len(set(chosen[groups == group])) == 1
        counts = np.bincount(labels, minlength=3)
        taken = np.bincount(labels[chosen], minlength=3)
        assert (np.abs(taken - 0.2 * counts) <= 10).all()
        assert (taken > 0).all()


def test_a_group_larger_than_the_share_is_taken_whole_if_it_must():
    labels = np.zeros(10, int)
    groups = np.repeat([0, 1], [7, 3])
    assert (stratified_choice(labels, 0.1, groups=groups) == (groups == 1)).all()


def test_a_class_of_copies_is_refused_by_name():
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])
    with pytest.raises(ValueError, match="class cat has 2 examples that are copies"):
        stratified_choice(labels, 0.5, groups=groups, names=["dog", "cat"])


def test_shares_are_nested_and_stratified():
    labels = np.repeat([0, 1, 2], [100, 50, 3])
    keeps = [stratified_share(labels, share) for share in (0.1, 0.5, 1.0)]
    assert [np.bincount(labels[keep]).tolist() for keep in keeps] == [
        [10, 5, 1],
        [50, 25, 2],
        [100, 50, 3],
    ]
    assert not (keeps[0] & ~keeps[1]).any()

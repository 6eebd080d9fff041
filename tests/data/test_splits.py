import numpy as np
import pytest

from ablation.data.splits import stratified_choice, stratified_limit


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

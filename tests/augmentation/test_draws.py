"""The table of draws: known values, uniform, and a function of nothing but its arguments."""

import numpy as np
import pytest
from scipy import stats

from ablation.augmentation.draws import epoch_draws


def test_known_values():
    # Changing these changes every run: published results could not be repeated.
    expected = np.array(
        [[2840100, 11004058], [11245369, 9811315], [7939229, 11943366]], dtype=np.uint32
    )
    table = epoch_draws(seed=2024, epoch=3, examples=3, columns=range(2))
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table * np.float32(2**24), expected)


def test_uniform_on_zero_to_one_and_uncorrelated():
    table = epoch_draws(seed=0, epoch=0, examples=20_000, columns=range(3))
    assert table.min() >= 0
    assert table.max() < 1
    for column in table.T:
        assert stats.kstest(column, "uniform").pvalue > 0.01
    correlations = np.corrcoef(table.T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.03
    assert abs(np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]) < 0.03


def test_a_number_depends_on_its_place_only():
    table = epoch_draws(seed=5, epoch=1, examples=50, columns=range(4))
    np.testing.assert_array_equal(epoch_draws(5, 1, 50, range(4)), table)
    np.testing.assert_array_equal(epoch_draws(5, 1, 20, range(4)), table[:20])
    np.testing.assert_array_equal(epoch_draws(5, 1, 50, [3, 1]), table[:, [3, 1]])


def test_seeds_epochs_and_columns_differ():
    tables = [
        epoch_draws(seed, epoch, 50, (0, 1, 2**32))
        for seed in (0, 1, 2**64 - 1)
        for epoch in (0, 1)
    ]
    columns = {column.tobytes() for table in tables for column in table.T}
    assert len(columns) == 18


def test_empty_tables_have_their_shape():
    assert epoch_draws(1, 1, 7, []).shape == (7, 0)
    assert epoch_draws(1, 1, 0, range(3)).shape == (0, 3)


@pytest.mark.parametrize(
    "arguments",
    [(-1, 0, 1, [0]), (2**64, 0, 1, [0]), (0, -1, 1, [0]), (0, 0, -1, [0]), (0, 0, 1, [-1])],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be from 0|must be at least 0"):
        epoch_draws(*arguments)

"""Which examples a run trains on and validates on."""

import numpy as np
import pytest

from ablation.data.prepared import Prepared
from ablation.training.run import _parts

LABELS = np.tile([0, 1], 60)
SPLIT = np.repeat(["train", "validation", "test"], [40, 40, 40])


@pytest.fixture
def data():
    return Prepared(np.zeros((120, 2, 2, 1), np.uint8), LABELS, SPLIT, {})


def test_held_out_examples_are_validated_on(data):
    fitted, validated = _parts(data, "held-out", 0.5)
    assert (SPLIT[fitted] == "train").all()
    assert len(fitted) == 40  # the share was taken when the data was prepared
    assert (SPLIT[validated] == "validation").all()


def test_validating_on_test_trains_on_what_would_be_held_out(data):
    fitted, validated = _parts(data, "test", 1.0)
    assert len(fitted) == 80
    assert (np.diff(fitted) > 0).all()
    assert (SPLIT[validated] == "test").all()


def test_of_what_would_be_held_out_the_same_share_is_trained_on(data):
    fitted, _ = _parts(data, "test", 0.25)
    held = fitted[SPLIT[fitted] == "validation"]
    assert len(held) == 10
    assert np.bincount(LABELS[held]).tolist() == [5, 5]
    more, _ = _parts(data, "test", 0.5)
    assert set(fitted) <= set(more)

"""The code of a run by parts."""

import pytest

from ablation.training.code import LOOP, changes, code_of, data_code, run_code

from .conftest import settings


def test_the_code_of_a_run_has_a_part_for_what_its_settings_name():
    one, other = run_code(settings("crop(2) | cutmix")), run_code(settings("flip"))
    assert list(one) == [LOOP, "mnist5k", "resnet", "crop", "cutmix"]
    assert list(other) == [LOOP, "mnist5k", "resnet", "flip"]
    shared = (LOOP, "mnist5k", "resnet")
    assert [one[part] for part in shared] == [other[part] for part in shared]
    assert one["mnist5k"] == data_code(settings().dataset)
    assert code_of(one) != code_of(other)
    assert code_of(one) == code_of(dict(reversed(one.items())))


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"a": "1", "b": "1"}, {"b": "1", "a": "1"}, ""),
        ({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, "the code of b has changed"),
        ({"a": "1", "b": "1"}, {"a": "2", "c": "1"}, "the code of a, b and c has changed"),
    ],
)
def test_changes_are_named(before, now, words):
    assert changes(before, now) == words

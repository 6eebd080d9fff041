"""The code of a run by parts."""

import pytest

from ablation import code
from ablation.training.code import LOOP, _data_code, _digest, changes, code_of, data_code, run_code

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


@pytest.fixture
def edit(monkeypatch):
    """A function after which a module counts as edited."""

    def forget():
        _digest.cache_clear()
        _data_code.cache_clear()

    def edit(name):
        real = code._module
        monkeypatch.setattr(
            code, "_module", lambda one: ("edited", real(one)[1]) if one == name else real(one)
        )
        forget()

    yield edit
    forget()


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("augmentation.steps.cutmix", {"cutmix"}),
        ("augmentation.steps.flip", set()),
        ("augmentation.geometry", {"crop", "cutmix"}),
        ("augmentation.mixing", {"cutmix"}),
        ("augmentation.pipeline", {LOOP}),
        ("models.families.resnet", {"resnet"}),
        ("models.norm", {LOOP, "resnet"}),
        ("data.sources.mnist5k", {"mnist5k"}),
        ("data.splits", {LOOP, "mnist5k"}),
        ("data.decoding", set()),  # of image files
        ("training.optimizer", {LOOP}),
    ],
)
def test_an_edited_module_changes_the_parts_that_import_it(edit, module, parts):
    before = run_code(settings("crop(2) | cutmix"))
    edit(f"ablation.{module}")
    now = run_code(settings("crop(2) | cutmix"))
    assert {part for part in before if before[part] != now[part]} == parts


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

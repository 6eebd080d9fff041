import pandas as pd
import pytest

from ablation.data.issues import copies_to_drop, find_issues, refuse_missing_classes, summary_lines
from ablation.errors import InputError

NAMES = ["ant", "bee", "cat"]


def table(*rows):
    """A row an example: split, label, digest; named in their order."""
    frame = pd.DataFrame(rows, columns=["split", "label", "digest"])
    return frame.assign(name=[f"n{i}" for i in range(len(frame))])


def of_kind(examples, kind, names=NAMES):
    return [one for one in find_issues(examples, names) if one["kind"] == kind]


def many(count, split="train", label=0):
    return [(split, label, f"{split}{label}-{i}") for i in range(count)]


def test_copies_are_counted_by_pair_of_splits():
    examples = table(
        ("train", 0, "x"),
        ("train", 0, "x"),
        ("train", 0, "y"),
        ("validation", 0, "y"),
        ("validation", 0, "x"),
        ("test", 0, "x"),
        ("test", 0, "z"),
        ("train", 0, "w"),
    )
    found = of_kind(examples, "copies-between-splits")
    assert [(one["count"], one["items"]) for one in found] == [
        (3, ["n0 = n4", "n1 = n4", "n2 = n3"]),
        (2, ["n0 = n5", "n1 = n5"]),
        (1, ["n4 = n5"]),
    ]
    assert all(one["severity"] == "warning" for one in found)
    assert found[1]["text"].startswith("2 training images with the same pixels as test images")
    # The later split keeps them: only what is in no later split stays.
    drop = copies_to_drop(examples)
    assert drop.tolist() == [True, True, True, False, True, False, False, False]
    assert not of_kind(examples[~drop], "copies-between-splits")


def test_copies_with_another_label():
    examples = table(("train", 0, "x"), ("train", 1, "y"), ("test", 2, "x"), ("test", 1, "y"))
    (one,) = of_kind(examples, "copies-of-other-class")
    assert (one["count"], one["items"], one["severity"]) == (2, ["n0 (ant)", "n2 (cat)"], "warning")


def test_copies_within_a_split_are_a_note():
    examples = table(*[("train", 0, "x")] * 3, ("test", 0, "y"), ("test", 0, "y"))
    found = of_kind(examples, "copies-in-split")
    assert [(one["count"], one["items"]) for one in found] == [
        (2, ["n1 = n0", "n2 = n0"]),
        (1, ["n4 = n3"]),
    ]
    assert all(one["severity"] == "note" for one in found)


@pytest.mark.parametrize(("count", "reported"), [(9, True), (10, False)])
def test_classes_with_few_training_images(count, reported):
    examples = table(*many(20), *many(count, label=1), *many(30, "test", label=1))
    found = of_kind(examples, "few-images", NAMES[:2])
    assert [one["items"] for one in found] == ([["bee: 9"]] if reported else [])


@pytest.mark.parametrize(("count", "reported"), [(100, False), (101, True)])
def test_extreme_imbalance(count, reported):
    examples = table(*many(50), *many(10, label=1), *many(count, label=2))
    found = of_kind(examples, "imbalance")
    assert [one["items"] for one in found] == ([["cat: 101", "bee: 10"]] if reported else [])
    text = "The largest class has 10 times as many training images as the smallest."
    assert [one["text"] for one in found] == ([text] if reported else [])


def test_the_summary_names_at_most_twenty():
    (one,) = of_kind(table(*[("train", 0, "x")] * 41), "copies-in-split")
    assert (one["count"], len(one["items"])) == (40, 20)
    description = {
        "source": "s",
        "class_names": ["a"],
        "shape": [41, 8, 8, 1],
        "counts": {"train": [41], "validation": [0], "test": [0]},
        "conversions": {"palettes expanded to colour": 3},
        "checks": [one],
    }
    lines = summary_lines(description)
    assert lines[0] == "s: 1 class, images of 8×8×1; 41 training, 0 validation, 0 test"
    assert lines[1] == "palettes expanded to colour: 3"
    assert lines[2].startswith("note: 40 training images")
    assert lines[-1] == "  and 20 more"
    assert summary_lines({**description, "checks": []})[-1] == "no issues found"


def test_a_tested_class_without_training_images_is_refused_by_name():
    examples = table(*many(3), *many(3, label=1), *many(3, "test"), *many(2, "test", label=2))
    with pytest.raises(InputError, match="'pets': 'cat': the test split has images of this class"):
        refuse_missing_classes(examples, NAMES, "pets")
    refuse_missing_classes(examples[examples["label"] < 2], NAMES, "pets")

"""Balanced accuracy: known values, and what is found where classes of the test split differ."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from ablation.analysis.checks import changed_order
from ablation.analysis.runs import read_run
from ablation.analysis.scores import balanced_accuracy
from ablation.analysis.thresholds import threshold, unequal
from ablation.study.plan import load_config, load_plan

from .. import factory

STUDY = """\
title: Unequal classes
experiments:
  depth:
    question: Does depth hurt?
    datasets: [mnist5k]
    models: [resnet20, plain20, resnet56]
    seeds: [0, 1]
    baseline: {model: resnet20}
    training: {epochs: 3}
"""
NAMES = ["large", "middle", "small", "absent"]
UNEQUAL = (700, 200, 100, 0)
EQUAL = (250, 250, 250, 250)
# Of each class, how many are answered rightly.
RIGHT = {
    "resnet20": (700, 180, 40, 0),  # 92 % of the images; the classes have 100, 90 and 40 %
    "plain20": (637, 184, 89, 0),  # 91 %; 91, 92 and 89 %
    "resnet56": (700, 200, 100, 0),
}
DESCRIPTION = {
    "counts": {"train": [70, 20, 10, 1], "validation": [7, 2, 1, 0], "test": list(UNEQUAL)},
}


def write_run(run, images, right, **options):
    """Write a run that classifies so many images of each class correctly."""
    label = np.repeat(np.arange(4), images)
    answer = np.concatenate(
        [
            np.where(np.arange(n) < r, c, (c + 3) % 4)
            for c, (n, r) in enumerate(zip(images, right, strict=True))
        ]
    )
    options = {"description": DESCRIPTION, "validation": 100, **options}
    factory.write_run(run, label=label, answer=answer, class_names=NAMES, confidence=0.7, **options)


def planned(project, images=UNEQUAL, right=RIGHT):
    """The study with all its runs."""
    project(STUDY)
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, images, right[run.model])
    return plan


def analysed(plan):
    """``analysis.json`` and the tables."""
    return factory.analysed(Path.cwd(), plan)


def checks(plan, name):
    _, tables = analysed(plan)
    rows = tables["checks"]
    return rows[rows["check"] == name].to_dict("records")


def test_it_is_the_mean_of_the_recalls():
    label = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    answer = np.array([0, 0, 0, 1, 2, 0, 1, 0, 0, 2])
    assert balanced_accuracy(label, answer) == pytest.approx((4 / 6 + 1 / 3 + 1) / 3)
    assert balanced_accuracy(label, answer) == balanced_accuracy_score(label, answer)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_accuracy_where_classes_are_equal(seed):
    random = np.random.default_rng(seed)
    label = np.arange(1000) % 10
    answer = np.where(random.random(1000) < 0.7, label, random.integers(0, 10, 1000))
    assert balanced_accuracy(label, answer) == pytest.approx((label == answer).mean(), abs=1e-12)


def test_a_class_without_examples_is_left_out_and_answering_it_is_wrong():
    label = np.array([0, 0, 2, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert balanced_accuracy(label, np.array([0, 1, 2, 1])) == 0.5
        assert balanced_accuracy(label, np.array([1, 1, 1, 1])) == 0


@pytest.mark.parametrize(
    ("images", "so"),
    [
        ([10, 10, 10], False),
        ([10, 11], False),
        ([100, 111], True),
        ([1000, 1100, 1050], False),
        ([980, 892, 1135], True),
        ([5, 5, 0], True),
        ([], False),
    ],
)
def test_classes_are_unequal_above_the_limit(images, so):
    assert threshold("unequal_classes") == 1.1
    assert unequal(images) == so
    assert unequal(images[::-1]) == so


def test_runs_and_cells_carry_it(project):
    plan = planned(project)
    _, tables = analysed(plan)
    runs = tables["runs"]
    wanted = {
        name: np.mean([r / n for r, n in zip(right, UNEQUAL, strict=True) if n])
        for name, right in RIGHT.items()
    }
    assert runs["balanced_accuracy"].to_list() == pytest.approx([wanted[m] for m in runs["model"]])
    cells = tables["cells"].set_index("model")
    assert cells["balanced_accuracy"].to_dict() == pytest.approx(wanted)
    assert (cells["balanced_accuracy_sd"] == 0).all()
    run = next(iter(plan.runs.values()))
    write_run(run, UNEQUAL, RIGHT["resnet20"], status="diverged")
    assert np.isnan(read_run(run).metrics["balanced_accuracy"])


def test_low_balanced_accuracy_is_found_by_cell(project):
    (row,) = checks(planned(project), "low_balanced_accuracy")
    assert (row["model"], row["threshold"]) == ("resnet20", 0.02)
    assert row["value"] == pytest.approx(0.92 - 2.3 / 3)


def test_an_order_that_changes_is_found_by_data_set(project):
    plan = planned(project)
    (row,) = checks(plan, "balanced_order")
    assert (row["dataset"], row["model"], row["count"], row["of"]) == ("mnist5k", "", 1, 3)
    assert row["detail"] == "resnet20; plain20"
    for run in plan.runs.values():
        write_run(run, UNEQUAL, {**RIGHT, "plain20": (600, 90, 40, 0)}[run.model])
    assert checks(plan, "balanced_order") == []
    low = {row["model"] for row in checks(plan, "low_balanced_accuracy")}
    assert low == {"resnet20", "plain20"}


def test_unequal_classes_are_found_with_the_smallest_and_the_largest(project):
    (row,) = checks(planned(project), "unequal_classes")
    assert (row["dataset"], row["count"], row["of"]) == ("mnist5k", 0, 700)
    assert np.isnan(row["value"])


def test_chance_is_the_share_of_the_largest_class(project):
    # Better than one in the number of classes, but no better than the largest class.
    plan = planned(project, right=dict.fromkeys(RIGHT, (700, 0, 0, 0)))
    write_run(plan.experiments[0].runs[0], UNEQUAL, (0, 200, 100, 0))
    near = checks(plan, "near_chance")
    assert [row["model"] for row in near] == ["resnet20", "plain20", "resnet56"]
    assert [(row["count"], row["of"]) for row in near] == [(700, 1000)] * 3
    assert near[0]["threshold"] == pytest.approx(0.76)


def test_classes_that_are_never_predicted_are_named(project):
    # Of a class without test images nothing is expected.
    right = {"resnet20": (700, 200, 100, 0), "plain20": (700, 0, 100, 0)}
    plan = planned(project, right=RIGHT | right)
    for run in plan.runs.values():
        if run.model == "resnet56" and run.seed == 0:  # the other seed predicts them
            write_run(run, UNEQUAL, (0, 0, 0, 0))
    (row,) = checks(plan, "never_predicted")
    assert (row["model"], row["count"], row["of"], row["detail"]) == ("plain20", 1, 3, "middle")


def test_where_nothing_is_hidden_nothing_is_found(project):
    # As in the classes, so in the images; then equal classes, of which one is answered badly.
    plan = planned(project, right=dict.fromkeys(RIGHT, (630, 180, 90, 0)))
    assert checks(plan, "low_balanced_accuracy") == checks(plan, "balanced_order") == []
    for run in plan.runs.values():
        write_run(run, EQUAL, (250, 250, 250, 0), description={})
    for name in ("low_balanced_accuracy", "balanced_order", "unequal_classes"):
        assert checks(plan, name) == []


def test_pairs_that_change_places_come_clearest_first():
    cells = [
        {"test_accuracy": accuracy, "balanced_accuracy": balanced}
        for accuracy, balanced in [(0.90, 0.80), (0.91, 0.79), (0.95, 0.70), (0.90004, 0.60)]
    ]
    a, b, c, _ = cells
    # The last has the first's accuracy as it is printed, so that they have no order to change.
    assert changed_order(cells[:3]) == [(c, a), (c, b), (b, a)]
    assert changed_order([cells[0], cells[3]]) == []


def test_what_was_found_in_the_data_is_in_the_analysis(project):
    plan = planned(project)
    check = {"kind": "copies-between-splits", "severity": "warning", "text": "T.",
             "items": ["a.png"], "count": 1}  # fmt: skip
    found = DESCRIPTION | {"checks": [check], "conversions": {"palette to RGB": 3}}
    for run in plan.runs.values():
        write_run(run, UNEQUAL, RIGHT[run.model], description=found)
    analysis, tables = analysed(plan)
    (data,) = analysis["data"]
    assert (data["checked"], data["checks"]) == (True, [check])
    assert data["conversions"] == {"palette to RGB": 3}
    assert data["balance"]["train"] == {
        "images": 101,
        "classes": 4,
        "largest": {"class": "large", "images": 70},
        "smallest": {"class": "absent", "images": 1},
    }
    assert data["balance"]["validation"]["classes"] == 3
    assert (data["image_size"], data["resize"]) == (None, "stretch")
    (row,) = tables["checks"][tables["checks"]["check"] == "shared_images"].to_dict("records")
    assert (row["dataset"], row["count"], row["detail"]) == ("mnist5k", 1, "a.png")


def test_a_description_older_than_the_checks_has_none(project):
    analysis, _ = analysed(planned(project))
    (data,) = analysis["data"]
    assert (data["checked"], data["checks"], data["conversions"]) == (False, [], {})

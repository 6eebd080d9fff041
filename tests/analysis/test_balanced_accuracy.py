"""Balanced accuracy: known values, and what is said where classes of the test split are unequal."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from ablation.analysis.analyse import analyse
from ablation.analysis.measures import MEASURES, UNEQUAL_CLASSES, unequal
from ablation.analysis.records import write_record
from ablation.analysis.runs import balanced_accuracy, read_run
from ablation.analysis.tables import changed_order
from ablation.study.plan import load_config, load_plan

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
    "hash": "h",
    "counts": {"train": [70, 20, 10, 1], "validation": [7, 2, 1, 0], "test": list(UNEQUAL)},
    "splits": {},
    "citation": "",
}


def write_run(run, images, right, *, status="completed"):
    """Write a run that answers so many images of each class rightly, the others `absent`."""
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    label = np.repeat(np.arange(4), images)
    answer = np.concatenate(
        [
            np.where(np.arange(n) < r, c, (c + 3) % 4)
            for c, (n, r) in enumerate(zip(images, right, strict=True))
        ]
    )
    probability = np.full((len(label), 4), 0.1, np.float32)
    probability[np.arange(len(label)), answer] = 0.7
    if status == "diverged":
        probability[:] = np.nan
    np.savez(
        folder / "predictions.npz",
        label=label,
        probability=probability,
        val_label=label[::10],
        val_probability=probability[::10],
    )
    loss = [2.0, 1.0, 0.99]
    history = {"epoch": [1, 2, 3], "loss": loss, "accuracy": 0.9, "val_loss": loss}
    pd.DataFrame(history | {"val_accuracy": 0.9, "learning_rate": 0.1}).to_csv(
        folder / "history.csv", index=False
    )
    pd.DataFrame({"epoch": [1, 2, 3], "seconds": 2.0, "images_per_second": 500.0}).to_csv(
        folder / "timing.csv", index=False
    )
    sizes = {"train": 101, "validation": len(label[::10]), "test": len(label)}
    record = {
        "id": run.id,
        "status": status,
        "code": "c",
        "epochs": 3,
        "train_accuracy_clean": None if status == "diverged" else 0.93,
        "class_names": NAMES,
        "data": {"source": "s", "hash": "h", "shape": [1111, 28, 28, 1], **sizes},
        "threads": {"intra_op": 2, "inter_op": 2},
        "environment": {
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
            "git_commit": "abc",
            "system": "Linux",
            "processor": "A processor",
            "gpus": [],
            "variables": {},
        },
        "started": "2026-01-01T00:00:00Z",
        "seconds": 10.0,
    }
    write_record(folder, record)
    write_description(run, DESCRIPTION)


def write_description(run, description):
    folder = Path(run.data.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "description.json").write_text(json.dumps(description))


def planned(project, images=UNEQUAL, right=RIGHT):
    """The study with all its runs."""
    project(STUDY)
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, images, right[run.model])
    return plan


def analysed(plan):
    analyse(plan, Path("results/tiny"))
    return json.loads(Path("results/tiny/analysis.json").read_text())


def table(name):
    return pd.read_csv(f"results/tiny/{name}.csv", keep_default_na=False, na_values=[""])


def of_classes(analysis):
    findings = analysis["experiments"][0]["findings"]
    return [finding for finding in findings if finding["kind"] == "unequal classes"]


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
    assert UNEQUAL_CLASSES == 1.1
    assert unequal(images) == so
    assert unequal(images[::-1]) == so


def test_runs_and_cells_carry_it(project):
    plan = planned(project)
    analysed(plan)
    runs = table("runs")
    wanted = {
        name: np.mean([r / n for r, n in zip(right, UNEQUAL, strict=True) if n])
        for name, right in RIGHT.items()
    }
    assert "balanced_accuracy" in MEASURES
    assert runs["balanced_accuracy"].to_list() == pytest.approx([wanted[m] for m in runs["model"]])
    cells = table("cells").set_index("model")
    assert cells["balanced_accuracy"].to_dict() == pytest.approx(wanted)
    assert (cells["balanced_accuracy_sd"] == 0).all()
    run = next(iter(plan.runs.values()))
    write_run(run, UNEQUAL, RIGHT["resnet20"], status="diverged")
    assert np.isnan(read_run(run).measures["balanced_accuracy"])


def test_what_accuracy_hides_is_one_finding_whose_numbers_are_cited(project):
    (finding,) = of_classes(analysed(planned(project)))
    assert finding["part"] == "problem"
    assert finding["text"] == (
        "Small classes are answered worse: balanced accuracy is more than 2 points below test "
        "accuracy in resnet20 (76.67 % against 92.00 %). Counting every class alike changes the "
        "order of 1 of 3 pairs of arms: resnet20 has 92.00 % and plain20 91.00 % test accuracy, "
        "but 76.67 % and 90.67 % balanced accuracy. The verdicts are on test accuracy."
    )
    shown = {source["shown"] for source in finding["sources"]}
    assert shown == {"2", "76.67", "92.00", "1", "3", "91.00", "90.67"}
    for source in finding["sources"]:
        rows = table(source["table"])
        for key, value in source["where"].items():
            rows = rows[rows[key].isna() if value == "" else rows[key] == value]
        (value,) = rows[source["column"]].unique()
        scale = 100 if source["table"] == "cells" else 1
        assert f"{scale * value:.2f}" == f"{float(source['shown']):.2f}"


def test_order_alone_is_told_and_so_is_level_alone(project):
    # All close to their accuracy; plain20 and resnet20 change places.
    right = RIGHT | {"resnet20": (651, 180, 89, 0), "plain20": (637, 184, 90, 0)}
    plan = planned(project, right=right)
    (finding,) = of_classes(analysed(plan))
    assert finding["text"].startswith("Counting every class alike changes the order of 1 of 3")
    for run in plan.runs.values():
        write_run(run, UNEQUAL, {**RIGHT, "plain20": (600, 90, 40, 0)}[run.model])
    (finding,) = of_classes(analysed(plan))
    assert "points below test accuracy in resnet20 (" not in finding["text"]  # plain20 is first
    assert "plain20 (56.90 % against 73.00 %) and resnet20 (76.67 % against" in finding["text"]
    assert "order" not in finding["text"]


def test_chance_is_the_share_of_the_largest_class(project):
    # Better than one in the number of classes, but no better than the largest class alone.
    plan = planned(project, right=dict.fromkeys(RIGHT, (700, 0, 0, 0)))
    write_run(plan.experiments[0].runs[0], UNEQUAL, (0, 200, 100, 0))
    analysis = analysed(plan)
    rows = table("diagnostics")
    near = rows[rows["diagnosis"] == "near chance"]
    assert near["model"].to_list() == ["resnet20", "plain20", "resnet56"]
    assert near["threshold"].to_list() == pytest.approx([0.7] * 3)
    (finding,) = [f for f in analysis["experiments"][0]["findings"] if f["kind"] == "near chance"]
    assert "plain20 (70.00 %, largest class 70.00 %)" in finding["text"]


def test_classes_that_are_never_predicted_are_named(project):
    # Of a class without test images nothing is expected.
    right = {"resnet20": (700, 200, 100, 0), "plain20": (700, 0, 100, 0)}
    plan = planned(project, right=RIGHT | right)
    for run in plan.runs.values():
        if run.model == "resnet56" and run.seed == 0:  # the other seed predicts them
            write_run(run, UNEQUAL, (0, 0, 0, 0))
    analysis = analysed(plan)
    (finding,) = [
        f for f in analysis["experiments"][0]["findings"] if f["kind"] == "never predicted"
    ]
    assert finding["text"] == (
        "Never predicted, although the test split has images of them: class ‘middle’ by plain20."
    )
    rows = table("diagnostics")
    (row,) = rows[rows["diagnosis"] == "never predicted"].to_dict("records")
    assert (row["model"], row["count"], row["of"]) == ("plain20", 1, 3)


def test_where_nothing_is_hidden_there_is_no_finding(project):
    # As in the classes, so in the images; then equal classes, of which one is answered badly.
    plan = planned(project, right=dict.fromkeys(RIGHT, (630, 180, 90, 0)))
    assert of_classes(analysed(plan)) == []
    for run in plan.runs.values():
        write_run(run, EQUAL, (250, 250, 250, 0))
    assert of_classes(analysed(plan)) == []


def test_pairs_that_change_places_come_clearest_first():
    cells = [
        {"test_accuracy": accuracy, "balanced_accuracy": balanced}
        for accuracy, balanced in [(0.90, 0.80), (0.91, 0.79), (0.95, 0.70), (0.90004, 0.60)]
    ]
    a, b, c, _ = cells
    # The last has the first's accuracy as it is printed, so that they have no order to change.
    assert changed_order(cells[:3]) == [(c, a), (c, b), (b, a)]
    assert changed_order([cells[0], cells[3]]) == []


def test_the_method_says_what_verdicts_rest_on(project):
    analysis = analysed(planned(project))
    told = {one["title"]: one["text"] for one in analysis["method"]}
    assert "more than 1.1 times as many images as the smallest" in told["Measures"]
    assert "Verdicts are on plain accuracy" in told["Verdicts"]
    rules = table("rules").set_index("rule")["value"]
    assert (rules["unequal classes"], rules["balanced accuracy"]) == (1.1, 2)


def test_the_provenance_tells_what_was_found_in_the_data(project):
    plan = planned(project)
    check = {"kind": "k", "severity": "note", "text": "T.", "items": ["a.png"], "count": 1}
    told = DESCRIPTION | {"checks": [check], "conversions": {"palette to RGB": 3}}
    for run in plan.runs.values():
        write_description(run, told)
    (data,) = analysed(plan)["provenance"]["data"]
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


def test_a_description_older_than_the_checks_has_none(project):
    (data,) = analysed(planned(project))["provenance"]["data"]
    assert (data["checked"], data["checks"], data["conversions"]) == (False, [], {})

"""The analysis and the report of runs at the borders of what can happen."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.analyse import analyse
from ablation.report.render import render
from ablation.study.plan import load_config, load_plan

from ..conftest import write_answers
from .conftest import make_models, write_gallery

STUDY = """\
title: Borders
experiments:
  arms:
    question: Which arm?
    datasets: [mnist5k]
    models: [resnet20]
    augmentations: {none: "", crop: crop(2), flip: flip}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    training: {epochs: 3}
"""
BALANCED = np.arange(60) % 10


def right(label):
    return label


def wrong(label):
    return (label + 1) % 10


def never_the_last(label):
    return np.where(label == label.max(), 0, label)


def few_classes(label):
    return label % 10


BORDERS = {
    "all right": (BALANCED, right, {}),
    "all wrong": (BALANCED, wrong, {}),
    "one class in the test split": (np.zeros(60, int), right, {}),
    "one image a class": (np.arange(10), right, {}),
    "two classes": (BALANCED % 2, right, {"classes": 2}),
    "1,000 classes": (np.arange(2000) % 1000, few_classes, {"classes": 1000}),
    "a class never predicted": (BALANCED, never_the_last, {}),
    "one epoch": (BALANCED, right, {"loss": (1.0,)}),
    "one arm": (BALANCED, right, {}),
    "one seed": (BALANCED, right, {}),
    "all diverged": (BALANCED, right, {"status": "diverged", "loss": (float("nan"),)}),
}
SAID = {
    "a class never predicted": "class ‘9’ by none; class ‘9’ by crop; class ‘9’ by flip.",
    "1,000 classes": "990 of 1000 classes by none; ",
    "two classes": "the same within the margin",
    "all wrong": "Little learned: ",
    "one seed": "* With fewer than three seeds there is no verdict",
    "one arm": "the test accuracy of an arm differs by 0.00 points.",
}
STUDIES = {
    "one arm": STUDY.replace('{none: "", crop: crop(2), flip: flip}', '{none: ""}'),
    "one seed": STUDY.replace("[0, 1, 2]", "[4]"),
}


@pytest.mark.parametrize(
    ("border", "partial"),
    [*((border, False) for border in BORDERS), ("all right", True), ("all wrong", True)],
)
def test_a_report_comes_at_the_borders(project, border, partial):
    project(STUDIES.get(border, STUDY))
    plan = load_plan(load_config())
    label, answered, options = BORDERS[border]
    answer = answered(label)
    for run in plan.runs.values():
        write_answers(run, label, answer, validation=len(label), **options)
    if partial:
        shutil.rmtree(plan.experiments[0].runs[-1].folder)
    results = Path("results/tiny")
    analyse(plan, results, partial=partial)
    (results / "models.json").write_text(json.dumps(make_models()))
    write_gallery(results / "gallery.npz")
    render("tiny", results, Path("reports"))
    page = Path("reports/tiny.html").read_text()
    markdown = Path("reports/tiny.md").read_text()
    assert not re.search(r"\bnan\b", markdown)
    assert SAID.get(border, "") in page
    assert ("A partial report: 1 of 9 runs is missing" in page) == partial
    runs = pd.read_csv(results / "runs.csv")
    scores = runs["test_accuracy"].dropna()
    share = (label == answer).mean()
    if border == "all diverged":
        assert scores.empty
        assert "diverged" in page
        assert "diverged" in markdown
        return
    assert scores.to_list() == pytest.approx([share] * len(scores))
    assert f"{100 * share:.2f}" in page
    assert f"{100 * share:.2f}" in markdown
    confusion = pd.read_csv(results / "confusion.csv")
    mistaken = confusion[confusion["true"] != confusion["predicted"]]
    assert mistaken["count"].sum() == len(scores) * (label != answer).sum()

"""Edge cases: one run, thirty arms, a hundred classes, colour."""

import json
import re
from contextlib import chdir

import pytest

from .made import SPREAD, arms, made
from .test_render import Page


def check(report):
    """Check properties of every report."""
    page = Page(report.page)
    words = " ".join(page.words)
    assert not re.search(r"\b(nan|None|NaN|inf|Undefined)\b", words.replace("‘None’", ""))
    assert not re.search(r"\{\{|\}\}|\{%|\*\*| [.,;:] ", "".join(page.words))
    assert len(page.images) == sum(name.endswith(".svg") for name in report.files)
    assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert "data-title" in report.page
    return words


BORDERS = {
    "one run": (arms("none", seeds=[0], baseline=None, training={"epochs": 1}), {}),
    "one arm": (arms("none", baseline=None), {}),
    "no comparison": (arms("none", "crop", baseline=None), {}),
    "two seeds": (arms("none", "crop", seeds=[0, 1]), {}),
    "a hundred classes": (
        arms("none", "crop"), {"class_names": tuple(f"breed {i}" for i in range(100))},
    ),
    "two classes in colour": (arms("none", "crop"), {"class_names": ("cat", "dog")}),
    "every run diverged": (arms("none", "crop"), {"status": "diverged"}),
    "no network of known cost": (arms("none", "crop", models=["resnet8", "plain8"]), {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BORDERS)
def test_a_border(tmp_path, undrawn, name):
    study, options = BORDERS[name]
    made_up = made(
        tmp_path, study, lambda cell, seed: 0.9 + 0.02 * (cell[2] == "crop") + SPREAD[seed],
        options=lambda *_: options, shape=(28, 28, 3) if "colour" in name else (28, 28, 1),
        costs={"resnet8": None, "plain8": None} if name == "no network of known cost" else None,
    )  # fmt: skip
    report = made_up.render()
    words = check(report)
    for arm in made_up.tables["cells"].itertuples():
        assert arm.model in words or arm.augmentation in words
    if name in ("two seeds", "one run"):
        assert not re.search("[▲▼≈]", re.sub(r"▲ better.*? open", "", words))


@pytest.mark.slow
def test_a_partial_study_with_failed_runs_says_so_first(spoilt, undrawn):
    report = spoilt.render(name="spoilt-partial")
    words = check(report)
    for text in (words, report.markdown):
        banner = text[: text.index("Which?")]
        assert "artial" in banner and re.search(r"\b2 of 32 runs", banner)
    assert "not run yet" in words or "missing" in words
    assert "Partial" not in spoilt.analysis["title"]


def test_an_experiment_without_finished_runs(tmp_path, undrawn):
    study = json.loads(arms("none", "crop"))
    (block,) = study["experiments"].values()
    study["experiments"]["later"] = block | {"training": {"epochs": 5}, "question": "And longer?"}
    made_up = made(
        tmp_path, json.dumps(study), lambda cell, seed: 0.9, partial=True,
        options=lambda *_: {}, missing=LaterRuns(),
    )  # fmt: skip
    report = made_up.render()
    check(report)
    assert "no answer" in made_up.sentences("answer", "later")
    assert "6" in made_up.sentences("next step", "later")


class LaterRuns:
    """Says of the runs of the second experiment, which come last, that they are missing."""

    def __init__(self):
        self.asked = 0

    def __call__(self, cell, seed):
        self.asked += 1
        return self.asked > 6


def test_only_scores_of_a_test_split_that_validates_are_marked(spoilt, crossed):
    with chdir(spoilt.folder):
        markdown = spoilt.report(figures=False).markdown()
    heads = re.findall(r"^\| (?:Model|Augmentation) .*Test accuracy.*$", markdown, re.M)
    assert heads and all("Test accuracy†" in line for line in heads)
    assert "optimistic" in spoilt.sentences("caveat", "arms")
    with chdir(crossed.folder):
        markdown = crossed.report(figures=False).markdown()
    assert "†" not in markdown
    assert "artial" not in markdown.partition("Does depth hurt")[0]  # no banner


@pytest.mark.slow
def test_several_data_sets_are_distinguished(growing, undrawn):
    report = growing.render()
    check(report)
    for dataset in ("mnist5k", "other"):
        for kind in ("curves", "classes", "confusion"):
            assert f"{kind}-arms-{dataset}.svg" in report.files
        assert f"ablation-arms-{dataset}.csv" in report.files
    assert "mnist5k" in growing.sentences("answer") + growing.sentences("finding")


@pytest.mark.slow
def test_thirty_arms(tmp_path, undrawn):
    names = [f"a{place}" for place in range(30)]
    study = arms(*names, seeds=[0, 1, 2], training={"epochs": 2})
    made_up = made(
        tmp_path, study, lambda cell, seed: 0.9 + 0.001 * int(cell[2][1:]) + SPREAD[seed],
        options=lambda *_: {"images": 200, "validation": 50},
    )  # fmt: skip
    report = made_up.render()
    words = check(report)
    rows = report.files["ablation-arms-mnist5k.csv"].decode().splitlines()
    assert len(rows) == 31 and all(name in words for name in names)

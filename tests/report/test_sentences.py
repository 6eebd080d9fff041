"""Sentences on each verdict, interpretation and check, for results with and without it.

The wording is free; numbers, names and signs are not.
"""

import json
import re
from contextlib import chdir

import numpy as np
import pytest

from ablation.analysis.analyse import analyse
from ablation.report.page import plain_text

from ..factory import write_run
from .made import CROSSED, SPREAD, Made, arms, made, numbers

pytestmark = pytest.mark.slow  # analyses or renders whole studies

HIGHER = r"\b(better|gains?|higher|rises?|above)\b"
LOWER = r"\b(worse|loses?|lower|falls?|below|costs?)\b"


def names(prose, word):
    """Whether a text holds a name, or a number that a regular expression matches."""
    if word == "none":
        word = "(none|no augmentation|without augmentation)"
    return re.search(rf"(?<![\d.]){word}(?!\d)", prose)


def clause(prose, word):
    """The parts of a text, up to a semicolon or the end of the sentence, that name something."""
    parts = re.split(r"[;:]|\.\s|, and ", prose)
    return " ; ".join(part for part in parts if re.search(rf"\b{word}\b", part, re.I))


def one_pair(changed, crop, seeds=3, **options):
    study = arms("none", "crop", seeds=list(range(seeds)))
    study = changed(study, crop={"accuracy": crop, **options})
    return study, study.sentences("answer")


@pytest.mark.parametrize(("crop", "word", "value"), [(0.97, HIGHER, "97.0"), (0.90, LOWER, "90.0")])
def test_a_decided_pair_names_both_arms_and_the_direction(changed, crop, word, value):
    study, prose = one_pair(changed, crop)
    assert study.tables["comparisons"]["verdict"].item() in ("better", "worse")
    assert names(prose, "crop") and names(prose, "none")
    assert re.search(word, prose) and not re.search(HIGHER if word == LOWER else LOWER, prose)
    assert {value, "95.0"} <= set(numbers(prose))


def test_arms_within_the_margin_are_the_same_and_nothing_else(changed):
    study, prose = one_pair(changed, 0.9501)
    assert study.tables["comparisons"]["verdict"].item() == "same"
    assert "same" in prose and not re.search(r"better|worse|gain|lose|open|told apart", prose)


def test_an_open_pair_is_called_neither_better_nor_the_same(changed):
    study, prose = one_pair(changed, 0.96, spread=(0.0, 0.03, -0.03))
    assert study.tables["comparisons"]["verdict"].item() == "open"
    assert re.search(r"open|told apart|not decided|None of", prose)
    assert not re.search(r"is better|is worse|gains|loses|same", prose)


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_both_values_and_no_verdict(changed, seeds):
    study, prose = one_pair(changed, 0.90, seeds)
    assert {"90.0", "95.0"} <= {n[:3] + "0" for n in numbers(prose)}
    assert not re.search(r"better|worse|gains|loses|same", prose)
    assert re.search("no verdict|not evidence", prose + study.sentences("caveat", "summary"))


def test_several_arms_gain_lose_are_the_same_or_open(changed):
    study = changed(
        arms("none", "up", "down", "even", "wide"), up={"accuracy": 0.98}, down={"accuracy": 0.9},
        even={"accuracy": 0.95}, wide={"accuracy": 0.955, "spread": (0.004, -0.004, 0.0)},
    )  # fmt: skip
    verdicts = dict(study.tables["comparisons"][["arm", "verdict"]].to_numpy())
    prose = study.sentences("answer")
    assert re.search(HIGHER, clause(prose, "up")) and "3.0" in numbers(clause(prose, "up"))
    assert re.search(LOWER, clause(prose, "down")) and "5.0" in numbers(clause(prose, "down"))
    assert verdicts["even"] == "same" and "same" in clause(prose, "even")
    assert verdicts["wide"] == "open" and re.search(r"open|told apart", clause(prose, "wide"))


def test_nothing_compared_and_no_seed_in_common(changed, tmp_path):
    prose = changed(arms("none", "crop", baseline=None)).sentences("answer")
    assert "no comparison" in prose and not re.search(f"{HIGHER}|{LOWER}|same|open", prose)
    lost = made(
        tmp_path / "lost", arms("none", "crop"), lambda cell, seed: 0.9,
        diverged=lambda cell, seed: cell[2] == "crop",
    )  # fmt: skip
    prose = lost.sentences("answer")
    assert "no answer" in prose and not numbers(prose)


def test_lower_values_of_a_loss_are_better(changed):
    pair = {"arm": {"augmentation": "crop"}, "reference": {"augmentation": "none"}}
    study = changed(
        arms("none", "crop", baseline=None,
             comparisons=[{"kind": "arm", **pair, "measure": "nll", "margin": 0.01}]),
        crop={"accuracy": 0.97, "confidence": 0.97},
    )  # fmt: skip
    row = study.tables["comparisons"].iloc[0]
    assert row["verdict"] == "better" and row["difference"] < 0
    prose = study.sentences("answer")
    assert f"{row['arm_value']:.2f}" in prose and f"{row['reference_value']:.2f}" in prose
    assert "log-likelihood" in prose and not re.search("worse|points|%", prose)
    assert re.search("better|lower|less", prose)


def test_several_losses_are_higher_or_lower_and_not_gained(changed):
    comparisons = [
        {"kind": "arm", "arm": {"augmentation": arm}, "reference": {"augmentation": "none"},
         "measure": "nll", "margin": 0.01}
        for arm in ("crop", "mix")
    ]  # fmt: skip
    study = changed(
        arms("none", "crop", "mix", baseline=None, comparisons=comparisons),
        crop={"accuracy": 0.98, "confidence": 0.98}, mix={"accuracy": 0.9},
    )  # fmt: skip
    assert study.tables["comparisons"]["verdict"].tolist() == ["better", "worse"]
    prose = study.sentences("answer")
    assert not re.search("gain|lose", prose)
    assert re.search("lower", clause(prose, "crop")) and re.search("higher", clause(prose, "mix"))


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        ({"plain14": 0.80}, ["−8.0", "+1.0", "9.0"]),  # opposite signs
        ({"plain14": 0.80, "resnet14": 0.86}, ["8.0", "4.0", "4.0"]),  # both lose
    ],
)
def test_an_effect_that_depends_on_another_factor(changed, accuracy, expected):
    known = {"resnet8": 0.90, "plain8": 0.88, "resnet14": 0.91} | accuracy
    study = changed(CROSSED, **{name: {"accuracy": value} for name, value in known.items()})
    prose = study.sentences("answer", "residual")
    row = study.tables["comparisons"].query("factors == 'depth × shortcut'").iloc[0]
    assert row["verdict"] == "worse" and "from 8 to 14 layers" in prose.lower()
    found = numbers(re.split(r"\.\s", prose)[0])
    assert [one for one in found if "." in one][:3] == expected
    if accuracy.get("resnet14") == 0.86:
        assert re.search(LOWER, prose.partition("8.0")[0])


def test_an_interaction_that_is_not_decided_is_not_claimed(changed):
    known = {"resnet8": 0.90, "plain8": 0.88, "resnet14": 0.91, "plain14": 0.89}
    study = changed(CROSSED, **{name: {"accuracy": value} for name, value in known.items()})
    prose = "\n".join(study.sentences(part, "residual") for part in ("answer", "finding"))
    assert not re.search(r"differ by|shortcuts remove", prose)
    assert "same" in prose or "open" in prose


# Interpretations: runs by augmentation of a study without any, what the sentence then names.
LOST = {"accuracy": 0.85, "train_accuracy": 0.86, "confidence": 0.85}
STRONG = {
    "accuracy": 0.94,
    "train_accuracy": 0.9,
    "history": {"loss": [2.0, 1.0, 0.9, 0.8], "val_loss": [2.0, 1.0, 0.5, 0.4]},
}


def curve(half, last):
    return {"history": {"loss": [2.0] * 4, "val_accuracy": [0.1, half, half, last]}}


TEN = np.arange(1000) % 10
FIRST_WRONG = {"label": TEN, "answer": np.where(TEN == 0, 1, TEN)}  # class 0, and no other one
NINETY = {
    label: {"accuracy": 0.9, "train_accuracy": 0.93, "confidence": 0.9}
    for label in ("none", "crop", "mix", "wide")
}
SAME = dict.fromkeys(("none", "mix", "wide"), curve(0.7, 0.9))
FOR = {
    "optimization_failure": ({"crop": LOST}, ["crop", "none", "86.0", "97.0"]),
    "overfits_more": (
        {"crop": LOST | {"train_accuracy": 0.96}},
        ["crop", "none", "96.0", "97.0"],
    ),
    "little_to_regularize": ({"none": {"train_accuracy": 0.96}}, ["1.0"]),
    "too_strong_for_budget": ({"crop": STRONG}, ["crop", "90.0", "97.0", "20"]),
    "underconfident": (
        {"mix": {"confidence": 0.8}},
        ["mix", "80", "95", "15.0"],
    ),
    "overconfident": (
        NINETY | {"mix": NINETY["mix"] | {"confidence": 0.999}},
        ["mix", r"(100|99\.9)", "90"],
    ),
    "unstable": ({"wide": {"spread": (0.0, 0.03, -0.03)}}, ["wide", "92.0", "98.0"]),
    "rank_change": (
        SAME | {"crop": curve(0.76, 0.86)},
        ["crop", "76.0", "70.0", "86.0", "90.0"],
    ),
    "classes_pay": ({"none": {"accuracy": 0.75}, "crop": FIRST_WRONG}, ["crop", "none", "75.3"]),
}


def sentence(made, template, name):
    """The text of a macro for the first experiment of a study."""
    report = made.report(figures=False)
    experiment = report.experiments[0]
    sentences = report._environment.get_template(f"{template}.md.j2").module.SENTENCES
    if template == "checks":
        prose = sentences[name](experiment, experiment.check(name), experiment.checks(name))
    else:
        prose = sentences[name](experiment, experiment.interpretations[name])
    return plain_text(" ".join(str(prose).split()))


@pytest.mark.parametrize("name", FOR)
def test_an_interpretation_is_reported_with_its_arms_and_numbers(changed, name):
    study = arms("none", "crop", "mix", "wide")
    options, expected = FOR[name]
    speaking = changed(study, **options)
    rows = speaking.tables["interpretations"]
    assert name in set(rows["interpretation"])
    prose = sentence(speaking, "interpretations", name)
    assert prose and prose in speaking.sentences("interpretation")
    for word in expected:
        assert names(prose, word), (word, prose)
    if name.endswith("confident"):
        assert name in prose


def test_scaling_that_does_not_help_is_not_called_a_help(changed):
    """If the validation images differ from the test images, it may raise the error."""
    label = np.arange(1000) % 10
    answer = np.where(np.arange(1000) < 800, label, (label + 1) % 10)
    wrong = {"label": label, "answer": answer, "confidence": 0.91, "validation": 200}
    study = changed(arms("none", "crop"), crop={**wrong, "accuracy": 0.8})
    cell = study.tables["cells"].query("augmentation == 'crop'").iloc[0]
    assert cell["ece_scaled"] > cell["ece"] > 0.05
    assert "overconfident" in study.sentences("interpretation")
    assert "lowers" not in study.sentences("interpretation")


# Checks: what a study that has nothing of it says then.
FALLING = {"history": {"loss": [2.0, 1.0, 0.9, 0.8], "val_loss": [2.0, 1.5, 1.0, 0.8]}}
JUMPING = {"history": {"loss": [2.0, 1.0, 1.5, 0.9], "val_loss": [2.0, 1.0, 0.5, 0.5]}}
CHECKS = {
    "stopped_early": ({"crop": {"status": "stopped_early"}}, ["3", "6"]),
    "still_improving": ({"crop": FALLING}, ["3", "6", "5 %"]),
    "loss_jump": ({"crop": JUMPING}, ["3", "6"]),
    "overfitting": ({"crop": {"train_accuracy": 1.0, "accuracy": 0.9}}, ["crop", "10.0", "5"]),
    "near_chance": (
        {"crop": {"accuracy": 0.2, "confidence": 0.2, "train_accuracy": 0.2}},
        ["crop"],
    ),
    "never_predicted": (
        {"crop": {"label": np.arange(1000) % 10, "answer": np.arange(1000) % 9}},
        ["crop", "1", "10"],
    ),
    "low_balanced_accuracy": (
        {
            arm: {
                "label": np.repeat([0, 1], [900, 100]), "class_names": ("a", "b"),
                "answer": np.repeat([0, 1, 0], [900, part, 100 - part]), "confidence": 0.95,
            }
            for arm, part in (("none", 96), ("crop", 50))
        },
        ["crop", "20.0", r"2(\.0)?"],
    ),
}  # fmt: skip


def test_a_sound_study_has_no_caveats(changed):
    assert changed(arms("none", "crop")).sentences("caveat", "arms") == ""


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_told_where_it_finds_something(changed, name):
    options, expected = CHECKS[name]
    study = changed(arms("none", "crop"), **options)
    assert name in set(study.tables["checks"]["check"])
    prose = sentence(study, "checks", name)
    assert prose and prose in study.sentences("caveat", "arms")
    for word in expected:
        assert names(prose, word), (word, prose)


def test_validation_on_the_test_split_and_weights_of_the_best_epoch(changed):
    prose = changed(arms("none", "crop", validation="test")).sentences("caveat", "arms")
    assert "optimistic" in prose
    best = {"epochs": 4, "early_stopping": {"restore_best": True}}
    assert "best epoch" in changed(arms("none", "crop", training=best)).sentences("caveat", "arms")


def test_runs_that_diverged_or_are_missing_are_counted(spoilt):
    prose = spoilt.sentences("caveat", "arms")
    assert re.search(r"\b2 of 32 runs (have )?diverged", prose) and "plain8 · mix (2 of 4)" in prose
    assert re.search(r"\b2 of 32 runs have not finished", prose)


def test_further_looks_are_told_with_their_number(tmp_path):
    study = json.loads(arms("none", "crop", seeds=[0, 1, 2, 3]))
    study["experiments"]["arms"]["final_seeds"] = None
    text = json.dumps(study)
    first = made(
        tmp_path, text, lambda cell, seed: 0.95 + SPREAD[seed], partial=True,
        missing=lambda cell, seed: seed == 3,
    )  # fmt: skip
    assert "look" not in first.sentences("caveat", "arms")
    with chdir(tmp_path):
        for run in first.plan.runs.values():
            if run.seed == 3:
                write_run(run, accuracy=0.95)
        analyse(first.plan, first.results)
    again = Made(first.folder, first.plan)
    assert again.analysis["experiments"][0]["looks"] == 2
    prose = again.sentences("caveat", "arms")
    assert re.search(r"\b2 times|\btwice|\bsecond look", prose) and "5 %" in prose

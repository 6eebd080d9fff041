"""Every check on runs that give it something to find, and on runs that do not."""

import copy

import numpy as np
import pytest

from ablation.analysis.analyse import make_tables
from ablation.analysis.checks import CHECKS
from ablation.analysis.looks import Look, Looks
from ablation.analysis.results import StudyResults, read_results
from ablation.analysis.thresholds import THRESHOLDS, threshold
from ablation.training.code import LOOP

from .. import factory

pytestmark = pytest.mark.slow  # analyses or renders whole studies

STUDY = """\
title: Checked
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8, plain8]
    augmentations: {none: "", crop: crop(2)}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    comparisons: [{kind: factor, factors: [model, augmentation]}]
    training: {epochs: 4TRAINING}
    validation: held-out
"""
SPREAD = {0: 0.0, 1: 0.001, 2: 0.002}


def simulated(folder, study=STUDY, training="", **options):
    """Runs whose curves, probabilities and environments give no check anything to find."""
    given = {"options": lambda cell, seed: {}, **options}
    return factory.simulated_study(
        folder, study.replace("TRAINING", training), lambda cell, seed: 0.95 + SPREAD[seed], **given
    )


def sound(**changes):
    """Options of a run whose calibration is right, with changes."""
    return {"confidence": 0.95, "train_accuracy": 0.97, **changes}


def every_check(plan, looks=None):
    """The rows of each check that found something, as a whole analysis makes them."""
    results = read_results(plan)
    results = StudyResults(plan, results.by_folder, looks=looks)
    make_tables(results)
    rows = {}
    for row in results.tables["checks"].to_dict("records"):
        rows.setdefault(row["check"], []).append(row)
    return rows


def found(plan, name, looks=None):
    """The rows of a check."""
    return every_check(plan, looks).get(name, [])


def is_plain_crop(cell, seed):
    return cell[1:] == ("plain8", "crop")


def attempt(device="CPU", reserved=None, **environment):
    packages = {**factory.ENVIRONMENT["packages"], **environment.pop("packages", {})}
    return {
        "first_epoch": 1,
        "started": "2026-01-01T00:00:00Z",
        "device": device,
        "reserved": reserved,
        "environment": {**factory.ENVIRONMENT, **environment, "packages": packages},
    }


def history(**columns):
    usual = {"loss": [2.0, 1.0, 0.5, 0.4], "val_loss": [2.0, 1.0, 0.5, 0.5]}
    return {"history": {**usual, **columns}}


def test_every_threshold_of_a_check_is_declared():
    assert {check.threshold for check in CHECKS} - {None} <= set(THRESHOLDS)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_sound_runs_give_no_check_anything_to_find(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = simulated(tmp_path, options=lambda cell, seed: sound())
    results = read_results(plan)
    make_tables(results)
    assert set(results.tables["checks"]["check"]) == {"seed_range", "seed_range_largest"}


# Name: options of plain8 with crop, then what is expected of its row.
OF_A_CELL = {
    "diverged": ({"status": "diverged"}, {"count": 3, "of": 3}),
    "stopped_early": ({"status": "stopped_early"}, {"count": 3, "of": 3}),
    "resumed": ({"attempts": [attempt(), attempt()]}, {"count": 3, "of": 3}),
    "unused_gpu": (
        {"attempts": [attempt("/device:GPU:0", "0"), attempt(reserved="0")]},
        {"count": 3, "of": 3},
    ),
    "loss_jump": (history(loss=[2.0, 1.0, 1.5, 1.0]), {"count": 3, "value": 0.5}),
    "still_improving": (history(val_loss=[2.0, 1.5, 1.0, 0.8]), {"count": 3, "value": 0.2}),
    "overfitting": ({"train_accuracy": 1.0, "accuracy": 0.9}, {"value": 0.1}),
    "miscalibrated": ({"confidence": 0.8, "accuracy": 0.95}, {"value": 0.15}),
    "near_chance": (
        {"accuracy": 0.2, "confidence": 0.2, "train_accuracy": 0.2},
        {"value": 0.2, "threshold": 0.28, "count": 100, "of": 1000},
    ),
    "never_predicted": (
        {"label": np.arange(1000) % 10, "answer": np.arange(1000) % 9},
        {"count": 1, "of": 10, "detail": "9"},
    ),
}


@pytest.mark.parametrize("name", OF_A_CELL)
def test_checks_of_a_cell(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    options, expected = OF_A_CELL[name]
    plan = simulated(tmp_path, options=lambda *of: sound(**(options if is_plain_crop(*of) else {})))
    rows = found(plan, name)
    (row,) = [row for row in rows if row["model"]]
    assert (row["experiment"], row["model"], row["augmentation"]) == ("arms", "plain8", "crop")
    for column, value in expected.items():
        assert row[column] == (value if isinstance(value, str) else pytest.approx(value))
    check = next(check for check in CHECKS if check.name == name)
    if check.threshold and name != "near_chance":
        assert row["threshold"] == threshold(check.threshold)
    if check.scope == "run":
        of_study, of_experiment = rows[:2]
        assert [one["experiment"] for one in (of_study, of_experiment)] == ["", "arms"]
        assert [one["of"] for one in (of_study, of_experiment)] == [12, 12]


@pytest.mark.parametrize("name", ["loss_jump", "still_improving", "overfitting", "miscalibrated"])
def test_up_to_the_threshold_nothing_is_found(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    options = {
        "loss_jump": history(loss=[2.0, 1.0, 1.24, 1.0]),
        "still_improving": history(val_loss=[2.0, 1.5, 1.0, 0.96]),
        "overfitting": {"train_accuracy": 0.99},
        "miscalibrated": {"confidence": 0.91},
    }[name]
    plan = simulated(tmp_path, options=lambda *of: sound(**options))
    assert found(plan, name) == []


def test_the_longer_budget_is_twice_the_longest_that_still_improves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = history(val_loss=[2.0, 1.5, 1.0, 0.8])
    plan = simulated(tmp_path, options=lambda cell, seed: sound(**options))
    (row,) = found(plan, "longer_budget")
    assert (row["value"], row["threshold"]) == (8, 2)


def test_gains_of_the_best_epoch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = history(val_accuracy=[0.5, 0.9, 0.96, 0.95])
    plan = simulated(tmp_path, options=lambda *of: sound(**(one if is_plain_crop(*of) else {})))
    assert found(plan, "best_epoch_gain")[0]["value"] == pytest.approx(0.01 / 4)
    assert found(plan, "best_epoch_gain_largest")[0]["value"] == pytest.approx(0.01)


def test_ranges_over_the_seeds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = simulated(
        tmp_path,
        options=lambda *of: sound(
            **({"accuracy": 0.9 + of[1] / 100} if is_plain_crop(*of) else {})
        ),
    )
    assert found(plan, "seed_range")[0]["value"] == pytest.approx(0.002)
    assert found(plan, "seed_range_largest")[0]["value"] == pytest.approx(0.02)


def test_how_an_experiment_was_set_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = simulated(
        tmp_path,
        STUDY.replace("held-out", "test"),
        ", early_stopping: {restore_best: true}",
        options=lambda cell, seed: sound(**history(val_accuracy=[0.5, 0.9, 0.96, 0.95])),
    )
    assert [row["experiment"] for row in found(plan, "test_as_validation")] == ["arms"]
    assert [row["detail"] for row in found(plan, "best_epoch_weights")] == ["val_loss"]
    assert found(plan, "best_epoch_gain") == []


def test_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = simulated(tmp_path)
    seeds = Look((0, 1, 2))
    first = Looks(tmp_path / "looks.csv", {"arms": Look((5, 6, 7), final=3)})
    assert found(plan, "looks", Looks(tmp_path / "looks.csv", {"arms": seeds})) == []
    first.record(0)
    looks = Looks(tmp_path / "looks.csv", {"arms": Look((0, 1, 2), final=3)})
    (row,) = found(plan, "looks", looks)
    assert (row["count"], row["value"]) == (2, 0)
    assert [row["value"] for row in found(plan, "level_spent", looks)] == [0]


# What differs between seeds, so that every comparison has both on both sides.
MIXED = {
    "processor: A processor (8); New (4)": {"attempts": [attempt(processor="New")]},
    "TensorFlow: 2.20.0 (4); 2.21.0 (8)": {
        "attempts": [attempt(packages={"tensorflow": "2.20.0"})]
    },
    "Keras: 3.14.0 (4); 3.15.1 (8)": {"attempts": [attempt(packages={"keras": "3.14.0"})]},
    "NumPy: 2.2.0 (4); 2.3.0 (8)": {"attempts": [attempt(packages={"numpy": "2.2.0"})]},
    "environment variables: X=0 (4); none (8)": {"attempts": [attempt(variables={"X": "0"})]},
    "threads: 2 (8); 8 (4)": {"threads": {"inter_op": 8}},
    "training code: zzz (4)": {"code": {LOOP: "zzz"}},
    "device: CPU (8); GPU (4)": {"attempts": [attempt("/device:GPU:0", gpus=["A card"])]},
}


@pytest.mark.parametrize("detail", MIXED)
def test_runs_that_were_made_differently(tmp_path, monkeypatch, detail):
    monkeypatch.chdir(tmp_path)
    plan = simulated(tmp_path, options=lambda cell, seed: MIXED[detail] if seed else {})
    detail = detail.replace("(4)", "(x)").replace("(8)", "(4)").replace("(x)", "(8)")
    checks = every_check(plan)
    (row,) = checks["mixed_environments"]
    aspect, _, values = detail.partition(": ")
    assert row["detail"].startswith(f"{aspect}: ")
    assert row["detail"].endswith(values)
    assert (row["experiment"], row["count"], row["of"]) == ("", 2, 12)
    assert not {"confounded", "changed_environment"} & set(checks)


def test_an_unused_card_and_another_python_change_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = simulated(
        tmp_path,
        options=lambda cell, seed: {
            "attempts": [attempt(gpus=["A card"] if seed else [], python=f"3.{11 + seed}.1")]
        },
    )
    assert found(plan, "mixed_environments") == []


def test_a_run_that_went_on_elsewhere_counts_with_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = {"attempts": [attempt(), attempt(processor="New")]}
    plan = simulated(
        tmp_path, options=lambda *of: both if is_plain_crop(*of) and of[1] == 1 else {}
    )
    (row,) = found(plan, "changed_environment")
    assert (row["count"], row["of"], row["detail"]) == (1, 12, "processor")
    (row,) = found(plan, "mixed_environments")
    assert row["detail"] == "processor: A processor (12); New (1)"


def test_a_processor_for_each_arm_is_confounding(tmp_path, monkeypatch):
    """Crop on the new one, none on the old one: three comparisons are of both at once."""
    monkeypatch.chdir(tmp_path)
    new = {"attempts": [attempt(processor="New")]}
    plan = simulated(tmp_path, options=lambda cell, seed: new if cell[2] == "crop" else {})
    (row,) = found(plan, "confounded")
    assert (row["experiment"], row["count"], row["of"]) == ("arms", 3, 7)
    assert row["detail"] == (
        "processor: resnet8 · crop − resnet8 · none; plain8 · crop − plain8 · none; "
        "augmentation crop − augmentation none"
    )
    plan = simulated(
        tmp_path,
        options=lambda cell, seed: new if cell[2] == "crop" or (cell[1:] == ("resnet8", "none")
        and seed == 0) else {},
    )  # fmt: skip
    (row,) = found(plan, "confounded")  # one run in common ends it
    assert row["detail"] == "processor: plain8 · crop − plain8 · none"


def test_diverged_runs_are_on_no_side(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new = {"attempts": [attempt(processor="New")]}
    plan = simulated(
        tmp_path,
        options=lambda cell, seed: copy.deepcopy(new) if cell[2] == "crop" or seed == 0 else {},
        diverged=lambda cell, seed: cell[2] == "none" and seed == 0,
    )
    assert found(plan, "confounded")[0]["count"] == 3


def test_changes_that_are_in_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dirty = {"attempts": [attempt(git_commit="abc-dirty")]}
    plan = simulated(tmp_path, options=lambda *of: dirty if is_plain_crop(*of) else {})
    (row,) = found(plan, "uncommitted")
    assert (row["count"], row["of"], row["detail"]) == (3, 12, "abc-dirty")

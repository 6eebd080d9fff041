"""Every interpretation on results that speak for it, and on results that do not."""

from contextlib import chdir

import numpy as np
import pytest

from ablation.analysis.analyse import make_tables
from ablation.analysis.interpretations import INTERPRETATIONS
from ablation.analysis.results import read_results

from .. import factory

pytestmark = pytest.mark.slow  # analyses or renders whole studies

STUDY = """\
title: Interpreted
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2), mix: cutmix, both: crop(2) | cutmix}
    seeds: [0, 1, 2]
    final_seeds: 3
    baseline: {augmentation: none}
    training: {epochs: 4}
"""
TWO_SEEDS = STUDY.replace("[0, 1, 2]", "[0, 1]").replace("final_seeds: 3", "final_seeds: 2")
SPREAD = (0.0, 0.001, -0.001)


def rows_of(name, folder, plan):
    """The rows of an interpretation, as a whole analysis makes them."""
    with chdir(folder):
        results = read_results(plan)
    make_tables(results)
    rows = results.tables["interpretations"]
    return rows[rows["interpretation"] == name].to_dict("records")


@pytest.fixture
def interpreted(tmp_path):
    """A function that returns the rows of an interpretation for arms that differ as given."""

    def interpreted(name, study=STUDY, **arms):
        """Options of `factory.write_run` by augmentation; ``spread`` is over the seeds."""

        def options(cell, seed):
            usual = {"accuracy": 0.95, "train_accuracy": 0.96, "confidence": 0.95}
            own = {**usual, **arms.get(cell[2], {})}
            own["accuracy"] += own.pop("spread", SPREAD)[seed]
            return own

        plan = factory.simulated_study(tmp_path, study, lambda cell, seed: 0, options=options)
        return rows_of(name, tmp_path, plan)

    return interpreted


def keys(row):
    return row["augmentation"], row["reference_augmentation"]


def val_loss(*last):
    return {"history": {"loss": [2.0, 1.0, 0.9, 0.8], "val_loss": [2.0, 1.0, *last]}}


def test_their_names_are_distinct():
    assert len({one.name for one in INTERPRETATIONS}) == len(INTERPRETATIONS)


@pytest.mark.parametrize("study", [STUDY, TWO_SEEDS])
def test_a_losing_arm_that_fits_worse_as_well_failed_to_optimize(interpreted, study):
    (row,) = interpreted(
        "optimization_failure", study, crop={"accuracy": 0.85, "train_accuracy": 0.86}
    )
    assert (row["experiment"], row["dataset"], row["model"]) == ("arms", "mnist5k", "resnet8")
    assert (*keys(row), row["reference_model"]) == ("crop", "none", "resnet8")
    assert (row["value"], row["threshold"]) == pytest.approx((-0.1, -0.05))


def test_the_losing_arm_may_be_the_reference(interpreted):
    better = {"accuracy": 0.95, "train_accuracy": 0.96}
    worse = {"accuracy": 0.85, "train_accuracy": 0.86}
    rows = interpreted("optimization_failure", none=worse, crop=better, mix=worse, both=worse)
    assert [keys(row) for row in rows] == [("none", "crop")]


def test_a_losing_arm_that_fits_as_well_overfits_more(interpreted):
    arms = {"crop": {"accuracy": 0.85, "train_accuracy": 0.92}}
    (row,) = interpreted("overfits_more", **arms)
    assert keys(row) == ("crop", "none")
    assert (row["value"], row["threshold"]) == pytest.approx((-0.04, -0.05))
    assert interpreted("optimization_failure", **arms) == []


@pytest.mark.parametrize("study", [STUDY, TWO_SEEDS])
def test_without_a_difference_neither(interpreted, study):
    arms = {"crop": {"accuracy": 0.948, "train_accuracy": 0.5}}
    for name in ("optimization_failure", "overfits_more"):
        assert interpreted(name, study, **arms) == []


def test_an_unaugmented_arm_with_a_small_gap_and_none_better(interpreted):
    (row,) = interpreted("little_to_regularize")
    assert (*keys(row), row["reference_model"]) == ("none", "", "")
    assert (row["value"], row["threshold"]) == pytest.approx((0.01, 0.02))
    assert interpreted("little_to_regularize", none={"train_accuracy": 0.98}) == []
    assert interpreted("little_to_regularize", crop={"accuracy": 0.99}) == []
    uncompared = STUDY.replace("    baseline: {augmentation: none}\n", "")
    assert interpreted("little_to_regularize", uncompared) == []


def test_an_augmented_arm_that_is_not_through_is_too_strong_for_the_budget(interpreted):
    strong = {"accuracy": 0.94, "train_accuracy": 0.9, **val_loss(0.5, 0.4)}
    (row,) = interpreted("too_strong_for_budget", crop=strong)
    assert keys(row) == ("crop", "none")
    assert (row["value"], row["threshold"]) == pytest.approx((0.2, 0.05))
    for other in (
        {**strong, "train_accuracy": 0.955},
        {**strong, **val_loss(0.5, 0.49)},
        {**strong, "accuracy": 0.95},
    ):
        assert interpreted("too_strong_for_budget", crop=other) == []
    assert interpreted("too_strong_for_budget", none=strong) == []


@pytest.mark.parametrize(
    ("name", "confidence"), [("underconfident", 0.85), ("overconfident", 0.999)]
)
def test_confidence_that_is_not_accuracy(interpreted, name, confidence):
    accuracy = 0.95 if name == "underconfident" else 0.9
    (row,) = interpreted(name, mix={"confidence": confidence, "accuracy": accuracy})
    assert keys(row) == ("mix", "")
    assert (row["value"], row["threshold"]) == pytest.approx((abs(accuracy - confidence), 0.05))
    assert interpreted(name, mix={"confidence": accuracy}) == []
    other = {"underconfident": "overconfident", "overconfident": "underconfident"}[name]
    assert interpreted(other, mix={"confidence": confidence, "accuracy": accuracy}) == []


def test_an_arm_that_varies_far_more_than_the_others_is_unstable(interpreted):
    (row,) = interpreted("unstable", mix={"accuracy": 0.9, "spread": (0.0, 0.05, -0.05)})
    assert keys(row) == ("mix", "")
    assert (row["value"], row["threshold"]) == pytest.approx((0.1, 0.01))
    assert interpreted("unstable", mix={"spread": (0.0, 0.004, -0.004)}) == []
    loud = {"accuracy": 0.9, "spread": (0.0, 0.05, -0.05)}
    assert interpreted("unstable", none=loud, crop=loud, mix=loud, both=loud) == []
    few = STUDY.replace(", mix: cutmix, both: crop(2) | cutmix", "")
    assert interpreted("unstable", few, crop=loud) == []


def curve(half, last):
    return {"history": {"loss": [2.0] * 4, "val_accuracy": [0.1, half, half, last]}}


def test_arms_that_change_places_after_half_of_the_epochs(interpreted):
    same = curve(0.7, 0.9)
    arms = {"none": same, "crop": curve(0.74, 0.88), "mix": curve(0.65, 0.93), "both": same}
    (row,) = interpreted("rank_change", **arms)  # the clearest of several
    assert (*keys(row), row["epoch"]) == ("mix", "none", 2)
    assert (row["value"], row["threshold"]) == pytest.approx((0.03, 0.005))
    alike = {"none": same, "mix": same, "both": same}
    assert interpreted("rank_change", crop=curve(0.74, 0.91), **alike) == []
    assert interpreted("rank_change", crop=curve(0.704, 0.896), **alike) == []


LONGER = STUDY + STUDY.partition("experiments:\n")[2].replace("arms:", "longer:").replace(
    "    training: {epochs: 4}",
    "    comparisons: [{kind: budget, arm: {augmentation: [none, crop]}, "
    "reference: {experiment: arms}}]\n    training: {epochs: 8}",
)


def test_a_pair_with_opposite_verdicts_at_two_budgets(tmp_path):
    def rows(short, long):
        plan = factory.simulated_study(tmp_path, LONGER, lambda cell, seed: 0.9)
        for run in plan.runs.values():
            crop = short if run.settings.training.epochs == 4 else long
            value = 0.9 + (crop if run.augmentation == "crop" else 0.0)
            with chdir(tmp_path):
                factory.write_run(run, accuracy=value + SPREAD[run.seed])
        return rows_of("budget_reversal", tmp_path, plan)

    (row,) = rows(-0.05, 0.03)
    assert (row["experiment"], *keys(row), row["epoch"]) == ("longer", "crop", "none", 4)
    assert row["value"] == pytest.approx(-0.05)
    (row,) = rows(0.05, -0.03)
    assert keys(row) == ("none", "crop")
    assert row["value"] == pytest.approx(-0.05)
    assert rows(0.05, 0.03) == rows(0.05, 0.0) == []


def test_classes_that_an_arm_moves_against_the_whole(interpreted):
    label = np.arange(1000) % 10
    of_class_0 = {"label": label, "answer": np.where(label == 0, 1, label)}
    # The nine others gain, and so does the whole.
    (row,) = interpreted("classes_pay", none={"accuracy": 0.75}, crop=of_class_0)
    assert (*keys(row), row["value"]) == ("crop", "none", 1)
    assert interpreted("classes_pay", crop={"accuracy": 0.7}) == []
    assert interpreted("classes_pay") == []

"""The grading criteria, on tables made by hand, so that each verdict is known beforehand."""

import re

import numpy as np
import pandas as pd
import pytest

from ablation.analysis import criteria
from ablation.analysis.criteria import (
    CRITERIA_COLUMNS,
    DEFINITIONS,
    MET,
    NOT_MET,
    NOT_PART,
    criteria_table,
    falls_steadily,
    largest_rise,
    late_change,
    parameter_count,
)
from ablation.study.architectures import resolve_architecture
from ablation.study.plan import load_config, load_plan

SETTLED = (0.5, 0.9, 0.9, 0.9, 0.9)
FALLING = (2.0, 1.0, 0.6, 0.4, 0.3)
KEYS = ["experiment", "dataset", "model", "augmentation"]

GRADED = """\
title: t
experiments:
  main:
    question: q
    datasets: [{name: cats_vs_dogs, image_size: 64}]
    models: [resnet34, resnet50, plain34, plain50]
    seeds: [0, 1]
    baseline: {model: resnet34}
    training: {epochs: 5}
"""
ARMS = """\
title: t
experiments:
  arms:
    question: q
    datasets: [cifar10]
    models: [resnet20]
    augmentations: {none: "", flip: flip, cutmix: cutmix, mixup: mixup}
    seeds: [0, 1]
    baseline: {augmentation: none}
    training: {epochs: 5}
"""


class Tables:
    """The tables of a study in which all went well, and ways to spoil them."""

    def __init__(self, plan):
        self.plan = plan
        self.status, self.loss, self.accuracy = {}, {}, {}
        self.rows = []
        self.records = {}
        self.chance = 0.1
        for run in plan.runs.values():
            total, trainable = parameter_count(run.settings["model"], 3, 10)
            self.records[run.folder] = {
                "parameters": total,
                "trainable_parameters": trainable,
                "class_names": [str(i) for i in range(10)],
                "data": {"shape": [100, 32, 32, 3]},
            }

    def compare(self, arm, reference, verdict, difference=0.01, model="resnet20", kind="baseline"):
        """Add a comparison of two arms."""
        experiment = self.plan.experiments[0]
        self.rows.append(
            {
                "experiment": experiment.name,
                "kind": kind,
                "dataset": experiment.runs[0].dataset,
                "arm_model": model,
                "arm_augmentation": arm,
                "reference_model": model,
                "reference_augmentation": reference,
                "difference": float("nan") if verdict == "none" else difference,
                "verdict": verdict,
                "measure": "test_accuracy",
            }
        )

    def of(self, table, run):
        """What was set for a run: by model or augmentation and seed, or for all seeds."""
        for name in (run.model, run.augmentation):
            for key in ((name, run.seed), name):
                if key in table:
                    return table[key]
        return None

    def answer(self):
        """Return the verdicts and the evidence by criterion."""
        runs, curves = [], []
        for experiment in self.plan.experiments:
            for run in experiment.runs:
                status = self.of(self.status, run) or "completed"
                loss = self.of(self.loss, run) or FALLING
                accuracy = self.of(self.accuracy, run) or SETTLED[-len(loss) :]
                finished = status in ("completed", "stopped_early")
                key = dict(zip(KEYS, (experiment.name, *run.cell), strict=True))
                runs.append(
                    {
                        **key,
                        "seed": run.seed,
                        "status": status,
                        "val_accuracy_last": accuracy[-1] if finished else np.nan,
                        "test_accuracy": accuracy[-1] if finished else np.nan,
                        "epochs": len(loss) if finished else np.nan,
                    }
                )
                if status in ("failed", "missing", "running"):
                    self.records.pop(run.folder, None)
                    continue
                curves += [
                    {**key, "seed": run.seed, "epoch": i, "loss": one, "val_accuracy": other}
                    for i, (one, other) in enumerate(zip(loss, accuracy, strict=True), 1)
                ]
        runs = pd.DataFrame(runs)
        cells = runs.groupby(KEYS, sort=False)["test_accuracy"].agg(["mean", "size", "count"])
        cells.columns = ["test_accuracy", "runs", "finished"]
        empty = [
            "experiment", "kind", "dataset", "arm_model", "arm_augmentation",
            "reference_model", "reference_augmentation", "difference", "verdict", "measure",
        ]  # fmt: skip
        comparisons = pd.DataFrame(self.rows, columns=None if self.rows else empty)
        table = criteria_table(
            self.plan,
            runs,
            pd.DataFrame(curves, columns=[*KEYS, "seed", "epoch", "loss", "val_accuracy"]),
            cells.reset_index(),
            comparisons,
            self.records,
            dict.fromkeys(self.records, self.chance),
        )
        assert tuple(table) == CRITERIA_COLUMNS
        assert list(table["criterion"]) == [1, 2, 3, 4, 5, 6]
        assert all(text.endswith(".") for text in table["evidence"])
        return {
            row["criterion"]: (row["verdict"], row["evidence"]) for row in table.to_dict("records")
        }


@pytest.fixture
def tables(project):
    def make(study):
        project(study)
        return Tables(load_plan(load_config()))

    return make


# The count of parameters ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "trainable"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("plain18", 11_515_688),
        ("plain34", 21_623_848),
        ("plain50", 22_780_456),
        ("plain101", 41_772_584),
        ("plain152", 57_416_232),
    ],
)
def test_count_of_the_papers_networks(name, trainable):
    assert parameter_count(resolve_architecture(name, {}), 3, 1000)[1] == trainable


def test_count_of_other_forms():
    pretrained = resolve_architecture("resnet50-pretrained", {})
    assert parameter_count(pretrained, 3, 1000)[0] == 25_636_712
    notebook = resolve_architecture("resnet34", {"variant": "notebook"})
    assert parameter_count(notebook, 3, 10) == (22_691_594, 22_674_570)
    cifar = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
    for depth, trainable in cifar.items():
        network = resolve_architecture(f"resnet{depth}", {})
        assert parameter_count(network, 3, 10)[1] == trainable


# The definitions ------------------------------------------------------------------------------


def test_what_falls_steadily():
    assert falls_steadily(FALLING)
    assert falls_steadily([2.0, 1.0, 1.05, 0.9])  # a rise of 4.5 % of the range
    assert not falls_steadily([2.0, 1.0, 1.06, 0.9])
    assert not falls_steadily([2.0, 1.0, 1.04, 1.08, 0.9])  # two small rises add up
    assert not falls_steadily([2.0, 1.0])
    assert not falls_steadily([1.0, 1.0, 1.0])
    assert not falls_steadily([1.0, 1.2, 1.4])
    assert not falls_steadily([2.0, float("nan"), 1.0])
    assert largest_rise([2.0, 1.0, 1.05, 0.9]) == pytest.approx(0.05 / 1.1)


def test_late_change_compares_the_end_with_as_many_epochs_before():
    assert late_change([0.1, 0.2, 0.3]) is None
    assert late_change([0.1, 0.2, 0.3, 0.4]) == pytest.approx(0.2)
    assert late_change([0.0] * 5 + [0.5] * 5) == 0.0
    assert late_change([0.0] * 12 + [0.5, 0.5, 0.5]) == pytest.approx(0.5)


def test_definitions_give_the_thresholds_that_are_used(monkeypatch):
    text = dict(DEFINITIONS)
    assert "at least 3 epochs" in text["Falls steadily"]
    assert "more than 5 % of its range" in text["Falls steadily"]
    assert "no more than 90 %" in text["Converged"]
    assert "within 1 point" in text["Converged"]
    monkeypatch.setattr(criteria, "STEADY_RISE", 0.001)
    assert not falls_steadily([2.0, 1.0, 1.05, 0.9])


# (1) to (3) -----------------------------------------------------------------------------------


def test_a_study_of_notebook_one_meets_its_criteria(tables):
    study = tables(GRADED)
    study.accuracy = {"plain34": (0.5, 0.6, 0.7, 0.75, 0.8), ("plain50", 0): (0.1,) * 4 + (0.7,)}
    answer = study.answer()
    assert [answer[i][0] for i in (1, 2, 3)] == [MET, MET, MET]
    assert [answer[i][0] for i in (4, 5, 6)] == [NOT_PART] * 3
    one = answer[1][1]
    assert "ResNet-34 (resnet34 on cats_vs_dogs, 10 classes, 2 runs) has 21,289,802" in one
    assert "1×1 projections (option B)" in one
    assert answer[2][1].count("(2.0000 to 0.3000 in 5 epochs, at most 0.00 % of its range") == 8
    assert "the training loss falls steadily for seed 0 (" in answer[2][1]
    assert "mean of seeds 0 and 1" in answer[3][1]
    assert (
        "plain-34 80.00 %, ResNet-34 90.00 %, plain-50 80.00 % and ResNet-50 90.00 %"
        in answer[3][1]
    )
    assert "each after 5 epochs" in answer[3][1]


def test_1_a_wrong_count_is_not_met(tables):
    study = tables(GRADED)
    for run in study.plan.runs.values():
        if run.model == "resnet50":
            study.records[run.folder]["trainable_parameters"] += 1
    verdict, evidence = study.answer()[1]
    assert verdict == NOT_MET
    assert "has 23,528,523 trainable" in evidence
    assert "have 23,528,522 of" in evidence


def test_1_needs_a_record_of_both(tables):
    study = tables(GRADED)
    study.status = {"resnet34": "missing"}
    verdict, evidence = study.answer()[1]
    assert verdict == NOT_MET
    assert "No run of ResNet-34 has left a count of its parameters yet." in evidence


def test_1_names_the_notebooks_projections(tables):
    study = tables(GRADED.replace("[resnet34,", "[{name: resnet34, variant: notebook},"))
    verdict, evidence = study.answer()[1]
    assert verdict == MET
    assert "3×3 projections (the first notebook's, not the paper's)" in evidence
    assert "has 22,674,570 trainable parameters of 22,691,594" in evidence
    assert "the paper's own form with this head has 21,289,802 trainable" in evidence


def test_1_is_not_part_without_both_depths(tables):
    verdict, evidence = tables(GRADED.replace("resnet50, ", "resnet18, ")).answer()[1]
    assert verdict == NOT_PART
    assert "does not run ResNet-50" in evidence
    assert "ResNet-18 (ImageNet form)" in evidence


def test_2_one_unsteady_run_is_not_met(tables):
    study = tables(GRADED)
    study.loss = {("resnet50", 1): (2.0, 0.5, 1.5, 0.4, 0.3)}
    verdict, evidence = study.answer()[2]
    assert verdict == NOT_MET
    assert "; it does not fall steadily for seed 1 (2.0000 to 0.3000" in evidence
    assert "58.82 % of its range" in evidence


def test_2_a_plain_network_may_be_unsteady(tables):
    study = tables(GRADED)
    study.loss = {"plain50": (2.0, 0.5, 1.5, 0.4, 0.3)}
    verdict, evidence = study.answer()[2]
    assert verdict == MET
    assert evidence.count("does not fall steadily for seed 0") == 1


@pytest.mark.parametrize("status", ["diverged", "failed", "missing"])
def test_2_and_3_tell_runs_that_have_not_finished(tables, status):
    study = tables(GRADED)
    study.status = {("resnet34", 0): status}
    answer = study.answer()
    assert answer[2][0] == NOT_MET
    assert f"where a run has not finished: seed 0 {status}." in answer[2][1]
    assert answer[3][0] == MET  # by the seed that all four have in common
    assert "of seed 1" in answer[3][1]
    assert f"Not all runs have finished: ResNet-34 (seed 0 {status})" in answer[3][1]


def test_2_is_not_part_elsewhere(tables):
    study = tables(GRADED.replace("name: cats_vs_dogs", "name: cats_vs_dogs, source: cifar10"))
    verdict, evidence = study.answer()[2]
    assert verdict == NOT_PART
    assert evidence == "The study has no data set cats_vs_dogs; it trains on cifar10."


def test_2_is_not_part_with_one_of_the_networks(tables):
    study = tables(GRADED.replace("resnet34, resnet50, plain34, plain50", "resnet34"))
    verdict, evidence = study.answer()[2]
    assert verdict == NOT_PART
    assert evidence.startswith("The study does not train ResNet-50 on cats_vs_dogs.")
    assert "falls steadily" in evidence


def test_2_tells_a_limit(tables):
    evidence = tables(GRADED.replace("image_size: 64", "image_size: 64, limit: 2000")).answer()[2][
        1
    ]
    assert "limited to 2,000 images a split" in evidence


def test_3_needs_a_seed_in_all_four_cells(tables):
    study = tables(GRADED)
    study.status = {("resnet34", 0): "failed", ("plain50", 1): "diverged"}
    verdict, evidence = study.answer()[3]
    assert verdict == NOT_MET
    assert "no seed has finished in all of" in evidence
    assert "plain-50 (seed 1 diverged)" in evidence


def test_3_needs_one_number_of_epochs(tables):
    study = tables(GRADED)
    study.loss = {"plain50": FALLING[:4]}
    verdict, evidence = study.answer()[3]
    assert verdict == NOT_MET
    assert "ended after between 4 and 5 epochs" in evidence


def test_3_tells_other_settings_that_differ(tables):
    study = tables(
        GRADED + "    overrides: [{where: {model: plain50}, training: {learning_rate: 0.01}}]\n"
    )
    verdict, evidence = study.answer()[3]
    assert verdict == MET
    assert evidence.endswith("Other settings of their training differ.")


def test_3_does_not_mix_networks_that_differ_otherwise(tables):
    study = tables(GRADED.replace("plain50]", "{name: plain50, bias: true}]"))
    assert study.answer()[3][0] == NOT_PART


def test_3_names_what_a_study_has_instead(tables):
    models = "[resnet8, plain8, resnet32, plain32, plain20]"
    study = tables(GRADED.replace("[resnet34, resnet50, plain34, plain50]", models).replace(
        "resnet34", "resnet8"
    ))  # fmt: skip
    verdict, evidence = study.answer()[3]
    assert verdict == NOT_PART
    assert "It has instead plain and residual networks of 8 and 32 layers." in evidence
    assert "plain-8 90.00 %, ResNet-8 90.00 %, plain-32 90.00 % and ResNet-32 90.00 %" in evidence


def test_3_says_where_there_are_no_twins(tables):
    verdict, evidence = tables(ARMS).answer()[3]
    assert verdict == NOT_PART
    assert "no plain network beside its residual twin" in evidence


# (4) ------------------------------------------------------------------------------------------


def test_4_met(tables):
    verdict, evidence = tables(ARMS).answer()[4]
    assert verdict == MET
    assert evidence.count(": converged;") == 2
    assert (
        "resnet20 with cutmix on cifar10 (experiment arms): converged; the training loss ended at "
        "15.00 % of that of the first epoch, validation accuracy moved by +0.00 points" in evidence
    )
    assert "reached 90.00 % (mean of seeds 0 and 1; chance 10.00 %)" in evidence


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ({"loss": {("mixup", 1): (2.0, 2.0, 1.95, 1.9, 1.9)}}, "ended at 15.00 % to 95.00 %"),
        ({"accuracy": {"mixup": (0.1, 0.2, 0.3, 0.4, 0.5)}}, "moved by +20.00 points"),
        ({"accuracy": {"mixup": (0.2,) * 5}}, "reached 20.00 %"),
        ({"loss": {"mixup": FALLING[:3]}}, "too few epochs to tell"),
        ({"status": {("mixup", 0): "diverged"}}, "seed 0 diverged"),
        (
            {"status": {"mixup": "missing"}},
            "no run has finished (seed 0 missing and seed 1 missing)",
        ),
    ],
)
def test_4_not_met(tables, spoil, told):
    study = tables(ARMS)
    for name, value in spoil.items():
        setattr(study, name, value)
    verdict, evidence = study.answer()[4]
    assert verdict == NOT_MET
    assert told in evidence
    assert evidence.count(": converged;") == 1


def test_4_chance_is_the_share_of_the_largest_class(tables):
    study = tables(ARMS)
    study.chance = 0.9
    verdict, evidence = study.answer()[4]
    assert verdict == NOT_MET
    assert "reached 90.00 % (mean of seeds 0 and 1; chance 90.00 %)" in evidence


def test_4_settles_in_the_mean_over_seeds(tables):
    study = tables(ARMS)
    study.accuracy = {
        ("mixup", 0): (0.5, 0.90, 0.90, 0.92, 0.92),
        ("mixup", 1): (0.5, 0.92, 0.92, 0.90, 0.90),
    }
    assert study.answer()[4][0] == MET


def test_4_is_not_part_without_mixup_or_on_plain_networks(tables):
    verdict, evidence = tables(ARMS.replace(", mixup: mixup", "")).answer()[4]
    assert verdict == NOT_PART
    assert evidence.startswith("The study trains no residual network with MixUp alone.")
    assert "resnet20 with cutmix" in evidence
    verdict, evidence = tables(ARMS.replace("resnet20", "plain20")).answer()[4]
    assert (verdict, evidence) == (
        NOT_PART,
        "The study trains no residual network with CutMix or MixUp alone.",
    )
    idle = tables(ARMS.replace("mixup: mixup", "mixup: mixup(probability=0)"))
    assert idle.answer()[4][0] == NOT_PART


# (5) ------------------------------------------------------------------------------------------


def with_accuracies(study):
    study.accuracy = {
        "flip": (0.95,) * 5,
        "none": (0.90,) * 5,
        "cutmix": (0.85,) * 5,
        "mixup": (0.84,) * 5,
    }
    return study


def test_5_the_best_arm_needs_verdicts_against_every_other(tables):
    study = with_accuracies(tables(ARMS))
    study.compare("flip", "none", "better", 0.05)
    study.compare("cutmix", "none", "worse", -0.05)
    study.compare("mixup", "none", "worse", -0.06)
    verdict, evidence = study.answer()[5]
    assert verdict == MET
    assert "none 90.00 %, flip 95.00 %, cutmix 85.00 % and mixup 84.00 %" in evidence
    assert "The best is flip: better than none, cutmix and mixup." in evidence
    assert "Problems: of 8 runs 0 diverged and 0 failed; worse than" in evidence
    assert "resnet20 with cutmix on cifar10 (−5.00 points against none)" in evidence


def test_5_no_best_arm_by_its_mean_alone(tables):
    study = with_accuracies(tables(ARMS))
    for arm in ("flip", "cutmix", "mixup"):
        study.compare(arm, "none", "open")
    verdict, evidence = study.answer()[5]
    assert verdict == NOT_MET
    assert "No best arm can be named: no verdict puts one above all others." in evidence
    assert "The best is" not in evidence


def test_5_two_better_arms_that_were_not_compared_stay_unranked(tables):
    study = with_accuracies(tables(ARMS))
    study.compare("flip", "none", "better")
    study.compare("cutmix", "none", "better")
    study.compare("mixup", "none", "worse")
    verdict, evidence = study.answer()[5]
    assert verdict == NOT_MET
    assert "no verdict puts one above all others." in evidence
    assert (
        "the arm none is better than mixup; the arm flip is better than none and mixup" in evidence
    )
    study.compare("cutmix", "flip", "worse", kind="arm")
    assert study.answer()[5][0] == MET


def test_5_equal_arms(tables):
    study = with_accuracies(tables(ARMS))
    study.compare("flip", "none", "same")
    study.compare("flip", "cutmix", "same", kind="arm")
    study.compare("flip", "mixup", "same", kind="arm")
    verdict, evidence = study.answer()[5]
    assert verdict == NOT_MET
    assert evidence.endswith("no arm is shown to be worse than what it was compared with.")
    assert "are the same within the margin" in evidence
    study.rows.pop()
    study.compare("flip", "mixup", "better", kind="arm")
    verdict, evidence = study.answer()[5]
    assert verdict == MET
    assert "better than mixup, the same as none and cutmix within the margin." in evidence


def test_5_an_arm_that_has_not_finished(tables):
    study = with_accuracies(tables(ARMS))
    study.status = {"mixup": "failed"}
    study.compare("flip", "none", "better")
    study.compare("cutmix", "none", "worse")
    study.compare("mixup", "none", "none")
    verdict, evidence = study.answer()[5]
    assert verdict == NOT_MET
    assert "fewer than 3 augmentations have finished" in evidence
    assert "mixup (seed 0 failed and seed 1 failed)" in evidence
    assert "2 failed" in evidence


def test_5_is_not_part_with_two_augmentations(tables):
    study = tables(ARMS.replace(", mixup: mixup", ", idle: crop(0)"))
    verdict, evidence = study.answer()[5]
    assert verdict == NOT_PART
    assert "it has 2 at most" in evidence


# (6) ------------------------------------------------------------------------------------------


def test_6_met(tables):
    study = tables(ARMS)
    study.compare("flip", "none", "better", 0.0123)
    study.compare("cutmix", "none", "open", -0.002)
    study.compare("mixup", "none", "worse", -0.02)
    verdict, evidence = study.answer()[6]
    assert verdict == MET
    assert "compared with the arm none over seeds 0 and 1" in evidence
    assert "flip +1.23 points (better), cutmix −0.20 points (open) and mixup −2.00" in evidence
    assert "gallery" in evidence


def test_6_a_basic_arm_may_be_the_reference(tables):
    study = tables(
        ARMS.replace('none: "", ', "").replace("augmentation: none", "augmentation: flip")
    )
    study.compare("cutmix", "flip", "same")
    study.compare("mixup", "flip", "worse")
    verdict, evidence = study.answer()[6]
    assert verdict == MET
    assert "flip is the reference itself" in evidence


def test_6_needs_one_reference(tables):
    study = tables(ARMS)
    study.compare("flip", "none", "better")
    study.compare("cutmix", "none", "better")
    study.compare("mixup", "none", "none")
    verdict, evidence = study.answer()[6]
    assert verdict == NOT_MET
    assert "with none it lacks mixup" in evidence
    study.rows = []
    verdict, evidence = study.answer()[6]
    assert verdict == NOT_MET
    assert "no comparison of two of its arms has an outcome" in evidence


def test_6_needs_every_seed(tables):
    study = tables(ARMS)
    for arm in ("flip", "cutmix", "mixup"):
        study.compare(arm, "none", "better")
    study.status = {("cutmix", 1): "running"}
    verdict, evidence = study.answer()[6]
    assert verdict == NOT_MET
    assert "Not with every seed: cutmix (seed 1 running)" in evidence


def test_6_ignores_other_models_measures_and_kinds(tables):
    study = tables(ARMS)
    for arm in ("flip", "cutmix", "mixup"):
        study.compare(arm, "none", "better")
    study.rows[0]["measure"] = "val_accuracy"
    assert study.answer()[6][0] == NOT_MET
    study.rows[0] |= {"measure": "test_accuracy", "kind": "budget"}
    assert study.answer()[6][0] == NOT_MET
    study.rows[0] |= {"kind": "baseline", "reference_model": "plain20"}
    assert study.answer()[6][0] == NOT_MET


def test_6_is_not_part_where_the_three_are_not_side_by_side(tables):
    verdict, evidence = tables(ARMS.replace("flip: flip, ", "")).answer()[6]
    assert verdict == NOT_PART
    assert "of the three it has CutMix and MixUp" in evidence
    apart = ARMS.replace("    training", "    exclude: [{model: plain20, augmentation: mixup}, "
        "{model: resnet20, augmentation: flip}]\n    training").replace(
        "[resnet20]", "[resnet20, plain20]"
    )  # fmt: skip
    verdict, evidence = tables(apart).answer()[6]
    assert verdict == NOT_PART
    assert "it has all three, but not side by side" in evidence


# All together -----------------------------------------------------------------------------------


def test_numbers_follow_the_tables(tables):
    """Moving every accuracy moves the percentages of the evidence."""
    study = with_accuracies(tables(ARMS))
    before = study.answer()
    study.accuracy = {arm: tuple(v - 0.0101 for v in of) for arm, of in study.accuracy.items()}
    after = study.answer()
    for number in (4, 5):
        first, second = (
            set(re.findall(r"(\d+\.\d\d) %", answer[number][1])) - {"10.00", "15.00"}
            for answer in (before, after)
        )
        assert first
        assert {f"{float(value) - 1.01:.2f}" for value in first} == second


@pytest.mark.parametrize(
    ("text", "parts"), [(GRADED, (1, 2, 3)), (ARMS, (4, 5, 6))], ids=["graded", "arms"]
)
def test_a_study_without_any_run_yet(tables, text, parts):
    study = tables(text)
    study.status = dict.fromkeys(study.plan.experiments[0].architectures, "missing")
    answer = study.answer()
    assert not study.records
    assert [answer[i][0] for i in parts] == [NOT_MET] * 3
    assert "missing" in answer[parts[1]][1]


def test_an_experiment_that_shares_its_runs_is_told_once(tables):
    again = ARMS.split("experiments:\n")[1].replace("  arms:", "  again:", 1)
    study = tables(ARMS + again)
    evidence = study.answer()[4][1]
    assert evidence.count("resnet20 with cutmix on cifar10") == 1

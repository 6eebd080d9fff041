"""Claims and rankings over budgets, from tables of comparisons whose verdicts are given."""

import re

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.budgets import budget_findings, budget_lengths, find_budgets
from ablation.analysis.claims import (
    CLAIM_COLUMNS,
    SMALL,
    claim_counts,
    claim_findings,
    claim_status,
    claims_table,
    part_status,
    survivals,
)
from ablation.analysis.rules import rules_table
from ablation.analysis.tables import COMPARISON_COLUMNS
from ablation.study.plan import load_config, load_plan

STUDY = """\
title: Claims
experiments:
  first:
    question: What did they see?
    datasets: [mnist5k]
    models: [resnet20]
    augmentations: &arms {none: "", crop: crop(2), cutmix: cutmix, mixup: mixup}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    claims:
      crop-helps: {text: Crops help., source: A paper}
      mixing: {text: CutMix leads MixUp and is like crops., source: "A talk, p. 3"}
      unlike: {text: MixUp is not the same as none., source: A blog}
    comparisons:
      - {kind: budget, arm: {augmentation: cutmix}, reference: {augmentation: mixup}, epoch: 1,
         claim: mixing, says: better}
      - {kind: arm, arm: {augmentation: crop}, reference: {augmentation: none},
         claim: crop-helps, says: better}
      - {kind: arm, arm: {augmentation: cutmix}, reference: {augmentation: crop},
         claim: mixing, says: same}
      - {kind: arm, arm: {augmentation: mixup}, reference: {augmentation: none},
         claim: unlike, says: different}
    training: {epochs: 2}
  again:
    question: And with more of everything?
    revisits: first
    datasets: [mnist5k]
    models: [resnet20]
    augmentations: *arms
    seeds: [0, 1, 2]
    claims:
      own: {text: CutMix beats crops in the end., source: Us}
    comparisons:
      - {kind: arm, arm: {augmentation: cutmix}, reference: {augmentation: crop},
         claim: own, says: better}
      - {kind: arm, arm: {augmentation: crop}, reference: {augmentation: none},
         claim: crop-helps, says: better}
      - {kind: arm, arm: {augmentation: mixup}, reference: {augmentation: none},
         claim: unlike, says: different}
      - {kind: budget, arm: {augmentation: [none, crop, cutmix]}, reference: {experiment: first}}
    training: {epochs: 4}
"""
DIFFERENCES = {"better": 0.02, "worse": -0.02, "same": 0.001, "open": 0.004}
NUMBER = re.compile(r"(?<![\w.])[+−]?\d+(?:\.\d+)?(?![\w]|\.\d)")
CELL = ["experiment", "dataset", "model", "augmentation"]


@pytest.fixture
def plan(project):
    project(STUDY)
    return load_plan(load_config())


def compared(plan, said=(), near_chance=()):
    """A table of comparisons with the verdicts (and bases) given by experiment, arm, reference."""
    said, rows = dict(said), []
    for experiment in plan.experiments:
        seeds = len(experiment.block.seeds)
        for comparison in experiment.comparisons:
            arm, reference = comparison.arm, comparison.reference
            verdict = said.get((experiment.name, arm.label, reference.label), "open")
            row = {
                "experiment": experiment.name,
                "dataset": comparison.dataset,
                "arm": arm.label,
                "reference": reference.label,
                "seeds": 0 if verdict == "none" else seeds,
                "verdict": verdict,
                "measure": "test_accuracy" if comparison.epoch is None else "val_accuracy",
                "epoch": comparison.epoch,
                "near_chance": (experiment.name, arm.label, reference.label) in near_chance,
            }
            for side, contrast in (("arm", arm), ("reference", reference)):
                _, row[f"{side}_model"], row[f"{side}_augmentation"] = contrast.cell
            if verdict != "none":
                # no two rows alike, so that a number from a wrong row is noticed
                middle = DIFFERENCES[verdict] + len(rows) / 10_000
                row |= {"difference": middle, "low": middle - 0.003, "high": middle + 0.003,
                        "basis": "seeds"}  # fmt: skip
            rows += [{**row, "kind": kind} for kind in comparison.kinds]
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))
    return table.astype({"seeds": "Int64", "epoch": "Int64"})


def tables_of(plan, said=(), accuracy=(), near_chance=()):
    """The tables that the findings speak from; accuracies by experiment and augmentation."""
    accuracy = dict(accuracy)
    comparisons = compared(plan, said, near_chance)
    claims = claims_table(plan, comparisons)
    cells = [
        {**dict(zip(CELL, (experiment.name, *cell), strict=True)),
         "test_accuracy": accuracy.get((experiment.name, cell[2]), 0.5 + place / 100)}
        for experiment in plan.experiments
        for place, cell in enumerate(dict.fromkeys(run.cell for run in experiment.runs))
    ]  # fmt: skip
    return {
        "comparisons": comparisons,
        "claims": claims,
        "cells": pd.DataFrame(cells),
        "rules": rules_table(0.005, 2),
        "diagnostics": pd.concat([claim_counts(claims), budget_lengths(plan)]),
    }


def check_numbers(findings, tables, names=()):
    """Every number of the text is cited, and each citation is one value of an exported table."""
    for finding in findings:
        text = finding.text
        for name in names:
            text = text.replace(name, "")
        assert sorted(NUMBER.findall(text)) == sorted(s.shown for s in finding.sources), text
        for source in finding.sources:
            frame = tables[source.table]
            for key, value in source.where.items():
                frame = frame[frame[key] == value]
            (value,) = frame[source.column].unique()
            shown = float(source.shown.replace("−", "-"))
            digits = len(source.shown.partition(".")[2])
            assert shown in [round(s * v, digits) for s in (1, 100) for v in (value, abs(value))]


@pytest.mark.parametrize(
    ("says", "holding", "contradicting", "small"),
    [
        ("better", {"better"}, {"worse"}, {"same"}),
        ("worse", {"worse"}, {"better"}, {"same"}),
        ("same", {"same"}, {"better", "worse"}, set()),
        ("different", {"better", "worse"}, set(), {"same"}),
    ],
)
def test_what_a_verdict_says_of_a_part(says, holding, contradicting, small):
    statuses = {
        verdict: part_status(says, verdict)
        for verdict in ("better", "worse", "same", "open", "none")
    }
    assert {v for v, status in statuses.items() if status == "holds"} == holding
    assert {v for v, status in statuses.items() if status == "contradicted"} == contradicting
    assert {v for v, status in statuses.items() if status == SMALL} == small
    assert statuses["open"] == statuses["none"] == "open"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (["holds"], "holds"),
        (["holds", "holds"], "holds"),
        (["holds", "open"], "open"),
        (["open", "contradicted", "holds"], "contradicted"),
        (["open"], "open"),
        (["holds", "open", SMALL], SMALL),
        ([SMALL, "contradicted"], "contradicted"),
        ([], "not tested"),
    ],
)
def test_the_status_of_a_claim_of_several_parts(parts, status):
    assert claim_status(parts) == status


def test_a_row_for_each_experiment_claim_and_part(plan):
    claims = claims_table(
        plan,
        compared(
            plan,
            {
                ("first", "crop", "none"): "better",
                ("first", "cutmix", "mixup"): "better",
                ("first", "cutmix", "crop"): "worse",
                ("again", "crop", "none"): "worse",
            },
        ),
    )
    assert list(claims) == list(CLAIM_COLUMNS)
    told = claims[["experiment", "claim", "part", "arm", "reference", "says", "verdict",
                   "part_status", "status", "stated_in"]]  # fmt: skip
    assert told.astype(object).where(told.notna(), None).values.tolist() == [
        ["first", "crop-helps", 1, "crop", "none", "better", "better", "holds", "holds", "first"],
        ["first", "mixing", 1, "cutmix", "mixup", "better", "better", "holds", "contradicted",
         "first"],
        ["first", "mixing", 2, "cutmix", "crop", "same", "worse", "contradicted", "contradicted",
         "first"],
        ["first", "unlike", 1, "mixup", "none", "different", "open", "open", "open",
         "first"],
        ["again", "own", 1, "cutmix", "crop", "better", "open", "open", "open", "again"],
        ["again", "crop-helps", 1, "crop", "none", "better", "worse", "contradicted",
         "contradicted", "first"],
        ["again", "mixing", None, None, None, None, None, None, "not tested", "first"],
        ["again", "unlike", 1, "mixup", "none", "different", "open", "open", "open",
         "first"],
    ]  # fmt: skip
    assert claims["text"].iloc[1] == "CutMix leads MixUp and is like crops."
    assert claims["source"].iloc[1] == "A talk, p. 3"
    assert (claims["epoch"].iloc[1], claims["measure"].iloc[1]) == (1, "val_accuracy")


def test_the_numbers_of_a_part_are_those_of_its_comparison(plan):
    comparisons = compared(plan, {("first", "crop", "none"): "better"})
    claims = claims_table(plan, comparisons)
    rows = comparisons[comparisons["epoch"].isna()].set_index(["experiment", "arm", "reference"])
    for claim in claims[claims["epoch"].isna() & claims["part"].notna()].to_dict("records"):
        row = rows.loc[[(claim["experiment"], claim["arm"], claim["reference"])]].iloc[0]
        for column in ("difference", "low", "high", "seeds", "verdict"):
            assert claim[column] == row[column], (claim, column)
    at_epoch = comparisons[comparisons["epoch"] == 1]["difference"].iloc[0]
    assert claims[claims["epoch"] == 1]["difference"].iloc[0] == at_epoch


def test_the_revisited_experiments_status_stands_beside_the_own(plan):
    claims = claims_table(
        plan,
        compared(
            plan,
            {
                ("first", "crop", "none"): "better",
                ("first", "mixup", "none"): "same",
                ("again", "crop", "none"): "worse",
                ("again", "mixup", "none"): "worse",
            },
        ),
    )
    again = claims[claims["experiment"] == "again"].set_index("claim")
    assert again.loc["crop-helps", ["status_there", "status", "conclusion"]].tolist() == [
        "holds", "contradicted", "does not survive"]  # fmt: skip
    assert again.loc["unlike", ["status_there", "status", "conclusion"]].tolist() == [
        SMALL, "holds", "survives"]  # fmt: skip
    assert again.loc["mixing", ["status_there", "status", "conclusion"]].tolist() == [
        "open", "not tested", "not tested here"]  # fmt: skip
    assert again.loc["own", ["status_there", "conclusion"]].isna().all()
    first = claims[claims["experiment"] == "first"]
    assert first[["status_there", "conclusion"]].isna().all(axis=None)


def test_arms_that_have_no_result_leave_a_claim_open(plan):
    """Diverged arms, and runs that are not there, have the verdict none."""
    claims = claims_table(
        plan,
        compared(
            plan,
            {
                ("first", "cutmix", "mixup"): "better",
                ("first", "cutmix", "crop"): "none",
                ("first", "crop", "none"): "none",
            },
        ),
    )
    own = claims[claims["experiment"] == "first"].set_index(["claim", "part"])
    assert own.loc[("mixing", 1), ["part_status", "status"]].tolist() == ["holds", "open"]
    assert own.loc[("mixing", 2), "part_status"] == "open"
    assert own.loc[("crop-helps", 1), "status"] == "open"
    assert np.isnan(own.loc[("crop-helps", 1), "difference"])


def test_a_study_without_claims_has_the_columns_alone(project):
    project(re.sub(r"(?s)    claims:.*?    comparisons:.*?(?=    training)", "", STUDY))
    plan = load_plan(load_config())
    tables = tables_of(plan)
    assert list(tables["claims"]) == list(CLAIM_COLUMNS)
    assert len(tables["claims"]) == 0
    assert len(tables["diagnostics"]) == 0
    assert claim_findings("first", tables) == survivals(tables) == []


def test_claims_are_counted_in_a_sentence(plan):
    tables = tables_of(
        plan,
        {
            ("first", "crop", "none"): "better",
            ("first", "cutmix", "crop"): "worse",
            ("again", "crop", "none"): "better",
            ("again", "cutmix", "crop"): "better",
        },
    )
    first, against = claim_findings("first", tables)
    assert first.part == against.part == "claims"
    assert first.text == (
        "Of 3 claims tested here, 1 holds (‘crop-helps’), 1 is contradicted (‘mixing’) and 1 is "
        "open (‘unlike’). Open is not refuted: no verdict has settled it yet."
    )
    row = tables["claims"].query("claim == 'mixing' and part == 2").iloc[0]
    assert against.text == (
        "What contradicts: ‘mixing’ says that cutmix is as accurate as crop, and it is less "
        f"accurate (−{abs(100 * row.difference):.2f} points, interval "
        f"−{abs(100 * row.low):.2f} to −{abs(100 * row.high):.2f})."
    )
    again, survival = claim_findings("again", tables)
    assert again.text.startswith("Of 3 claims tested here, 2 hold (‘own’, ‘crop-helps’) and 1 is")
    assert survival.part == "survives"
    check_numbers([first, against, again, survival], tables)


def test_a_claim_that_rests_on_arms_near_chance_says_why_it_is_open(plan):
    near = {("first", "mixup", "none"), ("first", "cutmix", "crop")}
    said = {("first", "cutmix", "mixup"): "worse"}  # contradicts ‘mixing’ by itself
    (found, _) = claim_findings("first", tables_of(plan, said, near_chance=near))
    assert found.text.endswith(
        "Where all arms of a comparison are near chance (‘unlike’), equal accuracies are no "
        "evidence."
    )


def test_what_survives_is_counted(plan):
    tables = tables_of(
        plan, {("again", "crop", "none"): "better", ("again", "mixup", "none"): "same"}
    )
    (here,) = [f for f in claim_findings("again", tables) if f.part == "survives"]
    assert here.text == (
        "Of 3 claims of experiment first, 1 survives, 1 is no larger than the margin and 1 is not "
        "tested here."
    )
    (summary,) = survivals(tables)
    assert summary.part == "answer"
    assert summary.text == (
        "Experiment again asks again: of 3 claims of experiment first, 1 survives, 1 is no "
        "larger than the margin and 1 is not tested by experiment again."
    )
    check_numbers([here, summary], tables)


def test_what_is_open_is_not_told_as_refuted(plan):
    tables = tables_of(plan)
    (here,) = [f for f in claim_findings("again", tables) if f.part == "survives"]
    assert here.text == (
        "Of 3 claims of experiment first, 2 remain open (not refuted) and 1 is not tested here."
    )
    assert not [f for f in claim_findings("again", tables) if f.kind == "contradictions"]
    check_numbers([here], tables)


def test_the_data_set_and_the_epoch_of_a_contradiction_are_told(project):
    project(
        STUDY.replace(
            "datasets: [mnist5k]", "datasets: [mnist5k, {name: half, source: mnist5k, limit: 999}]"
        )
    )
    plan = load_plan(load_config())
    tables = tables_of(plan, {("first", "cutmix", "mixup"): "worse"})
    (text,) = [f.text for f in claim_findings("first", tables) if f.kind == "contradictions"]
    assert "cutmix is more accurate than mixup on mnist5k after epoch 1, and it is less" in text
    assert "cutmix is more accurate than mixup on half after epoch 1" in text
    check_numbers(claim_findings("first", tables), tables, ["mnist5k"])


def by_name(plan):
    return {experiment.name: experiment for experiment in plan.experiments}


def ranking(plan, tables, name="again"):
    return budget_findings(by_name(plan)[name], plan, tables)


def test_the_arms_that_several_budgets_have_are_found(plan):
    others = by_name(plan)
    (budgets,) = find_budgets(others["again"], others)
    assert [cell[2] for cell in budgets.cells] == ["none", "crop", "cutmix"]
    assert budgets.lengths == (("first", 2), ("again", 4))
    assert find_budgets(others["first"], others) == []  # compares at an epoch only


def test_the_order_at_each_budget_and_a_pair_that_is_shown_reversed(plan):
    tables = tables_of(
        plan,
        {
            ("first", "crop", "none"): "better",
            ("again", "crop", "none"): "worse",
            ("first", "cutmix", "crop"): "worse",
            ("again", "cutmix", "crop"): "open",
        },
        {("first", "none"): 0.7, ("first", "crop"): 0.8, ("first", "cutmix"): 0.75,
         ("again", "none"): 0.9, ("again", "crop"): 0.85, ("again", "cutmix"): 0.95},
    )  # fmt: skip
    (found,) = ranking(plan, tables)
    assert (found.part, found.kind) == ("evidence", "budgets")
    assert found.text.startswith(
        "Order by mean test accuracy: after 2 epochs (experiment first) crop 80.00 %, cutmix "
        "75.00 %, none 70.00 %; after 4 epochs (experiment again) cutmix 95.00 %, none 90.00 %, "
        "crop 85.00 %. The order is shown to change with the budget: none against crop is less "
        "accurate after 2 epochs (by 2.00 points, interval 1.70 to 2.30) and more accurate "
        "after 4 epochs (by "
    )
    assert "cutmix against" not in found.text
    check_numbers([found], tables)


def test_a_reversal_is_found_whichever_way_round_it_is_declared(project):
    project(
        STUDY.replace(
            "arm: {augmentation: cutmix}, reference: {augmentation: crop},\n         claim: own",
            "arm: {augmentation: crop}, reference: {augmentation: cutmix},\n         claim: own",
        )
    )
    plan = load_plan(load_config())
    same = {("first", "cutmix", "crop"): "better", ("again", "crop", "cutmix"): "worse"}
    other = {("first", "cutmix", "crop"): "better", ("again", "crop", "cutmix"): "better"}
    (found,) = ranking(plan, tables_of(plan, same))
    assert "no change of the order is shown" in found.text
    (found,) = ranking(plan, tables_of(plan, other))
    assert "crop against cutmix is less accurate after 2 epochs" in found.text
    check_numbers([found], tables_of(plan, other))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        # by the means the order changes in all of these
        ({}, "worse at another; no pair has either at more than one of them. So no change"),
        ({("first", "crop", "none"): "better"}, "worse at another; no pair has either"),
        (
            {("first", "crop", "none"): "better", ("again", "crop", "none"): "same"},
            "; no pair has either",
        ),
        (
            {("first", "crop", "none"): "better", ("again", "crop", "none"): "none"},
            "; no pair has either",
        ),
        (
            {("first", "crop", "none"): "better", ("again", "crop", "none"): "better"},
            "and worse at another. So no change of the order is shown",
        ),
    ],
)
def test_that_no_reversal_is_shown_is_not_that_there_is_none(plan, said, words):
    tables = tables_of(plan, said, {("again", "none"): 0.9})
    (found,) = ranking(plan, tables)
    assert words in found.text
    assert "which is not to say that there is none" in found.text
    assert "shown to change" not in found.text
    check_numbers([found], tables)


def test_arms_that_are_not_compared_at_two_budgets_are_told(project):
    project(STUDY.replace("    baseline: {augmentation: none}\n", "").replace(
        "[none, crop, cutmix]}, ref", "[none, cutmix]}, ref"))  # fmt: skip
    plan = load_plan(load_config())
    tables = tables_of(plan)
    (found,) = ranking(plan, tables)
    assert "so whether their order changes is not tested" in found.text
    check_numbers([found], tables)


def test_an_arm_without_a_result_is_told_apart_from_the_order(plan):
    tables = tables_of(plan, (), {("again", "crop"): np.nan})
    (found,) = ranking(plan, tables)
    assert "(experiment again) cutmix 52.00 %, none 50.00 %, crop without a result." in found.text
    check_numbers([found], tables)


@pytest.mark.parametrize(("more", "told"), [("", False), (", learning_rate: 0.3", True)])
def test_experiments_that_differ_in_more_than_their_length_are_told(project, more, told):
    project(STUDY.replace("{epochs: 4}", f"{{epochs: 4{more}}}"))
    plan = load_plan(load_config())
    (found,) = ranking(plan, tables_of(plan))
    assert ("differ in more than the number of epochs" in found.text) == told


@pytest.mark.parametrize("reference", ["first", "again"])
def test_three_budgets_stand_in_one_finding(project, reference):
    """Compared with the shortest budget, or with the middle one, which is compared with it."""
    third = STUDY[STUDY.index("  again:") :].replace("again:", "longest:")
    third = third.replace("epochs: 4", "epochs: 8").replace(
        "experiment: first}", f"experiment: {reference}}}"
    )
    if reference == "first":
        third = third.replace(
            "    training:",
            "      - {kind: budget, arm: {augmentation: [none, crop, cutmix]}, "
            "reference: {experiment: again}}\n    training:",
        )
    project(STUDY + third)
    plan = load_plan(load_config())
    tables = tables_of(
        plan, {("first", "cutmix", "crop"): "better", ("longest", "cutmix", "crop"): "worse"}
    )
    (found,) = ranking(plan, tables, "longest")
    assert re.findall(r"after (\d) epochs \(experiment", found.text) == ["2", "4", "8"]
    assert "crop against cutmix is less accurate after 2 epochs" in found.text
    assert "more accurate after 8 epochs" in found.text
    check_numbers([found], tables)


def test_a_claim_of_a_difference_within_the_margin_is_not_contradicted(plan):
    """The arm may be better, but by less than what matters."""
    tables = tables_of(plan, {("first", "crop", "none"): "same"})
    counted, *others = claim_findings("first", tables)
    assert "1 holds by no more than the margin (‘crop-helps’)" in counted.text
    assert not [found for found in others if found.kind == "contradictions"]
    check_numbers([counted], tables)


def test_a_part_without_a_verdict_has_no_interval(plan):
    """That over the test images says nothing of a claim about methods."""
    comparisons = compared(plan).assign(basis="images")
    claims = claims_table(plan, comparisons)
    assert claims[["low", "high"]].isna().all(axis=None)
    assert claims.loc[claims["part"].notna(), "difference"].notna().all()

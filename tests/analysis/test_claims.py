"""Claims, from tables of comparisons whose verdicts are given."""

import re

import numpy as np
import pytest

from ablation.analysis.claims import SMALL, claim_status, claims_table, part_status
from ablation.analysis.tables import TABLES
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
                "kinds": " ".join(comparison.kinds),
                "seeds": 0 if verdict == "" else seeds,
                "verdict": verdict,
                "measure": comparison.measure,
                "epoch": comparison.epoch,
                "near_chance": (experiment.name, arm.label, reference.label) in near_chance,
            }
            for side, contrast in (("arm", arm), ("reference", reference)):
                _, row[f"{side}_model"], row[f"{side}_augmentation"] = contrast.cell
            if verdict:
                # no two rows alike, so that a number from a wrong row is noticed
                middle = DIFFERENCES[verdict] + len(rows) / 10_000
                row |= {"difference": middle, "ci_low": middle - 0.003, "ci_high": middle + 0.003,
                        "basis": "seeds"}  # fmt: skip
            rows.append(row)
    return TABLES["comparisons"].frame(rows)


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
        verdict: part_status(says, verdict) for verdict in ("better", "worse", "same", "open", "")
    }
    assert {v for v, status in statuses.items() if status == "holds"} == holding
    assert {v for v, status in statuses.items() if status == "contradicted"} == contradicting
    assert {v for v, status in statuses.items() if status == SMALL} == small
    assert statuses["open"] == statuses[""] == "open"


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
    rows = claims[["experiment", "claim", "part", "arm", "reference", "says", "verdict",
                   "part_status", "status", "stated_in"]]  # fmt: skip
    assert rows.astype(object).where(rows.notna(), None).replace("", None).values.tolist() == [
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
        for column in ("difference", "ci_low", "ci_high", "seeds", "verdict"):
            assert claim[column] == row[column], (claim, column)
    at_epoch = comparisons[comparisons["epoch"] == 1]["difference"].iloc[0]
    assert claims[claims["epoch"] == 1]["difference"].iloc[0] == at_epoch


def test_the_revisited_experiments_status_is_shown_with_the_own(plan):
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
    assert again.loc["own", ["status_there", "conclusion"]].tolist() == ["", ""]
    first = claims[claims["experiment"] == "first"]
    assert (first[["status_there", "conclusion"]] == "").all(axis=None)


def test_arms_that_have_no_result_leave_a_claim_open(plan):
    """Diverged arms and missing runs have no verdict."""
    claims = claims_table(
        plan,
        compared(
            plan,
            {
                ("first", "cutmix", "mixup"): "better",
                ("first", "cutmix", "crop"): "",
                ("first", "crop", "none"): "",
            },
        ),
    )
    own = claims[claims["experiment"] == "first"].set_index(["claim", "part"])
    assert own.loc[("mixing", 1), ["part_status", "status"]].tolist() == ["holds", "open"]
    assert own.loc[("mixing", 2), "part_status"] == "open"
    assert own.loc[("crop-helps", 1), "status"] == "open"
    assert np.isnan(own.loc[("crop-helps", 1), "difference"])


def test_a_study_without_claims_has_only_the_columns(project):
    project(re.sub(r"(?s)    claims:.*?    comparisons:.*?(?=    training)", "", STUDY))
    plan = load_plan(load_config())
    claims = claims_table(plan, compared(plan))
    assert list(claims) == [column.name for column in TABLES["claims"].columns]
    assert len(claims) == 0


def test_a_claim_that_is_declared_the_other_way_round_says_the_reverse(project):
    """The pair appears once, in the direction of the baseline."""
    declared = "arm: {augmentation: crop}, reference: {augmentation: none}"
    reverse = "arm: {augmentation: none}, reference: {augmentation: crop}"
    project(STUDY.replace(declared, reverse, 1))
    plan = load_plan(load_config())
    claims = claims_table(plan, compared(plan, {("first", "crop", "none"): "worse"}))
    row = claims[(claims["experiment"] == "first") & (claims["claim"] == "crop-helps")].iloc[0]
    assert row[["arm", "says", "status"]].tolist() == ["crop", "worse", "holds"]


def test_arms_near_chance_are_marked(plan):
    claims = claims_table(plan, compared(plan, near_chance={("first", "mixup", "none")}))
    own = claims[claims["experiment"] == "first"].set_index("claim")
    assert own["near_chance"].to_dict() == {"crop-helps": False, "mixing": False, "unlike": True}


def test_a_part_without_a_verdict_has_no_interval(plan):
    """That over the test images says nothing of a claim about methods."""
    comparisons = compared(plan).assign(basis="images")
    claims = claims_table(plan, comparisons)
    assert claims[["ci_low", "ci_high"]].isna().all(axis=None)
    assert claims.loc[claims["part"].notna(), "difference"].notna().all()

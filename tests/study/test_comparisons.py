"""Which comparisons a study makes, and what is refused."""

import pytest

from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan

STUDY = """\
title: A study
experiments:
  grid:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8, plain8, resnet32, plain32]
    augmentations: {none: "", crop: crop(2), mix: cutmix, crop+mix: crop(2) | cutmix}
    seeds: [0, 1, 2]
    COMPARISONS
    training: {epochs: 5}
  longer:
    question: Longer?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", mix: cutmix}
    seeds: [0, 1, 2]
    training: {epochs: 10}
"""


def planned(project, text, comparisons, name="grid"):
    project(text.replace("COMPARISONS", comparisons))
    plan = load_plan(load_config())
    return {e.name: e for e in plan.experiments}[name]


def pairs(experiment, kind):
    return {(c.arm.label, c.reference.label) for c in experiment.comparisons if kind in c.kinds}


def message(project, comparisons):
    with pytest.raises(InputError) as caught:
        planned(project, STUDY, comparisons)
    return str(caught.value)


def test_the_baseline_and_counterparts_are_compared_by_themselves(project):
    found = planned(project, STUDY, "baseline: {augmentation: none}")
    assert pairs(found, "baseline") == {
        (f"{model} · {arm}", f"{model} · none")
        for model in ("resnet8", "plain8", "resnet32", "plain32")
        for arm in ("crop", "mix", "crop+mix")
    }
    assert pairs(found, "counterpart") == {
        (f"plain{n} · {arm}", f"resnet{n} · {arm}")
        for n in (8, 32)
        for arm in ("none", "crop", "mix", "crop+mix")
    }
    assert len(found.comparisons) == 12 + 8


def test_a_pair_that_is_compared_for_two_reasons_stands_once(project):
    found = planned(
        project, STUDY.replace('{none: "", crop: crop(2), mix: cutmix, crop+mix: crop(2) | cutmix}',
                               '{none: ""}', 1), "baseline: {model: resnet8}"
    )  # fmt: skip
    kinds = {(c.arm.label, c.reference.label): c.kinds for c in found.comparisons}
    assert kinds == {
        ("plain8", "resnet8"): ("baseline", "counterpart"),
        ("resnet32", "resnet8"): ("baseline",),
        ("plain32", "resnet8"): ("baseline",),
        ("plain32", "resnet32"): ("counterpart",),
    }


def test_the_same_pair_the_other_way_round_stands_once(project):
    found = planned(
        project,
        STUDY,
        "comparisons: [{kind: arm, arm: {model: resnet8}, reference: {model: plain8}}]",
    )
    kinds = {(c.arm.label, c.reference.label): c.kinds for c in found.comparisons}
    for arm in ("none", "crop", "mix", "crop+mix"):
        assert kinds[f"plain8 · {arm}", f"resnet8 · {arm}"] == ("counterpart", "arm")
        assert (f"resnet8 · {arm}", f"plain8 · {arm}") not in kinds


ARM = "kind: arm, arm: {augmentation: mix, model: resnet8}, reference: {augmentation: none}"


def test_a_comparison_of_another_metric_is_another_one(project):
    found = planned(
        project,
        STUDY,
        f"comparisons: [{{{ARM}}}, {{{ARM}, measure: ece, margin: 2}}, {{{ARM}, margin: 1}}]",
    )
    made = [c for c in found.comparisons if "arm" in c.kinds]
    assert [(c.measure, c.margin) for c in made] == [("test_accuracy", 1), ("ece", 2)]


def test_one_pair_has_one_margin(project):
    with pytest.raises(InputError, match=r"comparisons\[1\]: this pair .* a margin of 1 above"):
        planned(project, STUDY, f"comparisons: [{{{ARM}, margin: 1}}, {{{ARM}, margin: 2}}]")


@pytest.mark.parametrize(
    ("effects", "factors"),
    [
        ("all", [("depth",), ("shortcut",), ("depth", "shortcut")]),
        ("main", [("depth",), ("shortcut",)]),
        ("interactions", [("depth", "shortcut")]),
    ],
)
def test_the_effects_of_factors_may_be_chosen(project, effects, factors):
    found = planned(
        project,
        STUDY,
        f"comparisons: [{{kind: factor, factors: [depth, shortcut], effects: {effects}}}]",
    )
    made = [c for c in found.comparisons if "factor" in c.kinds]
    assert [c.factors for c in made] == factors
    assert made[0].levels == ("32", "8")
    assert made[-1].conditions == (("plain", "residual") if effects != "main" else ("", ""))


def test_arms_are_compared_where_both_are_run(project):
    found = planned(
        project,
        STUDY,
        "comparisons: [{kind: arm, arm: {augmentation: [mix, crop+mix], model: resnet8}, "
        "reference: {augmentation: crop}}]",
    )
    assert pairs(found, "arm") == {
        ("resnet8 · mix", "resnet8 · crop"),
        ("resnet8 · crop+mix", "resnet8 · crop"),
    }


def test_budgets_at_an_epoch_and_at_other_training_lengths(project):
    found = planned(
        project,
        STUDY,
        "comparisons: [{kind: budget, arm: {augmentation: mix, model: resnet8}, reference: "
        "{augmentation: none}, epoch: 2}, {kind: budget, arm: {augmentation: mix, model: resnet8}, "
        "reference: {experiment: longer}}]",
    )
    at, lengths = [c for c in found.comparisons if "budget" in c.kinds]
    assert (at.epoch, at.arm.label) == (2, "resnet8 · mix")
    assert (lengths.epoch, lengths.arm.label) == (None, "resnet8 · mix (5 epochs)")
    assert lengths.reference.label == "mix (10 epochs)"
    assert lengths.reference.terms[0][1] == ("longer", ("mnist5k", "resnet8", "mix"))


def test_a_factorial_grid_gives_main_effects_and_interactions(project):
    found = planned(project, STUDY, "comparisons: [{kind: factor, factors: [depth, shortcut]}]")
    depth, shortcut, both = [c for c in found.comparisons if "factor" in c.kinds]
    assert (depth.arm.label, depth.reference.label) == ("depth 32", "depth 8")
    assert (shortcut.arm.label, shortcut.reference.label) == ("plain networks", "residual networks")
    # each mean is over two networks and four augmentations
    assert [w for w, _ in depth.arm.terms] == [1 / 8] * 8
    assert {cell[1] for _, (_, cell) in depth.arm.terms} == {"resnet32", "plain32"}
    accuracy = {"resnet8": 0.9, "plain8": 0.8, "resnet32": 0.85, "plain32": 0.6}

    def value(contrast):
        return sum(weight * accuracy[cell[1]] for weight, (_, cell) in contrast.terms)

    assert value(depth.arm) - value(depth.reference) == pytest.approx(0.725 - 0.85)
    assert value(both.arm) - value(both.reference) == pytest.approx((0.6 - 0.8) - (0.85 - 0.9))
    assert both.arm.label == "depth 32 − 8, with plain networks"
    assert both.factors == ("depth", "shortcut")


def test_factors_of_ones_own(project):
    found = planned(
        project,
        STUDY,
        "comparisons: [{kind: factor, factors: {crop: {without: {augmentation: [none, mix]}, with: "
        "{augmentation: [crop, crop+mix]}}, mix: {without: {augmentation: [none, crop]}, with: "
        "{augmentation: [mix, crop+mix]}}}}]",
    )
    effects = [c for c in found.comparisons if "factor" in c.kinds]
    assert [c.arm.label for c in effects] == [
        "with crop",
        "with mix",
        "with crop − without, with mix",
    ]
    (grid,) = found.factorials
    assert grid.levels == (("without", "with"), ("without", "with"))
    assert len(grid.cells[("with", "with")]) == 4  # one a model


def test_the_first_declared_level_is_the_reference(project):
    found = planned(
        project,
        STUDY,
        "comparisons: [{kind: factor, factors: {depth: {b: {augmentation: [crop, crop+mix]}, a: "
        "{augmentation: [none, mix]}}, mix: {with: {augmentation: [mix, crop+mix]}, without: "
        "{augmentation: [none, crop]}}}}]",
    )
    effects = [c for c in found.comparisons if "factor" in c.kinds]
    assert [(c.arm.label, c.reference.label) for c in effects[:2]] == [
        ("depth a", "depth b"),
        ("without mix", "with mix"),
    ]


def test_an_arm_on_several_data_sets_is_an_interaction_with_the_data(project):
    text = STUDY.replace(
        "datasets: [mnist5k]",
        "datasets: [mnist5k, {name: small, source: mnist5k, image_size: 20}]",
        1,
    ).replace("models: [resnet8, plain8, resnet32, plain32]", "models: [resnet8]")
    found = planned(
        project, text, "comparisons: [{kind: factor, factors: [augmentation, dataset]}]"
    )
    effects = [c for c in found.comparisons if "factor" in c.kinds]
    assert {c.dataset for c in effects} == {"all"}
    labels = [c.arm.label for c in effects]
    assert labels[:3] == ["augmentation crop", "augmentation mix", "augmentation crop+mix"]
    assert labels[3:] == [f"augmentation {a} − none, on small" for a in ("crop", "mix", "crop+mix")]


@pytest.mark.parametrize(
    ("comparisons", "told"),
    [
        ("[{kind: pair}]", "comparisons[0].kind: Input should be 'arm', 'budget' or 'factor'"),
        ("[{kind: arm, arm: {augmentation: mix}}]", "kind arm needs the key 'reference'"),
        (
            "[{kind: arm, arm: {augmentation: mixx}, reference: {augmentation: none}}]",
            "no augmentation 'mixx'; did you mean 'mix'?",
        ),
        (
            "[{kind: arm, arm: {augmentation: none}, reference: {augmentation: none}}]",
            "the arm and its reference are the same",
        ),
        (
            "[{kind: arm, arm: {augmentation: mix, model: resnet8}, reference: {model: plain8}}]\n"
            "    exclude: [{augmentation: mix, model: resnet8, seed: [0, 1]}, "
            "{augmentation: mix, model: plain8, seed: 2}]",
            "the compared cells (resnet8 · mix and plain8 · mix) have no seed in common",
        ),
        (
            "[{kind: budget, arm: {augmentation: mix}, reference: {augmentation: none}}]",
            "both trained for 5 epochs",
        ),
        (
            "[{kind: budget, arm: {augmentation: mix}, reference: {augmentation: none}, epoch: 9}]",
            "epoch 9 is beyond the 5 epochs",
        ),
        (
            "[{kind: budget, arm: {augmentation: mix}, reference: {experiment: long}}]",
            "no experiment 'long'; did you mean 'longer'?",
        ),
        (f"[{{{ARM}, measure: eec}}]", "measure: there is no metric 'eec'; did you mean 'ece'?"),
        (f"[{{{ARM}, measure: epochs}}]", "'epochs' cannot be compared"),
        (f"[{{{ARM}, margin: 0}}]", "margin: Input should be greater than 0"),
        (
            "[{kind: budget, arm: {augmentation: mix}, reference: {augmentation: none}, epoch: 2, "
            "measure: ece}]",
            "with an epoch, validation accuracy is compared; leave out measure or epoch",
        ),
        ("[{kind: factor, factors: [depth, shortcut], measure: ece}]", "takes no 'measure'"),
        (f"[{{{ARM}, effects: main}}]", "kind arm takes no 'effects'"),
        (
            "[{kind: factor, factors: [depth, shortcut], effects: both}]",
            "effects: Input should be 'all', 'main' or 'interactions'",
        ),
        (
            "[{kind: factor, factors: [depth, shortcut], effects: main, claim: c, says: better}]",
            "a claim is tested by the interaction, which effects: main leaves out",
        ),
        ("[{kind: factor, factors: [depth]}]", "comparisons[0].factors"),
        ("[{kind: factor, factors: [depth, depth]}]", "a factor is given twice"),
        (
            "[{kind: factor, factors: [depth, shortcut], where: {model: [resnet8, plain32]}}]",
            "the grid is incomplete: no cell has depth 8 with shortcut plain",
        ),
        (
            "[{kind: factor, factors: [augmentation, shortcut], where: {model: resnet8}}]",
            "'shortcut' has fewer than two levels",
        ),
        (
            "[{kind: factor, factors: [augmentation, shortcut], "
            "where: {model: [resnet8, plain8, plain32]}}]",
            "not balanced",
        ),
        (
            "[{kind: factor, factors: {a: {x: {model: resnet8}, y: {model: [resnet8, plain8]}}, "
            "b: {x: {augmentation: none}, y: {augmentation: mix}}}}]",
            "the levels 'x' and 'y' share cells",
        ),
    ],
)
def test_what_cannot_be_compared_is_told_with_its_place(project, comparisons, told):
    text = message(project, f"comparisons: {comparisons}")
    assert text.startswith("config/studies/tiny.yaml:9:")
    assert "experiments.grid.comparisons[0]" in text
    assert told in text


def test_differently_prepared_data_is_not_paired(project):
    text = STUDY.replace("datasets: [mnist5k]", "datasets: [{name: mnist5k, limit: 500}]", 1)
    with pytest.raises(InputError, match="differently prepared data"):
        planned(
            project,
            text,
            "comparisons: [{kind: budget, arm: {augmentation: mix, model: resnet8}, reference: "
            "{experiment: longer}}]",
        )

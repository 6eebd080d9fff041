"""Selection, order and names of comparisons."""

import pytest

from ablation.report.experiment import short

from .made import arms


def experiment_of(made, place=0):
    return made.report().experiments[place]


def test_names_are_those_of_what_varies(crossed, spoilt):
    by_model, by_augmentation = crossed.report().experiments
    assert [by_model.arm(cell) for cell in by_model.cells][:2] == ["resnet8", "plain8"]
    assert by_augmentation.arm(by_augmentation.cells[1]) == "crop"
    assert experiment_of(spoilt).arm(experiment_of(spoilt).cells[5]) == "plain8 · crop"
    row = by_model.pairs[0]
    assert (short(row, "arm"), short(row, "reference")) == ("plain8", "resnet8")
    row = by_augmentation.pairs[0]
    assert (short(row, "arm"), short(row, "reference")) == ("crop", "none")
    assert short(by_model.interactions[0], "arm") == by_model.interactions[0].arm


def test_arms_are_grouped_by_their_reference(crossed):
    (group,) = experiment_of(crossed, 1).groups
    assert [short(row, "arm") for row in group.rows] == ["mix", "crop", "bright"]
    assert group.first is group.rows[0] and group.decided
    for verdict, arm in (("better", "crop"), ("worse", "mix"), ("same", "bright")):
        assert [short(row, "arm") for row in group.of(verdict)] == [arm]
    assert group.of("open") == []


def test_the_largest_decided_differences_are_told_first(changed):
    study = arms("none", "crop", models=["resnet8", "resnet14"])
    made = changed(study, crop={"accuracy": 0.9})
    found = experiment_of(made).groups
    order = [(not group.decided, -abs(group.first.difference)) for group in found]
    assert len(found) > 1 and order == sorted(order)
    for group in found:
        sizes = [abs(row.difference) for row in group.rows]
        assert sizes == sorted(sizes, reverse=True)


def test_models_data_sets_and_measures_are_told_apart(spoilt, growing):
    models = {group.model for group in experiment_of(spoilt).groups}
    assert {"resnet8", "plain8"} <= models <= {"resnet8", "plain8", ""}
    experiment = experiment_of(growing)
    assert experiment.several_datasets and not experiment.several_models
    keys = {(g.first.dataset, g.first.measure, str(g.first.epoch)) for g in experiment.groups}
    assert len(keys) == len(experiment.groups) == 6
    assert {key[0] for key in keys} == {"mnist5k", "other"}


def test_interactions_and_main_effects(crossed):
    experiment = experiment_of(crossed)
    (interaction,) = experiment.interactions
    assert interaction.factors == "depth × shortcut" and interaction.verdict == "worse"
    assert experiment.decided_interactions == [interaction]
    assert {row.factors for row in experiment.main_effects} == {"depth", "shortcut"}
    assert experiment.unqualified_main_effects == []  # the interaction qualifies both
    assert experiment.factorial["factors"] == ["depth", "shortcut"]
    assert experiment_of(crossed, 1).factorial is None


def test_an_answer_has_room_for_few_groups(crossed, changed):
    for experiment in (
        *crossed.report().experiments,
        experiment_of(changed(arms("none", "a", "b"))),
    ):
        groups = experiment.answer_groups
        assert 0 < len(groups) + len(experiment.decided_interactions) <= 3
        assert all(
            group in groups or group in experiment.further_groups for group in experiment.groups
        )


def test_verdicts_need_three_seeds(crossed, growing):
    assert experiment_of(crossed).has_verdicts and not experiment_of(growing).has_verdicts
    assert experiment_of(growing).comparisons


def test_what_a_check_found_in_cells_and_in_the_whole(spoilt):
    experiment = experiment_of(spoilt)
    whole, rows = experiment.check("diverged"), experiment.checks("diverged")
    assert (whole.count, whole.of) == (2, 32)
    assert [(row.model, row.augmentation, row.count) for row in rows] == [("plain8", "mix", 2)]
    gaps = [row.value for row in experiment.checks("overfitting")]
    assert gaps == sorted(gaps, reverse=True) and len(gaps) > 3
    assert experiment.check("stopped_early") is None and experiment.checks("stopped_early") == []
    assert experiment.optimistic


def test_a_row_leads_to_its_cell_and_to_the_other(crossed):
    experiment = experiment_of(crossed)
    rows = experiment.interpretations["overfits_more"]
    values = [abs(row.value) for row in rows]
    assert values == sorted(values, reverse=True)
    row = next(row for row in rows if row.model == "plain8")
    assert experiment.of(row).test_accuracy == pytest.approx(0.88)
    assert experiment.of(row, "reference_").test_accuracy == pytest.approx(0.90)
    with pytest.raises(LookupError, match="cells has no row of"):
        experiment.of({"dataset": "mnist5k", "model": "none", "augmentation": "none"})


def test_arms_that_mix_labels_are_known(crossed):
    experiment = experiment_of(crossed, 1)
    assert [experiment.mixes(cell) for cell in experiment.cells] == [False, False, False, True]

"""Which comparisons are told, in which order and under which names."""

import pytest
from ablation.report.story import short

from .made import arms


def story_of(made, place=0):
    return made.report().stories[place]


def test_names_are_those_of_what_varies(crossed, spoilt):
    by_model, by_augmentation = crossed.report().stories
    assert [by_model.arm(cell) for cell in by_model.cells][:2] == ["resnet8", "plain8"]
    assert by_augmentation.arm(by_augmentation.cells[1]) == "crop"
    assert story_of(spoilt).arm(story_of(spoilt).cells[5]) == "plain8 · crop"
    row = by_model.pairs[0]
    assert (short(row, "arm"), short(row, "reference")) == ("plain8", "resnet8")
    row = by_augmentation.pairs[0]
    assert (short(row, "arm"), short(row, "reference")) == ("crop", "none")
    assert short(by_model.interactions[0], "arm") == by_model.interactions[0].arm


def test_arms_are_grouped_by_their_reference(crossed):
    (group,) = story_of(crossed, 1).groups
    assert [short(row, "arm") for row in group.rows] == ["mix", "crop", "bright"]
    assert group.first is group.rows[0] and group.decided
    for verdict, arm in (("better", "crop"), ("worse", "mix"), ("same", "bright")):
        assert [short(row, "arm") for row in group.of(verdict)] == [arm]
    assert group.of("open") == []


def test_the_largest_decided_differences_are_told_first(changed):
    study = arms("none", "crop", models=["resnet8", "resnet14"])
    made = changed(study, crop={"accuracy": 0.9})
    found = story_of(made).groups
    order = [(not group.decided, -abs(group.first.difference)) for group in found]
    assert len(found) > 1 and order == sorted(order)
    for group in found:
        sizes = [abs(row.difference) for row in group.rows]
        assert sizes == sorted(sizes, reverse=True)


def test_models_data_sets_and_measures_are_told_apart(spoilt, growing):
    models = {group.model for group in story_of(spoilt).groups}
    assert {"resnet8", "plain8"} <= models <= {"resnet8", "plain8", ""}
    story = story_of(growing)
    assert story.several_datasets and not story.several_models
    keys = {(g.first.dataset, g.first.measure, str(g.first.epoch)) for g in story.groups}
    assert len(keys) == len(story.groups) == 6
    assert {key[0] for key in keys} == {"mnist5k", "other"}


def test_interactions_and_main_effects(crossed):
    story = story_of(crossed)
    (interaction,) = story.interactions
    assert interaction.factors == "depth × shortcut" and interaction.verdict == "worse"
    assert story.decided_interactions == [interaction]
    assert {row.factors for row in story.main_effects} == {"depth", "shortcut"}
    assert story.unqualified_main_effects == []  # the interaction qualifies both
    assert story.factorial["factors"] == ["depth", "shortcut"]
    assert story_of(crossed, 1).factorial is None


def test_an_answer_has_room_for_few_groups(crossed, changed):
    for story in (*crossed.report().stories, story_of(changed(arms("none", "a", "b")))):
        told = story.answer_groups
        assert 0 < len(told) + len(story.decided_interactions) <= 3
        assert all(group in told or group in story.further_groups for group in story.groups)


def test_verdicts_need_three_seeds(crossed, growing):
    assert story_of(crossed).has_verdicts and not story_of(growing).has_verdicts
    assert story_of(growing).comparisons


def test_what_a_check_found_in_cells_and_in_the_whole(spoilt):
    story = story_of(spoilt)
    whole, rows = story.check("diverged"), story.checks("diverged")
    assert (whole.count, whole.of) == (2, 32)
    assert [(row.model, row.augmentation, row.count) for row in rows] == [("plain8", "mix", 2)]
    gaps = [row.value for row in story.checks("overfitting")]
    assert gaps == sorted(gaps, reverse=True) and len(gaps) > 3
    assert story.check("stopped_early") is None and story.checks("stopped_early") == []
    assert story.optimistic


def test_a_row_leads_to_its_cell_and_to_the_other(crossed):
    story = story_of(crossed)
    rows = story.interpretations["overfits_more"]
    values = [abs(row.value) for row in rows]
    assert values == sorted(values, reverse=True)
    row = next(row for row in rows if row.model == "plain8")
    assert story.of(row).test_accuracy == pytest.approx(0.88)
    assert story.of(row, "reference_").test_accuracy == pytest.approx(0.90)
    with pytest.raises(LookupError, match="cells has no row of"):
        story.of({"dataset": "mnist5k", "model": "none", "augmentation": "none"})


def test_arms_that_mix_labels_are_known(crossed):
    story = story_of(crossed, 1)
    assert [story.mixes(cell) for cell in story.cells] == [False, False, False, True]

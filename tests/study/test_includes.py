"""Studies that include others, claims and revisits."""

import pytest

from ablation.errors import InputError
from ablation.study.plan import load_plan
from ablation.study.schema import Config

FIRST = """\
title: The first
experiments:
  first:
    question: Does it?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", cutmix: cutmix}
    seeds: [0]
    claims:
      helps: {text: CutMix helps., source: Somebody}
    comparisons:
      - kind: arm
        arm: {augmentation: cutmix}
        reference: {augmentation: none}
        claim: helps
        says: better
    training: {epochs: 1}
"""
SECOND = """\
title: The second
include: [first]
experiments:
  second:
    question: Does it, with more seeds?
    revisits: first
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", cutmix: cutmix}
    seeds: [0, 1, 2]
    comparisons:
      - kind: arm
        arm: {augmentation: cutmix}
        reference: {augmentation: none}
        claim: helps
        says: better
    training: {epochs: 1}
"""


@pytest.fixture
def studies(project):
    project(FIRST, "first")
    project(SECOND, "second")
    return project


def plan(name="second"):
    return load_plan(Config(study=name))


def refused(name="second"):
    with pytest.raises(InputError) as caught:
        plan(name)
    return str(caught.value)


def test_an_included_experiment_comes_first_and_shares_its_runs(studies):
    first, second = plan("first"), plan()
    assert [experiment.name for experiment in second.experiments] == ["first", "second"]
    assert set(first.runs) <= set(second.runs)
    assert len(second.runs) == 6  # seed 0 of both arms is asked for by both experiments
    assert second.study.title == "The second"


def test_an_included_experiment_keeps_its_final_number_of_seeds(studies):
    studies(FIRST.replace("seeds: [0]", "seeds: [0]\n    final_seeds: 4"), "first")
    assert [one.block.final_seeds for one in plan().experiments] == [4, None]


def test_a_comparison_carries_its_claim(studies):
    for experiment in plan().experiments:
        assert [c.claims for c in experiment.comparisons] == [(("helps", "better"),)]


def test_one_comparison_may_test_several_claims(studies):
    again = SECOND.replace(
        "    training",
        FIRST[FIRST.index("      - kind") : FIRST.index("    training")] + "    training",
    ).replace(
        "claim: helps\n        says: better\n    training",
        "claim: too\n        says: same\n    training",
    )
    studies(
        again.replace(
            "    revisits: first\n",
            "    revisits: first\n    claims: {too: {text: t, source: s}}\n",
        ),
        "second",
    )
    (only,) = plan().experiments[1].comparisons
    assert only.claims == (("helps", "better"), ("too", "same"))


def test_a_mistake_in_an_included_study_is_told_with_its_own_file(studies):
    studies(FIRST.replace("cutmix: cutmix", "cutmix: cutmx"), "first")
    assert refused().startswith("config/studies/first.yaml:7:")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[first]",
            "[frist]",
            "second.yaml:2:11: include[0]: study 'frist' not found; did",
        ),
        ("[first]", "[second]", "include[0]: study 'second' includes itself; leave it out"),
        ("[first]", "[first, first]", "duplicate 'first'"),
        ("  second:", "  first:", "experiment 'first' is also in config/studies/first.yaml"),
        ("revisits: first", "revisits: frist", "no other experiment 'frist'; did you mean 'first'"),
        ("revisits: first", "revisits: second", "no other experiment 'second'"),
        ("claim: helps", "claim: help", "the experiment has no claim 'help'; did you mean"),
        ("        says: better\n", "", "claim and says go together"),
        ("says: better", "says: best", "should be 'better', 'worse', 'same' or 'different'"),
        (
            "    revisits: first\n",
            "    revisits: first\n    claims: {idle: {text: t, source: s}}\n",
            "experiments.second.claims.idle: no comparison tests this claim",
        ),
        (
            "    revisits: first\n",
            "    revisits: first\n    claims: {helps: {text: t, source: s}}\n",
            "claims.helps: first, which this experiment revisits, has a claim of this name",
        ),
    ],
)
def test_what_is_refused(studies, old, new, message):
    assert SECOND.count(old) >= 1
    studies(SECOND.replace(old, new), "second")
    assert message in refused()


def test_an_included_study_may_not_include_others(studies):
    studies(
        SECOND.replace("include: [first]", "include: [second]")
        .replace("  second:", "  third:")
        .replace("revisits: first", "revisits: second"),
        "third",
    )
    assert "second includes other studies; include first instead" in refused("third")


def test_two_studies_do_not_include_each_other(studies):
    studies(FIRST.replace("experiments:", "include: [second]\nexperiments:"), "first")
    assert "include[0]: first includes second; only one" in refused()


def test_a_study_may_be_nothing_but_what_it_includes(studies):
    studies("title: All\ninclude: [first]\n", "all")
    assert list(plan("all").runs) == list(plan("first").runs)

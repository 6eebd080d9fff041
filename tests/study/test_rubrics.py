"""Rubrics as files: their form, how a study names one, and what an edit renews."""

import re

import jsonschema
import pytest

from ablation.errors import InputError
from ablation.study.loading import read_yaml
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import plan_digest
from ablation.study.rubrics import Rubric

from ..conftest import ROOT, tracked
from .test_json_schema import schema

STUDY = """\
title: t
rubric: mine
experiments:
  main:
    question: q
    datasets: [mnist5k]
    models: [resnet8]
    seeds: [0]
    training: {epochs: 1}
"""
RUBRIC = """\
criteria:
  - question: Does it train?
    checks:
      - {check: loss_falls, dataset: mnist5k, model: [resnet8, {kind: plain}]}
      - {check: converges, augmentation: cutmix}
      - {check: table, model: [resnet8, plain8], metric: test_accuracy}
      - {check: network, model: resnet8}
"""


@pytest.fixture
def plan(project, tmp_path):
    """Plan a study with a rubric."""
    (tmp_path / "config/rubrics").mkdir()

    def make(rubric=RUBRIC, study=STUDY):
        project(study)
        (tmp_path / "config/rubrics/mine.yaml").write_text(rubric)
        return load_plan(load_config())

    return make


def test_a_plan_carries_its_rubric(plan):
    first, *_ = plan().rubric.criteria[0].checks
    assert [str(one) for one in first.listed("model")] == ["resnet8", "kind=plain"]
    assert [one.settings for one in first.wanted()] == [
        {"family": "resnet", "kind": "residual", "depth": 8, "form": "cifar"},
        {"kind": "plain"},
    ]
    assert plan(study=STUDY.replace("rubric: mine\n", "")).rubric is None


def test_an_edit_of_the_rubric_renews_the_analysis_and_no_run(plan):
    before, same = plan(), plan(RUBRIC.replace("criteria:", "criteria: # graded by hand"))
    edited = plan(RUBRIC.replace("resnet8, {kind", "resnet14, {kind"))
    assert plan_digest(before) == plan_digest(same) != plan_digest(edited)
    assert before.runs.keys() == edited.runs.keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("check: loss_falls", "check: los_falls", "4:9: criteria[0].checks[0]: Input tag 'los_f"),
        ("check: loss_falls", "check: los_falls", "; did you mean 'loss_falls'?"),
        ("check: loss_falls, ", "", "4:9: criteria[0].checks[0]: Unable to extract tag using"),
        ("dataset:", "datasett:", "checks[0].datasett: unknown key 'datasett'; did you mean 'da"),
        ("[resnet8, {", "[resnt8, {", "model[0]: there is no architecture 'resnt8'; did you mean"),
        ("kind: plain", "kind: plane", "model[1].kind: Input should be 'residual' or 'plain', not"),
        ("kind: plain", "family: vgg", "model[1].family: there is no family 'vgg'; known are"),
        ("cutmix}", "cutmx}", "augmentation: there is no augmentation 'cutmx'; did you mean 'cutm"),
        ("test_accuracy", "accuracy", "metric: there is no metric 'accuracy'; did you mean"),
        ("[resnet8, plain8]", "resnet8", "checks[2]: a table needs at least two arms"),
        ("network, model: resnet8", "network", "checks[3]: the key 'model' is missing"),
        ("question: Does", "questions: Does", "questions: unknown key 'questions'; did you mean"),
        (RUBRIC, "criteria: []\n", "criteria: List should have at least 1 item"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_nearest_right_name(plan, old, new, message):
    assert old in RUBRIC
    with pytest.raises(InputError) as caught:
        plan(RUBRIC.replace(old, new, 1))
    assert str(caught.value).startswith("config/rubrics/mine.yaml:")
    assert message in str(caught.value)


def test_an_unknown_rubric_names_the_nearest(plan):
    message = r"tiny.yaml:2:1: rubric: config/rubrics/mien.yaml not found; did you mean 'mine'\?"
    with pytest.raises(InputError, match=message):
        plan(study=STUDY.replace("mine", "mien"))


@pytest.mark.parametrize("file", tracked("config/rubrics/*.yaml"), ids=str)
def test_the_rubrics_that_ship_fit_models_and_schema(file):
    data = read_yaml(file).data
    assert Rubric.model_validate(data).criteria
    jsonschema.validate(data, schema("rubric.schema.json"))
    data["criteria"][0]["checks"][0]["chek"] = "network"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema("rubric.schema.json"))


def test_the_rubric_of_the_documentation_is_right(plan):
    page = (ROOT / "docs/rubrics.md").read_text()
    (text,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", page, re.S)
    assert len(plan(text).rubric.criteria) == 3


def test_which_studies_are_graded():
    studies = {file.stem: read_yaml(file).data.get("rubric") for file in tracked("config/studies")}
    graded = {name for name, rubric in studies.items() if rubric == "notebooks"}
    assert graded == {"notebooks", "notebooks-sound"}
    assert load_plan(load_config({"study": "notebooks"}), ROOT / "config/studies").rubric

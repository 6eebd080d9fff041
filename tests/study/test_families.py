"""A second family: its options, its errors, and comparisons without settings that it lacks."""

import json
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import Field

from ablation.analysis.published import read_published, stands_beside
from ablation.errors import InputError
from ablation.models.families import ARCHITECTURES, FAMILIES, option_schemas, resolve_network
from ablation.models.families.base import Family, NetworkSettings
from ablation.study.json_schema import schema_texts
from ablation.study.plan import load_config, load_plan
from ablation.study.reference import reference_text


class MixerSettings(NetworkSettings):
    """Of a family with one option that resnets have too, and one of its own."""

    family: Literal["mixer"] = "mixer"
    width: Annotated[int, Field(ge=1, le=32)] = Field(default=16, description="Channels.")
    patch: Annotated[int, Field(ge=1)] = Field(default=4, description="Side of a patch.")


@pytest.fixture
def mixer(monkeypatch):
    """Register a family `mixer` with two names, one of which has another width."""
    names = {"mixer": {}, "mixer-large": {"width": 32}}
    family = Family(names, "Mixers.", MixerSettings, build=lambda *_: None, size=lambda *_: None)
    monkeypatch.setitem(FAMILIES, "mixer", family)
    for name in names:
        monkeypatch.setitem(ARCHITECTURES, name, family)


STUDY = """\
title: A study
experiments:
  grid:
    question: Which?
    datasets: [mnist5k]
    models: [plain8, resnet8, {name: small, architecture: mixer, width: 8, patch: 2}]
    augmentations: [none, cutmix]
    seeds: [0, 1, 2]
    training: {epochs: 2}
    comparisons: COMPARISONS
"""


@pytest.fixture
def planned(tmp_path, monkeypatch, mixer):
    """Return a function that plans the study with changes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)

    def plan(old="", new="", comparisons="[]"):
        text = STUDY.replace("COMPARISONS", comparisons)
        assert old in text
        (tmp_path / "config/studies/two.yaml").write_text(text.replace(old, new) if old else text)
        return load_plan(load_config({"study": "two"}))

    return plan


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("mixer", {}, {"width": 16, "patch": 4, "weights": None}),
        ("mixer-large", {"patch": 1}, {"width": 32, "patch": 1, "weights": None}),
        ("mixer-large", {"width": 8}, {"width": 8, "patch": 4, "weights": None}),
        ("mixer", {"weights": "none", "width": None}, {"width": 16, "patch": 4, "weights": None}),
        ("mixer", {"weights": "a.h5"}, {"width": 16, "patch": 4, "weights": "a.h5"}),
    ],
)
def test_defaults_names_and_options_resolve(mixer, name, options, settings):
    assert resolve_network(name, options).model_dump() == settings | {"family": "mixer"}


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (("patch: 2", "pach: 2"), "models[2].pach", "unknown option 'pach'; did you mean 'patch'?"),
        (("patch: 2", "patch: 0"), "models[2].patch", "greater than or equal to 1, not 0"),
        (("width: 8", "width: 64"), "models[2].width", "less than or equal to 32, not 64"),
        (("width: 8", 'width: "8"'), "models[2].width", "should be a valid integer, not '8'"),
        (("patch: 2", "stem: cifar"), "models[2].stem",
         "'stem' is an option of resnet networks; mixer is of the family mixer: weights, width"),
        (("[plain8", "[{name: plain8, patch: 2}"), "models[0].patch",
         "'patch' is an option of mixer networks; plain8 is of the family resnet"),
        (("patch: 2", "family: mixer"), "models[2].family", "'family' follows from the name"),
        (("patch: 2", "weights: imagenet"), "models[2]", "no weights 'imagenet' for mixer"),
        (("patch: 2", "weights: no.h5"), "models[2]", "file 'no.h5' not found"),
        (("architecture: mixer", "architecture: mixr"), "models[2]", "did you mean 'mixer'?"),
        (("architecture: mixer", "architecure: mixer"), "models[2].architecure",
         "did you mean 'architecture'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(planned, change, place, message):
    with pytest.raises(InputError) as error:
        planned(*change)
    assert f"experiments.grid.{place}: " in str(error.value)
    assert message in str(error.value)


def test_comparisons_do_without_depth_and_kind(planned):
    (experiment,) = planned().experiments
    pairs = [(c.arm.label, c.reference.label) for c in experiment.comparisons]
    assert pairs == [(f"plain8 · {arm}", f"resnet8 · {arm}") for arm in ("none", "cutmix")]
    where = "where: {model: [plain8, resnet8]}"
    (experiment,) = planned(
        comparisons=f"[{{kind: factor, factors: [shortcut, augmentation], {where}}}]"
    ).experiments
    assert [c.factors for c in experiment.comparisons if c.factors] == [
        ("shortcut",), ("augmentation",), ("shortcut", "augmentation"),
    ]  # fmt: skip


@pytest.mark.parametrize(("factor", "key"), [("depth", "depth"), ("shortcut", "kind")])
def test_a_factor_that_a_model_lacks_is_refused(planned, factor, key):
    with pytest.raises(InputError) as error:
        planned(comparisons=f"[{{kind: factor, factors: [{factor}, augmentation]}}]")
    message = f"small has no {factor}, as networks of the family mixer have no setting '{key}'"
    assert message in str(error.value)


def test_no_published_figure_stands_beside_it(planned):
    run = next(run for run in planned().runs.values() if run.model == "small")
    figures = [(p, figure) for p in read_published() for figure in p.figures]
    assert figures and not any(stands_beside(p, figure, run) for p, figure in figures)


def test_schema_and_reference_have_every_family(planned):
    options = option_schemas()
    assert options["patch"]["anyOf"][0] == {"minimum": 1, "type": "integer"}
    assert "resnet: Channels of the first stage" in options["width"]["description"]
    assert options["width"]["description"].endswith("mixer: Channels.")
    assert "anyOf" in options["weights"] and "resnet:" not in options["weights"]["description"]
    schema = json.loads(schema_texts()["study.schema.json"])
    study = {"title": "t", "experiments": {"e": {
        "question": "q", "datasets": ["mnist5k"], "seeds": [0], "training": {"epochs": 1},
        "models": ["mixer", {"name": "a", "architecture": "mixer", "width": 8, "patch": 2}],
    }}}  # fmt: skip
    jsonschema.validate(study, schema)
    study["experiments"]["e"]["models"][1]["pach"] = 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(study, schema)
    text = reference_text()
    assert "### Family `mixer`\n\nMixers.\n\n`mixer`, `mixer-large`\n" in text
    assert "| `patch` | whole number ≥ 1 | `4` | Side of a patch. |" in text

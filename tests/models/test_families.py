"""Names and options become the settings of a network, and mistakes get a clear message."""

import json
import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from ablation.errors import InputError
from ablation.models.families import (
    ARCHITECTURES,
    FAMILIES,
    Network,
    network_settings,
    option_schemas,
    resolve_network,
)
from ablation.models.families.resnet import ResNetSettings

NOTEBOOK = {
    "projection": "3x3",
    "stride_on": "first",
    "bias": True,
    "initializer": "glorot_uniform",
    "norm_momentum": 0.99,
    "norm_epsilon": 1e-3,
    "padding": "same",
}


def test_the_papers_networks_are_the_default():
    assert resolve_network("resnet50", {}).model_dump() == {
        "family": "resnet",
        "kind": "residual",
        "depth": 50,
        "form": "imagenet",
        "width": 64,
        "stem": "imagenet",
        "projection": "1x1",
        "stride_on": "middle",
        "bias": False,
        "initializer": "he_normal",
        "norm_momentum": 0.9,
        "norm_epsilon": 1e-5,
        "padding": "symmetric",
        "scaling": "unit",
        "weights": None,
    }
    cifar = resolve_network("resnet56", {})
    assert (cifar.form, cifar.width, cifar.stem, cifar.projection, cifar.blocks) == (
        "cifar", 16, "cifar", "pad", (9, 9, 9),
    )  # fmt: skip


def test_one_set_of_options_serves_all_networks():
    """Options that do not matter for a network are accepted."""
    basic, plain = (resolve_network(f"{kind}34", NOTEBOOK) for kind in ("resnet", "plain"))
    bottleneck = resolve_network("resnet50", NOTEBOOK | {"projection": "1x1"})
    assert (basic.projection, basic.stride_on) == ("3x3", None)
    assert (plain.projection, plain.stride_on) == (None, None)
    assert (bottleneck.projection, bottleneck.stride_on) == ("1x1", "first")
    assert (basic.bias, basic.norm_momentum, basic.padding) == (True, 0.99, "same")


def test_pretrained_is_keras_applications():
    pretrained = resolve_network("resnet50-pretrained", {})
    assert (pretrained.weights, pretrained.scaling) == ("imagenet", "caffe")
    file = resolve_network("resnet50-pretrained", {"weights": "some/file.h5"})
    assert file == pretrained.model_copy(update={"weights": "some/file.h5"})
    assert resolve_network("resnet50-pretrained", {"weights": "none"}).weights is None
    given = {"projection", "stride_on", "bias", "initializer", "norm_momentum", "norm_epsilon"}
    options = pretrained.model_dump(include=given | {"scaling", "weights"})
    assert resolve_network("resnet50", options) == pretrained


@pytest.mark.parametrize(
    ("name", "one", "other", "equal"),
    [
        ("plain34", {"projection": "pad"}, {"projection": "3x3"}, True),
        ("resnet34", {"stride_on": "first"}, {"stride_on": "middle"}, True),
        ("plain50", {"stem": "cifar", "stride_on": "first", "padding": "same"},
         {"stem": "cifar", "stride_on": "first", "padding": "symmetric"}, True),
        ("resnet34", {"width": None}, {"width": 64}, True),
        ("resnet34", {"projection": "pad"}, {"projection": "1x1"}, False),
        ("plain50", {"stride_on": "first"}, {"stride_on": "middle"}, False),
        ("resnet20", {"padding": "same"}, {"padding": "symmetric"}, False),
        ("resnet50", {"stem": "cifar", "stride_on": "first", "projection": "3x3"},
         {"stem": "cifar", "stride_on": "first", "projection": "3x3", "padding": "same"}, False),
    ],
)  # fmt: skip
def test_networks_are_equal_exactly_where_their_settings_are(name, one, other, equal):
    assert (resolve_network(name, one) == resolve_network(name, other)) is equal


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnt34", {}, "did you mean 'resnet34'"),
        ("resnet34", {"projektion": "1x1"}, "did you mean 'projection'"),
        ("resnet34", {"depth": 50}, "'depth' follows from the name"),
        ("resnet34", {"family": "resnet"}, "'family' follows from the name"),
        ("resnet34", {"projection": "2x2"}, "projection: Input should be 'pad', '1x1' or '3x3'"),
        ("resnet34", {"width": 0}, "width: Input should be greater than or equal to 1, not 0"),
        ("resnet34", {"width": "64"}, "width: Input should be a valid integer, not '64'"),
        ("resnet34", {"bias": 1}, "bias: Input should be a valid boolean"),
        ("resnet50", {"weights": "imagenet"}, "'resnet50-pretrained'): stride_on middle should"),
        ("resnet50-pretrained", {"width": 32}, "width 32 should be 64"),
        ("resnet101", {"weights": "imagenet"}, "of 50 layers only"),
    ],
)
def test_a_mistake_gets_one_clear_line(name, options, message):
    with pytest.raises(InputError) as error:
        resolve_network(name, options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"depth": 21}, {"depth": 2}, {"form": "imagenet"}, {"a": 1}])
def test_settings_of_no_network_are_refused(change):
    with pytest.raises(ValidationError):
        ResNetSettings(**(resolve_network("resnet20", {}).model_dump() | change))


class Run(BaseModel):
    """A model with a network among its fields."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: Network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_is_a_field_that_survives_json(name):
    run = Run(model=resolve_network(name, {}))
    text = run.model_dump_json()
    assert json.loads(text)["model"] == run.model.model_dump(mode="json")
    again = Run.model_validate_json(text)
    assert again == run and isinstance(again.model, ResNetSettings)
    assert network_settings(json.loads(text)["model"]) == run.model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "resnets"}, "unknown family 'resnets'; did you mean 'resnet'"),
        ({"width": 0}, "width: Input should be greater than or equal to 1, not 0"),
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_field_says_what_is_wrong_with_its_network(change, message):
    with pytest.raises(ValidationError, match=message):
        Run.model_validate({"model": resolve_network("resnet20", {}).model_dump() | change})


def test_every_option_is_described():
    for family in FAMILIES.values():
        schema = family.options.model_json_schema()["properties"]
        assert all(option.get("description") for option in schema.values())
    options = {*ResNetSettings.model_fields} - {"family", "kind", "depth", "form"}
    assert set(FAMILIES["resnet"].options.model_fields) == options == set(option_schemas())
    names = [name for family in FAMILIES.values() for name in family.names]
    assert len(names) == len(set(names)) == len(ARCHITECTURES)


def test_needs_no_tensorflow():
    code = (
        "import sys, ablation.models.families\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'numpy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"

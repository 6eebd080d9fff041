"""Names and options become one record per network, and mistakes are named."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from ablation.errors import InputError
from ablation.study.architectures import FAMILIES, KNOWN_ARCHITECTURES, resolve_architecture
from ablation.study.families.resnet import ResNetOptions, ResNetSettings


def test_paper_is_the_default():
    assert resolve_architecture("resnet50", {}) == {
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
    assert resolve_architecture("resnet50", {"variant": "paper"}) == resolve_architecture(
        "resnet50", {}
    )


def test_cifar_form():
    settings = resolve_architecture("resnet56", {})
    expected = {"form": "cifar", "width": 16, "stem": "cifar", "projection": "pad"}
    assert {key: settings[key] for key in expected} == expected
    assert ResNetSettings(**settings).blocks == (9, 9, 9)


def test_notebook_departs_from_the_paper():
    basic = resolve_architecture("resnet34", {"variant": "notebook"})
    bottleneck = resolve_architecture("resnet50", {"variant": "notebook"})
    assert (basic["projection"], basic["stride_on"]) == ("3x3", None)
    assert (bottleneck["projection"], bottleneck["stride_on"]) == ("1x1", "first")
    assert basic["bias"] and basic["initializer"] == "glorot_uniform"
    assert (basic["norm_momentum"], basic["norm_epsilon"], basic["padding"]) == (0.99, 1e-3, "same")


def test_an_option_overrides_its_variant():
    settings = resolve_architecture("resnet34", {"variant": "notebook", "projection": "1x1"})
    assert settings["projection"] == "1x1" and settings["bias"]


def test_pretrained_is_keras_applications():
    settings = resolve_architecture("resnet50-pretrained", {})
    assert (settings["weights"], settings["scaling"]) == ("imagenet", "caffe")
    assert (settings["stride_on"], settings["norm_epsilon"]) == ("first", 1.001e-5)
    as_notebook = resolve_architecture("resnet50-pretrained", {"variant": "notebook"})
    assert as_notebook == settings | {"scaling": "unit"}
    local = resolve_architecture("resnet50-pretrained", {"weights": "some/file.h5"})
    assert local == settings | {"weights": "some/file.h5"}
    fresh = resolve_architecture("resnet50-pretrained", {"weights": "none"})
    assert fresh["weights"] is None


def test_pretrained_record_can_be_spelled_out():
    options = {
        "stride_on": "first",
        "bias": True,
        "initializer": "glorot_uniform",
        "norm_momentum": 0.99,
        "norm_epsilon": 1.001e-5,
        "scaling": "caffe",
        "weights": "imagenet",
    }
    assert resolve_architecture("resnet50", options) == resolve_architecture(
        "resnet50-pretrained", {}
    )


@pytest.mark.parametrize("name", KNOWN_ARCHITECTURES)
def test_every_name_resolves_to_plain_values_and_back(name):
    settings = resolve_architecture(name, {})
    assert json.loads(json.dumps(settings)) == settings
    assert ResNetSettings(**settings).model_dump() == settings


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("plain34", {"projection": "pad"}, {"projection": "3x3"}),
        ("resnet34", {"stride_on": "first"}, {"stride_on": "middle"}),
        ("resnet20", {"stride_on": "first"}, {}),
        (
            "plain50",
            {"stem": "cifar", "stride_on": "first", "padding": "same"},
            {"stem": "cifar", "stride_on": "first", "padding": "symmetric"},
        ),
        ("resnet34", {"width": None}, {"width": 64}),
    ],
)
def test_equal_networks_have_equal_records(name, one, other):
    assert resolve_architecture(name, one) == resolve_architecture(name, other)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("resnet34", {"projection": "pad"}, {"projection": "1x1"}),
        ("plain50", {"stride_on": "first"}, {"stride_on": "middle"}),
        ("resnet20", {"padding": "same"}, {"padding": "symmetric"}),
        (
            "resnet50",
            {"stem": "cifar", "stride_on": "first", "projection": "3x3", "padding": "same"},
            {"stem": "cifar", "stride_on": "first", "projection": "3x3", "padding": "symmetric"},
        ),
    ],
)
def test_different_networks_have_different_records(name, one, other):
    assert resolve_architecture(name, one) != resolve_architecture(name, other)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnt34", {}, "did you mean 'resnet34'"),
        ("resnet34", {"projektion": "1x1"}, "did you mean 'projection'"),
        ("resnet34", {"depth": 50}, "'depth' follows from the name"),
        ("resnet34", {"family": "resnet"}, "'family' follows from the name"),
        ("resnet34", {"projection": "2x2"}, "projection: input should be 'pad', '1x1' or '3x3'"),
        ("resnet34", {"width": 0}, "width: input should be greater than or equal to 1, not 0"),
        ("resnet34", {"width": "64"}, "width: input should be a valid integer, not '64'"),
        ("resnet34", {"bias": 1}, "bias: input should be a valid boolean"),
        ("resnet34", {"norm_momentum": 1.0}, "norm_momentum: input should be less than 1"),
        ("resnet20", {"variant": "notebook"}, "depths 18, 34, 50, 101, 152 only"),
        ("resnet50", {"weights": "imagenet"}, "'resnet50-pretrained'): stride_on middle should"),
        ("resnet50-pretrained", {"width": 32}, "width 32 should be 64"),
        ("resnet34", {"weights": "imagenet"}, "50, 101 and 152 layers only"),
    ],
)
def test_a_mistake_is_named(name, options, said):
    with pytest.raises(InputError) as error:
        resolve_architecture(name, options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 21},
        {"depth": 2},
        {"form": "imagenet"},
        {"projection": None},
        {"padding": None},
        {"colour": "red"},
    ],
)
def test_a_record_that_is_no_network_is_refused(change):
    with pytest.raises(ValidationError):
        ResNetSettings(**(resolve_architecture("resnet20", {}) | change))


def test_depths_without_a_name():
    settings = resolve_architecture("resnet20", {}) | {"depth": 8}
    assert ResNetSettings(**settings).blocks == (1, 1, 1)


def test_every_field_is_described():
    for family in FAMILIES.values():
        for model in (family.settings, family.options):
            for name, field in model.model_json_schema()["properties"].items():
                assert field.get("description"), f"{model.__name__}.{name}"
    told = set(ResNetSettings.model_fields) - {"family", "kind", "depth", "form"} | {"variant"}
    assert set(ResNetOptions.model_fields) == told


def test_no_name_belongs_to_two_families():
    names = [name for family in FAMILIES.values() for name in family.names]
    assert len(names) == len(set(names))


def test_needs_no_tensorflow():
    code = (
        "import sys, ablation.study.architectures\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'numpy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"

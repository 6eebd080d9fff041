"""Counts against the published and the counted ones."""

import json

import pytest

from ablation.models.build import build
from ablation.models.cost import describe, multiply_adds, parameters, stages, summary
from ablation.study.architectures import resolve_architecture

IMAGENET = (224, 224, 3)
CIFAR = (32, 32, 3)


def _model(name, shape, classes, **options):
    # Counts do not depend on the weights, and these are drawn fastest: uniform, without a seed.
    return build(
        resolve_architecture(name, {"initializer": "glorot_uniform"} | options), shape, classes
    )


@pytest.mark.parametrize(
    ("depth", "trainable", "plain", "giga"),
    [
        (18, 11_689_512, 11_515_688, 1.814),
        (34, 21_797_672, 21_623_848, 3.664),
        (50, 25_557_032, 22_780_456, 4.089),
        (101, 44_549_160, 41_772_584, 7.801),
        (152, 60_192_808, 57_416_232, 11.514),
    ],
)
def test_imagenet_form(depth, trainable, plain, giga):
    model = _model(f"resnet{depth}", IMAGENET, 1000)
    count = parameters(model)
    assert count["trainable"] == trainable
    assert count["shortcuts"] == trainable - plain
    assert multiply_adds(model) / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(("depth", "trainable"), [(34, 21_623_848), (50, 22_780_456)])
def test_plain_networks(depth, trainable):
    """The other depths' counts are the residual ones less the shortcuts', as asserted above."""
    count = parameters(_model(f"plain{depth}", CIFAR, 1000))
    assert (count["trainable"], count["shortcuts"]) == (trainable, 0)


@pytest.mark.parametrize(
    ("depth", "total", "giga"),
    [(50, 25_636_712, 3.858), (101, 44_707_176, 7.570), (152, 60_419_944, 11.282)],
)
def test_keras_form(depth, total, giga):
    """As keras.applications has them; its stride is on the first 1×1."""
    settings = resolve_architecture("resnet50-pretrained", {"weights": "none"}) | {"depth": depth}
    model = build(settings, IMAGENET, 1000)
    assert parameters(model)["total"] == total
    assert multiply_adds(model) / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(
    ("depth", "trainable"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_cifar_form(depth, trainable):
    count = parameters(_model(f"resnet{depth}", CIFAR, 10))
    assert (count["trainable"], count["shortcuts"]) == (trainable, 0)


def test_first_notebook():
    count = parameters(_model("resnet34", CIFAR, 10, variant="notebook"))
    assert (count["total"], count["trainable"]) == (22_691_594, 22_674_570)


def test_multiply_adds_by_hand():
    """A network of depth 8 and width 1 on 4×4 grey images, with 3 classes."""
    settings = resolve_architecture("resnet20", {"width": 1, "projection": "1x1"}) | {"depth": 8}
    model = build(settings, (4, 4, 1), 3)
    stem = 9 * 16
    first = 2 * 9 * 16
    second = (9 * 2 + 9 * 4 + 2) * 4
    third = (9 * 8 + 9 * 16 + 8) * 1
    assert [part["multiply_adds"] for part in stages(model)] == [stem, first, second, third, 12]
    assert multiply_adds(model) == stem + first + second + third + 12


def test_describe(monkeypatch):
    settings = resolve_architecture("resnet50", {"width": 4})
    result = describe(settings, IMAGENET, 5)
    assert json.loads(json.dumps(result)) == result
    assert [(x["stage"], x["output_shape"], x["blocks"]) for x in result["stages"]] == [
        ("stem", [56, 56, 4], 0),
        ("stage1", [56, 56, 16], 3),
        ("stage2", [28, 28, 32], 4),
        ("stage3", [14, 14, 64], 6),
        ("stage4", [7, 7, 128], 3),
        ("head", [5], 0),
    ]
    assert sum(x["parameters"] for x in result["stages"]) == result["parameters"]
    assert sum(x["multiply_adds"] for x in result["stages"]) == result["multiply_adds"]
    assert f"Total params: {result['parameters']:,}" in result["summary"]
    assert f"Trainable params: {result['trainable_parameters']:,}" in result["summary"]
    # A network built later, on a narrower terminal, is described by the same bytes.
    monkeypatch.setenv("COLUMNS", "40")
    assert describe(settings, IMAGENET, 5) == result


def test_summary_width(monkeypatch, capsys):
    settings = resolve_architecture("resnet20", {"width": 2}) | {"depth": 8}
    model = build(settings, CIFAR, 10)
    monkeypatch.delenv("COLUMNS", raising=False)
    text = summary(model, 100)
    assert max(map(len, text.splitlines())) == 100
    assert "stage2_block1_conv1" in text and "\x1b" not in text
    assert capsys.readouterr().out == ""

"""Counts against the published ones and those counted by hand."""

import json
from types import SimpleNamespace

import keras
import pytest

from ablation.models import table
from ablation.models.build import build
from ablation.models.cost import costs, multiply_adds, stages
from ablation.models.families import resolve_network
from ablation.models.table import describe_models

IMAGENET = (224, 224, 3)
CIFAR = (32, 32, 3)


def _costs(name, shape, classes, **options):
    # Counts do not depend on the weights, and these are drawn fastest: uniform, without a seed.
    settings = resolve_network(name, {"initializer": "glorot_uniform"} | options)
    return costs(build(settings, shape, classes))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "trainable", "plain", "giga"),
    [
        (18, 11_689_512, 11_515_688, 1.814),
        (34, 21_797_672, 21_623_848, 3.664),
        (50, 25_557_032, 22_780_456, 4.089),
        (152, 60_192_808, 57_416_232, 11.514),
    ],
)
def test_imagenet_form(depth, trainable, plain, giga):
    cost = _costs(f"resnet{depth}", IMAGENET, 1000)
    assert cost["trainable_parameters"] == trainable
    assert cost["shortcut_parameters"] == trainable - plain
    assert cost["multiply_adds"] / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "total", "giga"),
    [
        ("resnet50-pretrained", {"weights": "none"}, 25_636_712, 3.858),
        ("resnet152", {"bias": True, "stride_on": "first"}, 60_419_944, 11.282),
    ],
)
def test_keras_form(name, options, total, giga):
    """As keras.applications has them, with the stride on the first 1×1."""
    cost = _costs(name, IMAGENET, 1000, **options)
    assert cost["parameters"] == total
    assert cost["multiply_adds"] / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(
    ("name", "classes", "trainable"),
    [
        ("plain34", 1000, 21_623_848),
        ("plain50", 1000, 22_780_456),
        ("resnet20", 10, 269_722),
        ("resnet32", 10, 464_154),
        ("resnet44", 10, 658_586),
        ("resnet56", 10, 853_018),
        ("resnet110", 10, 1_727_962),
    ],
)
def test_networks_without_parameters_in_shortcuts(name, classes, trainable):
    cost = _costs(name, CIFAR, classes)
    assert (cost["trainable_parameters"], cost["shortcut_parameters"]) == (trainable, 0)


def test_first_notebook():
    cost = _costs("resnet34", CIFAR, 10, projection="3x3", bias=True, padding="same")
    assert (cost["parameters"], cost["trainable_parameters"]) == (22_691_594, 22_674_570)


def test_multiply_adds_by_hand():
    """A network of depth 8 and width 1 on 4×4 grey images, with 3 classes."""
    model = build(resolve_network("resnet8", {"width": 1, "projection": "1x1"}), (4, 4, 1), 3)
    stem = 9 * 16
    first = 2 * 9 * 16
    second = (9 * 2 + 9 * 4 + 2) * 4
    third = (9 * 8 + 9 * 16 + 8) * 1
    assert [part["multiply_adds"] for part in stages(model)] == [stem, first, second, third, 12]
    assert multiply_adds(model) == stem + first + second + third + 12


def _functional(*made, shape=(8, 6, 3)):
    """A model of layers one after the other."""
    x = image = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return keras.Model(image, x)


L = keras.layers


class _Own(keras.layers.Layer):
    def call(self, inputs):
        return inputs * inputs


class _Counted(_Own):
    multiply_adds = 144


SHARED = L.Conv2D(3, 3, padding="same")


@pytest.mark.parametrize(
    ("made", "count"),
    [
        ([L.Conv2D(5, 3, strides=2, padding="same")], 4 * 3 * 9 * 3 * 5),
        ([L.Conv2D(6, 3, groups=3, padding="same", use_bias=False)], 48 * 9 * 6),
        ([L.DepthwiseConv2D(3, depth_multiplier=2, padding="valid")], 6 * 4 * 9 * 3 * 2),
        ([L.SeparableConv2D(5, 3, strides=2, padding="same")], 4 * 3 * (9 * 3 + 3 * 5)),
        ([L.Reshape((48, 3)), L.LayerNormalization(), L.Dense(7)], 48 * 3 * 7),
        ([L.Flatten(), L.Dropout(0.1), L.Dense(7, activation="gelu")], 48 * 3 * 7),
        ([_functional(L.Conv2D(5, 1), L.BatchNormalization()), L.Flatten(), L.Dense(2)],
         48 * 15 + 240 * 2),
        ([lambda x: x[:, ::2, ::-1], lambda x: keras.ops.pad(x, [(0, 0)] * 3 + [(0, 2)])], 0),
        ([_Counted(), L.Dense(2)], 144 + 48 * 6),
        ([L.Conv2DTranspose(4, 3), L.Conv2D(4, 3)], None),
        ([L.Reshape((48, 3)), L.Conv1D(4, 3)], None),
        ([L.Reshape((48, 3)), L.LSTM(2)], None),
        ([L.Lambda(lambda x: x)], None),
        ([_Own()], None),
        ([lambda x: keras.ops.matmul(x, keras.ops.swapaxes(x, 2, 3))], None),
        ([lambda x: L.Dot(axes=3)([x, x])], None),
        ([lambda x: L.MultiHeadAttention(1, 2)(x, x)], None),
        ([_functional(L.Conv2DTranspose(4, 3))], None),
        ([SHARED, L.MaxPooling2D(), SHARED], None),  # called twice, at two sizes
    ],
)  # fmt: skip
def test_multiply_adds_of_any_network(made, count):
    assert multiply_adds(_functional(*made)) == count


def test_stages_hold_every_parameter_whatever_the_names():
    model = _functional(
        L.Conv2D(4, 3, name="stem_conv"),
        L.Conv2D(4, 3, name="stage1_block2_conv"),
        L.BatchNormalization(name="odd"),
        L.Flatten(name="flat"),
        L.Dense(3, name="middle"),
        L.Dense(2, name="head"),
    )
    parts = stages(model)
    assert [x["stage"] for x in parts] == ["stem", "stage1", "head", "other"]
    assert [x["blocks"] for x in parts] == [0, 2, 0, 0]
    assert parts[-1]["parameters"] == 16 + (4 * 2 * 4 + 1) * 3
    assert parts[-1]["output_shape"] == [3]
    assert sum(x["parameters"] for x in parts) == model.count_params()
    assert sum(x["multiply_adds"] for x in parts) == multiply_adds(model)
    model = _functional(L.Conv2D(4, 3, name="stem_conv"), L.Conv2DTranspose(4, 3, name="stage1"))
    assert [x["multiply_adds"] for x in stages(model)] == [6 * 4 * 9 * 3 * 4, None]


@pytest.mark.slow
def test_a_network_is_described_once_with_its_costs_on_each_data_set(tmp_path, monkeypatch):
    data = {
        name: SimpleNamespace(input_shape=(side, side, 3), class_names=["a", "b", "c"])
        for name, side in (("small", 32), ("large", 64))
    }
    monkeypatch.setattr(table, "load", lambda folder, verify: data[folder.name])
    settings = resolve_network("resnet18", {"width": 4})
    other = resolve_network("resnet8", {"width": 2})
    request = [
        {"model": model, "architecture": network.model_dump(), "dataset": name, "data": name}
        for name in data
        for model, network in (("a", settings), ("b", other))
    ]
    describe_models(request, tmp_path / "models.json")
    text = (tmp_path / "models.json").read_text()
    first, second = json.loads(text)
    assert (first["model"], second["model"]) == ("a", "b")
    assert first["architecture"] == settings.model_dump()
    assert [(x["stage"], x["output_shape"], x["blocks"]) for x in first["stages"]] == [
        ("stem", [8, 8, 4], 0),
        ("stage1", [8, 8, 4], 2),
        ("stage2", [4, 4, 8], 2),
        ("stage3", [2, 2, 16], 2),
        ("stage4", [1, 1, 32], 2),
        ("head", [3], 0),
    ]
    cost, larger = first["costs"]
    assert (cost["dataset"], cost["input_shape"], cost["classes"]) == ("small", [32, 32, 3], 3)
    assert larger["multiply_adds"] > 3 * cost["multiply_adds"]
    assert larger["parameters"] == cost["parameters"]
    assert sum(x["parameters"] for x in first["stages"]) == cost["parameters"]
    assert sum(x["multiply_adds"] for x in first["stages"]) == cost["multiply_adds"]
    assert f"Total params: {cost['parameters']:,}" in first["summary"]
    assert max(map(len, second["summary"].splitlines())) == 120
    assert "stage2_block1_conv1" in second["summary"] and "\x1b" not in second["summary"]
    # The same bytes in a process that has built networks before, on a narrower terminal.
    monkeypatch.setenv("COLUMNS", "40")
    describe_models(request, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == text

"""Counts against the published and the counted ones."""

import json

import keras
import pytest

from ablation.models.build import build
from ablation.models.cost import describe, multiply_adds, parameters, stages, summary, uncounted
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


def _functional(*made, shape=(8, 6, 3)):
    """A model of layers one after the other."""
    x = image = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return keras.Model(image, x)


L = keras.layers


@pytest.mark.parametrize(
    ("made", "count"),
    [
        ([L.Conv2D(5, 3, strides=2, padding="same")], 4 * 3 * 9 * 3 * 5),
        ([L.Conv2D(6, 3, groups=3, padding="same", use_bias=False)], 48 * 9 * 6),
        ([L.DepthwiseConv2D(3, depth_multiplier=2, padding="valid")], 6 * 4 * 9 * 3 * 2),
        ([L.SeparableConv2D(5, 3, strides=2, padding="same")], 4 * 3 * (9 * 3 + 3 * 5)),
        ([L.Dense(7)], 48 * 3 * 7),
        ([L.Reshape((48, 3)), L.LayerNormalization(), L.Dense(7)], 48 * 3 * 7),
        ([L.Flatten(), L.Dropout(0.1), L.Dense(7, activation="gelu")], 48 * 3 * 7),
        ([_functional(L.Conv2D(5, 1), L.BatchNormalization()), L.Flatten(), L.Dense(2)],
         48 * 15 + 240 * 2),
    ],
)  # fmt: skip
def test_multiply_adds_of_any_network(made, count):
    model = _functional(*made)
    assert (multiply_adds(model), uncounted(model)) == (count, [])


class _Own(keras.layers.Layer):
    def call(self, inputs):
        return inputs * inputs


class _Told(_Own):
    multiply_adds = 144


@pytest.mark.parametrize(
    ("made", "kinds"),
    [
        ([L.Conv2DTranspose(4, 3), L.Conv2D(4, 3)], ["Conv2DTranspose"]),
        ([L.Reshape((36, 3)), L.Conv1D(4, 3), L.LSTM(2)], ["Conv1D", "LSTM"]),
        ([L.Lambda(lambda x: x)], ["Lambda"]),
        ([_Own()], ["_Own"]),
        ([lambda x: keras.ops.matmul(x, keras.ops.swapaxes(x, 2, 3))], ["Matmul"]),
        ([lambda x: L.Dot(axes=3)([x, x])], ["Dot"]),
        ([lambda x: L.MultiHeadAttention(1, 2)(x, x)], ["MultiHeadAttention"]),
        ([_functional(L.Conv1D(4, 3), shape=(6, 3))], ["Functional"]),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_told(made, kinds):
    model = _functional(*made, shape=(6, 3) if kinds == ["Functional"] else (6, 6, 3))
    assert (multiply_adds(model), uncounted(model)) == (None, kinds)


def test_a_layer_that_is_called_twice_is_not_counted_once():
    shared = L.Conv2D(3, 3, padding="same")
    model = _functional(shared, L.MaxPooling2D(), shared)
    assert (multiply_adds(model), uncounted(model)) == (None, ["Conv2D"])


def test_a_layer_of_ones_own_tells_its_count():
    model = _functional(_Told(), L.Dense(2))
    assert (multiply_adds(model), uncounted(model)) == (144 + 48 * 6, [])


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


def test_summary_width(monkeypatch, capsys):
    settings = resolve_architecture("resnet20", {"width": 2}) | {"depth": 8}
    model = build(settings, CIFAR, 10)
    monkeypatch.delenv("COLUMNS", raising=False)
    text = summary(model, 100)
    assert max(map(len, text.splitlines())) == 100
    assert "stage2_block1_conv1" in text and "\x1b" not in text
    assert capsys.readouterr().out == ""

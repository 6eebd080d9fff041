"""The builder: layout, twins, seeds, types and refusals."""

import re

import keras
import numpy as np
import pytest

from ablation.errors import InputError
from ablation.models.build import BUILDERS, build
from ablation.models.resnet import CaffeScaling, PadShortcut
from ablation.study.architectures import FAMILIES, resolve_architecture

from ..conftest import needs_bfloat16

SMALL = (16, 16, 3)


def _small(name="resnet20", depth=8, **options):
    """Return the settings of a network that builds in a moment."""
    settings = resolve_architecture(name, {"width": 4, **options})
    return settings | {"depth": depth} if settings["form"] == "cifar" else settings


def _kernels(model):
    return {
        layer.name: np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")
    }


@pytest.mark.parametrize("name", ["resnet18", "plain18", "resnet50", "plain20", "resnet32"])
def test_depth_counts_the_layers_with_kernels(name):
    model = build(_small(name, depth=int(name[-2:])), (32, 32, 3), 10, seed=0)
    kernels = [layer for layer in _kernels(model) if "_shortcut" not in layer]
    assert len(kernels) == int(name[-2:])


@pytest.mark.parametrize("name", ["20", "18", "50"])
def test_plain_twin_lacks_the_shortcuts_alone(name):
    residual = build(_small(f"resnet{name}"), SMALL, 10, seed=3)
    plain = build(_small(f"plain{name}"), SMALL, 10, seed=3)
    shortcut = re.compile(r"_shortcut|_add$")
    assert [x.name for x in plain.layers] == [
        x.name for x in residual.layers if not shortcut.search(x.name)
    ]
    for layer in plain.layers:
        twin = residual.get_layer(layer.name)
        assert layer.output.shape == twin.output.shape
        for ours, theirs in zip(layer.weights, twin.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    x = np.random.default_rng(0).uniform(size=(2, *SMALL)).astype("float32")
    assert not np.allclose(residual(x), plain(x))


def test_a_block_adds_its_input():
    model = build(_small(), SMALL, 10, seed=0)
    inner = keras.Model(
        model.input,
        [model.get_layer(f"stage1_{x}").output for x in ("block1_norm2", "block1_out")]
        + [model.get_layer("stem_relu").output],
    )
    x = np.random.default_rng(0).uniform(size=(2, *SMALL)).astype("float32")
    last_norm, out, entry = (np.asarray(y) for y in inner(x))
    np.testing.assert_allclose(out, np.maximum(last_norm + entry, 0), rtol=1e-6)


def test_one_seed_one_network():
    settings = _small("resnet18", projection="3x3")
    one, again, other = (_kernels(build(settings, SMALL, 10, seed=s)) for s in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
        assert not np.array_equal(one[name], other[name])
    same_shape = [k for k in one.values() if k.shape == one["stage1_block1_conv1"].shape]
    assert len(same_shape) == 4
    for number, kernel in enumerate(same_shape):
        assert all(not np.array_equal(kernel, later) for later in same_shape[number + 1 :])


def test_without_a_seed_networks_differ():
    one, other = (_kernels(build(_small(), SMALL, 10)) for _ in range(2))
    assert not np.array_equal(one["head"], other["head"])


@pytest.mark.parametrize(
    ("initializer", "variance"), [("he_normal", 2 / 144), ("glorot_uniform", 2 / (144 + 144))]
)
def test_initial_kernels(initializer, variance):
    settings = _small(initializer=initializer) | {"width": 16}
    kernel = _kernels(build(settings, SMALL, 10, seed=0))["stage1_block1_conv1"]
    assert kernel.mean() == pytest.approx(0, abs=0.01)
    assert kernel.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (17, 23, 2)])
@pytest.mark.parametrize("name", ["resnet20", "resnet18"])
def test_probabilities_of_grey_and_colour_images(name, shape):
    model = build(_small(name, stem="cifar"), shape, 7, seed=0)
    probabilities = np.asarray(model(np.ones((2, *shape), "float32")))
    assert probabilities.shape == (2, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert not model.compiled


@needs_bfloat16
def test_bfloat16_is_near_float32():
    settings = _small("resnet20") | {"width": 8}
    exact = build(settings, SMALL, 10, seed=0)
    mixed = build(settings, SMALL, 10, seed=0, dtype="mixed_bfloat16")
    assert {w.dtype for w in mixed.weights} == {"float32"}
    assert mixed.get_layer("stage2_block1_conv1").compute_dtype == "bfloat16"
    assert mixed.get_layer("stage3_block1_out").output.dtype == "bfloat16"
    x = np.random.default_rng(0).uniform(size=(4, *SMALL)).astype("float32")
    probabilities = np.asarray(mixed(x))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(probabilities, exact(x), atol=0.02)


def test_settings_reach_the_layers():
    settings = _small("resnet18", norm_momentum=0.7, norm_epsilon=2e-4, bias=True, projection="1x1")
    model = build(settings, SMALL, 10, seed=0)
    norm = model.get_layer("stage4_block1_shortcut_norm")
    assert (norm.momentum, norm.epsilon) == (0.7, 2e-4)
    assert model.get_layer("stage2_block1_shortcut_conv").kernel.shape == (1, 1, 4, 8)
    assert all(x.use_bias for x in model.layers if isinstance(x, keras.layers.Conv2D))
    bare = build(settings | {"bias": False}, SMALL, 10, seed=0)
    assert not any(x.use_bias for x in bare.layers if isinstance(x, keras.layers.Conv2D))


@pytest.mark.parametrize(("stride_on", "strides"), [("first", [2, 1, 1]), ("middle", [1, 2, 1])])
def test_stride_of_a_bottleneck(stride_on, strides):
    model = build(_small("resnet50", stride_on=stride_on), SMALL, 10, seed=0)
    block = [model.get_layer(f"stage3_block1_conv{n}").strides[0] for n in (1, 2, 3)]
    assert block == strides
    # Stage 1 follows a max pool and halves nothing, but widens.
    assert model.get_layer("stage1_block1_shortcut_conv").strides == (1, 1)


def test_padding_moves_the_window():
    """Pixel (0, 0) lies under the kernel's centre with symmetric padding, beside it with SAME."""
    x = np.zeros((1, *SMALL), "float32")
    x[0, 0, 0] = 1
    seen = {}
    for padding in ("same", "symmetric"):
        model = build(_small("resnet18", padding=padding), SMALL, 10, seed=0)
        conv = model.get_layer("stem_conv")
        kernel = np.zeros(conv.kernel.shape, "float32")
        kernel[2, 2], kernel[3, 3] = 1, 10
        conv.set_weights([kernel])
        seen[padding] = np.asarray(keras.Model(model.input, conv.output)(x))[0, :, :, 0]
    # SAME pads 2 left and 3 right, symmetric padding 3 and 3: which of the kernel's numbers
    # meets the three channels of pixel (0, 0) tells them apart.
    assert seen["same"][0, 0] == 3 and seen["symmetric"][0, 0] == 30
    assert seen["same"].shape == seen["symmetric"].shape == (8, 8)


def test_option_a_shortcut():
    x = np.arange(2 * 5 * 4 * 3, dtype="float32").reshape(2, 5, 4, 3)
    layer = PadShortcut(7, 2)
    y = np.asarray(layer(x))
    assert y.shape == (2, 3, 2, 7) == layer.compute_output_shape(x.shape)
    np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2])
    assert not y[..., 3:].any()
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (twin.channels, twin.stride) == (7, 2)


def test_caffe_scaling_is_keras_preprocessing():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("float32")
    expected = keras.applications.resnet.preprocess_input(images.copy())
    np.testing.assert_allclose(CaffeScaling()(images / 255), expected, rtol=1e-5, atol=1e-4)
    model = build(_small("resnet18", scaling="caffe"), SMALL, 10, seed=0)
    assert model.layers[1].name == "caffe_scaling"
    assert all(layer.name != "caffe_scaling" for layer in build(_small(), SMALL, 10).layers)


@pytest.mark.parametrize(
    ("settings", "shape", "classes", "options", "said"),
    [
        ({"scaling": "caffe"}, (16, 16, 1), 10, {}, "3 channels, not 1"),
        ({}, (16, 16), 10, {}, "not shape (16, 16)"),
        ({}, (0, 16, 3), 10, {}, "not shape (0, 16, 3)"),
        ({}, SMALL, 1, {}, "at least 2 classes, not 1"),
        ({}, SMALL, 10, {"dtype": "float16"}, "not 'float16'"),
        ({"projection": "5x5"}, SMALL, 10, {}, "projection"),
        ({"colour": 1}, SMALL, 10, {}, "unknown setting 'colour'"),
        ({"family": "resnets"}, SMALL, 10, {}, "unknown family 'resnets'; did you mean 'resnet'"),
    ],
)
def test_refusals(settings, shape, classes, options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        build(_small() | settings, shape, classes, **options)


def test_a_missing_setting_is_named():
    settings = _small()
    del settings["bias"]
    with pytest.raises(InputError, match="'bias' is missing"):
        build(settings, SMALL, 10)


def test_every_family_has_a_builder(monkeypatch):
    assert BUILDERS.keys() == FAMILIES.keys()
    monkeypatch.delitem(BUILDERS, "resnet")
    with pytest.raises(InputError, match="no builder for the family resnet"):
        build(_small(), SMALL, 10)


@pytest.mark.parametrize(
    ("units", "dtype", "said"),
    [(9, "float32", re.escape("shape (None, 9)")), (10, "mixed_bfloat16", "returns bfloat16")],
)
def test_a_builder_that_makes_no_classifier_is_refused(monkeypatch, units, dtype, said):
    def builder(settings, image, classes, parts):
        x = keras.layers.Flatten(dtype=dtype)(image)
        return keras.Model(image, keras.layers.Dense(units, dtype=dtype)(x))

    monkeypatch.setitem(BUILDERS, "resnet", builder)
    with pytest.raises(InputError, match=said):
        build(_small(), SMALL, 10)


def test_learns_a_batch_by_heart():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(16, *SMALL)).astype("float32")
    y = rng.integers(0, 4, 16)
    model = build(_small(), SMALL, 4, seed=0)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    first = model.train_on_batch(x, y)
    for _ in range(30):
        last = model.train_on_batch(x, y)
    assert last < 0.5 * first

"""The builder: layout, counterparts, seeds, types and refusals."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from ablation.errors import InputError
from ablation.models.build import build
from ablation.models.families import FAMILIES, resolve_network

from ..conftest import needs_bfloat16

SMALL = (16, 16, 3)


def _small(name="resnet8", **options):
    """Return the settings of a network that is built in a moment."""
    return resolve_network(name, {"width": 4, **options})


def _images(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


def _kernels(model):
    return {
        layer.name: np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")
    }


@pytest.mark.parametrize("name", ["resnet18", "plain18", "resnet50", "plain20", "resnet32"])
def test_depth_counts_the_layers_with_kernels(name):
    model = build(_small(name), (32, 32, 3), 10, seed=0)
    kernels = [layer for layer in _kernels(model) if "_shortcut" not in layer]
    assert len(kernels) == int(name[-2:])


@pytest.mark.parametrize("depth", ["8", "18", "50"])
def test_a_plain_network_lacks_only_the_shortcuts(depth):
    residual = build(_small(f"resnet{depth}"), SMALL, 10, seed=3)
    plain = build(_small(f"plain{depth}"), SMALL, 10, seed=3)
    shortcut = re.compile(r"_shortcut|_add$")
    assert [x.name for x in plain.layers] == [
        x.name for x in residual.layers if not shortcut.search(x.name)
    ]
    for layer in plain.layers:
        counterpart = residual.get_layer(layer.name)
        assert layer.output.shape == counterpart.output.shape
        for ours, theirs in zip(layer.weights, counterpart.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    x = _images(2, *SMALL)
    assert not np.allclose(residual(x), plain(x))


def test_a_block_adds_its_input():
    """In stage 1 unchanged, then with every second pixel and channels of zeros."""
    model = build(_small(), (15, 16, 3), 10, seed=0)
    names = ("stem_relu", "stage1_block1_norm2", "stage1_block1_out", "stage2_block1_norm2",
             "stage2_block1_out")  # fmt: skip
    inner = keras.Model(model.input, [model.get_layer(name).output for name in names])
    entry, norm1, out1, norm2, out2 = (np.asarray(y) for y in inner(_images(2, 15, 16, 3)))
    np.testing.assert_allclose(out1, np.maximum(norm1 + entry, 0), rtol=1e-6)
    shortcut = np.zeros_like(norm2)
    assert shortcut.shape == (2, 8, 8, 8)
    shortcut[..., :4] = out1[:, ::2, ::2]
    np.testing.assert_allclose(out2, np.maximum(norm2 + shortcut, 0), rtol=1e-6)


def test_a_seed_decides_the_kernels():
    settings = _small("resnet18", projection="3x3")
    one, again, other, free, free2 = (
        _kernels(build(settings, SMALL, 10, seed=seed)) for seed in (1, 1, 2, None, None)
    )
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
        assert not np.array_equal(one[name], other[name])
        assert not np.array_equal(free[name], free2[name])
    same_shape = [k for k in one.values() if k.shape == one["stage1_block1_conv1"].shape]
    assert len({kernel.tobytes() for kernel in same_shape}) == len(same_shape) == 4


@pytest.mark.parametrize(
    ("initializer", "variance"), [("he_normal", 2 / 144), ("glorot_uniform", 2 / (144 + 144))]
)
def test_initial_kernels(initializer, variance):
    settings = _small(initializer=initializer, width=16)
    kernel = _kernels(build(settings, SMALL, 10, seed=0))["stage1_block1_conv1"]
    assert kernel.mean() == pytest.approx(0, abs=0.01)
    assert kernel.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (17, 23, 2)])
@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
def test_probabilities_of_images_of_any_shape(name, shape):
    model = build(_small(name, stem="cifar"), shape, 7, seed=0)
    probabilities = np.asarray(model(np.ones((2, *shape), "float32")))
    assert probabilities.shape == (2, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    assert not model.compiled


@needs_bfloat16
def test_bfloat16_is_near_float32():
    settings = _small(width=8)
    exact = build(settings, SMALL, 10, seed=0)
    mixed = build(settings, SMALL, 10, seed=0, dtype="mixed_bfloat16")
    assert {w.dtype for w in mixed.weights} == {"float32"}
    dtypes = {layer.name: layer.output.dtype for layer in mixed.layers}
    assert (dtypes["stem_conv"], dtypes["stage3_block1_out"]) == ("bfloat16", "bfloat16")
    x = _images(4, *SMALL)
    probabilities = np.asarray(mixed(x))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(probabilities, exact(x), atol=0.02)


def test_settings_reach_the_layers():
    options = {"norm_momentum": 0.7, "norm_epsilon": 2e-4, "projection": "1x1"}
    for bias in (True, False):
        model = build(_small("resnet18", bias=bias, **options), SMALL, 10, seed=0)
        norm = model.get_layer("stage4_block1_shortcut_norm")
        assert (norm.momentum, norm.epsilon) == (0.7, 2e-4)
        assert model.get_layer("stage2_block1_shortcut_conv").kernel.shape == (1, 1, 4, 8)
        convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
        assert {x.use_bias for x in convolutions} == {bias}


@pytest.mark.parametrize(("stride_on", "strides"), [("first", [2, 1, 1]), ("middle", [1, 2, 1])])
def test_stride_of_a_bottleneck(stride_on, strides):
    model = build(_small("resnet50", stride_on=stride_on), SMALL, 10, seed=0)
    block = [model.get_layer(f"stage3_block1_conv{n}").strides[0] for n in (1, 2, 3)]
    assert block == strides
    # Stage 1 follows a max pool and halves nothing, but widens.
    assert model.get_layer("stage1_block1_shortcut_conv").strides == (1, 1)


def test_padding_moves_the_window():
    """Pixel (0, 0) is under the kernel's centre with symmetric padding, beside it with SAME."""
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
    # SAME pads 2 left and 3 right, symmetric padding 3 and 3: 1 or 10 meets the three channels of
    # pixel (0, 0).
    assert seen["same"][0, 0] == 3 and seen["symmetric"][0, 0] == 30
    assert seen["same"].shape == seen["symmetric"].shape == (8, 8)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_caffe_scaling_is_keras_preprocessing(dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, *SMALL)).astype("float32")
    images[0, 0, 0] = (255, 0, 0)
    model = build(_small(scaling="caffe"), SMALL, 10, seed=0, dtype=dtype)
    scaled = keras.Model(model.input, model.get_layer("caffe_scaling").output)(images / 255)
    expected = keras.applications.resnet.preprocess_input(images.copy())
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-4)
    red = np.asarray(scaled)[0, 0, 0]
    np.testing.assert_allclose(red, [-103.939, -116.779, 255 - 123.68], rtol=1e-5)


def test_caffe_scaling_needs_colour():
    with pytest.raises(InputError, match="3 channels, not 1; use 'unit'"):
        build(_small(scaling="caffe"), (16, 16, 1), 10)


@pytest.mark.parametrize(
    ("units", "dtype", "message"),
    [(9, "float32", re.escape("shape (None, 9)")), (10, "mixed_bfloat16", "returns bfloat16")],
)
def test_a_builder_that_makes_no_classifier_is_refused(monkeypatch, units, dtype, message):
    def builder(settings, image, classes, parts):
        x = keras.layers.Flatten(dtype=dtype)(image)
        return keras.Model(image, keras.layers.Dense(units, dtype=dtype)(x))

    monkeypatch.setitem(FAMILIES, "resnet", replace(FAMILIES["resnet"], build=builder))
    with pytest.raises(InputError, match=message):
        build(_small(), SMALL, 10)


def test_learns_a_batch_by_heart():
    x, y = _images(16, *SMALL), np.random.default_rng(1).integers(0, 4, 16)
    model = build(_small(), SMALL, 4, seed=0)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    first = model.train_on_batch(x, y)
    for _ in range(30):
        last = model.train_on_batch(x, y)
    assert last < 0.5 * first

"""Weights files in both layouts, against keras.applications, and files to refuse."""

import hashlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ablation import downloads
from ablation.errors import InputError
from ablation.models import pretrained
from ablation.models.build import build
from ablation.models.families import resolve_network
from ablation.models.pretrained import imagenet_weights_file, load_weights

SHAPE = (64, 64, 3)


def _scramble(model, seed=0):
    """Give every weight a value of its own that keeps activations in range."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            value = np.asarray(weight)
            if weight.name == "kernel":
                value = value + 0.01 * rng.normal(size=value.shape)
            elif weight.name in ("gamma", "moving_variance"):
                value = rng.uniform(0.5, 1.5, value.shape)
            else:
                value = rng.normal(0, 0.1, value.shape)
            values.append(value)
        if values:
            layer.set_weights(values)
    return model


def _save_keras_2(model, path, skip=()):
    """Write the layout of the files that keras.applications fetches."""
    layers = [layer for layer in model.layers if layer.name not in skip]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        file.attrs["backend"] = b"tensorflow"
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.asarray(weight)


def _assert_equal(ours, theirs):
    for mine, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, their)


@pytest.fixture(scope="module")
def reference():
    keras.utils.set_random_seed(0)
    return _scramble(
        keras.applications.ResNet50(weights=None, include_top=True, input_shape=SHAPE, classes=10)
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).uniform(size=(2, *SHAPE)).astype("float32")


def _features(model, layer):
    return keras.Model(model.input, [model.get_layer(layer).output, model.output])


def _assert_same_network(ours, theirs, layers=50):
    """Outputs agree as far as float32 allows: each layer rounds, in an order of the kernels' own.

    The errors are small against the largest value, not against each.
    """
    tolerance = layers * np.finfo("float32").eps * np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.slow
def test_keras_3_layout_of_keras_applications(reference, images, tmp_path):
    path = tmp_path / "all.weights.h5"
    reference.save_weights(path)
    model = build(resolve_network("resnet50-pretrained", {}), SHAPE, 10, seed=0)
    assert load_weights(model, path) is True
    scaled = keras.applications.resnet.preprocess_input(255 * images)
    theirs = _features(reference, "avg_pool")(scaled)
    ours = _features(model, "pool")(images)
    for mine, their in zip(ours, theirs, strict=True):
        _assert_same_network(mine, their)


@pytest.mark.slow
def test_keras_2_layout_without_top(reference, images, tmp_path):
    path = tmp_path / "notop.h5"
    _save_keras_2(reference, path, skip=("predictions", "avg_pool"))
    settings = resolve_network("resnet50-pretrained", {"scaling": "unit"})
    model = build(settings, SHAPE, 10, seed=0)
    fresh = model.get_layer("head").get_weights()
    assert load_weights(model, path) is False
    theirs, _ = _features(reference, "avg_pool")(images)
    ours, _ = _features(model, "pool")(images)
    assert float(np.std(theirs)) > 0.01
    _assert_same_network(ours, theirs)
    _assert_equal(model.get_layer("head").get_weights(), fresh)


# The rest needs no large network: 18 layers have the names and shapes of a residual one.


def _small(name="resnet18", classes=10, seed=0, **options):
    settings = resolve_network(name, {"width": 2, "stem": "cifar", **options})
    return build(settings, (8, 8, 3), classes, seed=seed)


FILES = ("own.weights.h5", "own.h5")  # in the layouts of Keras 3 and Keras 2


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = _scramble(_small())
    model.save_weights(folder / "own.weights.h5")
    _save_keras_2(model, folder / "own.h5")
    return model, folder


@pytest.mark.parametrize("name", FILES)
def test_own_weights_come_back(saved, name):
    model, folder = saved
    again, other = _small(seed=9), _small(classes=3)
    assert load_weights(again, folder / name) is True
    _assert_equal(again.get_weights(), model.get_weights())
    head = other.get_layer("head").get_weights()
    assert load_weights(other, folder / name) is False
    _assert_equal(other.get_weights()[:-2], model.get_weights()[:-2])
    _assert_equal(other.get_layer("head").get_weights(), head)


def test_a_trained_models_file_fits(saved, tmp_path):
    """A compiled model saves its optimizer's state as well."""
    model, folder = saved
    trained = _small()
    load_weights(trained, folder / FILES[0])
    trained.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    trained.optimizer.build(trained.trainable_variables)
    trained.save_weights(tmp_path / "trained.weights.h5")
    other = _small(seed=9)
    assert load_weights(other, tmp_path / "trained.weights.h5") is True
    _assert_equal(other.get_weights(), model.get_weights())


def _any_network(classes, seed):
    """A network of no family that ships, with layers that these have not."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3, name="mix")(image)
    x = keras.layers.Dropout(0.1, name="drop")(x)
    x = keras.layers.SeparableConv2D(4, 3, name="widen")(x)
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dropout(0.1, name="drop2")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(5, name="middle")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="head")(x), name="any")


def test_weights_of_any_network_come_back(tmp_path):
    model = _scramble(_any_network(10, 0))
    model.save_weights(tmp_path / "any.weights.h5")
    again, other = _any_network(10, 1), _any_network(3, 1)
    assert load_weights(again, tmp_path / "any.weights.h5") is True
    _assert_equal(again.get_weights(), model.get_weights())
    assert load_weights(other, tmp_path / "any.weights.h5") is False
    _assert_equal(other.get_weights()[:-2], model.get_weights()[:-2])
    with pytest.raises(InputError, match="no weights for layer stem_conv of resnet18"):
        load_weights(_small(), tmp_path / "any.weights.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"width": 3}, "layer stem_conv has arrays of shapes"),
        ({"bias": True}, "layer stem_conv has arrays of shapes"),
        ({"name": "resnet34"}, "no weights for layer stage1_block3_conv1 of resnet34"),
        ({"name": "plain18"}, "plain18 has no layer stage2_block1_shortcut_conv"),
    ],
)
@pytest.mark.parametrize("file", FILES)
def test_another_network_is_refused_and_unchanged(saved, other, message, file):
    _, folder = saved
    model = _small(**other)
    before = model.get_weights()
    with pytest.raises(InputError) as error:
        load_weights(model, folder / file)
    assert message in str(error.value)
    assert str(folder / file) in str(error.value)
    _assert_equal(model.get_weights(), before)


def test_serialised_models_are_refused(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"not a readable file of Keras weights .*save_weights"):
        load_weights(_small(), tmp_path / "model.keras")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.attrs["model_config"] = "{}"
    with pytest.raises(InputError, match=r"contains a whole model.*save_weights"):
        load_weights(_small(), tmp_path / "whole.h5")


def _text(file):
    file.write_text("no HDF5")


def _numbers(file):
    with h5py.File(file, "w") as content:
        content["x"] = [1, 2]


def _empty(file):
    with h5py.File(file, "w") as content:
        content.attrs["layer_names"] = []


def _torn(file):
    with h5py.File(file, "w") as content:
        content.attrs["layer_names"] = [b"conv1_conv"]
        content.create_group("conv1_conv").attrs["weight_names"] = [b"kernel"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda file: None, "weights file not found"),
        (_text, "not a readable file of Keras weights"),
        (_numbers, "not a readable file of Keras weights"),
        (_empty, "contains no layers with weights"),
        (_torn, "not a readable file of Keras weights"),
    ],
)
def test_other_files_are_refused(tmp_path, write, message):
    file = tmp_path / "file.h5"
    write(file)
    with pytest.raises(InputError, match=f"^{file}: {message}"):
        load_weights(_small(), file)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.99])
def test_nothing_is_loaded_from_a_file_that_is_cut_short(saved, tmp_path, name, share):
    content = (saved[1] / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    model = _small(seed=9)
    before = model.get_weights()
    with pytest.raises(InputError, match="not a readable file of Keras weights"):
        load_weights(model, tmp_path / name)
    _assert_equal(model.get_weights(), before)


NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the file from a folder, under an address that needs no network."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / NAME).write_bytes(b"weights")
    digest = hashlib.md5(b"weights").hexdigest()
    monkeypatch.setattr(pretrained, "BASE_WEIGHTS_PATH", f"{folder.as_uri()}/")
    monkeypatch.setattr(downloads, "WAITS", (0.0, 0.0))
    monkeypatch.setitem(pretrained.WEIGHTS_HASHES, "resnet50", ("", digest))
    return folder


def _left_in(folder):
    return [path.name for path in Path(folder).iterdir() if path.name != ".lock"]


def test_fetch_once(server, tmp_path, capsys):
    cache = tmp_path / "deep" / "cache"
    path = imagenet_weights_file(cache)
    assert path == cache / NAME and path.read_bytes() == b"weights"
    assert _left_in(cache) == [NAME]
    (server / NAME).unlink()
    assert imagenet_weights_file(cache) == path
    assert "\x08" not in capsys.readouterr().out


def test_fetch_failure_names_the_alternative(server, tmp_path):
    (server / NAME).unlink()
    with pytest.raises(InputError) as error:
        imagenet_weights_file(tmp_path / "cache")
    for part in (NAME, server.as_uri(), str(tmp_path / "cache"), "weights: path/to/file.h5"):
        assert part in str(error.value)
    assert _left_in(tmp_path / "cache") == []


def test_damaged_downloads_are_not_kept(server, tmp_path):
    (server / NAME).write_bytes(b"half")
    with pytest.raises(InputError, match="does not match"):
        imagenet_weights_file(tmp_path / "cache")
    assert _left_in(tmp_path / "cache") == []
    (tmp_path / "cache" / NAME).write_bytes(b"half")
    with pytest.raises(InputError, match="damaged"):
        imagenet_weights_file(tmp_path / "cache")


def test_address_and_hash_are_keras_own():
    assert pretrained.BASE_WEIGHTS_PATH.startswith("https://storage.googleapis.com/tensorflow/")
    assert len(pretrained.WEIGHTS_HASHES["resnet50"][1]) == 32

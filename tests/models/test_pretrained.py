"""Weights files in both layouts, against keras.applications, and files to refuse."""

import hashlib
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ablation.data import network
from ablation.errors import InputError
from ablation.models import pretrained
from ablation.models.build import build
from ablation.models.pretrained import (
    check_imagenet_weights,
    imagenet_weights_file,
    load_weights,
)
from ablation.study.architectures import resolve_architecture

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


def test_keras_3_layout_of_keras_applications(reference, images, tmp_path):
    path = tmp_path / "all.weights.h5"
    reference.save_weights(path)
    model = build(resolve_architecture("resnet50-pretrained", {}), SHAPE, 10, seed=0)
    assert load_weights(model, path) is True
    scaled = keras.applications.resnet.preprocess_input(255 * images)
    theirs = _features(reference, "avg_pool")(scaled)
    ours = _features(model, "pool")(images)
    for mine, their in zip(ours, theirs, strict=True):
        _assert_same_network(mine, their)


def test_keras_2_layout_without_top(reference, images, tmp_path):
    path = tmp_path / "notop.h5"
    _save_keras_2(reference, path, skip=("predictions", "avg_pool"))
    settings = resolve_architecture("resnet50-pretrained", {"scaling": "unit"})
    model = build(settings, SHAPE, 10, seed=0)
    fresh = model.get_layer("head").get_weights()
    assert load_weights(model, path) is False
    theirs, _ = _features(reference, "avg_pool")(images)
    ours, _ = _features(model, "pool")(images)
    assert float(np.std(theirs)) > 0.01
    _assert_same_network(ours, theirs)
    for now, then in zip(model.get_layer("head").get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(now, then)


# The rest needs no large network: 18 layers have the names and shapes of a residual one.


def _small(name="resnet18", classes=10, seed=0, **options):
    settings = resolve_architecture(name, {"width": 2, "stem": "cifar", **options})
    return build(settings, (8, 8, 3), classes, seed=seed)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = _scramble(_small())
    model.save_weights(folder / "own.weights.h5")
    _save_keras_2(model, folder / "own.h5")
    return model, folder


@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_own_weights_come_back(saved, name):
    model, folder = saved
    twin = _small(seed=9)
    assert load_weights(twin, folder / name) is True
    for ours, theirs in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_trained_models_file_fits(saved, tmp_path):
    """A compiled model writes its optimizer's state as well."""
    model, _ = saved
    twin = _small()
    twin.set_weights(model.get_weights())
    twin.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    twin.optimizer.build(twin.trainable_variables)
    twin.save_weights(tmp_path / "trained.weights.h5")
    other = _small(seed=9)
    assert load_weights(other, tmp_path / "trained.weights.h5") is True
    for ours, theirs in zip(other.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


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
    twin, other = _any_network(10, 1), _any_network(3, 1)
    assert load_weights(twin, tmp_path / "any.weights.h5") is True
    for ours, theirs in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert load_weights(other, tmp_path / "any.weights.h5") is False
    for ours, theirs in zip(other.get_weights()[:-2], model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match="no weights for layer stem_conv of resnet18"):
        load_weights(_small(), tmp_path / "any.weights.h5")


@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_head_of_other_classes_stays_fresh(saved, name):
    model, folder = saved
    twin = _small(classes=3)
    head = twin.get_layer("head").get_weights()
    assert load_weights(twin, folder / name) is False
    for now, then in zip(twin.get_layer("head").get_weights(), head, strict=True):
        np.testing.assert_array_equal(now, then)
    conv = "stage3_block2_conv1"
    np.testing.assert_array_equal(twin.get_layer(conv).kernel, model.get_layer(conv).kernel)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"width": 3}, "layer stem_conv has arrays of shapes"),
        ({"bias": True}, "layer stem_conv has arrays of shapes"),
        ({"name": "resnet34"}, "no weights for layer stage1_block3_conv1 of resnet34"),
        ({"name": "plain18"}, "layer stage2_block1_shortcut_conv has no place in plain18"),
    ],
)
@pytest.mark.parametrize("file", ["own.weights.h5", "own.h5"])
def test_another_network_is_refused_and_left_alone(saved, other, said, file):
    _, folder = saved
    model = _small(**other)
    before = model.get_weights()
    with pytest.raises(InputError) as error:
        load_weights(model, folder / file)
    assert said in str(error.value)
    assert str(folder / file) in str(error.value)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_serialised_models_are_refused(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "model.keras")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file.create_group("model_weights")
    for name in ("model.keras", "whole.h5"):
        with pytest.raises(InputError, match="holds a whole model"):
            load_weights(_small(), tmp_path / name)
    # Not even under another name.
    disguised = tmp_path / "disguised.weights.h5"
    disguised.write_bytes((tmp_path / "model.keras").read_bytes())
    assert zipfile.is_zipfile(disguised)
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        load_weights(_small(), disguised)


def test_other_files_are_refused(saved, tmp_path):
    _, folder = saved
    with pytest.raises(InputError, match="no such weights file"):
        load_weights(_small(), tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        load_weights(_small(), tmp_path / "text.h5")
    with h5py.File(tmp_path / "numbers.h5", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(InputError, match="no Keras weights file"):
        load_weights(_small(), tmp_path / "numbers.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.attrs["layer_names"] = []
    with pytest.raises(InputError, match="holds no layers"):
        load_weights(_small(), tmp_path / "empty.h5")
    with h5py.File(tmp_path / "torn.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1_conv"]
        file.create_group("conv1_conv").attrs["weight_names"] = [b"kernel"]
    with pytest.raises(InputError, match="not laid out as Keras weights"):
        load_weights(_small(), tmp_path / "torn.h5")
    nameless = tmp_path / "nameless.weights.h5"
    nameless.write_bytes((folder / "own.weights.h5").read_bytes())
    with h5py.File(nameless, "a") as file:
        del file["layers/conv2d/vars"].attrs["name"]
    with pytest.raises(InputError, match="carries no layer name"):
        load_weights(_small(), nameless)


def _move_to_another_file(file, name, elsewhere, kind):
    """Move a dataset, or its group, of a weights file to another file that it refers to."""
    part = name.rpartition("/")[0] if kind == "external link to a group" else name
    values = file[name][()]
    with h5py.File(elsewhere, "w") as other:
        file.copy(file[part], other, "moved")
    del file[part]
    if kind == "external storage":
        raw = elsewhere.with_suffix(".raw")
        values.tofile(raw)
        external = [(str(raw), 0, values.nbytes)]
        file.create_dataset(name, values.shape, values.dtype, external=external)
    elif kind == "virtual dataset":
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource(elsewhere, "moved", values.shape)
        file.create_virtual_dataset(name, layout)
    else:
        file[part] = h5py.ExternalLink(elsewhere, "moved")


ARRAYS = {
    "own.weights.h5": "layers/conv2d/vars/0",
    "own.h5": "stem_conv/stem_conv/kernel:0",
}


@pytest.mark.parametrize(
    "kind",
    ["external link", "external link to a group", "external storage", "virtual dataset"],
)
@pytest.mark.parametrize("name", list(ARRAYS))
def test_values_of_other_files_are_refused(saved, tmp_path, name, kind):
    _, folder = saved
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes())
    with h5py.File(path, "a") as file:
        _move_to_another_file(file, ARRAYS[name], tmp_path / "elsewhere.h5", kind)
    model = _small(seed=9)
    before = model.get_weights()
    said = kind.removesuffix(" to a group")
    with pytest.raises(InputError, match=f"^{path}: {ARRAYS[name][:8]}.* {said}") as error:
        load_weights(model, path)
    assert "save_weights" in str(error.value)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", list(ARRAYS))
def test_arrays_of_text_are_refused(saved, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((saved[1] / name).read_bytes())
    with h5py.File(path, "a") as file:
        del file[ARRAYS[name]]
        file[ARRAYS[name]] = np.array([b"text"])
    with pytest.raises(InputError, match="holds an array of something other than numbers"):
        load_weights(_small(seed=9), path)


@pytest.mark.parametrize("name", list(ARRAYS))
def test_links_inside_the_file_are_followed(saved, tmp_path, name):
    stored, folder = saved
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes())
    with h5py.File(path, "a") as file:
        file.move(ARRAYS[name], "elsewhere")
        file[ARRAYS[name]] = h5py.SoftLink("/elsewhere")
        file["itself"] = file["/"]
    model = _small(seed=9)
    assert load_weights(model, path) is True
    for ours, theirs in zip(model.get_weights(), stored.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _damaged(raw):
    """A file of weights, cut short or with a bit flipped in what holds it together."""
    for where in (0, 1, 8, 100, len(raw) // 3, len(raw) // 2, len(raw) - 1):
        yield raw[:where]
    for mark in (b"\x89HDF", b"TREE", b"HEAP", b"SNOD"):  # what parts of HDF5 begin with
        place = raw.find(mark)
        while place >= 0:
            yield raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
            place = raw.find(mark, place + 4)


@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_damaged_files_are_told_and_nothing_else_is_loaded(saved, tmp_path, name):
    stored, folder = saved
    raw, file = (folder / name).read_bytes(), tmp_path / name
    told, model = 0, _small(seed=9)
    fresh = model.get_weights()
    damaged = list(_damaged(raw))
    for content in damaged[:: max(1, len(damaged) // 20)]:
        file.write_bytes(content)
        model.set_weights(fresh)
        expected = fresh
        try:
            load_weights(model, file)
            expected = stored.get_weights()  # it was in a part that nobody reads
        except InputError as error:
            assert str(error).startswith(f"{file}: ")
            told += 1
        for now, then in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(now, then)
    assert told >= 10


NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the file from a folder, under an address that needs no network."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / NAME).write_bytes(b"weights")
    digest = hashlib.md5(b"weights").hexdigest()
    monkeypatch.setattr(pretrained, "BASE_WEIGHTS_PATH", f"{folder.as_uri()}/")
    monkeypatch.setattr(network, "WAITS", (0.0, 0.0))
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


def test_one_flipped_bit_is_found_by_the_hash(server, tmp_path):
    file = imagenet_weights_file(tmp_path / "cache", name="ours.h5")
    check_imagenet_weights(file)
    for place in range(len(b"weights")):
        content = bytearray(b"weights")
        content[place] ^= 1 << place
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"{file}: damaged .* run snakemake again"):
            check_imagenet_weights(file)


def test_no_weights_of_other_depths(tmp_path):
    with pytest.raises(InputError, match="not for 34"):
        imagenet_weights_file(tmp_path, 34)


def test_address_and_hashes_are_keras_own():
    assert pretrained.BASE_WEIGHTS_PATH.startswith("https://storage.googleapis.com/tensorflow/")
    for depth in (50, 101, 152):
        assert len(pretrained.WEIGHTS_HASHES[f"resnet{depth}"][1]) == 32

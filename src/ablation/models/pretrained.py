"""Weights from HDF5 files, in the layouts of Keras 3 and Keras 2.

Files of serialised models are refused, because loading them can run code.
"""

import contextlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

# Not part of Keras' public interface, but copies of the address and the hash could become outdated.
from keras.src.applications.resnet import BASE_WEIGHTS_PATH, WEIGHTS_HASHES
from keras.src.legacy.saving.legacy_h5_format import load_attributes_from_hdf5_group
from keras.src.utils.file_utils import validate_file

from ablation.downloads import one_line, with_retries
from ablation.errors import InputError
from ablation.storage import exclusive_lock, put_in_place

IMAGENET_WEIGHTS_SIZE = 94_765_736
"""Bytes of Keras' file of ResNet-50's ImageNet weights."""

_NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"  # Keras' own
_HEAD = "head"
_STEM_AND_HEAD = {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm", "predictions": _HEAD}
_IN_BLOCK = re.compile(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)")

Arrays = dict[str, list[np.ndarray]]


def load_weights(model: keras.Model, path: str | Path) -> bool:
    """Load weights from an HDF5 file.

    The file is a ``.weights.h5`` of Keras 3, saved from a model of `ablation.models.build` or a
    ResNet of keras.applications, or has the layout of Keras 2, as the files of keras.applications.
    Layers are matched by name. All layers except the head must have weights of their shape in the
    file, and the file must have no others. The head is loaded if its shape matches.

    Args:
        model: a network of `ablation.models.build`.
        path: the file.

    Returns:
        Whether the head was loaded.

    Raises:
        InputError: the file is missing or damaged, contains a serialised model or no weights, or
            does not fit the model.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: weights file not found")
    try:
        stored = _read(path)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not a readable file of Keras weights ({error}); "
            "model.save_weights('name.weights.h5') writes one"
        ) from None
    return _assign(model, stored, path)


def imagenet_weights_file(folder: str | Path, name: str = _NAME) -> Path:
    """Return Keras' file of ResNet-50's ImageNet weights without the head; download it if missing.

    One process at a time downloads it, to a temporary folder. The file is moved into place if its
    hash is right. The download is retried if the network fails.

    Args:
        folder: where the file is kept; created if missing.
        name: name of the file.

    Raises:
        InputError: the file is damaged or cannot be downloaded.
    """
    target = Path(folder) / name
    if not target.exists():
        with exclusive_lock(
            target.parent / ".lock", f"waiting for another job that fetches into {folder}"
        ):
            if not target.exists():
                _download(target)
    digest = WEIGHTS_HASHES["resnet50"][1]
    if not validate_file(str(target), digest):
        raise InputError(
            f"{target}: damaged (its MD5 is not {digest}); delete it and run snakemake again"
        )
    return target


def _download(target: Path) -> None:
    folder, url = target.parent, f"{BASE_WEIGHTS_PATH}{_NAME}"
    for left in folder.glob(".fetch-*"):  # left by a killed process
        shutil.rmtree(left, ignore_errors=True)

    def once() -> Path:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras draws a progress bar
            return Path(
                keras.utils.get_file(
                    _NAME,
                    url,
                    cache_dir=scratch,
                    cache_subdir="",
                    file_hash=WEIGHTS_HASHES["resnet50"][1],
                )
            )

    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        try:
            # Keras raises a ValueError if the hash differs.
            file = with_retries(once, _NAME, damaged=(ValueError,))
        except Exception as error:  # get_file raises bare Exceptions
            raise InputError(
                f"cannot download {url} ({one_line(error)}); run snakemake again later, "
                f"download it elsewhere and save it as {target}, or give its path as 'weights: "
                "path/to/file.h5'"
            ) from error
        put_in_place(file, target)


def _read(path: Path) -> Arrays:
    """Return the arrays of all layers with weights, by the layer names of this project."""
    with h5py.File(path, "r") as file:
        if "model_config" in file.attrs:
            raise InputError(
                f"{path}: contains a whole model, which could run code when loaded; save only its "
                "weights with model.save_weights('name.weights.h5')"
            )
        layers = _keras_2(file) if "layer_names" in file.attrs else _keras_3(file)
        stored = {
            _own_name(name): [np.asarray(array, dtype="float32") for array in arrays]
            for name, arrays in layers
            if arrays
        }
    if not stored:
        raise InputError(f"{path}: contains no layers with weights")
    return stored


def _keras_2(file: h5py.File) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    """Read the layout of Keras 2: a group for each layer, its arrays named in an attribute."""
    for name in load_attributes_from_hdf5_group(file, "layer_names"):
        names = load_attributes_from_hdf5_group(file[name], "weight_names")
        yield name, [file[name][weight] for weight in names]


def _keras_3(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    """Read the layout of Keras 3: numbered arrays in groups ``vars``, with the name of the layer.

    The parent groups are named after classes (``conv2d_7``).
    """
    layers = []

    def visit(place: str, item: Any) -> None:
        if place.rpartition("/")[2] == "vars" and len(item):
            layers.append((item.attrs["name"], [item[key] for key in sorted(item, key=int)]))

    file["layers"].visititems(visit)
    return layers


def _assign(model: keras.Model, stored: Arrays, path: Path) -> bool:
    """Assign all arrays, or raise and assign none."""
    values: list[tuple[keras.layers.Layer, list[np.ndarray]]] = []
    for layer in model.layers:
        if not layer.weights:
            continue
        arrays = stored.pop(layer.name, None)
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = None if arrays is None else [array.shape for array in arrays]
        if arrays is not None and found == wanted:
            values.append((layer, arrays))
        elif layer.name != _HEAD:
            raise InputError(
                f"{path}: no weights for layer {layer.name} of {model.name}"
                if found is None
                else f"{path}: layer {layer.name} has arrays of shapes {found}, {model.name} needs "
                f"{wanted}"
            )
    # A classifier with another name or size is ignored.
    left = [name for name, arrays in stored.items() if arrays[0].ndim != 2]
    if left:
        raise InputError(f"{path}: {model.name} has no layer {min(left)}")
    for layer, arrays in values:
        layer.set_weights(arrays)
    return any(layer.name == _HEAD for layer, _ in values)


def _own_name(name: str) -> str:
    """Translate a layer name of keras.applications."""
    match = _IN_BLOCK.fullmatch(name)
    if not match:
        return _STEM_AND_HEAD.get(name, name)
    stage, block, number, kind = match.groups()
    own = {"conv": "conv", "bn": "norm"}[kind]
    place = f"shortcut_{own}" if number == "0" else f"{own}{number}"
    return f"stage{int(stage) - 1}_block{block}_{place}"

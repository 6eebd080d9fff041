"""Weights from HDF5 files, in Keras 3's layout and in the one before it.

Weights only: a file that holds a serialised model can run code when it is loaded, so networks are
always rebuilt from their settings and such files are refused.
"""

import contextlib
import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

# Not part of Keras' public interface, but copies of the address and the hashes could go stale.
from keras.src.applications.resnet import BASE_WEIGHTS_PATH, WEIGHTS_HASHES
from keras.src.legacy.saving.legacy_h5_format import load_attributes_from_hdf5_group
from keras.src.utils.file_utils import validate_file

from ablation.downloads import one_line, with_retries
from ablation.errors import InputError
from ablation.storage import alone, put_in_place

IMAGENET_WEIGHTS_SIZE = 94_765_736
"""Bytes of Keras' file of ResNet-50's ImageNet weights."""

_HEAD = "head"
_STEM_AND_HEAD = {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm", "predictions": _HEAD}
_IN_BLOCK = re.compile(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)")
_NOT_A_MODEL = (
    "holds a whole model, which could run code when loaded; save its weights alone with "
    "model.save_weights('name.weights.h5')"
)


def load_weights(model: keras.Model, path: str | Path) -> bool:
    """Load the weights of a network of any family from an HDF5 file of weights.

    Read are Keras 3's ``.weights.h5``, written from a model of `ablation.models.build` or of
    keras.applications' ResNet50, 101 or 152, and the layout of Keras 2, as in the files that
    keras.applications fetches. Layers are matched by name. Nothing is changed unless every layer
    but the head finds weights of its shape and no layer of the file is left over. The head is
    loaded where the file has one of its shape; otherwise it stays as it is.

    Args:
        model: a network of `ablation.models.build`.
        path: the file.

    Returns:
        Whether the head was loaded as well.

    Raises:
        InputError: the file is missing, is not HDF5, refers to another file, holds a serialised
            model or no named weights, or does not fit the model; the message names the file and
            the layer.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file")
    if path.suffix == ".keras":
        raise InputError(f"{path}: {_NOT_A_MODEL}")
    try:
        with h5py.File(path, "r") as file:
            try:
                stored = _stored(file, path)
            except (KeyError, ValueError, AttributeError, TypeError, RuntimeError) as error:
                raise InputError(f"{path}: not laid out as Keras weights ({error})") from None
            return _assign(model, stored, path)
    except (OSError, RuntimeError) as error:  # HDF5 raises both where a file is damaged
        raise InputError(f"{path}: not a readable HDF5 file ({error})") from None


def imagenet_weights_file(folder: str | Path, depth: int = 50, *, name: str | None = None) -> Path:
    """Return Keras' file of ImageNet weights without the head, fetching it if it is not there.

    The download happens once, by one process at a time, beside the destination, is checked
    against Keras' hash, and only then moved into place, so that an interrupted one never counts;
    what it left is removed by the next one. It is tried again where the network fails.

    Args:
        folder: where the file is kept; made if need be.
        depth: 50, 101 or 152.
        name: of the file; Keras' own if not given. One under Keras' own is renamed.

    Returns:
        The path of the file in ``folder``.

    Raises:
        InputError: there are no such weights, the folder cannot be written, the file in it is
            damaged, or it cannot be fetched; the message names the file, its address and the
            alternative.
    """
    folder = Path(folder)
    given = folder / _imagenet_name(depth)
    target = given if name is None else folder / name
    if not target.exists():
        with alone(folder / ".lock", f"waiting for another job that fetches into {folder}"):
            if not target.exists():
                if not given.exists():
                    _fetch_imagenet(given, _imagenet_digest(depth))
                check_imagenet_weights(given, depth)
                put_in_place(given, target)
    check_imagenet_weights(target, depth)
    return target


def check_imagenet_weights(file: Path, depth: int = 50) -> None:
    """Refuse a file that is not, bit by bit, Keras' ImageNet weights without the head.

    Args:
        file: as `imagenet_weights_file` has returned it, under whatever name.
        depth: 50, 101 or 152.

    Raises:
        InputError: it has another hash than Keras tells.
    """
    digest = _imagenet_digest(depth)
    if not validate_file(str(file), digest):
        raise InputError(
            f"{file}: damaged (its MD5 is not {digest}); delete it and run snakemake again"
        )


def _imagenet_name(depth: int) -> str:
    if depth not in (50, 101, 152):
        raise InputError(f"there are ImageNet weights for 50, 101 and 152 layers, not for {depth}")
    return f"resnet{depth}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def _imagenet_digest(depth: int) -> str:
    return str(WEIGHTS_HASHES[f"resnet{depth}"][1])


def _fetch_imagenet(target: Path, digest: str) -> None:
    folder, name = target.parent, target.name
    url = f"{BASE_WEIGHTS_PATH}{name}"
    for left in folder.glob(".fetch-*"):  # by a process that was killed: no other one fetches now
        shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:

            def once() -> Path:
                # Keras draws a progress bar, and writes to the destination directly.
                with contextlib.redirect_stdout(io.StringIO()):
                    file = keras.utils.get_file(
                        name, url, cache_dir=scratch, cache_subdir="", file_hash=digest
                    )
                return Path(file)

            # Keras raises a ValueError where the hash is another one.
            put_in_place(with_retries(once, name, damaged=(ValueError,)), target)
    except InputError:
        raise
    except Exception as error:  # get_file raises bare Exceptions when an address is unreachable
        raise InputError(
            f"cannot fetch {name} from {url} to {folder} ({one_line(error)}); run snakemake "
            "again when it can be had, fetch it elsewhere and put it into that folder, or give its "
            "path as 'weights: path/to/file.h5'"
        ) from error


def _stored(file: h5py.File, path: Path) -> dict[str, list[h5py.Dataset]]:
    """Return the arrays of every layer with weights, by our layer names, in Keras' order."""
    _refuse_other_files(file, path)
    if "model_config" in file.attrs or "model_weights" in file:
        raise InputError(f"{path}: {_NOT_A_MODEL}")
    layers = _keras_2(file) if "layer_names" in file.attrs else _keras_3(file, path)
    stored: dict[str, list[h5py.Dataset]] = {}
    for name, arrays in layers:
        ours = _our_name(name)
        if ours in stored:
            raise InputError(f"{path}: has layer {name} twice")
        if not all(isinstance(array, h5py.Dataset) for array in arrays):
            raise InputError(f"{path}: layer {name} holds something that is no array")
        if not all(array.dtype.kind in "fiu" for array in arrays):
            raise InputError(f"{path}: layer {name} holds an array of something other than numbers")
        if arrays:
            stored[ours] = arrays
    if not stored:
        raise InputError(f"{path}: holds no layers with weights")
    return stored


def _refuse_other_files(file: h5py.File, path: Path) -> None:
    """Refuse a file that refers to other files: a run records the hash of this one alone."""
    names: list[str] = []
    file.visit_links(names.append)
    for name in names:
        link, kind = file.get(name, getlink=True), ""
        if isinstance(link, h5py.ExternalLink):
            kind = "an external link"
        elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
            if item.external:
                kind = "an array with external storage"
            elif item.is_virtual:
                kind = "a virtual dataset"
        if kind:
            raise InputError(
                f"{path}: {name} is {kind}, whose values are in another file; save the weights "
                "to one file with model.save_weights('name.weights.h5')"
            )


def _keras_2(file: h5py.File) -> list[tuple[str, list[h5py.Dataset]]]:
    """Read the layout of Keras 2: a group a layer, its arrays named in order in an attribute."""
    layers = []
    for name in load_attributes_from_hdf5_group(file, "layer_names"):
        group = file[name]
        names = load_attributes_from_hdf5_group(group, "weight_names")
        layers.append((name, [group[weight] for weight in names]))
    return layers


def _keras_3(file: h5py.File, path: Path) -> list[tuple[str, list[h5py.Dataset]]]:
    """Read the layout of Keras 3: numbered arrays under ``vars``, which carries the layer's name.

    The groups above it are named after classes (``conv2d_7``) in an order of Keras' own.
    """
    if "layers" not in file:
        raise InputError(f"{path}: neither 'layer_names' nor 'layers' in it: no Keras weights file")
    layers = []

    def visit(where: str, item: Any) -> None:
        if where.rpartition("/")[2] != "vars" or not len(item):
            return
        if "name" not in item.attrs:
            raise InputError(
                f"{path}: layers/{where} carries no layer name, as files of early Keras 3 do; "
                "load and save the weights with a newer Keras"
            )
        layers.append((_text(item.attrs["name"]), [item[key] for key in sorted(item, key=int)]))

    file["layers"].visititems(visit)
    return layers


def _assign(model: keras.Model, stored: dict[str, list[h5py.Dataset]], path: Path) -> bool:
    """Put all arrays into the model, or none and say why."""
    values: list[tuple[keras.layers.Layer, list[np.ndarray]]] = []
    head_loaded = False
    for layer in model.layers:
        if not layer.weights:
            continue
        arrays = stored.pop(layer.name, None)
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = None if arrays is None else [tuple(array.shape) for array in arrays]
        if layer.name == _HEAD:
            if found != wanted:
                continue
            head_loaded = True
        elif found is None:
            raise InputError(f"{path}: no weights for layer {layer.name} of {model.name}")
        elif found != wanted:
            raise InputError(
                f"{path}: layer {layer.name} has arrays of shapes {found}, "
                f"{model.name} needs {wanted}"
            )
        values.append((layer, [np.asarray(array, dtype="float32") for array in arrays or ()]))
    # A classifier of another name or size is no part of the backbone.
    left = [name for name, arrays in stored.items() if arrays[0].ndim != 2]
    if left:
        raise InputError(f"{path}: layer {min(left)} has no place in {model.name}")
    for layer, arrays in values:
        layer.set_weights(arrays)
    return head_loaded


def _our_name(name: str) -> str:
    """Translate a layer name of keras.applications; others are ours already."""
    if name in _STEM_AND_HEAD:
        return _STEM_AND_HEAD[name]
    match = _IN_BLOCK.fullmatch(name)
    if not match:
        return name
    stage, block, number, kind = match.groups()
    ours = {"conv": "conv", "bn": "norm"}[kind]
    place = f"shortcut_{ours}" if number == "0" else f"{ours}{number}"
    return f"stage{int(stage) - 1}_block{block}_{place}"


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

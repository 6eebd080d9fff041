"""From TensorFlow Datasets to a prepared data set."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_datasets as tfds

from ablation.data.mnist5k import Mnist5k
from ablation.data.prepared import DESCRIPTION, EXAMPLES, IMAGES, SPLITS, content_hash
from ablation.data.splits import SPLIT_SEED, stratified_choice, stratified_limit
from ablation.errors import InputError, nearest
from ablation.study.sources import data_dir, known_sources


def make_builder(source: str, folder: str | None) -> tfds.core.DatasetBuilder:
    """Return the TFDS builder of a source, ``mnist5k`` or ``name[/config][:version]``.

    Args:
        source: the name.
        folder: where TFDS keeps its data; None for TFDS_DATA_DIR or TFDS' default.

    Raises:
        InputError: TFDS has no such data set, or not in this version.
    """
    where = str(data_dir(folder))
    if source.partition(":")[0] == "mnist5k":
        if source not in ("mnist5k", f"mnist5k:{Mnist5k.VERSION}"):
            raise InputError(f"'{source}': mnist5k has one version, {Mnist5k.VERSION}")
        return Mnist5k(data_dir=where)
    try:
        return tfds.builder(source, data_dir=where)
    except tfds.core.DatasetNotFoundError:
        name = source.partition(":")[0].partition("/")[0]
        raise InputError(
            f"TensorFlow Datasets has no '{source}'{nearest(name, known_sources(folder))[:300]}"
        ) from None
    except (AssertionError, ValueError) as error:  # how TFDS tells a wrong version or config
        raise InputError(f"TensorFlow Datasets cannot build '{source}': {error}") from None


def prepare(settings: dict[str, Any], folder: Path, tfds_folder: str | None) -> dict[str, Any]:
    """Prepare a data set: decode, resize, split, and write it for training.

    Args:
        settings: source, image_size, resize, held_out, test_share, limit, resolved.
        folder: where the prepared data goes; its description is written last.
        tfds_folder: where TFDS keeps its data; downloaded there at first use.

    Returns:
        The description.

    Raises:
        InputError: the source is unknown, cannot be fetched, or is no image classification.
    """
    source, size = settings["source"], settings["image_size"]
    builder = make_builder(source, tfds_folder)
    image_key, label_key = _keys(builder, source)
    feature = builder.info.features[image_key]
    if size is None and None in feature.shape[:2]:
        raise InputError(f"'{source}' has images of different sizes: give image_size in the study")
    if feature.np_dtype != np.uint8:
        raise InputError(f"'{source}' has images of type {feature.np_dtype}, not uint8")
    try:
        with _alone(data_dir(tfds_folder), builder.name):
            builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError, tf.errors.OpError) as error:
        raise InputError(
            f"'{source}' could not be fetched into {data_dir(tfds_folder)}: "
            f"{type(error).__name__}: {error}"
        ) from error

    examples, tested = _assign_splits(builder, label_key, settings)
    height, width = size or feature.shape[:2]
    channels = feature.shape[-1]
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{IMAGES}.part"
    images = np.lib.format.open_memmap(
        temporary, mode="w+", dtype=np.uint8, shape=(len(examples), height, width, channels)
    )
    _write_images(builder, image_key, examples, images, settings["resize"])
    images.flush()

    class_names = builder.info.features[label_key].names
    columns = ["index", "split", "label", "name"]
    examples["index"] = np.arange(len(examples))
    examples[columns].to_csv(folder / EXAMPLES, index=False, lineterminator="\n")
    description = {
        "format": 1,
        "source": builder.info.full_name,
        "settings": settings,
        "class_names": class_names,
        "shape": list(images.shape),
        "counts": {
            split: np.bincount(
                examples.loc[examples["split"] == split, "label"], minlength=len(class_names)
            ).tolist()
            for split in SPLITS
        },
        "splits": _tell_splits(tested, settings),
        "citation": builder.info.citation,
        "hash": content_hash(images, examples, class_names),
    }
    del images
    temporary.replace(folder / IMAGES)
    part = folder / f"{DESCRIPTION}.part"
    part.write_text(json.dumps(description, indent=2) + "\n")
    part.replace(folder / DESCRIPTION)
    return description


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Keep other jobs from fetching the same source, at another size, at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it, also if this process is killed
        yield


def _keys(builder: tfds.core.DatasetBuilder, source: str) -> tuple[str, str]:
    keys = builder.info.supervised_keys or ("image", "label")
    features = builder.info.features
    if (
        len(keys) != 2
        or not all(isinstance(key, str) and key in features for key in keys)
        or not isinstance(features[keys[0]], tfds.features.Image)
        or not isinstance(features[keys[1]], tfds.features.ClassLabel)
    ):
        raise InputError(f"'{source}' is not an image classification data set (image and class)")
    return keys[0], keys[1]


def _tell_splits(tested: str | None, settings: dict[str, Any]) -> dict[str, str]:
    taken = f"{settings['test_share']:.4g} of each class of the source's 'train', fixed seed"
    kept = "" if settings["limit"] is None else f", at most {settings['limit']} examples"
    held = f"{settings['held_out']:.4g} of each class of what is left for training, fixed seed"
    return {
        "train": f"the rest of the source's 'train'{kept}",
        "validation": held,
        "test": (f"the source's '{tested}'" if tested else taken) + kept,
    }


def _assign_splits(
    builder: tfds.core.DatasetBuilder, label_key: str, settings: dict[str, Any]
) -> tuple[pd.DataFrame, str | None]:
    """Return part, position there, name, label and split of every example kept.

    The second is the source's split that is tested on: ``test``, or ``validation`` where there is
    no labelled ``test``; None where the test split is taken from ``train``.
    """
    name = builder.info.full_name
    if "train" not in builder.info.splits:
        raise InputError(f"'{name}' has no split 'train', only {list(builder.info.splits)}")
    training = _labels(builder, "train", label_key)
    if training is None:
        raise InputError(f"'{name}': the examples of 'train' have no labels")
    try:
        for tested in ("test", "validation"):
            testing = _labels(builder, tested, label_key)
            if testing is not None:
                training["split"], testing["split"] = "train", "test"
                examples = pd.concat([training, testing], ignore_index=True)
                break
        else:
            tested, examples = None, training
            chosen = stratified_choice(examples["label"].to_numpy(), settings["test_share"])
            examples["split"] = np.where(chosen, "test", "train")
        if settings["limit"] is not None:
            examples = _limited(examples, settings["limit"])
        fitted = np.flatnonzero(examples["split"] == "train")
        labels = examples["label"].to_numpy()[fitted]
        held = stratified_choice(labels, settings["held_out"], SPLIT_SEED + 1)
    except ValueError as error:
        raise InputError(f"'{name}': {error}") from None
    examples.loc[fitted[held], "split"] = "validation"
    return examples, tested


def _labels(builder: tfds.core.DatasetBuilder, part: str, label_key: str) -> pd.DataFrame | None:
    """Part, position, name and label of a split's examples; None if it is missing or unlabelled."""
    if part not in builder.info.splits:
        return None
    rows = [
        (part, position, row["tfds_id"].decode(), int(row["label"]))
        for position, row in enumerate(_read(builder, part, label_key, decode=False))
    ]
    frame = pd.DataFrame(rows, columns=["part", "position", "name", "label"])
    return None if frame.empty or (frame["label"] < 0).any() else frame


def _limited(examples: pd.DataFrame, limit: int) -> pd.DataFrame:
    keep = np.zeros(len(examples), dtype=bool)
    for split in ("train", "test"):
        members = np.flatnonzero(examples["split"] == split)
        labels = examples["label"].to_numpy()[members]
        keep[members[stratified_limit(labels, limit)]] = True
    return examples[keep].reset_index(drop=True)


def _read(builder: tfds.core.DatasetBuilder, split: str, key: str, *, decode: bool) -> Any:
    """Iterate over one feature and the example's name, in the order in which TFDS stores them."""
    config = tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1)
    wanted = tfds.decode.PartialDecoding({key: builder.info.features[key]})
    data = builder.as_dataset(split=split, shuffle_files=False, read_config=config, decoders=wanted)
    if decode:
        return data
    return data.map(lambda row: {"label": row[key], "tfds_id": row["tfds_id"]}).as_numpy_iterator()


def _write_images(
    builder: tfds.core.DatasetBuilder,
    key: str,
    examples: pd.DataFrame,
    images: np.ndarray,
    resize: str,
) -> None:
    height, width = images.shape[1:3]
    step = max(len(examples) // 10, 1)
    written = 0
    for part in examples["part"].unique():
        members = examples[examples["part"] == part]
        wanted = np.zeros(builder.info.splits[part].num_examples, dtype=bool)
        wanted[members["position"]] = True
        keep = tf.constant(wanted)
        data = (
            _read(builder, part, key, decode=True)
            .enumerate()
            .filter(lambda position, _, keep=keep: keep[position])
            .map(
                lambda _, row: to_size(row[key], height, width, resize),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .prefetch(64)
        )
        for row, image in zip(members.index, data.as_numpy_iterator(), strict=True):
            images[row] = image
            written += 1
            if written % step == 0:
                print(f"prepared {written} of {len(examples)} images", flush=True)


def to_size(image: tf.Tensor, height: int, width: int, resize: str) -> tf.Tensor:
    """Bring one image to a size.

    Args:
        image: uint8 [h, w, channels].
        height, width: in pixels.
        resize: ``stretch`` changes the aspect ratio; ``crop`` scales until the image covers the
            size and cuts the centre out; ``pad`` scales until it fits and adds black borders.
            All are bilinear without anti-aliasing, as ``tf.image.resize`` is by default.

    Returns:
        uint8 [height, width, channels]; an image of the right size comes back unchanged.
    """
    shape = tf.shape(image)
    if resize == "pad":
        resized = tf.image.resize_with_pad(image, height, width)
    elif resize == "crop":
        scale = tf.maximum(height / shape[0], width / shape[1])
        covered = tf.cast(tf.math.ceil(tf.cast(shape[:2], tf.float64) * scale - 1e-6), tf.int32)
        covered = tf.maximum(covered, [height, width])
        resized = tf.image.resize_with_crop_or_pad(tf.image.resize(image, covered), height, width)
    else:
        resized = tf.image.resize(image, [height, width])
    result = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    result.set_shape([height, width, image.shape[-1]])
    return result

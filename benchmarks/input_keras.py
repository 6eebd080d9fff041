"""Input pipelines of this project and of the notebooks, as `benchmarks.input` asks for them."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import Augmentation
from ablation.training.batches import training_batches
from ablation.training.environment import make_deterministic
from benchmarks.input import BATCH, Inputs, read_images
from benchmarks.measure import serve
from benchmarks.steps import CLASSES, THREADS

DOG = (384, 448)  # height and width, about the mean of Stanford Dogs
PARALLEL = tf.data.AUTOTUNE

Batches = Iterator[tuple[Any, Any]]


def ours(text: str, pixels: int, folder: Path, stored: int) -> Batches:
    """Return the batches of a run."""
    images, labels = read_images(folder, stored)
    batches, finish = training_batches(
        images,
        labels,
        np.arange(len(images)),
        CLASSES,
        Augmentation(parse_pipeline(text), (pixels, pixels)),
        size=(pixels, pixels),
        seed=0,
        batch_size=BATCH[pixels],
    )
    return iter(batches.map(finish))


def notebook(name: str, pixels: int, folder: Path, stored: int) -> Batches:
    """Return batches as the notebooks made them from a TFDS data set.

    They decode and resize an image in every epoch, augment single images, then batch, mix, and
    shuffle whole batches.
    """
    file = folder / f"{stored}.tfrecord"
    if not file.exists():
        write_records(file, *read_images(folder, stored))
    batch = BATCH[pixels]
    data = tf.data.TFRecordDataset(str(file)).map(read_example, PARALLEL)
    data = data.map(lambda image, label: normalised(image, label, pixels), PARALLEL)
    if name == "geometric":
        data = data.map(lambda image, label: (geometric(image, pixels), label), PARALLEL)
    elif name == "augmentation":
        data = data.map(lambda image, label: (augmentation(image, pixels), label), PARALLEL)
    data = data.batch(batch, drop_remainder=True)
    if name in ("cutmix", "mixup"):
        mixing = {"cutmix": cutmix, "mixup": mixup}[name]
        data = data.map(lambda images, labels: mixed(mixing, images, labels), PARALLEL)
    # The notebooks shuffle 200 batches, which takes gigabytes.
    return iter(data.repeat().shuffle(4).prefetch(PARALLEL))


def write_records(file: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write examples as TFDS does: small images as PNG, photos as JPEG of their own size."""
    with tf.io.TFRecordWriter(str(file)) as writer:
        for image, label in zip(images, labels, strict=True):
            if len(image) == 32:
                encoded = tf.io.encode_png(image)
            else:
                photo = tf.image.resize(image, DOG)
                encoded = tf.io.encode_jpeg(tf.cast(photo, tf.uint8))
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded.numpy()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def read_example(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return an image, uint8, and its label."""
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    image = tf.io.decode_image(example["image"], channels=3, expand_animations=False)
    return image, example["label"]


def normalised(image: tf.Tensor, label: tf.Tensor, pixels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the resized image, 0..1, and a one-hot label."""
    if pixels == 32:
        image = tf.cast(tf.ensure_shape(image, (32, 32, 3)), tf.float32)
    else:
        image = tf.image.resize(image, (pixels, pixels))
    return image / 255.0, tf.one_hot(label, CLASSES)


def geometric(image: tf.Tensor, pixels: int) -> tf.Tensor:
    """Flip; the random crop to the size of the image has no effect."""
    return tf.image.random_crop(tf.image.random_flip_left_right(image), (pixels, pixels, 3))


def augmentation(image: tf.Tensor, pixels: int) -> tf.Tensor:
    """Flip, and change brightness, hue and contrast."""
    image = tf.image.random_flip_left_right(image)
    image = tf.image.random_brightness(image, 0.2)
    image = tf.image.random_crop(image, (pixels, pixels, 3))
    return tf.image.random_contrast(tf.image.random_hue(image, 0.2), 0.2, 0.5)


def mixed(
    mixing: Callable[..., tuple[tf.Tensor, tf.Tensor]], images: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix each image of a batch with another, one after the other."""
    batch = images.shape[0]

    def one(own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        other = tf.random.uniform([], 0, batch, tf.int32)
        image, share = mixing(images[own], images[other])
        return image, (1 - share) * labels[own] + share * labels[other]

    return tf.map_fn(one, tf.range(batch), fn_output_signature=(tf.float32, tf.float32))


def cutmix(own: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return an image with a box of the other, and the share of the box."""
    pixels = own.shape[0]
    middle = tf.random.uniform([2], 0, pixels, tf.int32)
    half = tf.cast(pixels * tf.sqrt(1 - tf.random.uniform([])), tf.int32) // 2
    top, left = tf.unstack(tf.maximum(middle - half, 0))
    bottom, right = tf.unstack(tf.minimum(middle + half, pixels))
    rows = slice(top, bottom)
    strip = [own[rows, :left], other[rows, left:right], own[rows, right:]]
    image = tf.concat([own[:top], tf.concat(strip, axis=1), own[bottom:]], axis=0)
    share = tf.cast((bottom - top) * (right - left), tf.float32) / pixels**2
    return tf.ensure_shape(image, own.shape), share


def mixup(own: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a mix of both images, and the share of the other."""
    share = tf.random.uniform([])
    return (1 - share) * own + share * other, share


def opened(
    batches: Callable[[str, int, Path, int], Batches],
    folder: Path,
    text: str,
    pixels: int,
    stored: int,
) -> tuple[Batches, tuple[int, ...], int]:
    """Return what `benchmarks.input.Inputs` needs of a pipeline."""
    examples = len(read_images(folder, stored)[0])
    return batches(text, pixels, folder, stored), (pixels, pixels, 3), examples


if __name__ == "__main__":
    whose, place = sys.argv[1:]
    if whose == "ours":
        make_deterministic(0, THREADS)
    side = {"ours": ours, "notebook": notebook}[whose]
    serve(Inputs(partial(opened, side, Path(place))).answer)

"""Padding, cropping and boxes, for steps that move or cover pixels."""

from typing import Any

from ablation.augmentation.ops import Tensor, integer, rounded
from ablation.lazy import tf

TRIES = 10  # boxes drawn per image until one fits, as in torchvision


def mirrored(places: Tensor, length: Any) -> Tensor:
    """Return the pixels, 0..length - 1, at places in an image that is mirrored at its border."""
    # tf.pad limits the width of a reflection to the size of the image.
    period = tf.maximum(2 * (length - 1), 1)
    places = tf.math.floormod(places, period)
    return tf.minimum(places, period - places)


def cut(
    images: Tensor, size: Any, draws: Tensor, padding: Any = (0, 0), fill: str = "zero"
) -> Tensor:
    """Pad images on all sides and crop each to a size, at the position that its draws give.

    Args:
        images: uint8 or float32 ``[batch, height, width, channels]``.
        size: height and width of the crop.
        draws: two for each image, down and across.
        padding: pixels added above and below, and left and right.
        fill: ``zero`` for black, ``reflect`` for the image mirrored at its border.
    """
    length = tf.shape(images)[1:3]
    spare = length + 2 * tf.stack(padding) - size
    top, left = integer(draws[:, 0], spare[0] + 1), integer(draws[:, 1], spare[1] + 1)
    rows = top[:, tf.newaxis] + tf.range(size[0])
    columns = left[:, tf.newaxis] + tf.range(size[1])
    if fill == "reflect":
        rows = mirrored(rows - padding[0], length[0])
        columns = mirrored(columns - padding[1], length[1])
    else:
        down, across = padding
        images = tf.pad(images, [[0, 0], [down, down], [across, across], [0, 0]])
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return tf.gather(images, columns, axis=2, batch_dims=1)


def first_box(
    areas: Tensor, aspects: Tensor, height: Tensor, width: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return height and width of the first box that fits in each image, and whether one fits.

    Args:
        areas: float32 ``[batch, tries]``, as shares of the area of the image.
        aspects: float32 ``[batch, tries]``, height over width.
        height, width: of the images.
    """
    pixels = areas * tf.cast(height * width, tf.float32)
    down, across = rounded(tf.sqrt(pixels * aspects)), rounded(tf.sqrt(pixels / aspects))
    fits = (down <= height) & (across <= width)
    # tf.argmax does not guarantee the first maximum.
    misses = tf.reduce_sum(tf.math.cumprod(tf.cast(~fits, tf.int32), axis=1), axis=1)
    first = tf.minimum(misses, tf.shape(fits)[1] - 1)
    down, across = (tf.gather(sides, first, axis=1, batch_dims=1) for sides in (down, across))
    return down, across, tf.reduce_any(fits, axis=1)


def inside(first: Tensor, end: Tensor, length: Tensor) -> Tensor:
    """Return which pixels are in first..end-1, bool ``[batch, length]``."""
    pixels = tf.range(length)[tf.newaxis, :]
    return (pixels >= first[:, tf.newaxis]) & (pixels < end[:, tf.newaxis])


def paste(images: Tensor, others: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take from ``others`` the pixels that are in both ``rows`` and ``columns``, bool."""
    size = tf.shape(images)
    # The mask has the full size of the images: tf.where is 2.7× slower if it broadcasts.
    mask = rows[:, :, tf.newaxis] & tf.repeat(columns, size[3], axis=1)[:, tf.newaxis, :]
    flat = tf.shape(mask)
    return tf.reshape(tf.where(mask, tf.reshape(others, flat), tf.reshape(images, flat)), size)

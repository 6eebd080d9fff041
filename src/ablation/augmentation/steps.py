"""The steps of a pipeline, as pure functions.

Every step is called as ``step(images, targets, draws, **parameters)`` and returns images and
targets of the same shapes:

- images: float32 ``[batch, height, width, channels]``, 0..1 where the first step begins;
- targets: float32 ``[batch, classes]``, rows that sum to one;
- draws: float32 ``[batch, columns of this step]``, uniform in [0, 1); what a column decides is
  said by each step. A step with a ``prepare`` gets its columns after that.

Steps are TensorFlow operations without state, so the same inputs give the same outputs in any
order and any number of threads. Parameters, their ranges and defaults are those of the model of
the same name in :mod:`ablation.study.pipelines`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.special import betaincinv

Tensor: TypeAlias = Any  # TensorFlow carries no types
Mixed: TypeAlias = tuple[Tensor, Tensor]
Table: TypeAlias = npt.NDArray[np.float32]


def flip(images: Tensor, targets: Tensor, draws: Tensor, *, probability: float) -> Mixed:
    """Mirror images left to right where column 0 is below ``probability``.

    Source: He et al. 2015, sections 3.4 and 4.2.
    """
    columns = tf.range(tf.shape(images)[2])
    chosen = draws[:, 0] < probability
    # Gathered, because tf.where on a condition that it has to broadcast is 3× slower.
    columns = tf.where(chosen[:, tf.newaxis], columns[::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1), targets


def crop(images: Tensor, targets: Tensor, draws: Tensor, *, padding: int, fill: str) -> Mixed:
    """Pad by ``padding`` pixels and cut the old size out, at a place of its own per image.

    Columns: 0 the place down, 1 the place across. ``fill`` is ``zero`` or ``reflect``.
    Source: He et al. 2015, section 4.2.
    """
    # Not Keras' RandomCrop: it takes one place for the whole batch.
    mode = {"zero": "CONSTANT", "reflect": "REFLECT"}[fill]
    sides = [padding, padding]
    padded = tf.pad(images, [[0, 0], sides, sides, [0, 0]], mode)
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    top = _integer(draws[:, 0], 2 * padding + 1)
    left = _integer(draws[:, 1], 2 * padding + 1)
    rows = top[:, tf.newaxis] + tf.range(height)
    columns = left[:, tf.newaxis] + tf.range(width)
    padded = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(padded, columns, axis=2, batch_dims=1), targets


def brightness(images: Tensor, targets: Tensor, draws: Tensor, *, delta: float) -> Mixed:
    """Add a number in [-delta, delta), from column 0, to all of an image; nothing is clamped.

    Source: tf.image.random_brightness, with a shift per image.
    """
    return images + _per_image(_between(draws[:, 0], -delta, delta)), targets


def contrast(images: Tensor, targets: Tensor, draws: Tensor, *, low: float, high: float) -> Mixed:
    """Scale about each channel's mean by a factor in [low, high), from column 0.

    Source: tf.image.adjust_contrast, with a factor per image; nothing is clamped.
    """
    factors = _between(draws[:, 0], low, high)
    return _one_by_one(tf.image.adjust_contrast, images, factors), targets


def hue(images: Tensor, targets: Tensor, draws: Tensor, *, delta: float) -> Mixed:
    """Turn the hue by a share of the circle in [-delta, delta), from column 0.

    Source: tf.image.adjust_hue, with an angle per image. Images have three channels.
    """
    turns = _between(draws[:, 0], -delta, delta)
    return _one_by_one(tf.image.adjust_hue, images, turns), targets


def saturation(images: Tensor, targets: Tensor, draws: Tensor, *, low: float, high: float) -> Mixed:
    """Scale the saturation by a factor in [low, high), from column 0.

    Source: tf.image.adjust_saturation, with a factor per image. Images have three channels.
    """
    factors = _between(draws[:, 0], low, high)
    return _one_by_one(tf.image.adjust_saturation, images, factors), targets


def clip(images: Tensor, targets: Tensor, draws: Tensor) -> Mixed:  # noqa: ARG001
    """Clamp images to 0..1; no columns."""
    return tf.clip_by_value(images, 0.0, 1.0), targets


def cutmix(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    probability: float,
    box: str,
    partner: str,
    alpha: float,  # noqa: ARG001 (prepare_cutmix has used it)
) -> Mixed:
    """Paste a box of the partner and weigh its label by the share of pixels really pasted.

    Columns: 0 whether at all, 1 λ, 2 λ of the width where ``box`` is ``independent``, 3 centre
    down, 4 centre across, 5 partner. A partner may be the image itself.
    Source: Yun et al. 2019, section 3.1 and algorithm A1; per image instead of per batch.
    """
    # Not Keras' CutMix: its box stays inside the image (mean share 0.50, the paper's 0.30) and
    # its label weight is not the share of pixels pasted.
    size = tf.shape(images)
    height, width = size[1], size[2]
    other = _partners(draws[:, 5], partner)
    chosen = draws[:, 0] < probability
    width_column = {"square": 1, "independent": 2}[box]
    top, bottom = _span(draws[:, 1], draws[:, 3], height, chosen)
    left, right = _span(draws[:, width_column], draws[:, 4], width, chosen)
    rows, columns = _inside(top, bottom, height), _inside(left, right, width)
    images = _paste(images, tf.gather(images, other), rows, columns)
    pasted = tf.cast((bottom - top) * (right - left), tf.float32)
    weight = pasted / tf.cast(height * width, tf.float32)
    return images, _mix(targets, tf.gather(targets, other), weight[:, tf.newaxis])


def prepare_cutmix(draws: Table, *, alpha: float, **_: Any) -> Table:
    """Turn columns 1 and 2 from uniform into Beta(alpha, alpha)."""
    return _beta_columns(draws, alpha, [1, 2])


def mixup(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    probability: float,
    partner: str,
    alpha: float,  # noqa: ARG001 (prepare_mixup has used it)
) -> Mixed:
    """Mix images and labels with their partners': λ·own + (1-λ)·partner's.

    Columns: 0 whether at all, 1 λ, 2 partner. With ``partner="first-pair"`` row 0 decides for
    the whole batch, which becomes one mix of its first two images.
    Source: Zhang et al. 2018, section 2; per image instead of per batch.
    """
    # Not Keras' MixUp: it draws from a generator of its own, and once per batch.
    chosen, share = draws[:, 0] < probability, 1.0 - draws[:, 1]
    batch = tf.shape(images)[0]
    if partner == "first-pair":
        chosen, share = tf.repeat(chosen[:1], batch), tf.repeat(share[:1], batch)
        other = tf.repeat(tf.minimum(1, batch - 1), batch)
        own = tf.where(chosen, 0, tf.range(batch))
        other_images, other_targets = tf.gather(images, other), tf.gather(targets, other)
        images, targets = tf.gather(images, own), tf.gather(targets, own)
    else:
        other = _partners(draws[:, 2], partner)
        other_images, other_targets = tf.gather(images, other), tf.gather(targets, other)
    share = tf.where(chosen, share, 0.0)
    return (
        _mix(images, other_images, _per_image(share)),
        _mix(targets, other_targets, share[:, tf.newaxis]),
    )


def prepare_mixup(draws: Table, *, alpha: float, **_: Any) -> Table:
    """Turn column 1 from uniform into Beta(alpha, alpha)."""
    return _beta_columns(draws, alpha, [1])


@dataclass(frozen=True)
class Step:
    """A step as the pipeline uses it.

    Attributes:
        apply: the function of images, targets, draws and the step's parameters.
        columns: how many draws an example needs; the same for all parameters, so that arms that
            differ in a parameter share their decisions.
        prepare: turns a whole table of uniform draws, float32 ``[examples, columns]``, into what
            ``apply`` expects, in numpy, for what TensorFlow cannot compute; None where nothing
            is to be done.
    """

    apply: Callable[..., Mixed]
    columns: int
    prepare: Callable[..., Table] | None = None


STEPS: Mapping[str, Step] = {
    "flip": Step(flip, columns=1),
    "crop": Step(crop, columns=2),
    "brightness": Step(brightness, columns=1),
    "contrast": Step(contrast, columns=1),
    "hue": Step(hue, columns=1),
    "saturation": Step(saturation, columns=1),
    "clip": Step(clip, columns=0),
    "cutmix": Step(cutmix, columns=6, prepare=prepare_cutmix),
    "mixup": Step(mixup, columns=3, prepare=prepare_mixup),
}


def _per_image(values: Tensor) -> Tensor:
    """Shape ``[batch]`` as ``[batch, 1, 1, 1]``, to go with images."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _between(draws: Tensor, low: float, high: float) -> Tensor:
    """Spread uniform draws over [low, high)."""
    return low + (high - low) * draws


def _integer(draws: Tensor, count: Any) -> Tensor:
    """Turn uniform draws into int32 0..count-1, all equally likely."""
    # No draw reaches count: the largest float32 below one, times count, rounds to below count.
    return tf.cast(draws * tf.cast(count, tf.float32), tf.int32)


def _one_by_one(function: Callable[..., Tensor], images: Tensor, amounts: Tensor) -> Tensor:
    """Apply a function of one image and one amount to each image of a batch."""
    # tf.image takes one amount per call. Its fused kernels in a loop are faster at 224 pixels on
    # the CPU than the same written over the batch: contrast and hue 2.9×, saturation 1.5×.
    return tf.map_fn(
        lambda pair: function(pair[0], pair[1]), (images, amounts), fn_output_signature=tf.float32
    )


def _partners(draws: Tensor, partner: str) -> Tensor:
    """Return int32 ``[batch]``: for each image of the batch the place of its partner."""
    batch = tf.shape(draws)[0]
    if partner == "permutation":
        return tf.argsort(draws, stable=True)
    return _integer(draws, batch)


def _span(ratio: Tensor, centre: Tensor, length: Tensor, chosen: Tensor) -> Mixed:
    """Return first and end pixel, int32 ``[batch]`` each, of boxes clipped to 0..length.

    As in algorithm A1's code: side floor(length·√(1-λ)), half a side (rounded down) to either
    hand of a uniform pixel. Both are equal where a box is empty or its image not chosen.
    """
    side = tf.cast(tf.cast(length, tf.float32) * tf.sqrt(1.0 - ratio), tf.int32)
    half = tf.where(chosen, side // 2, 0)
    middle = _integer(centre, length)
    return tf.maximum(middle - half, 0), tf.minimum(middle + half, length)


def _inside(first: Tensor, end: Tensor, length: Tensor) -> Tensor:
    """Return bool ``[batch, length]``: which pixels lie in first..end-1."""
    pixels = tf.range(length)[tf.newaxis, :]
    return (pixels >= first[:, tf.newaxis]) & (pixels < end[:, tf.newaxis])


def _paste(images: Tensor, others: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take from ``others`` the pixels that are in both ``rows`` and ``columns``, bool."""
    size = tf.shape(images)
    # A mask of the images' full size, because tf.where on one that it has to broadcast over the
    # channels is 2.7× slower.
    mask = rows[:, :, tf.newaxis] & tf.repeat(columns, size[3], axis=1)[:, tf.newaxis, :]
    flat = tf.shape(mask)
    return tf.reshape(tf.where(mask, tf.reshape(others, flat), tf.reshape(images, flat)), size)


def _mix(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Return the mixture with this share of the other."""
    return (1.0 - share) * own + share * other


def _beta_columns(draws: Table, alpha: float, columns: list[int]) -> Table:
    """Return a copy whose columns follow Beta(alpha, alpha), by the inverse of its CDF."""
    if alpha == 1:
        return draws  # uniform already
    prepared = draws.copy()
    # In numpy because TensorFlow has no inverse of the incomplete beta function.
    prepared[:, columns] = betaincinv(alpha, alpha, draws[:, columns].astype(np.float64))
    return prepared

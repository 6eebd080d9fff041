"""The steps of a pipeline, as pure functions.

Every step is called as ``step(images, targets, draws, **parameters)`` and returns images and
targets of the same shapes, but for those that crop, which get the size to cut out as ``size``:

- images: float32 ``[batch, height, width, channels]``, 0..1 where the first step begins;
- targets: float32 ``[batch, classes]``, rows that sum to one;
- draws: float32 ``[batch, columns of this step]``, uniform in [0, 1); what a column decides is
  said by each step. A step with a ``prepare`` gets its columns after that.

Steps are TensorFlow operations without state, so the same inputs give the same outputs in any
order and any number of threads. Parameters, their ranges and defaults are those of the model of
the same name in :mod:`ablation.study.pipelines`; a step that the pipeline applies by chance does
not get its ``probability``.
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

TRIES = 10  # boxes drawn for an image until one fits; torchvision's number


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
    size = tf.shape(images)[1:3]
    return _cut(_padded(images, padding, padding, fill), size, draws), targets


def random_crop(images: Tensor, targets: Tensor, draws: Tensor, *, size: tuple[int, int]) -> Mixed:
    """Cut ``size``, height and width, out of larger images, at a place of its own per image.

    Columns: 0 the place down, 1 the place across.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    return _cut(images, size, draws), targets


def random_resized_crop(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    scale_low: float,
    scale_high: float,
    ratio: float,
    size: tuple[int, int],
) -> Mixed:
    """Cut a box out of each image and resize it to ``size``, height and width.

    Columns: 0 the place down, 1 the place across, then for each of the ``TRIES`` the box's share
    of the area, then for each its aspect ratio. Where no try fits, the box is the largest about
    the centre with an aspect ratio in ratio..1/ratio.
    Source: Szegedy et al. 2015, section 6, as torchvision reads it.
    """
    # Not Keras' RandomCrop: it takes one place for the whole batch, and boxes of one size.
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    areas = _between(draws[:, 2 : 2 + TRIES], scale_low, scale_high)
    logarithms = _between(draws[:, 2 + TRIES :], np.log(ratio), -np.log(ratio))
    aspects = _in_double(tf.exp, logarithms)
    down, across, fits = _box(areas, aspects, height, width)
    tall, wide = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    widest = tf.clip_by_value(tall / wide, ratio, 1 / ratio)
    down = tf.where(fits, tf.maximum(down, 1), _rounded(tf.minimum(tall, wide * widest)))
    across = tf.where(fits, tf.maximum(across, 1), _rounded(tf.minimum(wide, tall / widest)))
    top = tf.where(fits, _integer(draws[:, 0], height - down + 1), (height - down) // 2)
    left = tf.where(fits, _integer(draws[:, 1], width - across + 1), (width - across) // 2)

    def resized(image: Tensor, box: Tensor) -> Tensor:
        return tf.image.resize(image[box[0] : box[0] + box[2], box[1] : box[1] + box[3]], size)

    return _one_by_one(resized, images, tf.stack([top, left, down, across], axis=1)), targets


def translation(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    horizontal: float,
    vertical: float,
    fill: str,
) -> Mixed:
    """Shift by whole pixels, at most these shares of the sides, each image on its own.

    Columns: 0 the shift down (low) or up (high), 1 to the right (low) or left (high).
    ``fill`` is ``zero`` or ``reflect``.
    Source: Simard et al. 2003, section 2.
    """
    size = tf.shape(images)[1:3]
    most = _rounded(tf.cast(size, tf.float32) * [vertical, horizontal])
    return _cut(_padded(images, most[0], most[1], fill), size, draws), targets


def rotation(images: Tensor, targets: Tensor, draws: Tensor, *, degrees: float, fill: str) -> Mixed:
    """Turn about the centre by an angle in [-degrees, degrees), from column 0; bilinear.

    Positive is counter-clockwise. ``fill`` is ``zero`` or ``reflect``.
    Source: Simard et al. 2003, section 2.
    """
    # Not Keras' RandomRotation: it draws from a generator of its own.
    size = tf.shape(images)[1:3]
    sides = tf.cast(size, tf.float32)
    margin = tf.zeros(2, tf.int32)
    if fill == "reflect":  # as much of it as the image needs on its diagonal
        margin = tf.cast(tf.math.ceil((tf.norm(sides) - sides) / 2), tf.int32) + 1
        images = _padded(images, margin[0], margin[1], fill)
    angles = _between(draws[:, 0], -np.radians(degrees), np.radians(degrees))
    cosine, sine = _in_double(tf.cos, angles), _in_double(tf.sin, angles)
    y, x = tf.unstack((sides - 1) / 2)  # the centre
    from_top, from_left = tf.unstack(tf.cast(margin, tf.float32))
    none = tf.zeros_like(angles)
    # Column, row and scale of the pixel that each pixel of the result is taken from.
    transforms = tf.stack(
        [
            *(cosine, -sine, x - cosine * x + sine * y + from_left),
            *(sine, cosine, y - sine * x - cosine * y + from_top),
            *(none, none),
        ],
        axis=1,
    )
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return turned, targets


def random_erasing(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    area_low: float,
    area_high: float,
    ratio: float,
    fill: str,
) -> Mixed:
    """Cover a box of each image with black, noise or the image's mean.

    Columns: 0 the place down, 1 the place across, 2 and 3 the noise, then for each of the
    ``TRIES`` the box's share of the area, then for each its aspect ratio. Where no try fits, the
    image stays as it is.
    Source: Zhong et al. 2017, algorithm 1.
    """
    # Not Keras' RandomErasing: it draws from a generator of its own.
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    areas = _between(draws[:, 4 : 4 + TRIES], area_low, area_high)
    aspects = _between(draws[:, 4 + TRIES :], ratio, 1 / ratio)
    down, across, fits = _box(areas, aspects, height, width)
    down, across = tf.where(fits, down, 0), tf.where(fits, across, 0)
    top = _integer(draws[:, 0], height - down + 1)
    left = _integer(draws[:, 1], width - across + 1)
    cover = {"zero": _black, "noise": _noise, "mean": _mean}[fill](images, draws[:, 2:4])
    rows = _inside(top, top + down, height)
    columns = _inside(left, left + across, width)
    return _paste(images, cover, rows, columns), targets


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


def grayscale(images: Tensor, targets: Tensor, draws: Tensor) -> Mixed:  # noqa: ARG001
    """Give all three channels the grey of the image; no columns.

    Source: tf.image.rgb_to_grayscale.
    """
    return tf.repeat(tf.image.rgb_to_grayscale(images), 3, axis=3), targets


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


def cutmix_or_mixup(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,
    *,
    cutmix_share: float,
    probability: float,
    partner: str,
    cutmix_alpha: float,
    mixup_alpha: float,
) -> Mixed:
    """Apply :func:`cutmix` or :func:`mixup` to the whole batch.

    Columns: 0 which of them, told by the batch's first row for all; 1 to 6 those of CutMix; 7 to
    9 those of MixUp.
    Source: the switch between the two in timm.
    """
    common: dict[str, Any] = {"probability": probability, "partner": partner}

    def cut() -> Mixed:
        own = draws[:, 1:7]
        return cutmix(images, targets, own, box="square", alpha=cutmix_alpha, **common)

    def mix() -> Mixed:
        return mixup(images, targets, draws[:, 7:10], alpha=mixup_alpha, **common)

    return tf.cond(draws[0, 0] < cutmix_share, cut, mix)


def prepare_cutmix_or_mixup(
    draws: Table, *, cutmix_alpha: float, mixup_alpha: float, **_: Any
) -> Table:
    """Turn columns 2 and 3 into Beta(cutmix_alpha), column 8 into Beta(mixup_alpha)."""
    return _beta_columns(_beta_columns(draws, cutmix_alpha, [2, 3]), mixup_alpha, [8])


def label_smoothing(
    images: Tensor,
    targets: Tensor,
    draws: Tensor,  # noqa: ARG001
    *,
    epsilon: float,
) -> Mixed:
    """Give a share ``epsilon`` of each target to all classes alike; no columns.

    Source: Szegedy et al. 2016, section 7.
    """
    classes = tf.cast(tf.shape(targets)[1], tf.float32)
    return images, _mix(targets, 1.0 / classes, epsilon)


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
        by_chance: the step has a parameter ``probability`` that ``apply`` does not get: the
            pipeline draws for each image whether it is applied. Such a step changes no targets.
    """

    apply: Callable[..., Mixed]
    columns: int
    prepare: Callable[..., Table] | None = None
    by_chance: bool = False


STEPS: Mapping[str, Step] = {
    "flip": Step(flip, columns=1),
    "crop": Step(crop, columns=2, by_chance=True),
    "random-crop": Step(random_crop, columns=2),
    "random-resized-crop": Step(random_resized_crop, columns=2 + 2 * TRIES),
    "translation": Step(translation, columns=2, by_chance=True),
    "rotation": Step(rotation, columns=1, by_chance=True),
    "random-erasing": Step(random_erasing, columns=4 + 2 * TRIES, by_chance=True),
    "brightness": Step(brightness, columns=1, by_chance=True),
    "contrast": Step(contrast, columns=1, by_chance=True),
    "hue": Step(hue, columns=1, by_chance=True),
    "saturation": Step(saturation, columns=1, by_chance=True),
    "grayscale": Step(grayscale, columns=0, by_chance=True),
    "clip": Step(clip, columns=0),
    "cutmix": Step(cutmix, columns=6, prepare=prepare_cutmix),
    "mixup": Step(mixup, columns=3, prepare=prepare_mixup),
    "cutmix-or-mixup": Step(cutmix_or_mixup, columns=10, prepare=prepare_cutmix_or_mixup),
    "label-smoothing": Step(label_smoothing, columns=0),
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


def _in_double(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply a function in double precision, and round to single."""
    # In single precision its last bit depends on where in the batch an example stands.
    return tf.cast(function(tf.cast(values, tf.float64)), tf.float32)


def _one_by_one(function: Callable[..., Tensor], images: Tensor, amounts: Tensor) -> Tensor:
    """Apply a function of one image and one amount to each image of a batch."""
    # tf.image takes one amount per call. Its fused kernels in a loop are faster at 224 pixels on
    # the CPU than the same written over the batch: contrast and hue 2.9×, saturation 1.5×.
    return tf.map_fn(
        lambda pair: function(pair[0], pair[1]), (images, amounts), fn_output_signature=tf.float32
    )


def _padded(images: Tensor, down: Any, across: Any, fill: str) -> Tensor:
    """Add pixels above and below, and to both sides: black, or the mirrored image."""
    if fill == "zero":
        return tf.pad(images, [[0, 0], [down, down], [across, across], [0, 0]])
    # Not tf.pad's reflection, which reaches no further than the image is long.
    for axis, width in ((1, down), (2, across)):
        length = tf.shape(images)[axis]
        period = tf.maximum(2 * (length - 1), 1)
        places = tf.math.floormod(tf.range(-width, length + width), period)
        images = tf.gather(images, tf.minimum(places, period - places), axis=axis)
    return images


def _cut(images: Tensor, size: Any, draws: Tensor) -> Tensor:
    """Cut a size out of each image, at the place down and across that its two draws say."""
    spare = tf.shape(images)[1:3] - size
    top, left = _integer(draws[:, 0], spare[0] + 1), _integer(draws[:, 1], spare[1] + 1)
    images = tf.gather(images, top[:, tf.newaxis] + tf.range(size[0]), axis=1, batch_dims=1)
    return tf.gather(images, left[:, tf.newaxis] + tf.range(size[1]), axis=2, batch_dims=1)


def _rounded(values: Tensor) -> Tensor:
    return tf.cast(tf.round(values), tf.int32)


def _box(
    areas: Tensor, aspects: Tensor, height: Tensor, width: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return height and width of the first box of each image that fits, and whether one does.

    Args:
        areas: float32 ``[batch, tries]``, shares of the image's area.
        aspects: float32 ``[batch, tries]``, height over width.
        height, width: of the images.
    """
    pixels = areas * tf.cast(height * width, tf.float32)
    down, across = _rounded(tf.sqrt(pixels * aspects)), _rounded(tf.sqrt(pixels / aspects))
    fits = (down <= height) & (across <= width)
    # Counted, because tf.argmax does not promise the first of several.
    misses = tf.reduce_sum(tf.math.cumprod(tf.cast(~fits, tf.int32), axis=1), axis=1)
    first = tf.minimum(misses, tf.shape(fits)[1] - 1)
    down, across = (tf.gather(sides, first, axis=1, batch_dims=1) for sides in (down, across))
    return down, across, tf.reduce_any(fits, axis=1)


def _black(images: Tensor, _: Tensor) -> Tensor:
    return tf.zeros_like(images)


def _noise(images: Tensor, draws: Tensor) -> Tensor:
    """Return uniform noise in [0, 1) of the images' shape, from two draws an image."""
    shape = tf.shape(images)[1:]
    # Philox by name: the default generator depends on the device.
    return tf.map_fn(
        lambda seed: tf.random.stateless_uniform(shape, seed, alg="philox"),
        _integer(draws, 2**24),
        fn_output_signature=tf.float32,
    )


def _mean(images: Tensor, _: Tensor) -> Tensor:
    return tf.broadcast_to(tf.reduce_mean(images, axis=(1, 2), keepdims=True), tf.shape(images))


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

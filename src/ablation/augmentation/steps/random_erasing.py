from typing import Literal

from ablation.augmentation.geometry import TRIES, first_box, inside, paste
from ablation.augmentation.ops import Tensor, between, integer
from ablation.augmentation.registry import Augmented, Draws, Images, Ratio, Share, Targets, step
from ablation.lazy import tf


@step(
    draws=4 + 2 * TRIES, probability=0.5, idle={"area_high": 0}, ordered=("area_low", "area_high")
)
def random_erasing(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    area_low: Share = 0.02,
    area_high: Share = 0.4,
    ratio: Ratio = 0.3,
    fill: Literal["zero", "noise", "mean"] = "noise",
) -> Augmented:
    """Cover one random box of an image, independently per image.

    The area of the box is uniform in area_low..area_high of the image, its aspect ratio (height
    over width) uniform in ratio..1/ratio. Its sides are rounded to pixels, and all positions inside
    the image are equally likely. A box that is larger than the image is drawn again; after ten
    boxes the image is not changed. Noise is uniform in 0..1 for every pixel and channel. `mean` is
    the mean colour of the image, in the paper that of the data set.

    Args:
        area_low: Smallest share of the image's area.
        area_high: Largest share, at least `area_low`.
        ratio: Smallest aspect ratio; the largest is its inverse.
        fill: `zero` is black; `noise` is random; `mean` is the mean colour of the image.

    Source: Zhong et al. 2017 (arXiv:1708.04896), algorithm 1 and the values of its experiments;
    the position is drawn after the box, as in the authors' code.
    """
    # Draws: position down, across, two for the noise, then the areas of all tries, then the
    # ratios. Keras' RandomErasing uses a stateful generator.
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    areas = between(draws[:, 4 : 4 + TRIES], area_low, area_high)
    aspects = between(draws[:, 4 + TRIES :], ratio, 1 / ratio)
    down, across, fits = first_box(areas, aspects, height, width)
    down, across = tf.where(fits, down, 0), tf.where(fits, across, 0)
    top = integer(draws[:, 0], height - down + 1)
    left = integer(draws[:, 1], width - across + 1)
    if fill == "noise":
        cover = noise(images, draws[:, 2:4], top, down)
    else:
        cover = {"zero": tf.zeros_like, "mean": mean}[fill](images)
    rows = inside(top, top + down, height)
    columns = inside(left, left + across, width)
    return paste(images, cover, rows, columns), targets


def noise(images: Tensor, draws: Tensor, top: Tensor, down: Tensor) -> Tensor:
    """Return uniform noise in [0, 1) of the shape of the images, from two draws per image.

    It is zero above the row ``top`` and from the row ``top + down``, int32 ``[batch]``.
    """
    _, height, width, channels = tf.unstack(tf.shape(images))

    def one(of_image: Tensor) -> Tensor:
        seed, first, count = of_image[:2], of_image[2], of_image[3]
        skipped, wanted = first * width * channels, count * width * channels
        # As tf.random.stateless_uniform(image.shape, seed, alg="philox"), but only these rows.
        # Philox makes four numbers for each value of its counter.
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
        counter += tf.cast(tf.stack([skipped // 4, 0]), tf.uint64)
        numbers = tf.raw_ops.StatelessRandomUniformV2(
            shape=[wanted + 3], key=key, counter=counter, alg=tf.random.Algorithm.PHILOX.value
        )[skipped % 4 :][:wanted]
        rows = tf.reshape(numbers, [count, width, channels])
        return tf.pad(rows, [[first, height - first - count], [0, 0], [0, 0]])

    seeds = integer(draws, 2**24)
    return tf.map_fn(
        one,
        tf.concat([seeds, tf.stack([top, down], axis=1)], axis=1),
        fn_output_signature=tf.float32,
    )


def mean(images: Tensor) -> Tensor:
    """Return the mean colour of each image, in the shape of the images."""
    return tf.broadcast_to(tf.reduce_mean(images, axis=(1, 2), keepdims=True), tf.shape(images))

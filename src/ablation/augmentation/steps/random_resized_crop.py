from math import log
from typing import Annotated

from pydantic import Field

from ablation.augmentation.geometry import TRIES, first_box
from ablation.augmentation.ops import Tensor, between, in_double, integer, one_by_one, rounded
from ablation.augmentation.registry import Augmented, Draws, Images, Ratio, Size, Targets, step
from ablation.lazy import tf

Scale = Annotated[float, Field(ge=0.01, le=1)]


@step(draws=2 + 2 * TRIES, kind="geometric", crops=True, ordered=("scale_low", "scale_high"))
def random_resized_crop(
    images: Images,
    targets: Targets,
    draws: Draws,
    size: Size,
    *,
    scale_low: Scale = 0.08,
    scale_high: Scale = 1.0,
    ratio: Ratio = 0.75,
) -> Augmented:
    """Crop a random box of the stored image and resize it to the input size.

    Per image: the area of the box is uniform in scale_low..scale_high of the image, its aspect
    ratio log-uniform in ratio..1/ratio. Its sides are rounded to pixels, and all positions inside
    the image are equally likely. A box that is larger than the image is drawn again; after ten
    boxes, the largest centred box with an allowed aspect ratio is used. Resizing is bilinear
    without anti-aliasing, as in the preparation of the data.

    Args:
        scale_low: Smallest share of the stored image's area.
        scale_high: Largest share, at least `scale_low`.
        ratio: Smallest aspect ratio; the largest is its inverse.

    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6; tries and centre as in torchvision.
    """
    # Draws: position down, across, then the areas of all tries, then the ratios. Keras'
    # RandomCrop uses one position for the batch, and boxes of one size.
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    areas = between(draws[:, 2 : 2 + TRIES], scale_low, scale_high)
    aspects = in_double(tf.exp, between(draws[:, 2 + TRIES :], log(ratio), -log(ratio)))
    down, across, fits = first_box(areas, aspects, height, width)
    tall, wide = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    widest = tf.clip_by_value(tall / wide, ratio, 1 / ratio)
    down = tf.where(fits, tf.maximum(down, 1), rounded(tf.minimum(tall, wide * widest)))
    across = tf.where(fits, tf.maximum(across, 1), rounded(tf.minimum(wide, tall / widest)))
    top = tf.where(fits, integer(draws[:, 0], height - down + 1), (height - down) // 2)
    left = tf.where(fits, integer(draws[:, 1], width - across + 1), (width - across) // 2)

    def resized(image: Tensor, box: Tensor) -> Tensor:
        return tf.image.resize(image[box[0] : box[0] + box[2], box[1] : box[1] + box[3]], size)

    return one_by_one(resized, images, tf.stack([top, left, down, across], axis=1)), targets

from math import radians
from typing import Annotated

from pydantic import Field

from ablation.augmentation.geometry import mirrored
from ablation.augmentation.ops import between, in_double
from ablation.augmentation.registry import Augmented, Draws, Fill, Images, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="geometric", probability=1.0, idle={"degrees": 0})
def rotation(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    degrees: Annotated[float, Field(ge=0, le=180)],
    fill: Fill = "zero",
) -> Augmented:
    """Rotate an image about its centre by an angle that is uniform in -degrees..degrees.

    Positive angles are counter-clockwise. Interpolation is bilinear. The image keeps its size;
    corners are cut off, and empty corners are filled.

    Args:
        degrees: Largest angle, in degrees.
        fill: `zero` is black; `reflect` mirrors the image at its border, which is not repeated.

    Source: Simard et al. 2003 (Best practices for convolutional neural networks applied to
    visual document analysis), section 2.
    """
    # Keras' RandomRotation uses a stateful generator.
    size = tf.shape(images)[1:3]
    sides = tf.cast(size, tf.float32)
    margin = tf.zeros(2, tf.int32)
    if fill == "reflect":  # large enough for the diagonal of the image
        margin = tf.cast(tf.math.ceil((tf.norm(sides) - sides) / 2), tf.int32) + 1
        for axis in (1, 2):
            places = tf.range(-margin[axis - 1], size[axis - 1] + margin[axis - 1])
            images = tf.gather(images, mirrored(places, size[axis - 1]), axis=axis)
    angles = between(draws[:, 0], -radians(degrees), radians(degrees))
    cosine, sine = in_double(tf.cos, angles), in_double(tf.sin, angles)
    y, x = tf.unstack((sides - 1) / 2)  # the centre
    from_top, from_left = tf.unstack(tf.cast(margin, tf.float32))
    none = tf.zeros_like(angles)
    # Column, row and scale of the source pixel of each output pixel.
    transforms = tf.stack(
        [
            *(cosine, -sine, x - cosine * x + sine * y),
            *(sine, cosine, y - sine * x - cosine * y),
            *(none, none),
        ],
        axis=1,
    )
    # Apart, because tf.function would add the margin to the centre first.
    transforms += tf.stack([0.0, 0.0, from_left, 0.0, 0.0, from_top, 0.0, 0.0])
    rotated = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return rotated, targets

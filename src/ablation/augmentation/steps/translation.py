from ablation.augmentation.geometry import cut
from ablation.augmentation.ops import rounded
from ablation.augmentation.registry import Augmented, Draws, Fill, Images, Share, Targets, step
from ablation.lazy import tf


@step(
    draws=2,
    kind="geometric",
    probability=1.0,
    moves_pixels=True,
    idle={"horizontal": 0, "vertical": 0},
)
def translation(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    horizontal: Share,
    vertical: Share,
    fill: Fill = "zero",
) -> Augmented:
    """Shift an image by whole pixels, vertically and horizontally, independently per image.

    The largest shifts are rounded to pixels, and all shifts are equally likely. On images of 32
    pixels, `translation(0.125, 0.125)` is the same as `crop(4)`.

    Args:
        horizontal: Largest shift to either side, as a share of the width.
        vertical: Largest shift up or down, as a share of the height.
        fill: `zero` is black; `reflect` mirrors the image at its border, which is not repeated.

    Source: Simard et al. 2003 (Best practices for convolutional neural networks applied to
    visual document analysis), section 2.
    """
    # Draws: the shift down (low) or up (high), to the right (low) or left (high).
    size = tf.shape(images)[1:3]
    most = rounded(tf.cast(size, tf.float32) * [vertical, horizontal])
    return cut(images, size, draws, (most[0], most[1]), fill), targets

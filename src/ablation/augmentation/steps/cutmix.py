from typing import Literal

from ablation.augmentation.geometry import inside, paste
from ablation.augmentation.mixing import beta, partners
from ablation.augmentation.ops import Tensor, integer, mix
from ablation.augmentation.registry import (
    Augmented,
    Concentration,
    Draws,
    Images,
    Share,
    Targets,
    step,
)
from ablation.lazy import tf


@step(draws=6, mixes_labels=True, prepare=beta(alpha=(1, 2)))
def cutmix(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    alpha: Concentration = 1.0,
    probability: Share = 1.0,
    box: Literal["square", "independent"] = "square",
    partner: Literal["permutation", "uniform"] = "permutation",
) -> Augmented:
    """Paste a box of another image of the batch, and mix the labels by the share of pixels pasted.

    Per image: λ ~ Beta(alpha, alpha); the box measures floor(side·√(1-λ)) along each side of
    the image, its centre is a uniform pixel, it is clipped at the border, and the partner's
    label gets the share of pixels really pasted. As in the paper's code a box extends half of its
    side, rounded down, in both directions from its centre, so its sides are even before clipping.

    The paper's code draws λ and centre once a batch; here each image has its own, which leaves
    the distribution of a single image as it is. Partners are a permutation of the batch, as
    there; with `partner=uniform` an image may serve several others.

    Args:
        alpha: λ ~ Beta(alpha, alpha); 1 is uniform on 0..1.
        probability: Chance that an image gets a box.
        box: `square` takes one λ for both sides (a square on a square image); `independent` takes
            a λ each for height and width.
        partner: `permutation`: every image serves one other or itself; `uniform`: any image of
            the batch, with replacement, itself included.

    Source: Yun et al. 2019 (arXiv:1905.04899), section 3.1 and appendix A, algorithm A1.
    """
    # Draws: whether at all, λ, λ of the width, centre down, centre across, partner.
    # Not Keras' CutMix: its box stays inside the image (mean share 0.50, the paper's 0.30) and
    # its label weight is not the share of pixels pasted.
    size = tf.shape(images)
    height, width = size[1], size[2]
    other = partners(draws[:, 5], partner)
    chosen = draws[:, 0] < probability
    across = {"square": 1, "independent": 2}[box]
    top, bottom = span(draws[:, 1], draws[:, 3], height, chosen)
    left, right = span(draws[:, across], draws[:, 4], width, chosen)
    rows, columns = inside(top, bottom, height), inside(left, right, width)
    images = paste(images, tf.gather(images, other), rows, columns)
    pasted = tf.cast((bottom - top) * (right - left), tf.float32)
    weight = pasted / tf.cast(height * width, tf.float32)
    return images, mix(targets, tf.gather(targets, other), weight[:, tf.newaxis])


def span(ratio: Tensor, centre: Tensor, length: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return first and end pixel, int32 ``[batch]`` each, of boxes clipped to 0..length.

    Both are equal where a box is empty or its image not chosen.
    """
    side = tf.cast(tf.cast(length, tf.float32) * tf.sqrt(1.0 - ratio), tf.int32)
    half = tf.where(chosen, side // 2, 0)
    middle = integer(centre, length)
    return tf.maximum(middle - half, 0), tf.minimum(middle + half, length)

from typing import Literal

from ablation.augmentation.geometry import inside, paste
from ablation.augmentation.mixing import beta, partners
from ablation.augmentation.ops import Tensor, integer, mix, quotient
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


@step(draws=6, mixes_labels=True, moves_pixels=True, prepare=beta(alpha=(1, 2)))
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

    Per image: λ ~ Beta(alpha, alpha). The side of the box is floor(side·√(1-λ)) of the side of the
    image, its centre is a uniform pixel, and it is clipped at the border. The weight of the
    partner's label is the share of pixels that are pasted. As in the code of the paper, a box
    extends half of its side, rounded down, in both directions from its centre.

    The code of the paper draws λ and centre once per batch; here they are drawn for each image,
    which does not change the distribution of a single image. As there, partners are a permutation
    of the batch; with `partner=uniform`, several images may have the same partner.

    Args:
        alpha: λ ~ Beta(alpha, alpha); 1 is uniform on 0..1.
        probability: Probability that an image gets a box.
        box: `square` uses one λ for both sides (a square on a square image); `independent` uses a
            λ for the height and one for the width.
        partner: `permutation`: every image is the partner of one image; `uniform`: any image of the
            batch, with replacement.

    Source: Yun et al. 2019 (arXiv:1905.04899), section 3.1 and appendix A, algorithm A1.
    """
    # Draws: whether applied, λ, λ of the width, centre down, centre across, partner.
    # In Keras' CutMix boxes are inside the image (mean share 0.50, in the paper 0.30), and the
    # label weight is not the share of pasted pixels.
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
    weight = quotient(pasted, height * width)
    return images, mix(targets, tf.gather(targets, other), weight[:, tf.newaxis])


def span(ratio: Tensor, centre: Tensor, length: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return first and end pixel of boxes clipped to 0..length, int32 ``[batch]`` each.

    They are equal if the box is empty or the image is not chosen.
    """
    side = tf.cast(tf.cast(length, tf.float32) * tf.sqrt(1.0 - ratio), tf.int32)
    half = tf.where(chosen, side // 2, 0)
    middle = integer(centre, length)
    return tf.maximum(middle - half, 0), tf.minimum(middle + half, length)

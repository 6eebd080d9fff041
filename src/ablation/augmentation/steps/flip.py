from ablation.augmentation.ops import to_chosen
from ablation.augmentation.registry import Augmented, Draws, Images, Share, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="geometric", moves_pixels=True)
def flip(images: Images, targets: Targets, draws: Draws, *, probability: Share = 0.5) -> Augmented:
    """Flip an image horizontally with the given probability, independently per image.

    Args:
        probability: Probability that an image is flipped.

    Source: He et al. 2015 (arXiv:1512.03385), sections 3.4 and 4.2.
    """
    return to_chosen(_mirrored, draws[:, 0] < probability, images), targets


def _mirrored(images: Images) -> Images:
    size = tf.shape(images)
    # tf.reverse is several times faster on three dimensions.
    rows = tf.reshape(images, [-1, size[2], size[3]])
    return tf.reshape(tf.reverse(rows, axis=[1]), size)

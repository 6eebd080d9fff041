from ablation.augmentation.registry import Augmented, Draws, Images, Targets, step
from ablation.lazy import tf


@step()
def clip(images: Images, targets: Targets, draws: Draws) -> Augmented:
    """Limit every pixel to 0..1.

    The colour steps do not limit values by themselves, as tf.image does not on floats.

    Source: tf.clip_by_value.
    """
    return tf.clip_by_value(images, 0.0, 1.0), targets

from ablation.augmentation.registry import Augmented, Draws, Images, Targets, step
from ablation.lazy import tf


@step()
def clip(images: Images, targets: Targets, draws: Draws) -> Augmented:
    """Limit pixel values to 0..1.

    Colour steps do not limit values, as functions of tf.image on floats do not.

    Source: tf.clip_by_value.
    """
    return tf.clip_by_value(images, 0.0, 1.0), targets

from ablation.augmentation.registry import Augmented, Draws, Images, Targets, step
from ablation.lazy import tf


@step(kind="colour", probability=0.1, needs_colour=True)
def grayscale(images: Images, targets: Targets, draws: Draws) -> Augmented:
    """Convert an image to grey with the given probability; it keeps three equal channels.

    Grey is 0.299·red + 0.587·green + 0.114·blue.

    Source: tf.image.rgb_to_grayscale; the default probability is that of torchvision.
    """
    return tf.repeat(tf.image.rgb_to_grayscale(images), 3, axis=3), targets

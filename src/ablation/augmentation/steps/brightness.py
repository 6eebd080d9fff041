from ablation.augmentation.ops import between, per_image
from ablation.augmentation.registry import Augmented, Draws, Images, Share, Targets, step


@step(draws=1, kind="colour", probability=1.0, idle={"delta": 0})
def brightness(images: Images, targets: Targets, draws: Draws, *, delta: Share) -> Augmented:
    """Add a number, uniform in -delta..delta, to all pixels of an image (0..1 scale).

    Values may leave 0..1; `clip` limits them.

    Args:
        delta: Largest shift, on the 0..1 scale.

    Source: tf.image.random_brightness, with a shift per image.
    """
    return images + per_image(between(draws[:, 0], -delta, delta)), targets

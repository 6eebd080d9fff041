from ablation.augmentation.ops import between, one_by_one
from ablation.augmentation.registry import Augmented, Draws, Factor, Images, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="colour", probability=1.0, idle={"low": 1, "high": 1}, ordered=("low", "high"))
def contrast(
    images: Images, targets: Targets, draws: Draws, *, low: Factor, high: Factor
) -> Augmented:
    """Scale the differences from the mean of each channel by a factor, uniform in low..high.

    Factors below 1 reduce the contrast. Values may leave 0..1; `clip` limits them.

    Args:
        low: Smallest factor; 1 has no effect.
        high: Largest factor, at least `low`.

    Source: tf.image.random_contrast, with a factor per image.
    """
    factors = between(draws[:, 0], low, high)
    with tf.device("CPU"):  # its GPU kernel is not deterministic
        return one_by_one(tf.image.adjust_contrast, images, factors), targets

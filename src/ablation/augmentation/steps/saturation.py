from ablation.augmentation.ops import between, one_by_one
from ablation.augmentation.registry import Augmented, Draws, Factor, Images, Targets, step
from ablation.lazy import tf


@step(
    draws=1,
    kind="colour",
    probability=1.0,
    needs_colour=True,
    idle={"low": 1, "high": 1},
    ordered=("low", "high"),
)
def saturation(
    images: Images, targets: Targets, draws: Draws, *, low: Factor, high: Factor
) -> Augmented:
    """Scale the saturation (of HSV) of an image by a factor, uniform in low..high.

    Args:
        low: Smallest factor; 1 has no effect.
        high: Largest factor, at least `low`.

    Source: tf.image.random_saturation, with a factor per image.
    """
    factors = between(draws[:, 0], low, high)
    return one_by_one(tf.image.adjust_saturation, images, factors), targets

from typing import Annotated

from pydantic import Field

from ablation.augmentation.ops import between, one_by_one
from ablation.augmentation.registry import Augmented, Draws, Images, Targets, step
from ablation.lazy import tf


@step(draws=1, kind="colour", probability=1.0, needs_colour=True, idle={"delta": 0})
def hue(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    delta: Annotated[float, Field(ge=0, le=0.5)],
) -> Augmented:
    """Rotate the hue of an image by an angle, uniform in -delta..delta of a full turn.

    Args:
        delta: Largest angle, as a share of the colour circle.

    Source: tf.image.random_hue, with an angle per image.
    """
    return one_by_one(tf.image.adjust_hue, images, between(draws[:, 0], -delta, delta)), targets

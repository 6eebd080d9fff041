from typing import Annotated

from pydantic import Field

from ablation.augmentation.ops import mix
from ablation.augmentation.registry import Augmented, Draws, Images, Targets, step
from ablation.lazy import tf


@step(idle={"epsilon": 0})
def label_smoothing(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    epsilon: Annotated[float, Field(ge=0, le=0.9)] = 0.1,
) -> Augmented:
    """Give a share of every label to all K classes alike: (1 - epsilon)·label + epsilon/K.

    It softens labels but mixes none, so accuracy on training images keeps its meaning, while
    their loss cannot reach zero. Evaluation keeps hard labels.

    Args:
        epsilon: Share of the label that all classes get; at 1 no class would differ from another.

    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7.
    """
    classes = tf.cast(tf.shape(targets)[1], tf.float32)
    return images, mix(targets, 1.0 / classes, epsilon)

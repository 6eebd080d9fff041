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
    """Mix every label with the uniform distribution: (1 - epsilon)·label + epsilon/K.

    K is the number of classes. Labels of different images are not mixed, so training accuracy keeps
    its meaning; the training loss cannot reach zero. Evaluation uses hard labels.

    Args:
        epsilon: Weight of the uniform distribution.

    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7.
    """
    classes = tf.cast(tf.shape(targets)[1], tf.float32)
    return images, mix(targets, 1.0 / classes, epsilon)

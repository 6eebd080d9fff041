from typing import Literal

from ablation.augmentation.mixing import beta, partners
from ablation.augmentation.ops import mix, per_image
from ablation.augmentation.registry import (
    Augmented,
    Concentration,
    Draws,
    Images,
    Share,
    Targets,
    step,
)
from ablation.lazy import tf


@step(draws=3, mixes_labels=True, prepare=beta(alpha=(1,)))
def mixup(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    alpha: Concentration = 0.2,
    probability: Share = 1.0,
    partner: Literal["permutation", "uniform", "first_pair"] = "permutation",
) -> Augmented:
    """Mix an image and its label with another of the batch: λ·own + (1-λ)·other.

    λ ~ Beta(alpha, alpha) is drawn for each image; the code of the paper draws it once per batch.
    As there, partners are a permutation of the batch. `partner=first_pair` repeats a mistake of the
    fourth notebook: every image of the batch becomes the same mix of the first two, with one λ and
    one label.

    Args:
        alpha: λ ~ Beta(alpha, alpha); 1 is uniform on 0..1.
        probability: Probability that an image is mixed.
        partner: `permutation`: every image is the partner of one image; `uniform`: any image of the
            batch, with replacement; `first_pair`: all images become a mix of the first two.

    Source: Zhang et al. 2018 (arXiv:1710.09412), section 2; alpha 0.2 for ImageNet, section
    3.1, and 1 for CIFAR-10, section 3.2.
    """
    # Draws: whether applied, λ, partner. Keras' MixUp uses a stateful generator and draws once
    # per batch.
    chosen, share = draws[:, 0] < probability, 1.0 - draws[:, 1]
    batch = tf.shape(images)[0]
    if partner == "first_pair":  # row 0 decides for the whole batch
        chosen, share = tf.repeat(chosen[:1], batch), tf.repeat(share[:1], batch)
        other = tf.repeat(tf.minimum(1, batch - 1), batch)
        own = tf.where(chosen, 0, tf.range(batch))
        other_images, other_targets = tf.gather(images, other), tf.gather(targets, other)
        images, targets = tf.gather(images, own), tf.gather(targets, own)
    else:
        other = partners(draws[:, 2], partner)
        other_images, other_targets = tf.gather(images, other), tf.gather(targets, other)
    share = tf.where(chosen, share, 0.0)
    return (
        mix(images, other_images, per_image(share)),
        mix(targets, other_targets, share[:, tf.newaxis]),
    )

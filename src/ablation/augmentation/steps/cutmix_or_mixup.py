from typing import Literal

from ablation.augmentation.mixing import beta
from ablation.augmentation.registry import (
    Augmented,
    Concentration,
    Draws,
    Images,
    Share,
    Targets,
    step,
)
from ablation.augmentation.steps.cutmix import cutmix
from ablation.augmentation.steps.mixup import mixup
from ablation.lazy import tf


@step(draws=10, mixes_labels=True, prepare=beta(cutmix_alpha=(2, 3), mixup_alpha=(8,)))
def cutmix_or_mixup(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    cutmix_share: Share = 0.5,
    cutmix_alpha: Concentration = 1.0,
    mixup_alpha: Concentration = 0.2,
    probability: Share = 1.0,
    partner: Literal["permutation", "uniform"] = "permutation",
) -> Augmented:
    """Apply either `cutmix` or `mixup` to every batch, drawn once for the whole batch.

    CutMix uses a square box.

    Args:
        cutmix_share: Probability that a batch gets CutMix instead of MixUp.
        cutmix_alpha: λ of CutMix ~ Beta(cutmix_alpha, cutmix_alpha).
        mixup_alpha: λ of MixUp ~ Beta(mixup_alpha, mixup_alpha).
        probability: Probability that an image is mixed.
        partner: `permutation`: every image is the partner of one image; `uniform`: any image of the
            batch, with replacement.

    Source: the switch between the two in timm and in the training script of torchvision.
    """
    # Draws: which of the two (the first row decides), then those of CutMix and of MixUp.
    to_cut, to_mix = draws[:, 1:7], draws[:, 7:10]
    return tf.cond(
        draws[0, 0] < cutmix_share,
        lambda: cutmix(images, targets, to_cut, probability=probability, partner=partner),
        lambda: mixup(images, targets, to_mix, probability=probability, partner=partner),
    )

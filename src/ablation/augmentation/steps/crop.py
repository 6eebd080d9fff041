from typing import Annotated

from pydantic import Field

from ablation.augmentation.geometry import cut, padded
from ablation.augmentation.registry import Augmented, Draws, Fill, Images, Size, Targets, step
from ablation.errors import InputError
from ablation.lazy import tf


def is_smaller(given: Size | None, returned: Size | None, *, padding: int, **_: object) -> None:
    """Refuse padding that could push the image out, and beyond which a reflection does not go."""
    if given is not None and padding >= min(given):
        raise InputError(
            f"padding must be smaller than the image, which is {given[0]}×{given[1]} pixels; at "
            f"most {min(given) - 1} here"
        )


@step(draws=2, kind="geometric", probability=1.0, idle={"padding": 0}, check_size=is_smaller)
def crop(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    padding: Annotated[int, Field(ge=0, le=128)],
    fill: Fill = "zero",
) -> Augmented:
    """Pad an image on all sides and cut its size back out at a random position, per image.

    All (2·padding + 1)² positions are equally likely. The fill `zero` is black; where the paper
    pads, the mean has been subtracted, so there zero is the mean image.

    Args:
        padding: Pixels added on each side.
        fill: `zero` is black; `reflect` mirrors the image at its border, which is not repeated.

    Source: He et al. 2015 (arXiv:1512.03385), section 4.2 (4 pixels at 32×32).
    """
    # Draws: position down, across. Not Keras' RandomCrop: it takes one position for the batch.
    size = tf.shape(images)[1:3]
    return cut(padded(images, padding, padding, fill), size, draws), targets

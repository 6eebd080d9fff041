from typing import Annotated

from pydantic import Field

from ablation.augmentation.geometry import cut
from ablation.augmentation.registry import Augmented, Draws, Fill, Images, Size, Targets, step
from ablation.errors import InputError
from ablation.lazy import tf


def is_smaller(given: Size | None, returned: Size | None, *, padding: int, **_: object) -> None:
    """Check that the padding is smaller than the image."""
    if given is not None and padding >= min(given):
        raise InputError(
            f"padding must be smaller than the image, {given[0]}×{given[1]} pixels: at most "
            f"{min(given) - 1}"
        )


@step(
    draws=2,
    kind="geometric",
    probability=1.0,
    moves_pixels=True,
    idle={"padding": 0},
    check_size=is_smaller,
)
def crop(
    images: Images,
    targets: Targets,
    draws: Draws,
    *,
    padding: Annotated[int, Field(ge=0, le=128)],
    fill: Fill = "zero",
) -> Augmented:
    """Pad an image on all sides and crop it to its size at a random position, per image.

    All (2·padding + 1)² positions are equally likely. In the paper the mean image is subtracted
    before padding with zeros; here zeros are black.

    Args:
        padding: Pixels added on each side.
        fill: `zero` is black; `reflect` mirrors the image at its border, which is not repeated.

    Source: He et al. 2015 (arXiv:1512.03385), section 4.2 (4 pixels at 32×32).
    """
    # Draws: position down, across. Keras' RandomCrop uses one position for the batch.
    size = tf.shape(images)[1:3]
    return cut(images, size, draws, (padding, padding), fill), targets

from ablation.augmentation.geometry import cut
from ablation.augmentation.registry import Augmented, Draws, Images, Size, Targets, step
from ablation.errors import InputError


def is_larger(given: Size | None, returned: Size | None) -> None:
    """Check that the stored images are larger than the crop."""
    if given == returned:
        raise InputError(
            "the crop has no effect: the data set needs a stored_size larger than its image_size"
        )


@step(draws=2, kind="geometric", moves_pixels=True, crops=True, check_size=is_larger)
def random_crop(images: Images, targets: Targets, draws: Draws, size: Size) -> Augmented:
    """Crop the stored image to the input size at a random position, per image.

    All positions are equally likely. The `stored_size` of the data set must be larger than its
    `image_size`. Without a step that crops, the centre is used.

    Source: Krizhevsky et al. 2012 (ImageNet classification with deep convolutional neural
    networks), section 4.1 (224×224 out of 256×256).
    """
    return cut(images, size, draws), targets  # draws: position down, across

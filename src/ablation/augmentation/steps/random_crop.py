from ablation.augmentation.geometry import cut
from ablation.augmentation.registry import Augmented, Draws, Images, Size, Targets, step
from ablation.errors import InputError


def is_larger(given: Size | None, returned: Size | None) -> None:
    """Refuse images of the size that would be cut out of them."""
    if given == returned:
        raise InputError(
            "the crop would change nothing: give the data set a stored_size larger than its "
            "image_size"
        )


@step(draws=2, kind="geometric", crops=True, check_size=is_larger)
def random_crop(images: Images, targets: Targets, draws: Draws, size: Size) -> Augmented:
    """Cut the size that the network sees out of the stored image at a random position, per image.

    All positions are equally likely. It needs a data set whose `stored_size` is larger than its
    `image_size`; without a step that crops, the centre is cut out.

    Source: Krizhevsky et al. 2012 (ImageNet classification with deep convolutional neural
    networks), section 4.1 (224×224 out of 256×256).
    """
    return cut(images, size, draws), targets  # draws: position down, across

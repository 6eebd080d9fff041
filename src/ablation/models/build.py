"""Building a network of any family."""

from typing import Literal

import keras

from ablation.errors import InputError
from ablation.models.families import FAMILIES
from ablation.models.families.base import NetworkSettings
from ablation.models.parts import Parts


def build(
    settings: NetworkSettings,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    seed: int | None = None,
    dtype: Literal["float32", "mixed_bfloat16"] = "float32",
) -> keras.Model:
    """Build a network with random weights, not compiled.

    Pretrained weights are loaded by `ablation.models.pretrained`.

    Args:
        settings: the settings.
        input_shape: height, width and channels of an image.
        classes: number of classes, at least 2.
        seed: seed of the initial weights, as in `Parts.seed`; None for a random one.
        dtype: the policy of the layers; weights are float32 in both cases.

    Returns:
        A model from float images of shape (batch, height, width, channels), values 0 to 1, to
        float32 probabilities of shape (batch, classes).

    Raises:
        InputError: the network does not accept the images, or the builder returns another kind of
            model.
    """
    settings.check_channels(input_shape[-1])
    image = keras.Input(tuple(input_shape), dtype="float32", name="image")
    model = FAMILIES[settings.family].build(settings, image, classes, Parts(seed, dtype))
    if model.output.shape != (None, classes) or model.output.dtype != "float32":
        raise InputError(
            f"the builder of the family {settings.family} returns {model.output.dtype} of shape "
            f"{model.output.shape}; float32 of shape {(None, classes)} is needed"
        )
    return model

"""One way to build a network of any family."""

from collections.abc import Callable
from typing import Any, Literal

import keras

from ablation.errors import InputError
from ablation.models.parts import Parts
from ablation.models.resnet import build_resnet
from ablation.study.architectures import check_architecture

BUILDERS: dict[str, Callable[[Any, Any, int, Parts], keras.Model]] = {
    "resnet": build_resnet,
}
"""The builder of each of `ablation.study.architectures.FAMILIES`.

It takes the family's settings, the symbolic images (float32, of shape (batch, height, width,
channels)), the number of classes and the `Parts` that carry seed and precision. It returns a
functional model from these images to float32 probabilities. Layers whose names begin with
``stem``, ``stage1_block1``, … or are ``head`` are told by these parts in the report.
"""


def build(
    architecture: dict[str, Any],
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    seed: int | None = None,
    dtype: Literal["float32", "mixed_bfloat16"] = "float32",
) -> keras.Model:
    """Build a network with fresh weights, not compiled.

    Weights that the architecture names are not read here: see `ablation.models.pretrained`.

    Args:
        architecture: the settings, as `ablation.study.architectures.resolve_architecture` returns
            them.
        input_shape: height, width and channels of an image.
        classes: number of classes, at least 2.
        seed: decides the initial weights, as `Parts.seed` tells; None draws them afresh.
        dtype: the policy of the layers; weights are float32 in both.

    Returns:
        A model from float images of shape (batch, height, width, channels), values 0 to 1, to
        float32 probabilities of shape (batch, classes).

    Raises:
        InputError: the settings are wrong or do not go with the images, the shape is not three
            positive integers, there are fewer than two classes, or what the family's builder
            returns is no such model.
    """
    settings = check_architecture(architecture)
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"an image has height, width and channels, not shape {input_shape}")
    if classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, not {classes}")
    if dtype not in ("float32", "mixed_bfloat16"):
        raise InputError(f"dtype is float32 or mixed_bfloat16, not {dtype!r}")
    if settings.family not in BUILDERS:
        raise InputError(f"ablation.models.build has no builder for the family {settings.family}")
    image = keras.Input(tuple(input_shape), dtype="float32", name="image")
    model = BUILDERS[settings.family](settings, image, classes, Parts(seed, dtype))
    if model.output.shape != (None, classes) or model.output.dtype != "float32":
        raise InputError(
            f"the builder of the family {settings.family} returns {model.output.dtype} of shape "
            f"{model.output.shape}; float32 of shape {(None, classes)} is needed"
        )
    return model

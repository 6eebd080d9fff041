"""Residual and plain networks: He et al. 2015 (arXiv:1512.03385).

Layers are named by their position: ``stem_conv``, ``stage2_block1_conv1``,
``stage2_block1_shortcut_conv``, ``head``. Stage 1 is the first group of blocks, the paper's conv2_x
in the ImageNet form.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ablation.errors import InputError
from ablation.lazy import keras
from ablation.models.families.base import Family, NetworkSettings, Size

if TYPE_CHECKING:
    from ablation.models.parts import Parts

Kind = Literal["residual", "plain"]
Form = Literal["imagenet", "cifar"]

IMAGENET_BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each stage by depth, He et al. 2015, Table 1."""

_CIFAR_DEPTHS = (8, 14, 20, 32, 44, 56, 110)  # 8 and 14 are not in the paper
_BOTTLENECK_FROM = 50

# The settings that the weights depend on. Momentum, initializer and scaling may differ.
_IMAGENET_WEIGHTS = {
    "width": 64,
    "stem": "imagenet",
    "projection": "1x1",
    "stride_on": "first",
    "bias": True,
    "norm_epsilon": 1.001e-5,
    "padding": "symmetric",
}


class ResNetSettings(NetworkSettings):
    """The settings of a residual or plain network.

    Settings without effect are set to None: the projection of a plain network, `stride_on` of basic
    blocks, `padding` if only 1×1 convolutions have a stride.
    """

    family: Literal["resnet"] = "resnet"
    kind: Kind = Field(description="`residual` has shortcut connections, `plain` has none.")
    depth: int = Field(
        description=(
            "Layers with weights, without shortcuts: 18, 34, 50, 101 or 152 in the ImageNet form, "
            "6n+2 in the CIFAR form."
        )
    )
    form: Form = Field(
        description=(
            "Layout of the blocks: `imagenet` has four stages (bottleneck blocks from depth 50), "
            "`cifar` three stages of n basic blocks each."
        )
    )
    width: Annotated[int, Field(ge=1, le=4096)] = Field(
        description="Channels of the first stage; every later stage doubles them."
    )
    stem: Literal["imagenet", "cifar"] = Field(
        description=(
            "First layers: `imagenet` is a 7×7 convolution with stride 2 and a 3×3 max pool with "
            "stride 2, `cifar` a 3×3 convolution with stride 1."
        )
    )
    projection: Literal["pad", "1x1", "3x3"] | None = Field(
        description=(
            "Shortcut where the shape changes: `pad` takes every second pixel and adds zero "
            "channels (the paper's option A), `1x1` is a 1×1 convolution with batch norm (option "
            "B), `3x3` a 3×3 one. Plain networks ignore it."
        )
    )
    stride_on: Literal["first", "middle"] | None = Field(
        description=(
            "Convolution of a bottleneck block that halves the image: the `first` 1×1 or the "
            "`middle` 3×3. Networks of basic blocks ignore it."
        )
    )
    bias: bool = Field(description="Whether convolutions before batch norm have a bias.")
    initializer: Literal["he_normal", "glorot_uniform"] = Field(
        description=(
            "Distribution of the initial kernels: `he_normal` (variance 2 / inputs) or "
            "`glorot_uniform` (variance 2 / (inputs + outputs))."
        )
    )
    norm_momentum: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of the old moving average that batch norm keeps at each step."
    )
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Constant that batch norm adds to the variance."
    )
    padding: Literal["same", "symmetric"] | None = Field(
        description=(
            "Zero padding of convolutions and pools with a stride: `same` is TensorFlow's (the odd "
            "pixel goes right and below), `symmetric` pads both sides alike, as the paper's "
            "framework, PyTorch and keras.applications do."
        )
    )
    scaling: Literal["unit", "caffe"] = Field(
        description=(
            "First operation on an image of values 0 to 1: `unit` is none, `caffe` multiplies by "
            "255, converts RGB to BGR and subtracts the ImageNet means, as the weights of "
            "keras.applications expect."
        )
    )

    @property
    def bottleneck(self) -> bool:
        """Whether blocks are 1×1, 3×3, 1×1 (four times the channels out) instead of two 3×3."""
        return self.form == "imagenet" and self.depth >= _BOTTLENECK_FROM

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        if self.form == "imagenet":
            return IMAGENET_BLOCKS[self.depth]
        return ((self.depth - 2) // 6,) * 3

    def each_block(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield stage and number (from 1) of each block, its filters and its stride."""
        for stage, blocks in enumerate(self.blocks, start=1):
            for block in range(1, blocks + 1):
                yield stage, block, self.width * 2 ** (stage - 1), 1 + (stage > 1 and block == 1)

    def convolutions(self, filters: int, stride: int) -> list[tuple[int, int, int]]:
        """Return channels, side of the kernel and stride of the convolutions of a block."""
        if self.bottleneck:
            first, middle = (stride, 1) if self.stride_on == "first" else (1, stride)
            return [(filters, 1, first), (filters, 3, middle), (4 * filters, 1, 1)]
        return [(filters, 3, stride), (filters, 3, 1)]

    @model_validator(mode="before")
    @classmethod
    def _without_what_does_not_matter(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("kind") == "plain":
            data["projection"] = None
        if data.get("form") != "imagenet" or data.get("depth", 0) < _BOTTLENECK_FROM:
            data["stride_on"] = None
        if (
            data.get("stem") == "cifar"
            and data.get("stride_on") == "first"
            and data.get("projection") != "3x3"
        ):
            data["padding"] = None
        return data

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        if self.form == "imagenet" and self.depth not in IMAGENET_BLOCKS:
            known = ", ".join(map(str, IMAGENET_BLOCKS))
            raise ValueError(f"the ImageNet form has depths {known}, not {self.depth}")
        if self.form == "cifar" and (self.depth < 8 or self.depth % 6 != 2):
            raise ValueError(f"the CIFAR form has depths 6n+2 (8, 14, 20, 26, …), not {self.depth}")
        return self

    def check_imagenet_weights(self) -> None:
        """Raise ValueError unless all settings are those of Keras' weights of ResNet-50."""
        if (self.kind, self.form, self.depth) != ("residual", "imagenet", 50):
            raise ValueError("weights 'imagenet' exist for residual networks of 50 layers only")
        wrong = [
            f"{name} {getattr(self, name)} should be {value}"
            for name, value in _IMAGENET_WEIGHTS.items()
            if getattr(self, name) != value
        ]
        if wrong:
            raise ValueError(
                "weights 'imagenet' were trained in the form of keras.applications "
                f"('resnet50-pretrained'): {'; '.join(wrong)}"
            )

    def check_channels(self, channels: int) -> None:
        """Raise InputError if ``scaling: caffe`` is used with images without three channels."""
        if self.scaling == "caffe" and channels != 3:
            raise InputError(
                f"scaling 'caffe' needs images with 3 channels, not {channels}; use 'unit'"
            )


def _paper(kind: Kind, depth: int) -> dict[str, Any]:
    """Return the settings of a network of He et al. 2015, sections 3.3, 3.4 and 4.2.

    No biases before batch norm, he-normal kernels, option-B shortcuts (1×1) in the ImageNet form,
    option-A shortcuts (zero padding) in the CIFAR form, symmetric padding. The paper does not give
    momentum and epsilon of batch norm: 0.9 and 1e-5 are those of PyTorch (where momentum is called
    0.1). Bottleneck blocks have the stride on the 3×3 convolution, as in torchvision ("v1.5"):
    4.089 G multiply-adds for 50 layers at 224 px. The text of the paper and its authors' Caffe
    models have it on the first 1×1 (3.858 G): ``stride_on: first``.
    """
    large = depth in IMAGENET_BLOCKS
    form: Form = "imagenet" if large else "cifar"
    return {
        "kind": kind,
        "depth": depth,
        "form": form,
        "width": 64 if large else 16,
        "stem": form,
        "projection": "1x1" if large else "pad",
        "stride_on": "middle",
        "bias": False,
        "initializer": "he_normal",
        "norm_momentum": 0.9,
        "norm_epsilon": 1e-5,
        "padding": "symmetric",
        "scaling": "unit",
    }


_PRETRAINED = {
    "kind": "residual",
    "depth": 50,
    "form": "imagenet",
    **_IMAGENET_WEIGHTS,
    "initializer": "glorot_uniform",
    "norm_momentum": 0.99,
    "scaling": "caffe",
    "weights": "imagenet",
}


def build(settings: ResNetSettings, image: Any, classes: int, parts: "Parts") -> Any:
    """Build a residual or plain network.

    The two differ in the shortcuts only, and with the same seed they start from the same kernels.
    All kernels, including that of the head, use the initializer of the settings ("we initialize the
    weights as in [13]", section 3.4). Batch norm starts as the identity (scale 1, offset 0), also
    in the last layer of a block.
    """
    network = _Network(settings, parts)
    x = network.stem(image)
    for stage, block, filters, stride in settings.each_block():
        x = network.block(x, filters, stride, f"stage{stage}_block{block}")
    kind = "resnet" if settings.kind == "residual" else "plain"
    probabilities = parts.head(x, classes, settings.initializer)
    return keras.Model(image, probabilities, name=f"{kind}{settings.depth}")


class _Network:
    """Adds the layers of one network to symbolic features."""

    def __init__(self, settings: ResNetSettings, parts: "Parts") -> None:
        self.settings = settings
        self.parts = parts
        self.dtype = parts.dtype

    def stem(self, image: Any) -> Any:
        """Return the features before the first block."""
        x = image
        if self.settings.scaling == "caffe":
            x = keras.layers.Rescaling(
                255.0, [-103.939, -116.779, -123.68], dtype="float32", name="caffe_scaling"
            )(x[..., ::-1])
        large = self.settings.stem == "imagenet"
        size, stride = (7, 2) if large else (3, 1)
        x = self._conv(x, self.settings.width, size, stride, "stem_conv")
        x = self._norm(x, "stem_norm")
        x = self._relu(x, "stem_relu")
        if large:
            padding = "same"
            if self.settings.padding == "symmetric":
                # After a ReLU, padding with zeros does not change the maximum.
                pad = keras.layers.ZeroPadding2D(1, dtype=self.dtype, name="stem_pool_pad")
                x, padding = pad(x), "valid"
            pool = keras.layers.MaxPooling2D(
                3, 2, padding=padding, dtype=self.dtype, name="stem_pool"
            )
            x = pool(x)
        return x

    def block(self, x: Any, filters: int, stride: int, name: str) -> Any:
        """Return the output of a basic or bottleneck block (the paper's figure 5)."""
        y, convolutions = x, self.settings.convolutions(filters, stride)
        for number, (channels, size, step) in enumerate(convolutions, start=1):
            y = self._conv(y, channels, size, step, f"{name}_conv{number}")
            y = self._norm(y, f"{name}_norm{number}")
            if number < len(convolutions):
                y = self._relu(y, f"{name}_relu{number}")
        if self.settings.kind == "residual":
            shortcut = self._shortcut(x, y.shape[-1], stride, f"{name}_shortcut")
            y = keras.layers.Add(dtype=self.dtype, name=f"{name}_add")([shortcut, y])
        return self._relu(y, f"{name}_out")

    def _shortcut(self, x: Any, channels: int, stride: int, name: str) -> Any:
        added = channels - x.shape[-1]
        if stride == 1 and not added:
            return x
        if self.settings.projection == "pad":
            # Like slicing, but faster.
            x = keras.layers.AveragePooling2D(1, stride, dtype=self.dtype, name=f"{name}_pool")(x)
            return keras.ops.pad(x, [(0, 0), (0, 0), (0, 0), (0, added)])
        size = 1 if self.settings.projection == "1x1" else 3
        x = self._conv(x, channels, size, stride, f"{name}_conv")
        return self._norm(x, f"{name}_norm")

    def _conv(self, x: Any, filters: int, size: int, stride: int, name: str) -> Any:
        return self.parts.convolution(
            x,
            filters,
            size,
            stride,
            name,
            symmetric=self.settings.padding == "symmetric",
            bias=self.settings.bias,
            initializer=self.settings.initializer,
        )

    def _norm(self, x: Any, name: str) -> Any:
        momentum, epsilon = self.settings.norm_momentum, self.settings.norm_epsilon
        return self.parts.norm(x, name, momentum=momentum, epsilon=epsilon)

    def _relu(self, x: Any, name: str) -> Any:
        return keras.layers.Activation("relu", dtype=self.dtype, name=name)(x)


def size(settings: ResNetSettings, shape: tuple[int, int, int], classes: int) -> Size:
    """Return the size of a residual or plain network."""
    weights, outputs = 0, []

    def convolution(
        shape: tuple[int, int, int], filters: int, side: int, stride: int, *, relu: bool = True
    ) -> tuple[int, int, int]:
        nonlocal weights
        height, width, channels = shape
        shape = -(-height // stride), -(-width // stride), filters
        weights += (side**2 * channels + settings.bias + 4) * filters  # 4 of batch norm
        outputs.extend([math.prod(shape)] * (2 if relu else 1))
        return shape

    large = settings.stem == "imagenet"
    shape = convolution(shape, settings.width, *((7, 2) if large else (3, 1)))
    if large:
        shape = -(-shape[0] // 2), -(-shape[1] // 2), shape[2]
    for _, _, filters, stride in settings.each_block():
        before = shape
        for channels, side, step in settings.convolutions(filters, stride):
            shape = convolution(shape, channels, side, step)
        if shape != before and settings.projection in ("1x1", "3x3"):
            side = int(settings.projection[0])
            convolution(before, shape[2], side, stride, relu=False)
    return Size(weights + (shape[2] + 1) * classes, sum(outputs), max(outputs))


FAMILY = Family(
    names={
        **{f"resnet{n}": _paper("residual", n) for n in (*IMAGENET_BLOCKS, *_CIFAR_DEPTHS)},
        **{f"plain{n}": _paper("plain", n) for n in (*IMAGENET_BLOCKS, *_CIFAR_DEPTHS)},
        "resnet50-pretrained": _PRETRAINED,
    },
    about="Residual networks and plain networks, which only lack the shortcuts, as in He et al. "
    "2015 (arXiv:1512.03385): in the ImageNet form with 18, 34, 50, 101 or 152 layers, in the "
    "CIFAR form with 8, 14, 20, 32, 44, 56 or 110. `resnet50-pretrained` is "
    "keras.applications' ResNet50 with its ImageNet weights and preprocessing.",
    settings=ResNetSettings,
    build=build,
    size=size,
    fixed=("kind", "depth", "form"),
)

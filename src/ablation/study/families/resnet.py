"""Residual networks and their plain twins: He et al. 2015 (arXiv:1512.03385)."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from ablation.errors import InputError
from ablation.study.families.base import STRICT, Family, Settings, Weights

Kind = Literal["residual", "plain"]
Form = Literal["imagenet", "cifar"]
Stem = Literal["imagenet", "cifar"]
Projection = Literal["pad", "1x1", "3x3"]
StrideOn = Literal["first", "middle"]
Initializer = Literal["he_normal", "glorot_uniform"]
Padding = Literal["same", "symmetric"]
Scaling = Literal["unit", "caffe"]
Variant = Literal["paper", "notebook"]
Width = Annotated[int, Field(ge=1, le=4096)]
Momentum = Annotated[float, Field(gt=0, lt=1)]
Epsilon = Annotated[float, Field(gt=0, lt=1)]

IMAGENET_BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks a stage by depth, He et al. 2015 (arXiv:1512.03385), Table 1."""

_CIFAR_DEPTHS = (8, 14, 20, 32, 44, 56, 110)  # the first two are not of the paper: quick trials
_PRETRAINED = "resnet50-pretrained"
_BOTTLENECK_FROM = 50

_NAMES = (
    *(f"resnet{depth}" for depth in (*IMAGENET_BLOCKS, *_CIFAR_DEPTHS)),
    *(f"plain{depth}" for depth in (*IMAGENET_BLOCKS, *_CIFAR_DEPTHS)),
    _PRETRAINED,
)
_ABOUT = {
    "width": "Channels of the first stage; every later stage doubles them.",
    "stem": (
        "First layers: `imagenet` is a 7×7 convolution with stride 2 and a 3×3 max pool with "
        "stride 2, `cifar` a 3×3 convolution with stride 1."
    ),
    "projection": (
        "What a shortcut does where the shape changes: `pad` takes every second pixel and adds "
        "zero channels (the paper's option A), `1x1` is a 1×1 convolution with batch norm "
        "(option B), `3x3` a 3×3 one (the first notebook's basic blocks)."
    ),
    "stride_on": (
        "Which convolution of a bottleneck block halves the image: the `first` 1×1 or the "
        "`middle` 3×3."
    ),
    "bias": "Whether convolutions carry a bias in front of batch norm.",
    "initializer": (
        "Distribution of the initial kernels: `he_normal` (variance 2 / inputs) or "
        "`glorot_uniform` (variance 2 / (inputs + outputs))."
    ),
    "norm_momentum": "Share of the old moving average that batch norm keeps at each step.",
    "norm_epsilon": "What batch norm adds to the variance.",
    "padding": (
        "Zero padding of convolutions and pools with a stride: `same` is TensorFlow's (the odd "
        "pixel goes right and below), `symmetric` pads both sides alike, as the paper's "
        "framework, PyTorch and keras.applications do."
    ),
    "scaling": (
        "What the network does first with an image of values 0 to 1: `unit` leaves it as it "
        "is, `caffe` multiplies by 255, turns RGB into BGR and subtracts the ImageNet means, as "
        "the weights of keras.applications expect."
    ),
}


class ResNetSettings(Settings):
    """Every setting that decides a network; equal records mean equal networks.

    Settings that cannot matter are None whatever was given: the projection of a plain network,
    `stride_on` of basic blocks, `padding` where only 1×1 convolutions have a stride.
    """

    kind: Kind = Field(description="`residual` has shortcut connections, `plain` has none.")
    depth: int = Field(
        description=(
            "Layers with weights, shortcuts not counted: 18, 34, 50, 101 or 152 in the ImageNet "
            "form, 6n+2 in the CIFAR form."
        )
    )
    form: Form = Field(
        description=(
            "Layout of the blocks: `imagenet` has four stages (bottleneck blocks from depth 50), "
            "`cifar` three stages of n basic blocks each."
        )
    )
    width: Width = Field(description=_ABOUT["width"])
    stem: Stem = Field(description=_ABOUT["stem"])
    projection: Projection | None = Field(
        default=None, description=_ABOUT["projection"] + " None in plain networks."
    )
    stride_on: StrideOn | None = Field(
        default=None, description=_ABOUT["stride_on"] + " None where blocks are basic."
    )
    bias: bool = Field(description=_ABOUT["bias"])
    initializer: Initializer = Field(description=_ABOUT["initializer"])
    norm_momentum: Momentum = Field(description=_ABOUT["norm_momentum"])
    norm_epsilon: Epsilon = Field(description=_ABOUT["norm_epsilon"])
    padding: Padding | None = Field(
        default=None,
        description=_ABOUT["padding"] + " None where only 1×1 convolutions have a stride.",
    )
    scaling: Scaling = Field(description=_ABOUT["scaling"])
    weights: Weights | None = Field(
        default=None,
        description=(
            "Weights to start from: None for random ones, `imagenet` for those of "
            "keras.applications, or the path of an HDF5 weights file."
        ),
    )

    @property
    def bottleneck(self) -> bool:
        """Whether blocks are 1×1, 3×3, 1×1 (four times the channels out) instead of two 3×3."""
        return _bottleneck(self.form, self.depth)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        if self.form == "imagenet":
            return IMAGENET_BLOCKS[self.depth]
        return ((self.depth - 2) // 6,) * 3

    @model_validator(mode="before")
    @classmethod
    def _one_record_per_network(cls, data: Any) -> Any:
        """Set what cannot matter to None, so that equal networks have equal records."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("kind") == "plain":
            data["projection"] = None
        if not _bottleneck(data.get("form"), data.get("depth")):
            data["stride_on"] = None
        if _only_1x1_strides(data.get("stem"), data.get("stride_on"), data.get("projection")):
            data["padding"] = None
        return data

    @model_validator(mode="after")
    def _is_a_network(self) -> Self:
        if self.form == "imagenet" and self.depth not in IMAGENET_BLOCKS:
            known = ", ".join(map(str, IMAGENET_BLOCKS))
            raise ValueError(f"the ImageNet form has depths {known}, not {self.depth}")
        if self.form == "cifar" and (self.depth < 8 or self.depth % 6 != 2):
            raise ValueError(f"the CIFAR form has depths 6n+2 (8, 14, 20, 26, …), not {self.depth}")
        if self.kind == "residual" and self.projection is None:
            raise ValueError("a residual network needs a projection: pad, 1x1 or 3x3")
        if self.bottleneck and self.stride_on is None:
            raise ValueError("bottleneck blocks need stride_on: first or middle")
        if self.padding is None and not _only_1x1_strides(
            self.stem, self.stride_on, self.projection
        ):
            raise ValueError("padding is missing: same or symmetric")
        return self

    def expect_imagenet_weights(self) -> None:
        """Refuse networks that Keras' weights do not fit, or fit in shape alone."""
        if self.kind != "residual" or self.form != "imagenet" or not self.bottleneck:
            raise ValueError(
                "there are weights 'imagenet' for residual networks of 50, 101 and 152 layers only"
            )
        wrong = [
            f"{name} {getattr(self, name)} should be {value}"
            for name, value in _KERAS.items()
            if name in _IMAGENET_WEIGHTS_NEED and getattr(self, name) != value
        ]
        if wrong:
            raise ValueError(
                "weights 'imagenet' were trained in the form of keras.applications "
                f"('{_PRETRAINED}'): {'; '.join(wrong)}"
            )


class ResNetOptions(BaseModel):
    """What a study may say of a residual or plain network besides its name.

    Every option left out, or None, keeps the value that the name and the variant give it.
    """

    model_config = STRICT

    variant: Variant | None = Field(
        default=None,
        description=(
            "Where defaults come from: `paper` (the default) is He et al. 2015, `notebook` the "
            "first notebook's network as it was (ImageNet form only)."
        ),
    )
    width: Width | None = Field(default=None, description=_ABOUT["width"])
    stem: Stem | None = Field(default=None, description=_ABOUT["stem"])
    projection: Projection | None = Field(default=None, description=_ABOUT["projection"])
    stride_on: StrideOn | None = Field(default=None, description=_ABOUT["stride_on"])
    bias: bool | None = Field(default=None, description=_ABOUT["bias"])
    initializer: Initializer | None = Field(default=None, description=_ABOUT["initializer"])
    norm_momentum: Momentum | None = Field(default=None, description=_ABOUT["norm_momentum"])
    norm_epsilon: Epsilon | None = Field(default=None, description=_ABOUT["norm_epsilon"])
    padding: Padding | None = Field(default=None, description=_ABOUT["padding"])
    scaling: Scaling | None = Field(default=None, description=_ABOUT["scaling"])
    weights: Weights | None = Field(
        default=None,
        description=(
            "Weights to start from: `none` for random ones, `imagenet` for those of "
            "keras.applications, or the path of an HDF5 weights file."
        ),
    )


_PAPER: dict[str, Any] = {
    "stride_on": "middle",
    "bias": False,
    "initializer": "he_normal",
    "norm_momentum": 0.9,
    "norm_epsilon": 1e-5,
    "padding": "symmetric",
    "scaling": "unit",
}
_NOTEBOOK: dict[str, Any] = {
    "stride_on": "first",
    "bias": True,
    "initializer": "glorot_uniform",
    "norm_momentum": 0.99,
    "norm_epsilon": 1e-3,
    "padding": "same",
    "scaling": "unit",
}
_KERAS: dict[str, Any] = {
    "width": 64,
    "stem": "imagenet",
    "projection": "1x1",
    "stride_on": "first",
    "bias": True,
    "initializer": "glorot_uniform",
    "norm_momentum": 0.99,
    "norm_epsilon": 1.001e-5,
    "padding": "symmetric",
    "scaling": "caffe",
    "weights": "imagenet",
}
# The momentum acts on what is learned from here on, the initializer on the new head, and the
# scaling is a study's question: the weights do not depend on them.
_IMAGENET_WEIGHTS_NEED = (
    "width",
    "stem",
    "projection",
    "stride_on",
    "bias",
    "norm_epsilon",
    "padding",
)


def _resolve(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Resolve a name and options by the defaults of the variant.

    - ``paper``: He et al. 2015 (arXiv:1512.03385), sections 3.3, 3.4 and 4.2: no biases in front
      of batch norm, he-normal kernels, option-B shortcuts (1×1) in the ImageNet form and option-A
      ones (zero padding) in the CIFAR form, symmetric padding. Batch norm's momentum 0.9 and
      epsilon 1e-5, which the paper does not give, are PyTorch's (it calls the former 0.1).
      Bottleneck blocks have their stride on the 3×3 convolution, as torchvision's ("v1.5"):
      4.089 G multiply-adds for 50 layers at 224 px. The paper's text and its authors' Caffe models
      have it on the first 1×1 (3.858 G): ``stride_on: first``.
    - ``notebook``: the first notebook's network, departures included: 3×3 projections in basic
      blocks and 1×1 in bottlenecks, biases, glorot-uniform kernels, momentum 0.99, epsilon 1e-3,
      TensorFlow's SAME padding, the stride on the first 1×1. It has the ImageNet form only.

    ``resnet50-pretrained`` is keras.applications' ResNet50 with its ImageNet weights and
    preprocessing, whatever the variant; ``notebook`` there means ``scaling: unit``, as the second
    and third notebook fed it.
    """
    given = dict(options)
    return {**_defaults(name, given.pop("variant", "paper")), **given}


def _defaults(name: str, variant: str) -> dict[str, Any]:
    """Return all settings that a name stands for in a variant."""
    if name == _PRETRAINED:
        scaling = "unit" if variant == "notebook" else "caffe"
        return {"kind": "residual", "depth": 50, "form": "imagenet", **_KERAS, "scaling": scaling}
    kind = "plain" if name.startswith("plain") else "residual"
    depth = int(name.removeprefix("plain").removeprefix("resnet"))
    form = "imagenet" if depth in IMAGENET_BLOCKS else "cifar"
    if variant == "notebook":
        if form == "cifar":
            depths = ", ".join(map(str, IMAGENET_BLOCKS))
            raise InputError(f"architecture {name}: variant 'notebook' has depths {depths} only")
        projection = "1x1" if _bottleneck(form, depth) else "3x3"
    else:
        projection = "1x1" if form == "imagenet" else "pad"
    return {
        "kind": kind,
        "depth": depth,
        "form": form,
        "width": 64 if form == "imagenet" else 16,
        "stem": form,
        "projection": projection,
        **(_NOTEBOOK if variant == "notebook" else _PAPER),
        "weights": None,
    }


def _bottleneck(form: object, depth: object) -> bool:
    return form == "imagenet" and isinstance(depth, int) and depth >= _BOTTLENECK_FROM


def _only_1x1_strides(stem: object, stride_on: object, projection: object) -> bool:
    """Tell whether no window wider than one pixel has a stride, so that padding cannot matter."""
    return stem == "cifar" and stride_on == "first" and projection != "3x3"


RESNET = Family(
    names=_NAMES,
    about="Residual networks and their plain twins, as in He et al. 2015 (arXiv:1512.03385): in "
    "the ImageNet form with 18, 34, 50, 101 or 152 layers, in the CIFAR form with 8, 14, 20, 32, "
    "44, 56 or 110.",
    settings=ResNetSettings,
    resolve=_resolve,
    own_options=ResNetOptions,
)

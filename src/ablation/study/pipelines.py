"""Pipeline strings: how a study writes an augmentation, and what each step takes.

A pipeline is a line such as ``flip | crop(4) | contrast(0.8, 1.2) | cutmix(box=independent)``:
steps in the order in which they are applied, each with its parameters by place or by name. A
named arm stands for a whole pipeline and composes with steps and other arms:
``notebook2-augmentation | cutmix``. Nothing in the text is evaluated.

:func:`parse_pipeline` resolves the text to a plain canonical form with every parameter filled
in, so that two ways of writing the same thing are the same run. The functions that do the
steps' work are in :mod:`ablation.augmentation`.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablation.errors import InputError, nearest

MAX_CHARACTERS = 1000
MAX_STEPS = 20

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=10)]
Size = Sequence[int]  # height and width in pixels
Family = Literal["geometric", "colour"]
# Outside these bounds a Beta distribution is 0-or-1, or one half, to within a pixel.
Concentration = Annotated[float, Field(ge=0.01, le=100)]


Fill = Annotated[
    Literal["zero", "reflect"],
    Field(
        description="zero: black; reflect: the image mirrored at its border, which is not repeated"
    ),
]


class StepModel(BaseModel):
    """What every step shares: parameters are checked, complete and fixed.

    Attributes:
        needs_colour: it makes sense on images with three channels only.
        mixes_labels: it mixes the labels of several images.
        crops: it cuts the size that the network sees out of the stored image.
        family: what kind of augmentation it is; None for what is neither.
        idle: values of parameters with which it changes nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    needs_colour: ClassVar[bool] = False
    mixes_labels: ClassVar[bool] = False
    crops: ClassVar[bool] = False
    family: ClassVar[Family | None] = None
    idle: ClassVar[Mapping[str, float]] = {}


def _chance(default: float = 1.0) -> Any:
    """Return the field ``probability`` of a step that the pipeline applies by chance."""
    return Field(default=default, description="chance that the step is applied to an image")


def _check_order(low: tuple[str, float], high: tuple[str, float]) -> None:
    if low[1] > high[1]:
        raise ValueError(
            f"{low[0]} has to be at most {high[0]}, but {_number(low[1])} is above "
            f"{_number(high[1])}; swap them?"
        )


class Flip(StepModel):
    """Mirrors an image left to right with the given probability, each image on its own.

    Source: He et al. 2015 (arXiv:1512.03385), sections 3.4 and 4.2.
    """

    family: ClassVar[Family | None] = "geometric"

    probability: Share = Field(default=0.5, description="chance that an image is mirrored")


class Crop(StepModel):
    """Pads an image on all sides and cuts its size back out at a random place, per image.

    All (2·padding + 1)² places are equally likely. The fill is zero on the 0..1 scale, that is
    black; where the paper pads, its mean has been subtracted, so there zero is the mean image.

    Source: He et al. 2015 (arXiv:1512.03385), section 4.2 (4 pixels at 32×32).
    """

    family: ClassVar[Family | None] = "geometric"
    idle: ClassVar[Mapping[str, float]] = {"padding": 0}

    padding: Annotated[int, Field(ge=0, le=128)] = Field(description="pixels added on each side")
    fill: Fill = "zero"
    probability: Share = _chance()


class RandomCrop(StepModel):
    """Cuts the size that the network sees out of the stored image at a random place, per image.

    All places are equally likely. It needs a data set whose ``stored_size`` is larger than its
    ``image_size``; without a step that crops, the centre is cut out.

    Source: Krizhevsky et al. 2012 (ImageNet classification with deep convolutional neural
    networks), section 4.1 (224×224 out of 256×256).
    """

    crops: ClassVar[bool] = True
    family: ClassVar[Family | None] = "geometric"


class RandomResizedCrop(StepModel):
    """Cuts a random box out of the stored image and resizes it to what the network sees.

    Per image: the box's share of the area is uniform in scale_low..scale_high, its aspect ratio
    log-uniform in ratio..1/ratio, its sides are rounded to pixels, and all places inside the
    image are equally likely. A box that is larger than the image is drawn again, ten times at
    most; then it is the largest one about the centre whose aspect ratio is allowed. Resizing is
    bilinear without anti-aliasing, as in the preparation of the data.

    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6; tries and centre as in torchvision.
    """

    crops: ClassVar[bool] = True
    family: ClassVar[Family | None] = "geometric"

    scale_low: Annotated[float, Field(ge=0.01, le=1)] = Field(
        default=0.08, description="smallest share of the stored image's area"
    )
    scale_high: Annotated[float, Field(ge=0.01, le=1)] = Field(
        default=1.0, description="largest share, at least scale_low"
    )
    ratio: Annotated[float, Field(ge=0.1, le=1)] = Field(
        default=0.75, description="smallest aspect ratio; the largest is its inverse"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "RandomResizedCrop":
        _check_order(("scale_low", self.scale_low), ("scale_high", self.scale_high))
        return self


class Translation(StepModel):
    """Shifts an image by whole pixels, up and down and to both sides, each image on its own.

    The largest shifts are rounded to pixels, and all shifts are equally likely: on images of 32
    pixels ``translation(0.125, 0.125)`` is ``crop(4)``.

    Source: Simard et al. 2003 (Best practices for convolutional neural networks applied to
    visual document analysis), section 2.
    """

    family: ClassVar[Family | None] = "geometric"
    idle: ClassVar[Mapping[str, float]] = {"horizontal": 0, "vertical": 0}

    horizontal: Share = Field(description="largest shift to either side, as a share of the width")
    vertical: Share = Field(description="largest shift up or down, as a share of the height")
    fill: Fill = "zero"
    probability: Share = _chance()


class Rotation(StepModel):
    """Turns an image about its centre by one angle, uniform in -degrees..degrees.

    Positive angles turn counter-clockwise. Bilinear; the image keeps its size, so corners are
    cut off and others are filled.

    Source: Simard et al. 2003 (Best practices for convolutional neural networks applied to
    visual document analysis), section 2.
    """

    family: ClassVar[Family | None] = "geometric"
    idle: ClassVar[Mapping[str, float]] = {"degrees": 0}

    degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        description="largest angle, in degrees of 360 for a full turn"
    )
    fill: Fill = "zero"
    probability: Share = _chance()


class RandomErasing(StepModel):
    """Covers one random box of an image, each image on its own.

    The box's share of the area is uniform in area_low..area_high, its aspect ratio (height over
    width) uniform in ratio..1/ratio, its sides are rounded to pixels, and all places inside the
    image are equally likely. A box that is larger than the image is drawn again, ten times at
    most; then the image stays as it is. Noise is uniform in 0..1 for every pixel and channel.
    For ``fill=mean`` the paper takes the mean of the data set, this the image's own.

    Source: Zhong et al. 2017 (arXiv:1708.04896), algorithm 1 and the values of its experiments;
    the place is drawn once the box fits, as in the authors' code.
    """

    idle: ClassVar[Mapping[str, float]] = {"area_high": 0}

    probability: Share = _chance(0.5)
    area_low: Share = Field(default=0.02, description="smallest share of the image's area")
    area_high: Share = Field(default=0.4, description="largest share, at least area_low")
    ratio: Annotated[float, Field(ge=0.1, le=1)] = Field(
        default=0.3, description="smallest aspect ratio; the largest is its inverse"
    )
    fill: Literal["zero", "noise", "mean"] = Field(
        default="noise",
        description="zero: black; noise: random values; mean: the image's mean colour",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "RandomErasing":
        _check_order(("area_low", self.area_low), ("area_high", self.area_high))
        return self


class Brightness(StepModel):
    """Adds one number, uniform in -delta..delta, to every pixel of an image (0..1 scale).

    Values may leave 0..1; follow with ``clip`` where they must not.

    Source: tf.image.random_brightness, with a shift per image.
    """

    family: ClassVar[Family | None] = "colour"
    idle: ClassVar[Mapping[str, float]] = {"delta": 0}

    delta: Share = Field(description="largest shift, on the 0..1 scale")
    probability: Share = _chance()


class _Range(StepModel):
    """A factor between two bounds."""

    family: ClassVar[Family | None] = "colour"
    idle: ClassVar[Mapping[str, float]] = {"low": 1, "high": 1}

    low: Factor = Field(description="smallest factor; 1 changes nothing")
    high: Factor = Field(description="largest factor, at least low")
    probability: Share = _chance()

    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        _check_order(("low", self.low), ("high", self.high))
        return self


class Contrast(_Range):
    """Scales an image about the mean of each channel by one factor, uniform in low..high.

    Factors below 1 flatten, above 1 sharpen. Values may leave 0..1; see ``clip``.

    Source: tf.image.random_contrast, with a factor per image.
    """


class Hue(StepModel):
    """Turns the hue of an image by one angle, uniform in -delta..delta of a full turn.

    Source: tf.image.random_hue, with an angle per image.
    """

    needs_colour: ClassVar[bool] = True
    family: ClassVar[Family | None] = "colour"
    idle: ClassVar[Mapping[str, float]] = {"delta": 0}

    delta: Annotated[float, Field(ge=0, le=0.5)] = Field(
        description="largest turn, as a share of the colour circle"
    )
    probability: Share = _chance()


class Saturation(_Range):
    """Scales the saturation of an image (of hue, saturation, value) by one factor in low..high.

    Source: tf.image.random_saturation, with a factor per image.
    """

    needs_colour: ClassVar[bool] = True


class Grayscale(StepModel):
    """Takes the colour out of an image by chance; it keeps its three channels, all alike.

    Grey is 0.299·red + 0.587·green + 0.114·blue.

    Source: tf.image.rgb_to_grayscale; the default chance is torchvision's.
    """

    needs_colour: ClassVar[bool] = True
    family: ClassVar[Family | None] = "colour"

    probability: Share = _chance(0.1)


class Clip(StepModel):
    """Clamps every pixel to 0..1.

    The colour steps do not clamp by themselves, as tf.image does not on floats and the four
    notebooks did not.

    Source: tf.clip_by_value.
    """


class CutMix(StepModel):
    """Pastes a box of another image of the batch, and shares the label out by pasted pixels.

    Per image: λ ~ Beta(alpha, alpha); the box measures floor(side·√(1-λ)) along each side of
    the image, its centre is a uniform pixel, it is clipped at the border, and the partner's
    label gets the share of pixels really pasted. ``box=square`` takes both sides from one λ (a
    square on a square image), ``box=independent`` takes height and width from a λ each.
    As in the paper's code a box reaches half of its side, rounded down, to either hand of its
    centre, so its sides are even before clipping.

    The paper's code draws λ and centre once a batch; here each image has its own, which leaves
    the distribution of a single image as it is. Partners are a permutation of the batch, as
    there; with ``partner=uniform``, as in notebooks 2 to 4, an image may serve several others.

    Source: Yun et al. 2019 (arXiv:1905.04899), section 3.1 and appendix A, algorithm A1.
    """

    mixes_labels: ClassVar[bool] = True

    alpha: Concentration = Field(
        default=1.0, description="λ ~ Beta(alpha, alpha); 1 is uniform on 0..1"
    )
    probability: Share = Field(default=1.0, description="chance that an image gets a box")
    box: Literal["square", "independent"] = Field(
        default="square", description="square: one λ for both sides; independent: a λ each"
    )
    partner: Literal["permutation", "uniform"] = Field(
        default="permutation",
        description="permutation: every image serves one other or itself; "
        "uniform: any image of the batch, with replacement, itself included",
    )


class MixUp(StepModel):
    """Mixes an image and its label with another of the batch: λ·own + (1-λ)·other.

    λ ~ Beta(alpha, alpha), drawn per image where the paper's code draws it once a batch.
    Partners are a permutation of the batch, as there, or ``uniform``, as in notebook 3.
    ``partner=first-pair`` keeps notebook 4's mistake: every image of the batch becomes the same
    mix of the batch's first two, with one λ and one label.

    Source: Zhang et al. 2018 (arXiv:1710.09412), section 2; alpha 0.2 for ImageNet, section
    3.1, and 1 for CIFAR-10, section 3.2.
    """

    mixes_labels: ClassVar[bool] = True

    alpha: Concentration = Field(
        default=0.2, description="λ ~ Beta(alpha, alpha); 1 is uniform on 0..1"
    )
    probability: Share = Field(default=1.0, description="chance that an image is mixed")
    partner: Literal["permutation", "uniform", "first-pair"] = Field(
        default="permutation",
        description="permutation: every image serves one other or itself; "
        "uniform: any image of the batch, with replacement, itself included; "
        "first-pair: the batch's first two images make the whole batch",
    )


class CutMixOrMixUp(StepModel):
    """Mixes every batch by either ``cutmix`` or ``mixup``, drawn once for the whole batch.

    CutMix has a square box; all else is as in the two steps.

    Source: the switch between the two in timm and in torchvision's reference training.
    """

    mixes_labels: ClassVar[bool] = True

    cutmix_share: Share = Field(
        default=0.5, description="chance that a batch gets CutMix, not MixUp"
    )
    cutmix_alpha: Concentration = Field(
        default=1.0, description="CutMix's λ ~ Beta(cutmix_alpha, cutmix_alpha)"
    )
    mixup_alpha: Concentration = Field(
        default=0.2, description="MixUp's λ ~ Beta(mixup_alpha, mixup_alpha)"
    )
    probability: Share = Field(default=1.0, description="chance that an image is mixed")
    partner: Literal["permutation", "uniform"] = Field(
        default="permutation",
        description="permutation: every image serves one other or itself; "
        "uniform: any image of the batch, with replacement, itself included",
    )


class LabelSmoothing(StepModel):
    """Gives a share of every label to all K classes alike: (1 - epsilon)·label + epsilon/K.

    It softens labels but mixes none, so accuracy on training images stays what it was, while
    their loss cannot reach zero. Evaluation keeps hard labels.

    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7.
    """

    idle: ClassVar[Mapping[str, float]] = {"epsilon": 0}

    # At 1 no class would be told from another.
    epsilon: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.1, description="share of the label that all classes get"
    )


STEPS: Mapping[str, type[StepModel]] = {
    "flip": Flip,
    "crop": Crop,
    "random-crop": RandomCrop,
    "random-resized-crop": RandomResizedCrop,
    "translation": Translation,
    "rotation": Rotation,
    "random-erasing": RandomErasing,
    "brightness": Brightness,
    "contrast": Contrast,
    "hue": Hue,
    "saturation": Saturation,
    "grayscale": Grayscale,
    "clip": Clip,
    "cutmix": CutMix,
    "mixup": MixUp,
    "cutmix-or-mixup": CutMixOrMixUp,
    "label-smoothing": LabelSmoothing,
}


@dataclass(frozen=True)
class Arm:
    """A named pipeline.

    Attributes:
        text: the pipeline it stands for; it may name other arms.
        description: whose it is, and what differs from a plain reading of its source.
    """

    text: str
    description: str


ARMS: Mapping[str, Arm] = {
    "none": Arm("", "No augmentation."),
    "notebook1-none": Arm("", "Notebook 1: no augmentation."),
    "notebook2-none": Arm("", "Notebook 2, arm 'none': no augmentation."),
    "notebook2-augmentation": Arm(
        "flip | brightness(0.2) | hue(0.2) | contrast(0.2, 0.5)",
        "Notebook 2, arm 'augmentation', in its order. Between brightness and hue it also cropped "
        "224 pixels out of 224, which does nothing and is left out. Its contrast is always cut to "
        "a half or less.",
    ),
    "notebook2-cutmix": Arm(
        "cutmix(partner=uniform)",
        "Notebook 2, arm 'CutMix': uniform λ and partner per image, one side for the square box, "
        "clipped at the border, on every image.",
    ),
    "notebook2-augmentation-cutmix": Arm(
        "notebook2-augmentation | notebook2-cutmix",
        "Notebook 2, arm 'augmentation + CutMix': each image augmented, then the batch mixed.",
    ),
    "notebook3-cutmix": Arm(
        "cutmix(box=independent, partner=uniform)",
        "Notebook 3, arm 'CutMix': as notebook 2's, but box width and height drawn independently, "
        "read as side·√(1-u) with a uniform u for each.",
    ),
    "notebook3-mixup": Arm(
        "mixup(alpha=1, partner=uniform)",
        "Notebook 3, arm 'MixUp': uniform weight and partner per image.",
    ),
    "notebook3-geometric": Arm(
        "flip",
        "Notebook 3, arm 'geometric'. Its crop of 224 pixels out of 224 does nothing and is left "
        "out; that it divided the pixels by 255 twice is not repeated.",
    ),
    "notebook3-colour": Arm(
        "contrast(0.2, 0.5) | hue(0.2) | brightness(0.2)",
        "Notebook 3, arm 'colour', in its order. That it divided the pixels by 255 twice is not "
        "repeated.",
    ),
    "notebook4-cutmix": Arm(
        "cutmix(partner=uniform)", "Notebook 4, CutMix: the same as notebook 2's."
    ),
    "notebook4-mixup": Arm(
        "mixup(alpha=1, partner=first-pair)",
        "Notebook 4, MixUp, with its mistake: one fixed pair is mixed for every image of the "
        "batch and one label returned for all. Read as: the batch's first two images, one uniform "
        "weight.",
    ),
    "notebook4-flip-brightness": Arm("flip | brightness(0.2)", "Notebook 4, basic augmentation."),
}


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter for a table.

    Attributes:
        name: as written in a pipeline.
        allowed: its values in words, such as ``a number from 0 to 1``.
        default: its default as written in a pipeline, or None where it must be given.
        description: what it does.
    """

    name: str
    allowed: str
    default: str | None
    description: str


@dataclass(frozen=True)
class StepInfo:
    """One step for a table: its name, what it does, where it comes from, its parameters."""

    name: str
    summary: str
    source: str
    parameters: tuple[ParameterInfo, ...]
    needs_colour: bool
    mixes_labels: bool


def parse_pipeline(text: str) -> list[dict[str, Any]]:
    """Resolve a pipeline string to its canonical plain form.

    Args:
        text: steps and named arms joined by ``|``; the empty string and ``none`` mean none. At
            most 1,000 characters, and 20 steps once arms are resolved.

    Returns:
        One dict a step, in order: ``{"step": name, parameter: value, ...}`` with every
        parameter present, in the order of its model; values are int, float or str, so that the
        list writes to JSON and equal pipelines give equal lists.

    Raises:
        InputError: the text is not text, too long or not a pipeline; a step or parameter is
            unknown, missing or given twice; a value is out of its range; several steps crop to
            the network's size. The message names the step, the parameter and what would be right.
    """
    if not isinstance(text, str):
        raise InputError(f"a pipeline is text such as 'flip | crop(4)', not {text!r}")
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"a pipeline has at most {MAX_CHARACTERS} characters, this one {len(text)}"
        )
    steps: list[dict[str, Any]] = []
    for call in _read_calls(text):
        if call.name in ARMS:
            if call.bracketed:
                raise InputError(
                    f"'{call.name}' is a named pipeline and takes no parameters; it stands for "
                    f"'{ARMS[call.name].text}'"
                )
            steps += parse_pipeline(ARMS[call.name].text)
        else:
            steps.append(_resolve(call))
    if len(steps) > MAX_STEPS:
        raise InputError(f"a pipeline has at most {MAX_STEPS} steps, this one {len(steps)}")
    cropping = [_format_step(step) for step in steps if _model(step["step"]).crops]
    if len(cropping) > 1:
        raise InputError(
            f"{' and '.join(cropping)} all cut out what the network sees, which can be done once; "
            "leave one of them"
        )
    return steps


def format_pipeline(steps: Iterable[Mapping[str, Any]]) -> str:
    """Write canonical steps as the shortest readable text that parses to them again.

    Parameters without a default come first, by place; others by name where they differ from
    their default. No steps give ``none``.

    Raises:
        InputError: a step is unknown or misses a parameter that has no default.
    """
    return " | ".join(_format_step(step) for step in steps) or "none"


def mixes_labels(steps: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a step mixes the labels of several images, so that targets are soft."""
    return any(_model(step["step"]).mixes_labels for step in steps)


def needs_colour(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the steps that only colour images can take, in order, each once."""
    names = [str(step["step"]) for step in steps if _model(step["step"]).needs_colour]
    return list(dict.fromkeys(names))


def crops(steps: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a step cuts what the network sees out of the stored images.

    Other pipelines are given the centre of the stored images.
    """
    return any(_model(step["step"]).crops for step in steps)


def changes_nothing(step: Mapping[str, Any]) -> bool:
    """Return whether a step's parameters are such that it leaves images and labels as they are."""
    idle = _model(step["step"]).idle
    return step.get("probability") == 0 or (
        bool(idle) and all(step[parameter] == value for parameter, value in idle.items())
    )


def check_channels(steps: Iterable[Mapping[str, Any]], channels: int) -> None:
    """Refuse steps that make no sense on images with this number of channels.

    Raises:
        InputError: a colour step meets images that do not have three channels; it names them.
    """
    names = needs_colour(steps)
    if not names or channels == 3:
        return
    listed = " and ".join(f"'{name}'" for name in names)
    verb = "works" if len(names) == 1 else "work"
    kind = (
        "grey images have neither hue nor saturation"
        if channels == 1
        else f"these images have {channels} channels, not red, green and blue"
    )
    raise InputError(f"{listed} {verb} on colour images only: {kind}; leave it out here")


def check_size(
    steps: Iterable[Mapping[str, Any]], size: Size | None, stored: Size | None = None
) -> None:
    """Refuse steps that make no sense on images of this size.

    Args:
        steps: canonical steps.
        size: height and width that the network sees, in pixels; None where they are not known.
        stored: height and width of the stored images; None where they are the network's.

    Raises:
        InputError: ``random-crop`` meets stored images that are not larger than the network's;
            or a crop pads as much as the image measures or more: it could miss the image, and a
            reflection does not reach so far.
    """
    steps = list(steps)
    larger = stored is not None and size is not None and tuple(stored) != tuple(size)
    here = (stored or size) if crops(steps) else size
    for step in steps:
        if _model(step["step"]).crops:
            here = size
        if step["step"] == "random-crop" and not larger:
            raise InputError(
                f"{_format_step(step)}: the crop would do nothing: give the data set a "
                "stored_size larger than its image_size"
            )
        if step["step"] == "crop" and here is not None and step["padding"] >= min(here):
            raise InputError(
                f"{_format_step(step)}: padding has to be smaller than the image, which is "
                f"{here[0]}×{here[1]} pixels; at most {min(here) - 1} here"
            )


def describe_steps() -> list[StepInfo]:
    """Return every step with its parameters, for documentation tables."""
    infos = []
    for name, model in STEPS.items():
        paragraphs = [
            " ".join(part.split()) for part in (inspect.getdoc(model) or "").split("\n\n")
        ]
        infos.append(
            StepInfo(
                name=name,
                summary=" ".join(part for part in paragraphs if not part.startswith("Source:")),
                source="".join(
                    part.removeprefix("Source:").strip()
                    for part in paragraphs
                    if part.startswith("Source:")
                ),
                parameters=tuple(
                    ParameterInfo(
                        name=parameter,
                        allowed=_allowed(model, parameter),
                        default=None if field.is_required() else _number(field.default),
                        description=field.description or "",
                    )
                    for parameter, field in model.model_fields.items()
                ),
                needs_colour=model.needs_colour,
                mixes_labels=model.mixes_labels,
            )
        )
    return infos


# Reading ------------------------------------------------------------------------------------

Value = int | float | str


class _Token(NamedTuple):
    kind: str  # number, word, mark or end
    text: str
    place: int  # from 1


class _Call(NamedTuple):
    text: str  # as written, shortened, for messages
    name: str
    bracketed: bool
    positional: list[Value]
    named: dict[str, Value]


_TOKEN = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[+-]?[A-Za-z][A-Za-z0-9_-]*)"  # a sign, so that -inf is refused as a value
    r"|(?P<mark>[|(),=])"
)


def _tokens(text: str) -> list[_Token]:
    tokens = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        match = _TOKEN.match(text, place)
        if match is None:
            raise InputError(
                f"{text[place]!r} at character {place + 1} of '{text}' has no place in a "
                "pipeline; write it like 'flip | crop(4) | cutmix(alpha=1)'"
            )
        tokens.append(_Token(str(match.lastgroup), match.group(), place + 1))
        place = match.end()
    tokens.append(_Token("end", "", len(text) + 1))
    return tokens


class _Reader:
    """Steps through the tokens of one pipeline."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.index = 0

    @property
    def here(self) -> _Token:
        return self.tokens[self.index]

    def take(self) -> _Token:
        token = self.here
        self.index += 1
        return token

    def accept(self, mark: str) -> bool:
        found = self.here.kind == "mark" and self.here.text == mark
        self.index += found
        return found

    def expected(self, what: str) -> InputError:
        found = f"'{self.here.text}'" if self.here.kind != "end" else "the end"
        return InputError(
            f"expected {what} but found {found} at character {self.here.place} of '{self.text}'"
        )


def _read_calls(text: str) -> list[_Call]:
    reader = _Reader(text)
    calls: list[_Call] = []
    if reader.here.kind == "end":
        return calls
    while True:
        calls.append(_read_call(reader))
        if reader.here.kind == "end":
            return calls
        if not reader.accept("|"):
            raise reader.expected("'|'" if calls[-1].bracketed else "'|' or '('")


def _read_call(reader: _Reader) -> _Call:
    start = reader.here.place - 1
    if reader.here.kind != "word":
        raise reader.expected("the name of a step")
    name = reader.take().text
    positional: list[Value] = []
    named: dict[str, Value] = {}
    bracketed = reader.accept("(")
    if bracketed and not reader.accept(")"):
        while True:
            _read_argument(reader, name, positional, named)
            if reader.accept(")"):
                break
            if not reader.accept(","):
                raise reader.expected("',' or ')'")
    last = reader.tokens[reader.index - 1]
    written = reader.text[start : last.place - 1 + len(last.text)]
    return _Call(_shorten(written), name, bracketed, positional, named)


def _shorten(text: str) -> str:
    """Keep a message readable where the text in it is not."""
    return text if len(text) <= 80 else f"{text[:60]} … {text[-10:]}"


def _read_argument(
    reader: _Reader, step: str, positional: list[Value], named: dict[str, Value]
) -> None:
    token = reader.here
    if token.kind not in ("number", "word"):
        raise reader.expected(f"a parameter of '{step}'")
    reader.take()
    if not reader.accept("="):
        if named:
            raise InputError(
                f"'{token.text}' at character {token.place} of '{reader.text}' needs a name: "
                "values by place come before those by name"
            )
        positional.append(_value(token))
        return
    if token.kind != "word":
        raise InputError(f"'{token.text}=' in '{reader.text}': a parameter's name is a word")
    if token.text in named:
        raise InputError(f"'{step}' is given '{token.text}' twice in '{reader.text}'")
    if reader.here.kind not in ("number", "word"):
        raise reader.expected(f"a value for '{token.text}'")
    named[token.text] = _value(reader.take())


def _value(token: _Token) -> Value:
    if token.kind == "word":
        return token.text
    if re.fullmatch(r"[+-]?[0-9]+", token.text):
        return int(token.text)
    return float(token.text) + 0.0  # -0.0 + 0.0 is 0.0: one way to write zero


# Resolving ----------------------------------------------------------------------------------


def _model(name: object) -> type[StepModel]:
    if name not in STEPS:
        raise InputError(f"unknown step '{name}'{nearest(name, [*STEPS, *ARMS])}")
    return STEPS[str(name)]


def _resolve(call: _Call) -> dict[str, Any]:
    model = _model(call.name)
    fields = list(model.model_fields)
    if len(call.positional) > len(fields):
        takes = ", ".join(fields) or "no parameters"
        raise InputError(f"{call.text}: more values than parameters; '{call.name}' takes {takes}")
    values: dict[str, Value] = dict(zip(fields, call.positional, strict=False))
    for name, value in call.named.items():
        if name not in fields:
            hint = nearest(name, fields) or "; it takes no parameters"
            raise InputError(f"{call.text}: '{call.name}' has no parameter '{name}'{hint}")
        if name in values:
            raise InputError(f"{call.text}: '{name}' is given twice, by place and by name")
        values[name] = value
    missing = [
        name
        for name, field in model.model_fields.items()
        if field.is_required() and name not in values
    ]
    if missing:
        raise InputError(
            f"{call.text}: '{call.name}' needs {missing[0]}, {_allowed(model, missing[0])}"
        )
    try:
        resolved = model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{call.text}: {_problem(model, values, error)}") from None
    return {"step": call.name, **resolved.model_dump()}


def _problem(model: type[StepModel], values: Mapping[str, Value], error: ValidationError) -> str:
    """Put the first problem that pydantic found in this module's words."""
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    name = str(first["loc"][0])
    value = values[name]
    message = f"{name} has to be {_allowed(model, name)}, not {_shorten(_number(value))}"
    choices = _schema(model, name).get("enum")
    return message + nearest(value, choices) if choices and isinstance(value, str) else message


def _schema(model: type[StepModel], parameter: str) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema()["properties"][parameter]
    return schema


def _allowed(model: type[StepModel], parameter: str) -> str:
    schema = _schema(model, parameter)
    if "enum" in schema:
        *others, last = schema["enum"]
        return f"{', '.join(others)} or {last}"
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    return f"{kind} from {_number(schema['minimum'])} to {_number(schema['maximum'])}"


def _number(value: Value) -> str:
    """Write a value as a pipeline does: 1.0 as ``1``."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _format_step(step: Mapping[str, Any]) -> str:
    name = str(step["step"])
    arguments = []
    for parameter, field in _model(name).model_fields.items():
        if field.is_required():
            if parameter not in step:
                raise InputError(f"step '{name}' needs {parameter}")
            arguments.append(_number(step[parameter]))
        elif step.get(parameter, field.default) != field.default:
            arguments.append(f"{parameter}={_number(step[parameter])}")
    return f"{name}({', '.join(arguments)})" if arguments else name

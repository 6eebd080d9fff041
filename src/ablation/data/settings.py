"""The settings of a prepared data set."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ablation.errors import shown_value
from ablation.strict import Strict, refusal

SOURCE_PATTERN = r"^[a-z][a-z0-9_]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)?(:[0-9]+\.[0-9]+\.[0-9]+)?$"
SIDES = (8, 4096)
"""Smallest and largest side of an image, in pixels."""


def _source_name(source: str) -> str:
    if not re.fullmatch(SOURCE_PATTERN, source):
        raise refusal(
            f"{shown_value(source)} is not a source: write name, name:version or "
            "name/config:version, where a name has lower-case letters, digits and '_'"
        )
    return source


def _both_sides(size: Any) -> Any:
    """Return (height, width) of a size given as one number or two."""
    if isinstance(size, int) and not isinstance(size, bool):
        return (size, size)
    if isinstance(size, list | tuple) and len(size) == 2:
        return tuple(size)
    raise refusal("must be a number of pixels or [height, width]")


_PIXELS = {"type": "integer", "minimum": SIDES[0], "maximum": SIDES[1]}
Pixels = Annotated[int, Field(ge=SIDES[0], le=SIDES[1])]
Size = Annotated[
    tuple[Pixels, Pixels],
    BeforeValidator(_both_sides),
    WithJsonSchema(
        {"anyOf": [_PIXELS, {"type": "array", "items": _PIXELS, "minItems": 2, "maxItems": 2}]}
    ),
]
Source = Annotated[
    str,
    Field(max_length=200, json_schema_extra={"pattern": SOURCE_PATTERN}),
    AfterValidator(_source_name),
]
Path = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]+$")]


class DataSettings(Strict):
    """The source of images and their preparation: all settings that decide the prepared data."""

    source: Source = Field(
        description="`mnist5k`, a TensorFlow Datasets name (`cifar10`, `cifar10:3.0.2` or "
        "`name/config:version`), or `image_folder` or `csv` for local images. Default: the name.",
    )
    path: Path | None = Field(
        default=None,
        description="Path of local images, relative to the working directory. For "
        "`image_folder`: a folder with one folder per class, or with such a folder for each of "
        "`train`, `validation` and `test`. For `csv`: a file with the columns path, label and, "
        "optionally, split.",
    )
    image_size: Size | None = Field(
        default=None,
        description="Input size of the network: side in pixels, or [height, width]. Default: the "
        "size of the images, which must be the same for all.",
    )
    stored_size: Size | None = Field(
        default=None,
        description="Size of the stored images, if larger than `image_size`. The steps "
        "`random_crop` and `random_resized_crop` cut `image_size` out at random; without them, "
        "and in evaluation, the centre is cut out. Default: `image_size`.",
    )
    resize: Literal["stretch", "crop", "pad"] = Field(
        default="stretch",
        description="How images are resized, bilinearly: `stretch` changes the aspect ratio, "
        "`crop` cuts out the centre, `pad` adds black borders.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1 converts images to greyscale, 3 to RGB. Default: the channels of the "
        "source; local images are greyscale if all of them are.",
    )
    held_out: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.1,
        description="Share of each class of the training split that is held out for validation. "
        "Not used with `validation: test`.",
    )
    test_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.2,
        description="Share of each class that becomes the test split if the source has none.",
    )
    limit: Annotated[int, Field(ge=10)] | None = Field(
        default=None,
        description="Maximum number of examples of the training and of the test split, each, "
        "stratified by class. For quick trials.",
    )
    train_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of each class of the training examples that is used for training. "
        "Validation and test splits do not change.",
    )
    unreadable: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="What to do if some local images cannot be read: `refuse` stops with an "
        "error, `skip` leaves them out and reports them.",
    )
    duplicates: Literal["keep", "drop"] = Field(
        default="keep",
        description="What to do with training and validation images that are identical to an "
        "image of a later split. They are reported in both cases.",
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.stored_size is not None:
            if self.image_size is None:
                raise refusal("stored_size needs image_size")
            pairs = zip(self.stored_size, self.image_size, strict=True)
            if any(stored < seen for stored, seen in pairs):
                raise refusal("stored_size must be at least image_size on both sides")
        return self

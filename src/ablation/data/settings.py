"""Everything that decides the content of a prepared data set."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

SOURCE_PATTERN = r"^[a-z][a-z0-9_]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)?(:[0-9]+\.[0-9]+\.[0-9]+)?$"
SIDES = (8, 4096)
"""Smallest and largest side of an image, in pixels."""


def _source_name(source: str) -> str:
    if not re.fullmatch(SOURCE_PATTERN, source):
        raise PydanticCustomError(
            "text",
            "{source} is not a source: write name, name:version or name/config:version, where a "
            "name has lower-case letters, digits and '_'",
            {"source": repr(source[:60])},
        )
    return source


def _both_sides(size: Any) -> Any:
    """Return (height, width) of a size that may be written as one number."""
    if isinstance(size, int) and not isinstance(size, bool):
        return (size, size)
    if isinstance(size, list | tuple) and len(size) == 2:
        return tuple(size)
    raise PydanticCustomError("text", "must be a number of pixels or [height, width]")


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


class DataSettings(BaseModel):
    """Where images come from and how they are prepared: all that decides the prepared data."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: Source = Field(
        description="`mnist5k`; a TensorFlow Datasets name, optionally with a version: "
        "`cifar10:3.0.2`, `name/config:version`; `image_folder` or `csv` for local images. "
        "Default: the name.",
    )
    path: Path | None = Field(
        default=None,
        description="Of `image_folder`: a folder with a folder of images for each class, or "
        "with such a folder for each of `train`, `validation` and `test`. Of `csv`: a file "
        "with the columns path, label and, if the splits are given, split. Relative to the "
        "working directory.",
    )
    image_size: Size | None = Field(
        default=None,
        description="What the network sees: side in pixels, or [height, width]. Default: the "
        "images' own size, which they must all share.",
    )
    stored_size: Size | None = Field(
        default=None,
        description="Larger size at which images are stored, for the steps `random-crop` and "
        "`random-resized-crop` to cut `image_size` out of; without them, and in evaluation, the "
        "centre is cut out. Default: `image_size`.",
    )
    resize: Literal["stretch", "crop", "pad"] = Field(
        default="stretch",
        description="How an image comes to its stored size: `stretch` changes its aspect ratio, "
        "`crop` fills and cuts the centre, `pad` fits and adds black borders. Bilinear.",
    )
    channels: Literal[1, 3] | None = Field(
        default=None,
        description="1 turns colour into grey, 3 repeats grey three times. Default: as the source "
        "has them; local images are grey if all of them are.",
    )
    held_out: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.1,
        description="Share of each class of the training split set aside for validation. With "
        "`validation: test` none is.",
    )
    test_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.2,
        description="Share of each class that becomes the test split where the source has none.",
    )
    limit: Annotated[int, Field(ge=10)] | None = Field(
        default=None,
        description="Use at most so many examples of the training and of the test split, "
        "stratified. For trying things out.",
    )
    train_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of each class of the training examples that is trained on, to ask "
        "what more data would do; validation and test stay the same.",
    )
    unreadable: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="What to do if some local images cannot be read. `skip` leaves them out and "
        "reports them.",
    )
    duplicates: Literal["keep", "drop"] = Field(
        default="keep",
        description="What to do with training and validation images that are in a later split as "
        "well, pixel by pixel. They are reported in any case.",
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.stored_size is not None:
            if self.image_size is None:
                raise PydanticCustomError("empty", "stored_size needs image_size")
            pairs = zip(self.stored_size, self.image_size, strict=True)
            if any(stored < seen for stored, seen in pairs):
                raise PydanticCustomError(
                    "order", "stored_size must be at least image_size on both sides"
                )
        return self

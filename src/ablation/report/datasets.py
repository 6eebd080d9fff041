"""What is told of the data sets: how their images were made, their classes, what checks found."""

from collections.abc import Mapping, Sequence
from typing import Any

from ablation.errors import visible
from ablation.report.model import (
    Block,
    Cell,
    Column,
    Items,
    Link,
    Linked,
    Numbering,
    Paragraph,
    Table,
)
from ablation.report.text import shape

Data = Mapping[str, Any]  # an entry of the provenance

NAMED = 5  # images that a check names; the others are counted
SHARED = "copies-between-splits"  # the kind of check that tells of images in more than one split
SEVERITIES = ("warning", "note")
RESIZED = {
    "stretch": "stretched, which changes the aspect ratio",
    "crop": "scaled until they cover the size, the centre cut out",
    "pad": "scaled until they fit, with black borders",
}


def each_once(data: Sequence[Data]) -> list[Data]:
    """Return what was prepared, each once, though runs may have used its splits in two ways."""
    found: dict[str, Data] = {}
    for one in data:
        found.setdefault(one["folder"], one)
    return list(found.values())


def seen_shape(one: Data) -> list[int]:
    """Return height, width and channels of what a network sees of a data set."""
    *_, height, width, channels = one["shape"]
    return [*(one["image_size"] or (height, width)), channels]


def told_shape(one: Data) -> str:
    """Tell the shape of a data set as it is stored, and what a network sees if that is less."""
    text, seen = shape(one["shape"]), seen_shape(one)
    return text if seen == one["shape"][-3:] else f"{text}, of which a network sees {shape(seen)}"


def images_table(data: Sequence[Data], numbering: Numbering) -> Table:
    """Tabulate how the images came to the form in which networks see them."""
    cut = any(seen_shape(one) != one["shape"][-3:] for one in data)
    return Table(
        id=numbering.anchor("image-table"),
        number=numbering.table(),
        caption="How the images were made.",
        columns=[
            Column("Data"),
            Column("Stored at"),
            Column("Seen by networks at"),
            Column("Brought to size", prose=True),
            Column("Channels", prose=True),
            Column("Conversions", prose=True),
        ],
        rows=[
            [
                Cell(one["dataset"]),
                Cell(shape(one["shape"][-3:-1])),
                Cell(shape(seen_shape(one)[:2])),
                Cell(RESIZED[one["resize"]] if one["image_size"] else "no: their own size"),
                Cell(_channels(one)),
                Cell(_conversions(one)),
            ]
            for one in data
        ],
        notes=[
            "What is stored larger is seen whole by the steps random-crop and random-resized-crop "
            "only, which cut out what a network sees; all other arms and every evaluation take "
            "the centre."
        ]
        * cut,
    )


def classes_table(data: Sequence[Data], numbering: Numbering) -> Table:
    """Tabulate the images and classes of each split, with its largest and smallest class."""
    more = any(one["train"] > one["balance"]["train"]["images"] for one in data)
    return Table(
        id=numbering.anchor("balance-table"),
        number=numbering.table(),
        caption="Images and classes of each split.",
        columns=[
            Column("Data"),
            Column("Split"),
            Column("Images", numeric=True),
            Column("Classes with images", numeric=True),
            Column("Largest class", prose=True),
            Column("Its images", numeric=True),
            Column("Smallest class", prose=True),
            Column("Its images", numeric=True),
        ],
        rows=[
            [
                Cell(one["dataset"]),
                Cell(split),
                Cell(f"{found['images']:,}", found["images"]),
                Cell(f"{found['classes']:,}", found["classes"]),
                *(
                    cell
                    for end in ("largest", "smallest")
                    for cell in (
                        Cell(visible(found[end]["class"])),
                        Cell(f"{found[end]['images']:,}", found[end]["images"]),
                    )
                ),
            ]
            for one in each_once(data)
            for split, found in one["balance"].items()
        ],
        headers=2,
        notes=[
            "Of classes of the same size, the first is named.",
            *["Where the test split validates, the validation images are trained on as well."]
            * more,
        ],
    )


def checks_blocks(one: Data) -> list[Block]:
    """Tell what the checks of a data set found, warnings first."""
    if not one["checked"]:
        return [Paragraph("It was prepared before there were checks.")]
    if not one["checks"]:
        return [Paragraph("Its images and labels were checked; nothing was found.")]
    ordered = sorted(one["checks"], key=lambda check: SEVERITIES.index(check["severity"]))
    return [Items([Linked(told_check(check)) for check in ordered])]


def told_check(check: Data) -> str:
    """Tell what a check found, with some of the images that it is about.

    Names are foreign text and stand as they are but for characters that cannot be seen.
    """
    severity = "Warning: " if check["severity"] == "warning" else ""
    text = f"{severity}{visible(check['text'])}"
    named = [f"‘{visible(name)}’" for name in check["items"][:NAMED]]
    rest = check["count"] - len(named)
    if named:
        more = f" and {rest:,} more" if rest else ""
        text = f"{text.rstrip('.')} ({', '.join(named)}{more})."
    return text


def shared_images(one: Data, where: Link) -> Paragraph | None:
    """Warn of images that are in more than one split of a data set; None if there are none.

    Args:
        one: the data set.
        where: where its checks are told.
    """
    found = [
        visible(check["text"])
        for check in one["checks"]
        if check["kind"] == SHARED and check["severity"] == "warning"
    ]
    if not found:
        return None
    return Paragraph(
        f"Splits of {one['dataset']} share images, and test (or validation) accuracy on such "
        f"images is optimistic: {' '.join(found)}",
        "warning",
        [where],
    )


def _channels(one: Data) -> str:
    channels = one["shape"][-1]
    if one["channels"] is None:
        return f"{channels}, as the source has them"
    return f"{channels}, as the study asks for"


def _conversions(one: Data) -> str:
    told = [
        f"{visible(text).rstrip('.')}: {number:,} {'image' if number == 1 else 'images'}"
        for text, number in one["conversions"].items()
    ]
    return "; ".join(told) or "none"

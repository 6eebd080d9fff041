"""Issues of a data set: copies of images, small classes, files left out."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from ablation.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_ITEMS = 20
FEW_IMAGES = 10
"""A class with fewer training images is reported."""
IMBALANCE = 10
"""A ratio of the largest to the smallest class above this is reported."""

# Copies are dropped from earlier splits.
_ORDER = ("train", "validation", "test")
_IMAGES = {"train": "training", "validation": "validation", "test": "test"}

Severity = Literal["warning", "note"]


class DataIssue(TypedDict):
    """An issue of a data set, as stored in ``description.json``.

    Keys:
        kind: ``copies-between-splits``, ``copies-of-other-class``, ``copies-in-split``,
            ``dropped``, ``few-images``, ``imbalance``, ``left-out`` or ``unreadable``.
        severity: ``warning`` for what can bias results, ``note`` for the rest.
        text: a sentence.
        items: names of the images or classes concerned, at most `MAX_ITEMS`.
        count: number of all items.
    """

    kind: str
    severity: Severity
    text: str
    items: list[str]
    count: int


def issue(kind: str, severity: Severity, text: str, items: Sequence[str]) -> DataIssue:
    """Return an issue with the first of its items."""
    return DataIssue(
        kind=kind,
        severity=severity,
        text=text,
        items=list(items[:MAX_ITEMS]),
        count=len(items),
    )


def counted(count: int, what: str) -> str:
    """Return a number with its noun, such as ``1 image`` or ``1,200 images``."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def copies_to_drop(examples: "DataFrame") -> np.ndarray:
    """Return which training and validation images are also in a later split.

    Args:
        examples: with the columns split and digest (equal for images with the same pixels).

    Returns:
        bool [examples].
    """
    drop = np.zeros(len(examples), dtype=bool)
    for earlier, later in combinations(_ORDER, 2):
        ahead = examples.loc[examples["split"] == later, "digest"]
        drop |= ((examples["split"] == earlier) & examples["digest"].isin(ahead)).to_numpy()
    return drop


def dropped(examples: "DataFrame") -> list[DataIssue]:
    """Return the issues for images that were dropped because they are in a later split.

    Args:
        examples: the dropped examples, with the columns name and split.
    """
    return [
        issue(
            "dropped",
            "note",
            f"{counted(len(some), f'{_IMAGES[split]} image')} left out: the same pixels are in "
            "a later split as well.",
            some["name"].tolist(),
        )
        for split in _ORDER
        if len(some := examples[examples["split"] == split])
    ]


def find_issues(examples: "DataFrame", class_names: Sequence[str]) -> list[DataIssue]:
    """Find copies of images, small classes and imbalance.

    Args:
        examples: with the columns name, split (``train``, ``validation``, ``test``), label, and
            digest (equal for images with the same pixels).
        class_names: name of each class.
    """
    return [
        *_copies_between_splits(examples),
        *_copies_of_other_class(examples, class_names),
        *_copies_in_split(examples),
        *_small_classes(examples, class_names),
    ]


def refuse_empty_splits(examples: "DataFrame", splits: Sequence[str], source: str) -> None:
    """Check that no split is empty.

    Args:
        examples: with the column split.
        splits: the splits to check.
        source: name of the source, for the message.

    Raises:
        InputError: a split is empty.
    """
    for split in splits:
        if not (examples["split"] == split).any():
            raise InputError(
                f"'{source}': the {split} split is empty (copies may have been dropped)"
            )


def refuse_missing_classes(examples: "DataFrame", class_names: Sequence[str], source: str) -> None:
    """Check that the training split has images of all classes of the other splits.

    Args:
        examples: with the columns split and label.
        class_names: name of each class.
        source: name of the source, for the message.

    Raises:
        InputError: a class has no training images; the message names the first five.
    """
    trained = examples.loc[examples["split"] == "train", "label"]
    for split in ("test", "validation"):
        present = examples.loc[examples["split"] == split, "label"].drop_duplicates().sort_values()
        missing = [class_names[label] for label in present if label not in set(trained)]
        if missing:
            raise InputError(
                f"'{source}': {_listed(missing)}: the {split} split has images of "
                f"{'this class' if len(missing) == 1 else 'these classes'}, the training split "
                "has none"
            )


def summary_lines(description: Mapping[str, Any]) -> list[str]:
    """Return a summary of a prepared data set, in lines.

    Args:
        description: as `ablation.data.prepare.prepare` returns it.
    """
    counts = {split: sum(numbers) for split, numbers in description["counts"].items()}
    shape = "×".join(map(str, description["shape"][1:]))
    lines = [
        f"{description['source']}: {counted(len(description['class_names']), 'class')}, images of "
        f"{shape}; " + ", ".join(f"{counts[split]:,} {_IMAGES[split]}" for split in _ORDER)
    ]
    lines += [f"{text}: {count:,}" for text, count in description.get("conversions", {}).items()]
    for one in description.get("checks", []):
        lines.append(f"{one['severity']}: {one['text']}")
        lines += [f"  {item}" for item in one["items"]]
        if one["count"] > len(one["items"]):
            lines.append(f"  and {one['count'] - len(one['items']):,} more")
    if not description.get("checks"):
        lines.append("no issues found")
    return lines


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


def _repeated(examples: "DataFrame") -> "DataFrame":
    return examples[examples["digest"].duplicated(keep=False)]


def _copies_between_splits(examples: "DataFrame") -> list[DataIssue]:
    repeated, found = _repeated(examples), []
    for earlier, later in combinations(_ORDER, 2):
        originals = repeated[repeated["split"] == later].drop_duplicates("digest")
        named = dict(zip(originals["digest"], originals["name"], strict=True))
        copies = repeated[(repeated["split"] == earlier) & repeated["digest"].isin(list(named))]
        if len(copies):
            found.append(
                issue(
                    "copies-between-splits",
                    "warning",
                    f"{counted(len(copies), f'{_IMAGES[earlier]} image')} with the same pixels "
                    f"as {_IMAGES[later]} images; duplicates: drop leaves them out.",
                    [
                        f"{name} = {named[digest]}"
                        for name, digest in zip(copies["name"], copies["digest"], strict=True)
                    ],
                )
            )
    return found


def _copies_of_other_class(examples: "DataFrame", class_names: Sequence[str]) -> list[DataIssue]:
    repeated = _repeated(examples)
    labels = repeated.groupby("digest", sort=False)["label"].transform("nunique")
    mixed = repeated[labels > 1].sort_values("digest", kind="stable")
    if mixed.empty:
        return []
    return [
        issue(
            "copies-of-other-class",
            "warning",
            f"{counted(len(mixed), 'image')} with the same pixels as an image of another class.",
            [
                f"{name} ({class_names[label]})"
                for name, label in zip(mixed["name"], mixed["label"], strict=True)
            ],
        )
    ]


def _copies_in_split(examples: "DataFrame") -> list[DataIssue]:
    found = []
    for split in _ORDER:
        members = _repeated(examples[examples["split"] == split])
        copies = members[members["digest"].duplicated()]
        first = members.drop_duplicates("digest")
        named = dict(zip(first["digest"], first["name"], strict=True))
        if len(copies):
            found.append(
                issue(
                    "copies-in-split",
                    "note",
                    f"{counted(len(copies), f'{_IMAGES[split]} image')} with the same pixels as "
                    "another one of that split.",
                    [
                        f"{name} = {named[digest]}"
                        for name, digest in zip(copies["name"], copies["digest"], strict=True)
                    ],
                )
            )
    return found


def _small_classes(examples: "DataFrame", class_names: Sequence[str]) -> list[DataIssue]:
    labels = examples.loc[examples["split"] == "train", "label"].to_numpy()
    counts = np.bincount(labels, minlength=len(class_names))
    found = []
    few = np.flatnonzero(counts < FEW_IMAGES).tolist()
    if few:
        found.append(
            issue(
                "few-images",
                "warning",
                f"{counted(len(few), 'class')} with fewer than {FEW_IMAGES} training images.",
                [f"{class_names[label]}: {counts[label]}" for label in few],
            )
        )
    present = np.flatnonzero(counts)
    smallest, largest = (int(present[of(counts[present])]) for of in (np.argmin, np.argmax))
    if counts[largest] > IMBALANCE * counts[smallest]:
        names = [f"{class_names[label]}: {counts[label]:,}" for label in (largest, smallest)]
        found.append(
            issue(
                "imbalance",
                "warning",
                f"The largest class has {counts[largest] / counts[smallest]:.0f} times as many "
                "training images as the smallest.",
                names,
            )
        )
    return found

"""Local image files: formats, and lists of files."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from ablation.errors import InputError

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2",),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm"),
}
"""The supported image formats, by Pillow's name, with the suffixes of their files."""

PART_NAMES = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""The names of the parts in folders and tables."""


@dataclass(frozen=True)
class ImageFile:
    """A labelled image file.

    Attributes:
        part: ``train``, ``validation`` or ``test``.
        name: the example's name in reports.
        class_name: name of its class.
        file: the file.
    """

    part: str
    name: str
    class_name: str
    file: Path


def is_image(file: Path) -> bool:
    """Return whether a file has the suffix of an image."""
    return any(file.suffix.lower() in endings for endings in FORMATS.values())


def files_below(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return the files of a folder, with or without those of its subfolders, sorted.

    Hidden files are left out. Links are followed, except to parent folders. Broken links count as
    files; pipes, sockets and devices do not, because reading them may never end.

    Raises:
        InputError: a folder cannot be read.
    """
    found: list[Path] = []

    def walk(place: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above:
            return
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            raise InputError(f"{place}: cannot be read: {error.strerror}") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                mode = entry.stat().st_mode
            except OSError:  # reported when the images are read
                found.append(entry)
                continue
            if S_ISDIR(mode):
                if deep:
                    walk(entry, above | {real})
            elif S_ISREG(mode):
                found.append(entry)

    walk(folder, frozenset(map(os.path.realpath, folder.absolute().parents)))
    return found


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return names in quotes, sorted; at most the first ``most``."""
    known = sorted(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(f"'{name}'" for name in known[:most]) + more

"""Image files on this machine: which there are, and what their names say."""

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
"""The image formats that are read, as Pillow names them, and the endings of their files' names."""

PART_NAMES = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""The names that the parts may have in folders and tables."""


@dataclass(frozen=True)
class ImageFile:
    """A labelled image file.

    Attributes:
        part: ``train``, ``validation`` or ``test``.
        name: the example's name in reports.
        class_name: name of its class.
        file: where it is.
    """

    part: str
    name: str
    class_name: str
    file: Path


def is_image(file: Path) -> bool:
    """Return whether a file is an image by its name."""
    return any(file.suffix.lower() in endings for endings in FORMATS.values())


def files_below(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return all files in a folder, or anywhere below it, except the hidden ones, sorted.

    Links are followed, also those of folders, unless they lead back to a folder above. A link
    that leads nowhere counts as a file; pipes, sockets and devices do not, as reading those may
    never end.

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
    """Return names in quotes, sorted, of many only the first."""
    known = sorted(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(f"'{name}'" for name in known[:most]) + more

"""Room on the disk, looked at before anything large is written."""

import shutil
from pathlib import Path

from ablation.errors import InputError

DOWNLOAD_FACTOR = 3
"""A download needs about so many times its size: fetched, unpacked, and stored by TFDS."""


def gigabytes(size: int) -> str:
    """Tell a number of bytes in GB (10⁹ bytes)."""
    return f"{size / 1e9:.2f} GB"


def nearest_folder(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(place for place in [folder, *folder.absolute().parents] if place.is_dir())


def require_room(folder: Path, size: int, what: str, way_out: str) -> None:
    """Refuse to write what does not fit.

    Args:
        folder: where it would go; need not exist yet.
        size: bytes that it takes.
        what: what it is, for the message.
        way_out: what the user can do, for the message.

    Raises:
        InputError: the disk has less room.
    """
    free = shutil.disk_usage(nearest_folder(folder)).free
    if size > free:
        raise InputError(
            f"{folder}: no room for {what}: {gigabytes(size)} are needed and {gigabytes(free)} "
            f"are free; {way_out}"
        )

"""Checks of disk space before large files are written."""

import shutil
from pathlib import Path

from ablation.errors import InputError

DOWNLOAD_FACTOR = 3
"""Disk space of a download as a multiple of its size: downloaded, unpacked, stored by TFDS."""


def gigabytes(size: int) -> str:
    """Return a number of bytes as text, in GB (10⁹ bytes)."""
    return f"{size / 1e9:.2f} GB"


def existing_folder(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(place for place in [folder, *folder.absolute().parents] if place.is_dir())


def require_disk_space(folder: Path, size: int, what: str, advice: str) -> None:
    """Check that the disk has enough free space.

    Args:
        folder: output folder; may be missing.
        size: bytes needed.
        what: name of the data, for the message.
        advice: what the user can do, for the message.

    Raises:
        InputError: the free space is not enough.
    """
    free = shutil.disk_usage(existing_folder(folder)).free
    if size > free:
        raise InputError(
            f"{folder}: not enough disk space for {what}: {gigabytes(size)} are needed and "
            f"{gigabytes(free)} are free; {advice}"
        )

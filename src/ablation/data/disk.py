"""Disk space, checked before anything large is written."""

import shutil
from pathlib import Path

from ablation.errors import InputError

DOWNLOAD_FACTOR = 3
"""A download needs about so many times its size: downloaded, unpacked, and stored by TFDS."""


def gigabytes(size: int) -> str:
    """Return a number of bytes in GB (10⁹ bytes)."""
    return f"{size / 1e9:.2f} GB"


def existing_folder(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(place for place in [folder, *folder.absolute().parents] if place.is_dir())


def require_disk_space(folder: Path, size: int, what: str, advice: str) -> None:
    """Refuse to write what does not fit on the disk.

    Args:
        folder: where it is written; need not exist yet.
        size: bytes that it takes.
        what: what it is, for the message.
        advice: what the user can do, for the message.

    Raises:
        InputError: the disk has less free space.
    """
    free = shutil.disk_usage(existing_folder(folder)).free
    if size > free:
        raise InputError(
            f"{folder}: not enough disk space for {what}: {gigabytes(size)} are needed and "
            f"{gigabytes(free)} are free; {advice}"
        )

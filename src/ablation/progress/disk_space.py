"""The disk space that the data sets of a study still need."""

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablation.data.disk import DOWNLOAD_FACTOR, existing_folder, gigabytes
from ablation.data.expected import expected_shape, known_of
from ablation.data.sources.tfds import data_dir
from ablation.progress.terminal import Part, table
from ablation.study.grid import PreparedData

NOT_KNOWN = "unknown"


@dataclass(frozen=True)
class Need:
    """Disk space that a data set still needs.

    Attributes:
        dataset: its label.
        source: its source.
        download: bytes to download; None if unknown.
        prepared: maximum size of the prepared images in bytes; None if unknown.
    """

    dataset: str
    source: str
    download: int | None
    prepared: int | None


def needs(data: Iterable[PreparedData]) -> list[Need]:
    """Return the needs of the data sets that are not prepared."""
    return [_need(one) for one in data if not (Path(one.folder) / "description.json").is_file()]


def _need(data: PreparedData) -> Need:
    known, shape = known_of(data.settings), expected_shape(data.settings)
    return Need(
        data.dataset,
        data.settings.source,
        None if known is None else known.download,
        None if None in shape else math.prod(side or 0 for side in shape),
    )


def disk_space_parts(wanted: list[Need], results: Path) -> list[Part]:
    """Show needed and free disk space; nothing if nothing is needed.

    Args:
        wanted: what is needed.
        results: the folder of results.
    """
    if not wanted:
        return []
    rows = [[one.dataset, _shown(one.download), _shown(one.prepared)] for one in wanted]
    parts: list[Part] = [table(["data set", "to download", "prepared"], rows, right=[1, 2])]
    downloads = {one.source: one.download or 0 for one in wanted}
    downloading = DOWNLOAD_FACTOR * sum(downloads.values())
    storing = sum(one.prepared or 0 for one in wanted)
    places: dict[int, tuple[Path, int]] = {}
    for folder, size in ((data_dir(), downloading), (results, storing)):
        if size:
            disk = existing_folder(folder).stat().st_dev
            first, before = places.get(disk, (folder, 0))
            places[disk] = (first, before + size)
    for folder, size in places.values():
        free = shutil.disk_usage(existing_folder(folder)).free
        short = "" if size <= free else "WARNING: not enough disk space. "
        parts.append(
            f"{short}Disk of {folder}: {gigabytes(size)} are needed (downloads count "
            f"{DOWNLOAD_FACTOR} times: downloaded, unpacked, stored), {gigabytes(free)} are free."
        )
    if any(None in (one.download, one.prepared) for one in wanted):
        parts.append("Unknown sizes are not counted.")
    return parts


def _shown(size: int | None) -> str:
    return NOT_KNOWN if size is None else "-" if not size else gigabytes(size)

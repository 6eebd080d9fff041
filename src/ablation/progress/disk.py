"""The disk space that the data sets of a study still need, without fetching anything."""

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablation.data.disk import DOWNLOAD_FACTOR, gigabytes, nearest_folder
from ablation.progress.terminal import Part, table
from ablation.study.grid import PreparedData
from ablation.study.own_images import files_below, is_image, read_csv
from ablation.study.schema import OWN_IMAGES
from ablation.study.sources import data_dir, images_prepared, is_stored, known

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Need:
    """What one data set still needs.

    Attributes:
        dataset: its label.
        source: where it comes from.
        download: bytes to fetch; None if not known.
        prepared: bytes of the prepared images, at most; None if not known.
    """

    dataset: str
    source: str
    download: int | None
    prepared: int | None


def needs(data: Iterable[PreparedData]) -> list[Need]:
    """Return what the data sets that are not prepared yet need."""
    return [
        Need(one.dataset, one.settings["source"], _download(one), _prepared(one))
        for one in data
        if not (Path(one.folder) / "description.json").is_file()
    ]


def disk_parts(wanted: list[Need]) -> list[Part]:
    """Show the needs, what is free, and whether it is enough; nothing if nothing is needed."""
    if not wanted:
        return []
    rows = [[one.dataset, _size(one.download), _size(one.prepared)] for one in wanted]
    parts: list[Part] = [table(["data set", "to download", "prepared"], rows, right=[1, 2])]
    downloads = {one.source: one.download or 0 for one in wanted}
    fetching = DOWNLOAD_FACTOR * sum(downloads.values())
    storing = sum(one.prepared or 0 for one in wanted)
    places: dict[int, tuple[Path, int]] = {}
    for folder, size in ((data_dir(None), fetching), (Path("results"), storing)):
        if size:
            disk = nearest_folder(folder).stat().st_dev
            first, before = places.get(disk, (folder, 0))
            places[disk] = (first, before + size)
    for folder, size in places.values():
        free = shutil.disk_usage(nearest_folder(folder)).free
        short = "" if size <= free else "WARNING: it will not fit. "
        parts.append(
            f"{short}Disk of {folder}: {gigabytes(size)} are needed (downloads count "
            f"{DOWNLOAD_FACTOR} times: fetched, unpacked, stored), {gigabytes(free)} are free."
        )
    if any(None in (one.download, one.prepared) for one in wanted):
        parts.append("What is not known is not counted.")
    return parts


def _size(size: int | None) -> str:
    return NOT_KNOWN if size is None else "-" if not size else gigabytes(size)


def _download(data: PreparedData) -> int | None:
    source = data.settings["source"]
    if source in OWN_IMAGES or is_stored(source, None):
        return 0
    of_source = known(source)
    return of_source.download if of_source else None


def _prepared(data: PreparedData) -> int | None:
    settings, of_source = data.settings, known(data.settings["source"])
    own = settings["source"] in OWN_IMAGES
    images = _files(settings["source"], Path(settings["path"])) if own else None
    if of_source is not None:
        images = of_source.images
    size = settings["stored_size"] or settings["image_size"] or (of_source and of_source.shape[:2])
    if images is None or not size or None in size:
        return None
    images = images_prepared(settings, images, of_source.test if of_source else 0)
    # A user's own images may be grey; then a third of this is needed.
    channels = settings["channels"] or (of_source.shape[2] if of_source else 3)
    return images * math.prod(size) * channels


def _files(source: str, path: Path) -> int:
    """How many images a user's own data set has, at most."""
    if source == "csv":
        return sum(1 for _ in read_csv(str(path)))
    return sum(map(is_image, files_below(path)))

"""Images of the user's own: which files there are, and whether they have changed."""

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from ablation.errors import InputError, nearest
from ablation.storage import is_sealed, sealed, writing

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
"""The image formats that are read, as Pillow names them, and how names of their files end."""

CACHE = Path("results/data/.own-images.json")


def is_image(file: Path) -> bool:
    """Tell by its name whether a file is an image."""
    return any(file.suffix.lower() in extensions for extensions in FORMATS.values())


def files_below(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return all files in a folder, or anywhere below it, but the hidden ones, sorted.

    Links are followed, also those of folders; one that leads back to a folder above is not. One
    that leads nowhere counts as a file; pipes, sockets and devices do not, as reading those may
    never end.

    Raises:
        InputError: a folder cannot be looked into.
    """
    found: list[Path] = []

    def walk(place: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above:
            return
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            raise InputError(f"{place}: cannot be looked into: {error.strerror}") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                mode = entry.stat().st_mode
            except OSError:  # told when the images are read
                found.append(entry)
                continue
            if S_ISDIR(mode):
                if deep:
                    walk(entry, above | {real})
            elif S_ISREG(mode):
                found.append(entry)

    walk(folder, frozenset(map(os.path.realpath, folder.absolute().parents)))
    return found


def read_csv(path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and the values of path, label and split (if there) of each row.

    Raises:
        InputError: the file cannot be read, or a column or value is missing.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            columns = [name.strip() for name in next(reader, [])]
            for wanted in ("path", "label"):
                if wanted not in columns:
                    raise InputError(
                        f"{path}:1: there is no column '{wanted}'{nearest(wanted, columns)}"
                    )
            for name in ("path", "label", "split"):
                if columns.count(name) > 1:
                    raise InputError(f"{path}:1: there are {columns.count(name)} columns '{name}'")
            for values in reader:
                if not values:
                    continue
                if len(values) != len(columns):
                    raise InputError(
                        f"{path}:{reader.line_num}: expected {len(columns)} values, one a column, "
                        f"but found {len(values)}"
                    )
                row = dict(zip(columns, map(str.strip, values), strict=True))
                if "\0" in row["path"]:
                    raise InputError(f"{path}:{reader.line_num}: path holds a NUL character")
                yield (
                    reader.line_num,
                    {name: row[name] for name in ("path", "label", "split") if name in row},
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8: {error}") from None


def files_digest(settings: dict[str, Any], cache: Path = CACHE) -> str:
    """Return a hash that changes when the content of a user's own images does.

    Files are read once; later, those whose size, times and place on the disk are as before are not
    read again.

    Args:
        settings: of a prepared data set.
        cache: a file that remembers what was read.

    Returns:
        Of a folder the hash of path and content of every image file in it; of a CSV file that of
        path, label, split and content of the images that it names, in any order. Empty for other
        sources.

    Raises:
        InputError: the folder or the CSV file cannot be read, or the cache not be written.
    """
    source, path = settings["source"], settings["path"]
    images: list[tuple[tuple[Any, ...], Path]]
    if source == "image_folder":
        root = Path(path)
        found = [file for file in files_below(root) if is_image(file)]
        images = [((os.path.relpath(file, root),), file) for file in found]
    elif source == "csv":
        rows = [row for _, row in read_csv(path)]
        images = [(tuple(row.items()), Path(path).parent / row["path"]) for row in rows]
    else:
        return ""
    known = _remembered(cache)
    digest, changed = hashlib.sha256(), False
    for example, file in sorted(images):
        try:
            status = file.stat()
            if not S_ISREG(status.st_mode):  # a pipe, say, whose reading may never end
                continue
            # A file that takes another's place keeps its size and time of change.
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            key = str(file.absolute())
            if key not in known or known[key][:-1] != state:
                with file.open("rb") as stream:
                    known[key] = [*state, hashlib.file_digest(stream, "sha256").hexdigest()]
                changed = True
        except OSError:  # what is missing is told when the data is prepared
            continue
        digest.update(repr((example, known[key][-1])).encode("utf-8", "backslashreplace"))
    if changed:
        part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
        with writing(cache):
            cache.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_text(json.dumps(sealed({"files": known})))
                part.replace(cache)
            finally:
                part.unlink(missing_ok=True)
    return digest.hexdigest()[:16]


def _remembered(cache: Path) -> dict[str, Any]:
    """What a cache remembers of files; nothing if it is not there, or damaged."""
    try:
        record = json.loads(cache.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(record, dict) and is_sealed(record)
    files: dict[str, Any] = record["files"] if whole else {}
    return files

"""Images of the user's own: which files there are, and whether they have changed."""

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablation.errors import InputError, nearest

EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jp2"),
        *(".png", ".gif", ".bmp", ".webp", ".avif", ".tif", ".tiff"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
    }
)
"""Names of image files end so, in small or capital letters."""

CACHE = Path("results/data/.own-images.json")


def is_image(file: Path) -> bool:
    """Tell by its name whether a file is an image."""
    return file.suffix.lower() in EXTENSIONS


def files_below(folder: Path, *, deep: bool = True) -> list[Path]:
    """Return all files in a folder, or anywhere below it, but the hidden ones, sorted.

    Links are followed, also those of folders; one that leads back to a folder above is not.
    """
    found: list[Path] = []

    def walk(place: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above:
            return
        for entry in sorted(place.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if deep:
                    walk(entry, above | {real})
            else:
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

    Files are read once; later, those whose size and time are as before are not read again.

    Args:
        settings: of a prepared data set.
        cache: a file that remembers what was read.

    Returns:
        Of a folder the hash of path and content of every image file in it; of a CSV file that of
        its bytes and of the content of the files that it names. Empty for other sources.

    Raises:
        InputError: the CSV file cannot be read.
    """
    source, path = settings["source"], settings["path"]
    if source == "image_folder":
        root, content = Path(path), b""
        files = [file for file in files_below(root) if is_image(file)]
    elif source == "csv":
        root, content = Path(path).parent, Path(path).read_bytes()
        files = [root / row["path"] for _, row in read_csv(path)]
    else:
        return ""
    known = json.loads(cache.read_text()) if cache.is_file() else {}
    digest, changed = hashlib.sha256(content), False
    for file in sorted(files):
        try:
            status = file.stat()
            key, state = str(file.absolute()), [status.st_size, status.st_mtime_ns]
            if key not in known or known[key][:2] != state:
                with file.open("rb") as stream:
                    known[key] = [*state, hashlib.file_digest(stream, "sha256").hexdigest()]
                changed = True
        except OSError:  # what is missing is told when the data is prepared
            continue
        name = os.path.relpath(file, root)
        digest.update(repr((name, known[key][2])).encode("utf-8", "backslashreplace"))
    if changed:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
        part.write_text(json.dumps(known))
        part.replace(cache)
    return digest.hexdigest()[:16]

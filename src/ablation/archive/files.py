"""The files of an archive, their hashes, and the zip file that holds them.

An archive has the layout of a checkout: ``results/``, ``reports/``, ``config/``, ``workflow/``. Its
zip file is a function of its files: sorted, uncompressed, with fixed times and permissions. So any
changed byte outside the files shows when the zip file is made again.
"""

import filecmp
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from ablation.errors import InputError
from ablation.storage import file_sha256

FORMAT = 1
ABOUT = "archive.json"
METADATA = "ro-crate-metadata.json"
SUMS = "SHA256SUMS"
GRAPH = "rulegraph.dot"
MAIN = "workflow/Snakefile"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip file
_REGULAR_FILE = 0o100644 << 16


def names(tree: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted."""
    return sorted(file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file())


def sums(tree: Path) -> str:
    """Return the content of ``SHA256SUMS``, as ``sha256sum`` writes it: all files but itself."""
    listed = (name for name in names(tree) if name != SUMS)
    return "".join(f"{file_sha256(tree / name)}  {name}\n" for name in listed)


def pack(tree: Path, file: Path) -> None:
    """Write the zip file of a folder. The same files give the same bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for name in names(tree):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _REGULAR_FILE
            packed.writestr(entry, (tree / name).read_bytes())


def unpack(file: Path, tree: Path) -> list[str]:
    """Unpack a zip file into a new folder.

    Returns:
        A line for each file that cannot be unpacked, and one if the zip file differs from what
        `pack` writes.

    Raises:
        InputError: it cannot be read as a zip file.
    """
    tree.mkdir(parents=True)
    found = []
    try:
        with zipfile.ZipFile(file) as packed:
            for entry in packed.infolist():
                place = PurePosixPath(entry.filename)
                if place.is_absolute() or ".." in place.parts or (tree / place).exists():
                    found.append(f"{entry.filename}: is not a name that an archive contains")
                    continue
                try:
                    packed.extract(entry, tree)
                except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, zlib.error) as error:
                    (tree / place).unlink(missing_ok=True)
                    found.append(f"{entry.filename}: cannot be unpacked ({error})")
    except (OSError, NotImplementedError, UnicodeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file}: cannot be read as an archive ({error})") from None
    if not found:
        with TemporaryDirectory(prefix="ablation-") as place:
            again = Path(place, file.name)
            pack(tree, again)
            if not filecmp.cmp(file, again, shallow=False):
                found.append(f"{file.name}: was packed again, or changed outside its files")
    return found


def check_hashes(tree: Path) -> list[str]:
    """Compare all files of an archive with both lists of hashes.

    Returns:
        A line for each file that is changed, missing or not listed.
    """
    found = []
    present = {name: file_sha256(tree / name) for name in names(tree)}
    try:
        lines = (tree / SUMS).read_text(encoding="utf-8").splitlines()
        listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    except (OSError, UnicodeError) as error:
        return [f"{SUMS}: cannot be read ({error})"]
    of_files = {name: sha256 for name, sha256 in present.items() if name != SUMS}
    found += _differences(listed, of_files, SUMS)
    if not found and (tree / SUMS).read_bytes() != sums(tree).encode():
        found.append(f"{SUMS}: is not written as an archive has it")
    try:
        described = dict(_described(tree))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return [*found, f"{METADATA}: cannot be read ({error!r})"]
    sizes = {
        name: (sha256, str((tree / name).stat().st_size))
        for name, sha256 in present.items()
        if name not in (SUMS, METADATA)
    }
    return [*found, *_differences(described, sizes, METADATA)]


def read_about(tree: Path) -> dict[str, Any]:
    """Return the content of ``archive.json``.

    Raises:
        InputError: it is missing, or of another format.
    """
    try:
        about: dict[str, Any] = json.loads((tree / ABOUT).read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise InputError(f"{ABOUT}: format {about['format']}, this version reads {FORMAT}")
        if PurePosixPath(about["study"]).name != about["study"]:
            raise InputError(f"{ABOUT}: {about['study']!r} is not the name of a study")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{ABOUT}: cannot be read ({error!r}); is this an archive?") from None
    return about


def _differences(listed: dict[str, Any], present: dict[str, Any], where: str) -> Iterator[str]:
    for name in sorted({**listed, **present}):
        if name not in present:
            yield f"{name}: is missing ({where} lists it)"
        elif name not in listed:
            yield f"{name}: is not listed in {where}"
        elif listed[name] != present[name]:
            yield f"{name}: has changed ({where} lists another hash)"


def _described(tree: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield name, hash and size of each file that the RO-Crate describes."""
    for entity in json.loads((tree / METADATA).read_text(encoding="utf-8"))["@graph"]:
        kinds = entity["@type"]
        if "File" in ([kinds] if isinstance(kinds, str) else kinds):
            yield unquote(entity["@id"]), (entity.get("sha256"), entity.get("contentSize"))

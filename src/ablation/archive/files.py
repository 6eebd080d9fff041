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
STUDIES = "config/studies"

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
                name = PurePosixPath(entry.filename)
                if name.is_absolute() or ".." in name.parts or (tree / name).exists():
                    found.append(f"{entry.filename}: is not a name that an archive contains")
                    continue
                try:
                    packed.extract(entry, tree)
                except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, zlib.error) as error:
                    found.append(f"{entry.filename}: cannot be unpacked ({error})")
    except FileNotFoundError:
        raise InputError(f"{file}: not found") from None
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
    present = {name: file_sha256(tree / name) for name in names(tree)}
    found: dict[tuple[str, str], list[str]] = {}  # the lists by file and fault
    for list_, read, own in ((SUMS, _summed, {SUMS}), (METADATA, _described, {SUMS, METADATA})):
        try:
            listed = dict(read(tree))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            found[list_, f"cannot be read, {error!r}"] = [list_]
            continue
        for name in sorted({*listed, *present} - (own - {*listed})):
            if name not in present:
                fault = "is missing"
            elif name not in listed:
                fault = "is not listed"
            elif listed[name] != present[name]:
                fault = "has changed"
            else:
                continue
            found.setdefault((name, fault), []).append(list_)
    if not found and (tree / SUMS).read_bytes() != sums(tree).encode():
        found[SUMS, "is not as an archive has it"] = [SUMS]
    return [f"{name}: {fault} ({' and '.join(of)})" for (name, fault), of in found.items()]


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


def _summed(tree: Path) -> Iterator[tuple[str, str]]:
    """Yield name and hash of each line of ``SHA256SUMS``."""
    for line in (tree / SUMS).read_text(encoding="utf-8").splitlines():
        sha256, _, name = line.partition("  ")
        yield name, sha256


def _described(tree: Path) -> Iterator[tuple[str, str]]:
    """Yield name and hash of each file that the RO-Crate describes."""
    for entity in json.loads((tree / METADATA).read_text(encoding="utf-8"))["@graph"]:
        kinds = entity["@type"]
        if "File" in ([kinds] if isinstance(kinds, str) else kinds):
            yield unquote(entity["@id"]), entity["sha256"]

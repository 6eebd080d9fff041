"""Digests of local images, which show whether a data set has changed."""

import hashlib
import json
import os
from pathlib import Path
from stat import S_ISREG
from typing import Any

from ablation.data.settings import DataSettings
from ablation.data.sources import source_of
from ablation.storage import writing

CACHE = Path("results/data/.local-images.json")


def files_digest(settings: DataSettings, cache: Path = CACHE) -> str:
    """Return a digest of the local images of a data set.

    A file is read again only if its size, times or inode have changed.

    Args:
        settings: settings of the data set.
        cache: file with the hash of each image; ignored if it cannot be read.

    Returns:
        For a folder, a hash of path and content of every image; for a CSV file, of path, label,
        split and content of its images, independent of the order of rows. Empty for other sources.

    Raises:
        InputError: the folder or the CSV file cannot be read, or the cache cannot be written.
    """
    files = source_of(settings.source).files
    if files is None:
        return ""
    known = _read(cache)
    digest, changed = hashlib.sha256(), False
    for example, file in sorted(files(Path(str(settings.path)))):
        try:
            status = file.stat()
            if not S_ISREG(status.st_mode):  # reading a pipe may never end
                continue
            # A file that replaces another one may have the same size and modification time.
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            key = str(file.absolute())
            if key not in known or known[key][:-1] != state:
                with file.open("rb") as stream:
                    known[key] = [*state, hashlib.file_digest(stream, "sha256").hexdigest()]
                changed = True
        except OSError:  # reported when the data is prepared
            continue
        digest.update(repr((example, known[key][-1])).encode("utf-8", "backslashreplace"))
    if changed:
        with writing(cache):
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
            part.write_text(json.dumps(known))
            part.replace(cache)
    return digest.hexdigest()[:16]


def _read(cache: Path) -> dict[str, Any]:
    """Return the content of the cache; empty if it is missing or damaged."""
    try:
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    rows = known.values() if isinstance(known, dict) else [None]
    return known if all(isinstance(row, list) and len(row) == 5 for row in rows) else {}

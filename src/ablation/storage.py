"""Atomic writes, locks that end with their process, and hashes."""

import errno
import fcntl
import hashlib
import json
import lzma
import os
import shutil
import struct
import time
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ablation.errors import InputError

SEAL = "seal"
# Errors of reading a damaged file: JSON, a table, an array, or an archive of arrays.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, SyntaxError,
    lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file atomically: at any time the path holds the old or the new content, complete.

    The content is written to a temporary file, synced to the disk and renamed; then the folder is
    synced. A temporary file of an earlier attempt is overwritten.

    Args:
        path: the file; its folder is made if it is missing.
        write: writes the content to the path that it is given, which has the suffix of ``path``.

    Raises:
        InputError: the file cannot be written, for example because the disk is full.
    """
    part = path.with_name(f"part-{path.name}")
    with writing(path):
        make_folder(path.parent)
        try:
            write(part)
            put_in_place(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def put_in_place(part: Path, path: Path) -> None:
    """Sync a temporary file to the disk and rename it.

    Raises:
        InputError: the file cannot be written.
    """
    with writing(path):
        sync(part)
        part.replace(path)
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, and sync them to the disk."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


def clear_folder(folder: Path, keep: str | None = None) -> None:
    """Remove the content of a folder except for one name, such as a lock that is open.

    NFS keeps an open file under another name until it is closed; only then can the folder be
    removed (`remove_empty`).
    """
    for entry in folder.iterdir():
        if entry.name == keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its parents up to ``top``, as far as they are empty."""
    for place in (folder, *folder.parents):
        try:
            place.rmdir()
        except FileNotFoundError:
            pass  # another process was faster
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return
        if place == top:
            return


def sync(file: Path) -> None:
    """Sync the content of a file to the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """Check that files can be made in a folder, if it exists.

    Raises:
        InputError: no file can be made in it.
    """
    if folder.exists():
        with writing(folder), TemporaryFile(dir=folder):
            pass


def date_back(place: Path) -> None:
    """Set times that lie in the future to now, of a file or of all files below a folder.

    Such files are left when a clock is set back. Snakemake fails a job whose output is older than
    its input.

    Raises:
        InputError: a time cannot be set; the message names the file.
    """
    now = time.time()
    below = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
    for file in chain([place], below):
        with suppress(FileNotFoundError):  # not made yet, or removed by another process
            if not file.is_dir() and file.lstat().st_mtime > now:
                with writing(file):
                    os.utime(file, follow_symlinks=False)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into an InputError that names the file or folder.

    Raises:
        InputError: the block raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        # The error of a failed write does not contain the name of the file.
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written: {reason}") from error


@contextmanager
def exclusive_lock(
    file: Path, waiting: str, check: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold an exclusive lock while the block runs, also against machines that share the folder.

    The kernel releases the lock when the process ends.

    Args:
        file: the lock file; made if it is missing, and kept.
        waiting: a line that is printed once if another process holds the lock.
        check: called twice a second while waiting; an error that it raises ends the wait.
    """
    announced = False
    while True:
        with writing(file):
            make_folder(file.parent)
            lock = file.open("a", encoding="utf-8")
        with lock:
            while not try_lock(lock):
                if not announced:
                    print(waiting, flush=True)
                    announced = True
                check()
                time.sleep(0.5)
            if _is_file(lock, file):
                yield
                return
        # The process that held the lock has removed the file, so another lock is needed.


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file unless another process holds the lock, and return whether that succeeded.

    On a file system without locks it succeeds, with a warning.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        print(
            f"{file.name}: the file system has no locks ({error.strerror}); "
            "run one snakemake at a time",
            flush=True,
        )
    return True


def _is_file(opened: IO[Any], file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), file.stat())
    except FileNotFoundError:
        return False


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with a hash of its content."""
    return {**record, SEAL: _seal(record)}


def is_sealed(record: dict[str, Any]) -> bool:
    """Return whether a record has not changed since it was sealed."""
    return record.get(SEAL) == _seal(record)


def _seal(record: dict[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

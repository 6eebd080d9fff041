"""Files that are whole or not there, locks that end with their process, and hashes."""

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
# What reading a damaged file may raise, be it JSON, a table, an array, or an archive of arrays.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, SyntaxError,
    lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that it is this one or the one before, and whole, whatever happens meanwhile.

    It is written aside, brought to the disk and renamed, and so is its name in the folder. What
    an attempt before left aside is overwritten.

    Args:
        path: the file; its folder is made if need be.
        write: writes the content to the path that it is given, whose name ends as that of
            ``path``.

    Raises:
        InputError: it cannot be written, because the disk is full, say; the message names it.
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
    """Bring a file that was written aside to the disk, and then under its name.

    Raises:
        InputError: the system refuses to; the message names the file.
    """
    with writing(path):
        sync(part)
        part.replace(path)
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, so that a power cut does not take them away again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


def clear_folder(folder: Path, keep: str | None = None) -> None:
    """Remove what a folder holds, but for one name.

    It can hold a lock that this process has open. Some shared file systems (NFS) keep such a file
    under another name until it is closed, so that the folder itself can go only then
    (`remove_empty`).
    """
    for entry in folder.iterdir():
        if entry.name == keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder, and those above it up to ``top``, as far as they are empty."""
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
    """Bring a file's content to the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_writable(folder: Path) -> None:
    """Refuse to start what could not write its results.

    Raises:
        InputError: the folder is there, and no file can be made in it.
    """
    if folder.exists():
        with writing(folder), TemporaryFile(dir=folder):
            pass


def date_back(place: Path) -> None:
    """Give a file, or all files below a folder, the time of now if it is dated in the future.

    A clock that was set back leaves such files. Snakemake fails a job whose output is older than
    its input.

    Raises:
        InputError: the system refuses to; the message names the file.
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
    """Tell of the file or folder that is being written if the system refuses to write it.

    Raises:
        InputError: the block ended with an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        # A write that fails does not know its file; a rename and an open do.
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written: {reason}") from error


@contextmanager
def exclusive_lock(
    file: Path, waiting: str, check: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Keep other processes, also of machines that share the folder, from a block of their own.

    The kernel ends the lock with its process, however that ends.

    Args:
        file: which block it is; an empty file, made if need be, that stays.
        waiting: printed once if another process has to be waited for.
        check: called twice a second while waiting; what it raises ends that.
    """
    told = False
    while True:
        with writing(file):
            make_folder(file.parent)
            lock = file.open("a", encoding="utf-8")
        with lock:
            while not try_lock(lock):
                if not told:
                    print(waiting, flush=True)
                    told = True
                check()
                time.sleep(0.5)
            if _is_file(lock, file):
                yield
                return
        # Whoever held it has removed the file, so that it keeps nobody out any more.


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file for this process if no other holds it, and tell whether that went well.

    Where the file system has no locks, it goes well, with a warning.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        print(
            f"{file.name}: no locks here ({error.strerror}); run one snakemake at a time",
            flush=True,
        )
    return True


def _is_file(opened: IO[Any], file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened.fileno()), file.stat())
    except FileNotFoundError:
        return False


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with a hash of its content, by which an edit is found."""
    return {**record, SEAL: _seal(record)}


def is_sealed(record: dict[str, Any]) -> bool:
    """Whether a record is as it was when it was sealed."""
    return record.get(SEAL) == _seal(record)


def _seal(record: dict[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

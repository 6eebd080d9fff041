"""The checkpoint of a run: one file, written after each epoch, from which training resumes exactly.

Keras' BackupAndRestore saves neither random states nor early stopping, and writes weights and epoch
in two steps. A run's folder of checkpoints contains

- ``checkpoint.npz``: arrays, one of which holds the identity of the run as JSON;
- ``finished/``: the complete files of the run, from the end of training until Snakemake has
  recorded them; the checkpoint has been removed by then;
- ``attempt.log``: the log of the last attempt;
- ``status.json``: see `ablation.training.status`;
- ``.lock``: locked by the process that trains the run.

Does not import TensorFlow.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ablation.storage import (
    UNREADABLE,
    atomically,
    file_sha256,
    is_sealed,
    make_folder,
    writing,
)
from ablation.training.records import RECORD

CHECKPOINT, FINISHED, LOCK = "checkpoint.npz", "finished", ".lock"
LOG = "attempt.log"  # a hard link to the log of the last attempt
FORMAT = 1

_ABOUT = "about"  # name of the array that holds the identity, as JSON


@dataclass(frozen=True)
class Identity:
    """Everything that decides the result of a run on one machine.

    Attributes:
        settings: all settings, as plain values.
        code: digests of the code, by part (`ablation.training.code.run_code`).
        data: hash of the prepared data.
        weights: SHA-256 of the file of pretrained weights; None without one.
    """

    settings: dict[str, Any]
    code: dict[str, str]
    data: str
    weights: str | None

    def difference(self, found: "Identity") -> str | None:
        """Return in words what differs from another identity; None if they are equal."""
        names = {
            "settings": "settings",
            "code": "code",
            "data": "data",
            "weights": "pretrained weights",
        }
        differ = [text for key, text in names.items() if getattr(self, key) != getattr(found, key)]
        return " and ".join(differ) or None


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after an epoch.

    Attributes:
        epoch: number of epochs that are finished, from 1.
        ended: whether no epoch is left: all are trained, or training stopped early or diverged.
        values: values that JSON can represent.
        arrays: numeric arrays by name.
    """

    epoch: int
    ended: bool
    values: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(folder: Path, identity: Identity, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run atomically; it replaces the previous one.

    Raises:
        InputError: it cannot be written; then the previous one is unchanged.
    """
    about = {
        "format": FORMAT,
        **vars(identity),
        "epoch": checkpoint.epoch,
        "ended": checkpoint.ended,
        "arrays": sorted(checkpoint.arrays),
        "values": checkpoint.values,
    }
    arrays: dict[str, Any] = {
        _ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8),
        **checkpoint.arrays,
    }
    atomically(folder / CHECKPOINT, lambda part: np.savez(part, allow_pickle=False, **arrays))


def load(folder: Path, identity: Identity) -> Checkpoint | None:
    """Return the checkpoint of a run; None if there is no usable one.

    A checkpoint that cannot be read or has another identity is reported, and stays until the first
    epoch of this training replaces it.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        return None
    try:
        return _read(file, identity)
    except UNREADABLE as error:
        print(f"{file}: not used ({error}); training starts from the beginning", flush=True)
        return None


def _read(file: Path, identity: Identity) -> Checkpoint:
    with np.load(file, allow_pickle=False) as stored:  # reading checks the CRC of every array
        about = json.loads(stored[_ABOUT].tobytes())
        if about["format"] != FORMAT:
            raise ValueError(f"it is of format {about['format']}, not {FORMAT}")
        found = Identity(*(about[key] for key in ("settings", "code", "data", "weights")))
        if different := identity.difference(found):
            raise ValueError(f"it was made with other {different}")
        arrays = {name: stored[name] for name in stored.files if name != _ABOUT}
    if sorted(arrays) != about["arrays"]:
        raise ValueError("arrays are missing")
    return Checkpoint(about["epoch"], about["ended"], about["values"], arrays)


def finished_files(folder: Path, identity: Identity, wanted: Iterable[str]) -> Path | None:
    """Return the folder of a run's files if training has ended and they are complete.

    Args:
        folder: the run's folder of checkpoints.
        identity: identity of the run.
        wanted: names of the files.
    """
    place = folder / FINISHED
    try:
        record = json.loads((place / RECORD).read_text())
        found = Identity(
            record["settings"], record["code"], record["data"]["hash"], record["weights_sha256"]
        )
        whole = (
            is_sealed(record)
            and set(wanted) <= {RECORD, *record["files"]}
            and all(file_sha256(place / name) == sha for name, sha in record["files"].items())
        )
    except UNREADABLE:
        return None  # training has not ended, as the record is written last
    return place if whole and not identity.difference(found) else None


def publish(place: Path, outputs: Iterable[Path]) -> None:
    """Put a run's files in place atomically, the record last, as hard links where possible.

    Raises:
        InputError: one cannot be written.
    """
    for output in sorted(outputs, key=lambda path: path.name == RECORD):
        source = place / output.name
        if not (output.exists() and output.samefile(source)):
            atomically(output, partial(_link, source))


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # no hard links on this file system
        shutil.copyfile(source, target)


def clear(folder: Path) -> None:
    """Remove the checkpoint of a finished run; ``finished/`` stays."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def keep_log(log: Path, folder: Path) -> None:
    """Keep the log of the previous attempt as ``….log.before``, and link that of this one.

    Snakemake removes the log of a job before the job starts. A hard link in the folder of
    checkpoints keeps its content.

    Args:
        log: the log of this attempt, which exists.
        folder: the run's folder of checkpoints; made if it is missing.

    Raises:
        InputError: a file cannot be moved or linked; the message names it.
    """
    kept = folder / LOG
    with writing(kept):
        make_folder(folder)
        if kept.exists() and not kept.samefile(log):
            kept.replace(log.with_name(f"{log.name}.before"))
        if not kept.exists():
            try:
                os.link(log, kept)
            except OSError as error:  # no hard links on this file system
                print(f"{log}: not kept for the next attempt: {error.strerror}", flush=True)


def numbered(prefix: str, arrays: Iterable[Any]) -> dict[str, np.ndarray]:
    """Name arrays by a prefix and their position."""
    return {f"{prefix}/{place}": np.asarray(array) for place, array in enumerate(arrays)}


def of_prefix(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that `numbered` has named, in order."""
    count = sum(name.startswith(f"{prefix}/") for name in arrays)
    return [arrays[f"{prefix}/{place}"] for place in range(count)]

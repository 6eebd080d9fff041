"""The checkpoint of a run: one file after each epoch, which lets training go on to the same bytes.

Keras' BackupAndRestore keeps neither random states nor early stopping, and writes weights and
epoch in two steps; hence this one. A run's folder of checkpoints holds

- ``checkpoint.npz``: arrays without objects, and among them what they belong to, as JSON;
- ``finished/``: the run's files, whole, from the end of training until Snakemake has taken note
  that they are in their place; by then the checkpoint itself is gone;
- ``attempt.log``: the log of the last attempt;
- ``.lock``: held by the process that trains the run.

Needs no TensorFlow.
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
LOG = "attempt.log"  # a second name of the log of the last attempt
FORMAT = 1

_ABOUT = "about"  # the array that holds what a checkpoint belongs to, as JSON


@dataclass(frozen=True)
class Identity:
    """What decides the result of a run, on one machine.

    Attributes:
        settings: everything, as plain values.
        code: digests of the code, by part (`ablation.training.code.run_code`).
        data: hash of the prepared data.
        weights: SHA-256 of the file of pretrained weights; None without.
    """

    settings: dict[str, Any]
    code: dict[str, str]
    data: str
    weights: str | None

    def other(self, found: "Identity") -> str | None:
        """Return what another identity differs in, in words; None if it is the same."""
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
        epoch: how many epochs are done, from 1.
        ended: whether none is left: all are done, or training has stopped or diverged before.
        values: plain values that JSON can hold.
        arrays: arrays of numbers, by name.
    """

    epoch: int
    ended: bool
    values: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(folder: Path, identity: Identity, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run; the one before stays until this one is whole and on disk.

    Raises:
        InputError: it cannot be written; then the one before is as it was.
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
    """Return the checkpoint of a run; None if there is none that can be used.

    A checkpoint of other settings, code, data or weights, or one that cannot be read, is reported
    and stays until the first epoch of this training replaces it.
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
        if other := identity.other(found):
            raise ValueError(f"it belongs to other {other}")
        arrays = {name: stored[name] for name in stored.files if name != _ABOUT}
    if sorted(arrays) != about["arrays"]:
        raise ValueError("arrays are missing")
    return Checkpoint(about["epoch"], about["ended"], about["values"], arrays)


def finished_files(folder: Path, identity: Identity, wanted: Iterable[str]) -> Path | None:
    """Return the folder of a run's files if training had ended and they are whole.

    Args:
        folder: of the run's checkpoints.
        identity: of the run.
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
        return None  # training had not ended: its record comes last
    return place if whole and not identity.other(found) else None


def publish(place: Path, outputs: Iterable[Path]) -> None:
    """Put a run's files where they belong, each whole, the record last; large ones as links.

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
    except OSError:  # not every file system can
        shutil.copyfile(source, target)


def clear(folder: Path) -> None:
    """Remove the checkpoint of a run that has finished; its files stay for a while."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def keep_log(log: Path, folder: Path) -> None:
    """Keep the log of the attempt before as ``….log.before``, and that of this one for the next.

    Snakemake removes the log of a job before the job starts. A second name in the folder of
    checkpoints keeps its content.

    Args:
        log: the log of this attempt, which has been opened.
        folder: the run's folder of checkpoints; made if need be.

    Raises:
        InputError: the system refuses to; the message names the file.
    """
    kept = folder / LOG
    with writing(kept):
        make_folder(folder)
        if kept.exists() and not kept.samefile(log):
            kept.replace(log.with_name(f"{log.name}.before"))
        if not kept.exists():
            try:
                os.link(log, kept)
            except OSError as error:  # not every file system can
                print(f"{log}: will not be kept if it is repeated: {error.strerror}", flush=True)


def numbered(prefix: str, arrays: Iterable[Any]) -> dict[str, np.ndarray]:
    """Name arrays by a prefix and their place."""
    return {f"{prefix}/{place}": np.asarray(array) for place, array in enumerate(arrays)}


def of_prefix(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return what `numbered` has named, in order."""
    count = sum(name.startswith(f"{prefix}/") for name in arrays)
    return [arrays[f"{prefix}/{place}"] for place in range(count)]

"""The checkpoint of a run: one file after each epoch, which lets training go on to the same bytes.

Keras' BackupAndRestore keeps neither random states nor early stopping, and writes weights and
epoch in two steps; hence this one. A run's folder of checkpoints holds

- ``checkpoint.npz``: arrays without objects, and among them what they belong to, as JSON;
- ``finished/``: the run's files, whole, from the end of training until Snakemake has taken note
  that they are in their place; by then the checkpoint itself is gone;
- ``put-aside.npz``: a checkpoint that belongs to something else, until the run is done;
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
from ablation.study.checkpoints import ABOUT, CHECKPOINT, FINISHED, LOG, PUT_ASIDE, read_about

FORMAT = 1
RECORD = "run.json"


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
        ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8),
        **checkpoint.arrays,
    }
    atomically(folder / CHECKPOINT, lambda part: np.savez(part, allow_pickle=False, **arrays))


def load(folder: Path, identity: Identity) -> Checkpoint | None:
    """Return the checkpoint of a run, if there is one that belongs to it.

    Another one, or one that cannot be read, is put aside with a message. One that was put aside is
    taken again where it belongs: the code, say, is as it was.
    """
    found = reason = None
    if (folder / CHECKPOINT).exists():
        found, reason = _read(folder / CHECKPOINT, identity)
    if found is not None:
        return found
    aside, _ = _read(folder / PUT_ASIDE, identity)
    if aside is not None:
        (folder / PUT_ASIDE).replace(folder / CHECKPOINT)
        print(f"{folder / CHECKPOINT}: taken again, it had been put aside", flush=True)
    elif reason is not None:
        put_aside(folder, reason)
    return aside


def put_aside(folder: Path, reason: str) -> None:
    """Move a checkpoint that is of no use out of the way, and say why.

    One with more epochs that lies there already stays, and this one goes.
    """
    epoch, before = _epoch(folder / CHECKPOINT), _epoch(folder / PUT_ASIDE)
    if before > epoch:
        (folder / CHECKPOINT).unlink()
        done = f"removed, because {PUT_ASIDE} has more epochs"
    else:
        (folder / CHECKPOINT).replace(folder / PUT_ASIDE)
        done = f"put aside as {PUT_ASIDE}"
    print(f"{folder / CHECKPOINT}: {reason}; {done}, training starts anew", flush=True)


def _read(file: Path, identity: Identity) -> tuple[Checkpoint | None, str | None]:
    """A checkpoint that belongs to a run, or the reason why this is none."""
    try:
        about = read_about(file)
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, not {FORMAT}")
        with np.load(file, allow_pickle=False) as stored:  # reading checks every array's CRC
            arrays = {name: stored[name] for name in stored.files if name != ABOUT}
        if sorted(arrays) != about["arrays"]:
            raise ValueError("arrays are missing")
        found = Identity(*(about[key] for key in ("settings", "code", "data", "weights")))
        checkpoint = Checkpoint(about["epoch"], about["ended"], about["values"], arrays)
    except UNREADABLE as error:
        return None, f"cannot be read ({error})"
    other = identity.other(found)
    return (None, f"belongs to other {other}") if other else (checkpoint, None)


def _epoch(file: Path) -> int:
    """The epoch of a checkpoint, of whatever run; 0 without one that can be read."""
    try:
        return int(read_about(file)["epoch"])
    except UNREADABLE:
        return 0


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
    """Remove the checkpoints of a run that has finished; its files stay for a while."""
    for name in (CHECKPOINT, PUT_ASIDE):
        (folder / name).unlink(missing_ok=True)


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

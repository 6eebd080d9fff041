"""The record of a run, and whether a run's files are still as they were written."""

import json
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.storage import file_sha256, is_sealed, sealed

FORMAT = 2
RECORD = "run.json"
OUTPUTS = ("history.csv", "timing.csv", "predictions.npz", RECORD)
WEIGHTS = "model.weights.h5"


class OtherFormatError(InputError):
    """A record is of an older or a newer format.

    Attributes:
        record: its content.
    """

    def __init__(self, message: str, record: dict[str, Any]) -> None:
        super().__init__(message)
        self.record = record


def read_record(folder: Path, run_id: str | None = None) -> dict[str, Any]:
    """Return the content of a run's ``run.json``.

    It was written by training and not edited since; whether the other files are those that it
    tells of, `check_files` looks.

    Args:
        folder: the run's folder.
        run_id: id of the run that it has to be of; None: of any.

    Raises:
        OtherFormatError: it is of another format.
        InputError: it is missing, cannot be read, is of another run, or has changed.
    """
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unread(file, error) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read ({error}); {remedy(folder)}") from None
    if not isinstance(record, dict) or "format" not in record:
        raise InputError(f"{file} is not the record of a run; {remedy(folder)}")
    if run_id is not None and record.get("id") != run_id:
        raise InputError(f"{file} is of another run; {remedy(folder)}")
    if record["format"] != FORMAT:
        raise OtherFormatError(
            f"{file} is of format {str(record['format'])[:20]}, this version reads {FORMAT}; "
            f"{remedy(folder)}",
            record,
        )
    if not is_sealed(record):
        raise changed(file)
    return record


def check_files(folder: Path, record: dict[str, Any]) -> None:
    """Check a run's files by the hashes that its record tells.

    Weights that are gone are not missed, as nothing is computed from them.

    Raises:
        InputError: a file is missing, cannot be read, or has changed since it was written.
    """
    required: dict[str, str | None] = dict.fromkeys(set(OUTPUTS) - {RECORD})
    for name, sha256 in {**required, **record["files"]}.items():
        file = folder / name
        try:
            found = file_sha256(file)
        except FileNotFoundError as error:
            if name == WEIGHTS:
                continue
            raise _unread(file, error) from None
        except OSError as error:
            raise _unread(file, error) from None
        if found != sha256:
            raise changed(file)


def changed(file: Path) -> InputError:
    """Return the error that tells of an edited or damaged file of a run."""
    return InputError(f"{file} has changed since it was written; {remedy(file.parent)}")


def remedy(folder: Path) -> str:
    """Return what to do about a run whose files are of no use."""
    return f"delete {folder} and run snakemake again"


def _unread(file: Path, error: OSError) -> InputError:
    """What the system refuses is often no fault of the file; one that is gone is made again."""
    way_out = f"; {remedy(file.parent)}" if isinstance(error, FileNotFoundError) else ""
    return InputError(f"{file}: cannot be read ({error.strerror or error}){way_out}")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a simulated run as training writes that of a real one.

    Args:
        folder: the run's folder, in which its other files lie already.
        record: the content of ``run.json`` but for format, hashes and seal; without ``attempts``,
            one attempt is told of.
    """
    attempt = {
        "first_epoch": 1,
        "started": record["started"],
        "device": "CPU",
        "environment": record["environment"],
    }
    files = {
        file.name: file_sha256(file) for file in sorted(folder.iterdir()) if file.name != RECORD
    }
    content = {"attempts": [attempt], **record, "format": FORMAT, "files": files}
    (folder / RECORD).write_text(json.dumps(sealed(content), indent=2) + "\n", encoding="utf-8")

"""Reading the record of a run, and checking its files against it."""

import json
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.storage import file_sha256, is_sealed, sealed

FORMAT = 3
RECORD = "run.json"
OUTPUTS = ("history.csv", "timing.csv", "predictions.npz", RECORD)
WEIGHTS = "model.weights.h5"


class OtherFormatError(InputError):
    """A record has an older or newer format.

    Attributes:
        record: content of the record.
    """

    def __init__(self, message: str, record: dict[str, Any]) -> None:
        super().__init__(message)
        self.record = record


def read_record(folder: Path, run_id: str | None = None) -> dict[str, Any]:
    """Return the content of a run's ``run.json``.

    Checks its seal, but not the other files of the run; see `check_files`.

    Args:
        folder: the run's folder.
        run_id: expected id of the run; None for any.

    Raises:
        OtherFormatError: the record has another format.
        InputError: it is missing, cannot be read, is of another run, or has changed.
    """
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(file, error) from None
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
    """Check a run's files against the hashes in its record.

    Missing weights are accepted, because nothing is computed from them.

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
            raise _unreadable(file, error) from None
        except OSError as error:
            raise _unreadable(file, error) from None
        if found != sha256:
            raise changed(file)


def changed(file: Path) -> InputError:
    """Return the error for an edited or damaged file of a run."""
    return InputError(f"{file} has changed since it was written; {remedy(file.parent)}")


def remedy(folder: Path) -> str:
    """Return the instruction for a run with unusable files."""
    return f"delete {folder} and run snakemake again"


def _unreadable(file: Path, error: OSError) -> InputError:
    """Return the error for an unreadable file; only a missing one needs a new run."""
    hint = f"; {remedy(file.parent)}" if isinstance(error, FileNotFoundError) else ""
    return InputError(f"{file}: cannot be read ({error.strerror or error}){hint}")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a simulated run.

    Args:
        folder: the run's folder with its other files.
        record: content of ``run.json`` without format, hashes and seal; ``attempts`` defaults to
            a single attempt.
    """
    attempt = {
        "first_epoch": 1,
        "started": record["started"],
        "device": "CPU",
        "reserved": None,
        "environment": record["environment"],
    }
    files = {
        file.name: file_sha256(file) for file in sorted(folder.iterdir()) if file.name != RECORD
    }
    content = {"attempts": [attempt], **record, "format": FORMAT, "files": files}
    (folder / RECORD).write_text(json.dumps(sealed(content), indent=2) + "\n", encoding="utf-8")

"""What a partial report shows of the networks and augmentations of a study."""

from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.storage import atomically, file_sha256
from ablation.study.fingerprint import code_fingerprint, request_digest
from ablation.study.grid import identity


def prepared_part(request: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what of a request can be answered with the data that is prepared.

    Args:
        request: blocks that each name the folder of their prepared data as ``data``.

    Raises:
        InputError: none of the data is prepared.
    """
    part = [wanted for wanted in request if (Path(wanted["data"]) / "description.json").is_file()]
    if not part:
        names = ", ".join(dict.fromkeys(wanted["dataset"] for wanted in request))
        raise InputError(
            f"no data is prepared ({names}), so there is nothing to report; 'snakemake' starts the "
            "study, or 'snakemake data' prepares data that was deleted"
        )
    return part


def is_made(file: Path, request: list[dict[str, Any]]) -> bool:
    """Whether a file is there that was made for this request, by today's code."""
    mark = _mark(file)
    return file.is_file() and mark.is_file() and mark.read_text() == _made_for(request)


def remember(file: Path, request: list[dict[str, Any]]) -> None:
    """Note beside a file what it was made for.

    Raises:
        InputError: the note cannot be written.
    """

    def write(part: Path) -> None:
        part.write_text(_made_for(request), encoding="utf-8")

    atomically(_mark(file), write)


def _mark(file: Path) -> Path:
    return file.with_name(f"{file.name}.made-for")


def _made_for(request: list[dict[str, Any]]) -> str:
    data = [file_sha256(Path(wanted["data"]) / "description.json") for wanted in request]
    code = code_fingerprint("augmentation", "models")
    return f"{request_digest(request)} {identity(data)[:16]} {code}\n"

"""Whether a run's result was made from the data and by the code of today."""

import json
from pathlib import Path
from typing import Any

from ablation.analysis.records import OUTPUTS, WEIGHTS, read_record
from ablation.errors import InputError
from ablation.study.grid import Run


def trained_on_current_data(
    run: Run, files_digest: str, code: str, *, weights: bool = False
) -> bool:
    """Return whether a run is finished and repeating it could change nothing.

    Where its data has been deleted, the digest of the files that it was prepared from decides;
    where it has been prepared again, the hash of its content does.

    Args:
        run: the run.
        files_digest: digest of the user's own images now (`ablation.study.own_images`).
        code: fingerprint of the code that decides results now.
        weights: whether the run's weights have to be there as well.
    """
    folder = Path(run.folder)
    outputs = [*OUTPUTS, WEIGHTS] if weights else OUTPUTS
    if not all((folder / name).is_file() for name in outputs):
        return False
    try:
        record = read_record(folder, run.id)
    except InputError:
        return False
    if record["code"] != code:
        return False
    trained, prepared = record["data"], _prepared(Path(run.data.folder))
    if prepared is None:
        return bool(trained["files_digest"] == files_digest)
    same_files = files_digest in (trained["files_digest"], prepared["files_digest"])
    return bool(trained["hash"] == prepared["hash"] and same_files)


def _prepared(folder: Path) -> dict[str, Any] | None:
    """The description of prepared data; None if there is none that can be read.

    Unlike `ablation.data.prepared.read_description` it needs no pandas, whose import would slow
    every call of Snakemake.
    """
    try:
        description = json.loads((folder / "description.json").read_bytes())
    except (OSError, ValueError):
        return None
    keys = {"hash", "files_digest"}
    return description if isinstance(description, dict) and keys <= set(description) else None

"""Whether runs and prepared data are up to date with the local images and the code."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ablation.errors import InputError
from ablation.study.grid import PreparedData, Run
from ablation.training.code import data_code, run_code
from ablation.training.records import OUTPUTS, WEIGHTS, read_record

ARRAYS = ("images.npy", "examples.csv")


def result_state(
    run: Run, files_digest: str, *, weights: bool = False
) -> Literal["current", "outdated", "none"]:
    """Return whether the result of a run is up to date.

    ``current``: made with this code and this data. ``outdated``: made with other code or data.
    ``none``: a file is missing or cannot be read. If the prepared data is up to date, its content
    hash is compared, otherwise the digest of the local images.

    Args:
        run: the run.
        files_digest: digest of the local images now (`ablation.data.files_digest`).
        weights: whether the weights of the run are required.
    """
    folder = Path(run.folder)
    outputs = [*OUTPUTS, WEIGHTS] if weights else OUTPUTS
    if not all((folder / name).is_file() for name in outputs):
        return "none"
    try:
        record = read_record(folder, run.id)
    except InputError:
        return "none"
    if record["code"] != run_code(run.settings):
        return "outdated"
    trained, prepared = record["data"], _prepared(run.data.folder)
    if prepared is None or prepared["files_digest"] != files_digest:
        current = trained["files_digest"] == files_digest
    else:
        current = trained["hash"] == prepared["hash"]
    return "current" if current else "outdated"


def is_prepared(data: PreparedData, files_digest: str) -> bool:
    """Return whether prepared data exists and is up to date with the local images and the code.

    Args:
        data: the data set.
        files_digest: digest of the local images now (`ablation.data.files_digest`).
    """
    prepared = _prepared(data.folder)
    if prepared is None or not all(Path(data.folder, name).is_file() for name in ARRAYS):
        return False
    made_from = (prepared["files_digest"], prepared["code"])
    return made_from == (files_digest, data_code(data.settings))


@cache
def _prepared(folder: str) -> dict[str, Any] | None:
    """Return the description of prepared data; None if it cannot be read.

    Unlike `ablation.data.prepared.read_description`, this does not import pandas, which would slow
    down every call of Snakemake.
    """
    try:
        description = json.loads(Path(folder, "description.json").read_bytes())
    except (OSError, ValueError):
        return None
    keys = {"hash", "files_digest", "code"}
    return description if isinstance(description, dict) and keys <= set(description) else None

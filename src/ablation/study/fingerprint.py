"""Fingerprints: what a job depends on besides its input files, as short texts for its params.

Snakemake compares a rule's params with those of the last time, so a fingerprint among them reruns
exactly the jobs that depend on what it stands for, whatever a checkout does to file times.
"""

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ablation.study.grid import identity
from ablation.study.plan import Plan
from ablation.study.schema import OWN_IMAGES

PACKAGE = Path(__file__).parent.parent


def code_fingerprint(*places: str) -> str:
    """Return the SHA-256 (16 hex digits) of some of this project's code and templates.

    Args:
        places: names of packages or files in ``src/ablation``. Of a package the modules, its data
            (YAML) and templates count; what an editor or the system leaves beside them does not.

    Raises:
        FileNotFoundError: there is no such place.
    """
    digest = hashlib.sha256()
    for place in places:
        path = PACKAGE / place
        files = (
            [path]
            if path.suffix
            else [*path.rglob("*.py"), *path.glob("*.yaml"), *path.glob("templates/*.*")]
        )
        if not files:
            raise FileNotFoundError(path)
        for file in sorted(file for file in files if not file.name.startswith(".")):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def models_request(plan: Plan) -> list[dict[str, Any]]:
    """Return each (model, data) of a plan once: what the model table describes."""
    return _once(
        {
            "model": run.model,
            "architecture": run.settings["model"],
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )


def gallery_request(plan: Plan) -> list[dict[str, Any]]:
    """Return each (augmentation, data) of a plan once: what the gallery shows."""
    return _once(
        {
            "augmentation": run.augmentation,
            "steps": run.settings["augmentation"],
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )


def plan_digest(plan: Plan) -> str:
    """Return the hash of everything in a plan that the analysis or the report depends on.

    Of the resolved plan, so that the same thing written in another way changes nothing.
    """
    content = {
        "title": plan.study.title,
        "description": plan.study.description,
        "margin": plan.study.margin,
        "experiments": [
            {
                "name": experiment.name,
                **experiment.block.model_dump(
                    include={
                        "question",
                        "baseline",
                        "comparisons",
                        "claims",
                        "revisits",
                        "training",
                        "validation",
                        "overrides",
                    }
                ),
                "architectures": experiment.architectures,
                "pipelines": experiment.pipelines,
                "runs": [run.folder for run in experiment.runs],
            }
            for experiment in plan.experiments
        ],
    }
    return identity(content)[:16]


def files_digest(settings: Mapping[str, Any]) -> str:
    """Return a hash that changes when the files of a user's own images do.

    Args:
        settings: of a prepared data set.

    Returns:
        Of a folder the hash of path, size and time of change of every file in it that is not
        hidden; of a CSV file that of its bytes, and of path, size and time of the files that it
        names. Empty for other sources. Looked up once in a process.
    """
    own = settings["source"] in OWN_IMAGES
    return _files_digest(settings["source"], settings["path"]) if own else ""


@cache
def _files_digest(source: str, path: str) -> str:
    root, digest = Path(path), hashlib.sha256()
    files = []
    if source == "csv":
        content = root.read_bytes()
        digest.update(content)
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
        names = [row.get("path") or "" for row in rows]
        files = [(name, root.parent / name.strip()) for name in names]
    else:
        for place, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            shown = [Path(place, name) for name in names if not name.startswith(".")]
            files += [(file.relative_to(root).as_posix(), file) for file in shown]
    for name, file in sorted(files):
        try:
            status = file.stat()
        except OSError:  # what is missing is told when the data is prepared
            continue
        digest.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def request_digest(request: list[dict[str, Any]]) -> str:
    """Return the hash of a request."""
    return identity(request)[:16]


def _once(items: Any) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for item in items:
        seen.setdefault(identity(item), item)
    return list(seen.values())

"""Fingerprints: what a job depends on besides its input files, as short texts for its params.

Snakemake compares a rule's params with those of the last time, so a fingerprint among them reruns
exactly the jobs that depend on what it stands for, whatever a checkout does to file times.
"""

import hashlib
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.study.grid import identity
from ablation.study.plan import Plan

PACKAGE = Path(__file__).parent.parent

# The code that each kind of job depends on.
PLACES = {
    "data": ("data", "study/own_images.py"),
    "models": ("models",),
    "augmentation": ("augmentation", "study/pipelines.py"),
    "training": ("training",),
    "analysis": (
        "analysis",
        "models/families",
        "study/comparisons.py",
        "study/metrics.py",
        "study/pipelines.py",
        "study/rubrics.py",
    ),
    "report": ("report",),
}
TRAINING = ("data", "models", "augmentation", "training")
"""The kinds that decide the result of a run."""


def code_of(*kinds: str) -> str:
    """Return the fingerprints of the code of some kinds of jobs, joined by hyphens."""
    return "-".join(code_fingerprint(*PLACES[kind]) for kind in kinds)


def require_code(code: str, *kinds: str) -> None:
    """Refuse to work with other code than a job was planned with.

    Raises:
        InputError: the code of these kinds has been edited since.
    """
    if code_of(*kinds) != code:
        raise InputError("the code was edited while the study ran: run snakemake again")


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

    Of the resolved plan, so that the same thing written in another way changes nothing. Of a
    narrative only the name: its file is an input of the report.
    """
    content = {
        "title": plan.study.title,
        "description": plan.study.description,
        "margin": plan.study.margin,
        "rubric": plan.rubric and [plan.study.rubric, plan.rubric.model_dump()],
        "experiments": [
            {
                "name": experiment.name,
                **experiment.block.model_dump(
                    include={
                        "question",
                        "final_seeds",
                        "baseline",
                        "comparisons",
                        "claims",
                        "revisits",
                        "training",
                        "validation",
                        "overrides",
                    }
                ),
                "architectures": {
                    name: network.model_dump(mode="json")
                    for name, network in experiment.architectures.items()
                },
                "pipelines": experiment.pipelines,
                "narrative": experiment.narrative,
                "runs": [run.folder for run in experiment.runs],
            }
            for experiment in plan.experiments
        ],
    }
    return identity(content)[:16]


def request_digest(request: list[dict[str, Any]]) -> str:
    """Return the hash of a request."""
    return identity(request)[:16]


def _once(items: Any) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for item in items:
        seen.setdefault(identity(item), item)
    return list(seen.values())

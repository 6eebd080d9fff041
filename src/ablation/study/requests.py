"""What the files of a study besides its runs are made from, and digests of it.

Snakemake compares a rule's params with those of the last time, so a digest among them makes
exactly those jobs run again whose content it stands for.
"""

from collections.abc import Iterable
from typing import Any

from ablation.identity import identity
from ablation.study.plan import Plan


def models_request(plan: Plan) -> list[dict[str, Any]]:
    """Return each model and data set of a plan once: what the model table describes."""
    return _once(
        {
            "model": run.model,
            "architecture": run.settings.model,
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )


def gallery_request(plan: Plan) -> list[dict[str, Any]]:
    """Return each augmentation and data set of a plan once: what the gallery shows."""
    return _once(
        {
            "augmentation": run.augmentation,
            "steps": run.settings.augmentation,
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )


def digest(content: Any) -> str:
    """Return the hash of a request: 16 hex digits."""
    return identity(content)[:16]


def _once(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({identity(item): item for item in items}.values())

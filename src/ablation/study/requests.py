"""The inputs of the model table and of the gallery."""

from collections.abc import Iterable
from typing import Any

from ablation.identity import identity
from ablation.study.plan import Plan


def models_request(plan: Plan) -> list[dict[str, Any]]:
    """Return the input of the model table: each pair of model and data set of a plan once."""
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
    """Return the input of the gallery: each pair of augmentation and data set of a plan once."""
    return _once(
        {
            "augmentation": run.augmentation,
            "steps": run.settings.augmentation,
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )


def _once(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({identity(item): item for item in items}.values())

"""The inputs of the model table and of the gallery."""

from typing import Any

from ablation.identity import identity
from ablation.study.plan import Plan


def models_request(plan: Plan) -> list[dict[str, Any]]:
    """Return the input of the model table: each pair of model and data set of a plan once."""
    pairs = dict.fromkeys(
        (run.model, run.settings.model, run.dataset, run.data.folder) for run in plan.runs.values()
    )
    names = ("model", "architecture", "dataset", "data")
    return [dict(zip(names, pair, strict=True)) for pair in pairs]


def gallery_request(plan: Plan) -> list[dict[str, Any]]:
    """Return the input of the gallery: each pair of augmentation and data set of a plan once."""
    items = (
        {
            "augmentation": run.augmentation,
            "steps": run.settings.augmentation,
            "dataset": run.dataset,
            "data": run.data.folder,
        }
        for run in plan.runs.values()
    )
    return list({identity(item): item for item in items}.values())

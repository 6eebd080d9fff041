"""``analysis.json``: what was asked, how the runs were trained, and where they were made."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablation.augmentation.pipelines import format_pipeline, mixes_labels
from ablation.errors import InputError
from ablation.study.comparisons import counterpart_of
from ablation.study.plan import Plan, PlannedExperiment

if TYPE_CHECKING:  # imports scikit-learn, which the report does not need
    from ablation.analysis.runs import RunResult

FORMAT = 6
COMMAND = "snakemake --cores 8 --resources gpu=1 --config study={}"


def describe_study(
    plan: Plan,
    by_folder: Mapping[str, "RunResult"],
    levels: Mapping[str, float],
    looks: Mapping[str, int],
    missing: int | None,
) -> dict[str, Any]:
    """Return the content of ``analysis.json``.

    Args:
        plan: the study.
        by_folder: its runs that are there.
        levels: by experiment, the level of all its comparisons at this look.
        looks: by experiment, how many looks there have been.
        missing: how many runs of a partial report are not there; None for a whole one.
    """
    results = list(by_folder.values())
    return {
        "format": FORMAT,
        "study": plan.name,
        "title": plan.study.title,
        "description": plan.study.description,
        "margin": plan.study.margin / 100,
        "partial": None if missing is None else {"planned": len(plan.runs), "missing": missing},
        "rubric": plan.study.rubric,
        "experiments": [
            {
                **_experiment(experiment),
                "level": levels[experiment.name],
                "looks": looks[experiment.name],
                "comparisons": experiment.questions,
            }
            for experiment in plan.experiments
        ],
        "data": _data(results),
        "provenance": _provenance(plan, results),
    }


def _experiment(experiment: PlannedExperiment) -> dict[str, Any]:
    block = experiment.block
    counterparts = {model: counterpart_of(experiment, model) for model in experiment.architectures}
    return {
        "name": experiment.name,
        "question": block.question,
        "narrative": experiment.narrative,
        "validation": block.validation,
        "seeds": list(block.seeds),
        "final_seeds": block.final_seeds,
        "datasets": [dataset.name for dataset in block.datasets],
        "models": list(experiment.architectures),
        "counterparts": {model: other for model, other in counterparts.items() if other},
        "architectures": {
            name: network.model_dump(mode="json")
            for name, network in experiment.architectures.items()
        },
        "augmentations": [
            {
                "label": label,
                "pipeline": format_pipeline(steps),
                "steps": [{"name": step.step, "parameters": step.parameters} for step in steps],
                "mixes_labels": mixes_labels(steps),
            }
            for label, steps in experiment.pipelines.items()
        ],
        "baseline": block.baseline.model_dump(exclude_none=True) if block.baseline else None,
        "runs": len(experiment.runs),
        "epochs": sorted({run.settings.training.epochs for run in experiment.runs}),
        "training": block.training.model_dump(),
        "overrides": [
            {
                "where": override.where.given(),
                "training": override.training.model_dump(exclude_unset=True),
            }
            for override in block.overrides
        ],
        "factorials": [
            {
                "factors": list(grid.factors),
                "levels": [list(levels) for levels in grid.levels],
                "dataset": grid.dataset,
                "cells": {
                    "|".join(levels): [[model, augmentation] for _, model, augmentation in cells]
                    for levels, cells in grid.cells.items()
                },
            }
            for grid in experiment.factorials
        ],
        "revisits": block.revisits,
        "chosen_by": chosen_by(experiment),
    }


def chosen_by(experiment: PlannedExperiment) -> list[str]:
    """Return the validation metrics by which some run went back to its best epoch."""
    stopping = [run.settings.training.early_stopping for run in experiment.runs]
    return sorted({one.monitor for one in stopping if one and one.restore_best})


def _provenance(plan: Plan, results: Sequence["RunResult"]) -> dict[str, Any]:
    attempts = [attempt for result in results for attempt in result.record["attempts"]]
    environments = [attempt["environment"] for attempt in attempts]

    def every(values: Iterable[Any]) -> list[Any]:
        return sorted({value for value in values if value is not None})

    return {
        "command": COMMAND.format(plan.name),
        "git_commits": every(environment["git_commit"] for environment in environments),
        "python": every(environment["python"] for environment in environments),
        "packages": {
            name: every(environment["packages"].get(name) for environment in environments)
            for name in environments[0]["packages"]
        },
        "processors": every(environment["processor"] for environment in environments),
        "gpus": every(gpu for environment in environments for gpu in environment["gpus"]),
        "systems": every(environment["system"] for environment in environments),
        "threads": every(result.record["threads"]["inter_op"] for result in results),
        "runs": len(results),
        "resumed": sum(len(result.record["attempts"]) > 1 for result in results),
        "train_seconds": sum(result.record["seconds"] for result in results),
        "first_started": min(result.record["started"] for result in results),
        "last_started": max(result.record["started"] for result in results),
    }


def _data(results: Sequence["RunResult"]) -> list[dict[str, Any]]:
    found = {}
    for result in results:
        data = result.record["data"]
        key = (result.run.data.folder, data["train"])
        if key in found:
            continue
        folder, settings = result.run.data.folder, result.run.data.settings
        names = result.record["class_names"]
        description = read_description(Path(folder))
        found[key] = {
            "dataset": result.run.dataset,
            **{
                name: data[name]
                for name in ("source", "hash", "shape", "train", "validation", "test")
            },
            "classes": len(names),
            "splits": description["splits"],
            "citation": description["citation"],
            "folder": folder,
            **{
                name: getattr(settings, name)
                for name in ("image_size", "stored_size", "resize", "channels")
            },
            "balance": {
                split: _balance(counts, names)
                for split, counts in description["counts"].items()
                if any(counts)
            },
            # What was prepared before data was checked has neither of these.
            "checked": "checks" in description,
            "checks": description.get("checks", []),
            "conversions": description.get("conversions", {}),
        }
    return list(found.values())


def _balance(counts: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Images and classes of a split, and the first of its largest and of its smallest classes."""
    ends = {"largest": int(np.argmax(counts)), "smallest": int(np.argmin(counts))}
    return {
        "images": sum(counts),
        "classes": int(np.count_nonzero(counts)),
        **{end: {"class": names[at], "images": counts[at]} for end, at in ends.items()},
    }


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of prepared data.

    Raises:
        InputError: its ``description.json`` cannot be read.
    """
    file = folder / "description.json"
    try:
        description: dict[str, Any] = json.loads(file.read_text())
        for key in ("hash", "splits", "citation", "counts"):
            description[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file}: cannot be read ({error!r}); delete {folder} and run snakemake again"
        ) from None
    return description

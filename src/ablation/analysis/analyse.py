"""From the files of a study's runs to its tables, curves and findings."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ablation.analysis.comparisons import Cell, comparisons, reference_of
from ablation.analysis.effects import SEEDS_FOR_METHODS, difference, spread
from ablation.analysis.findings import Compared, Writer, summarise
from ablation.analysis.runs import RunResult, read_run
from ablation.study.pipelines import format_pipeline, mixes_labels
from ablation.study.plan import Plan, PlannedExperiment

COMMAND = "snakemake --cores 8 --resources gpu=1 --config study={}"
RUN_COLUMNS = (
    "experiment", "dataset", "model", "augmentation", "seed", "id", "status",
    "test_accuracy", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds",
    "test_loss", "train_accuracy_clean", "images_per_second", "validation",
)  # fmt: skip


def analyse(plan: Plan, results: Path) -> None:
    """Analyse the runs of a study.

    Writes ``runs.csv`` (a row a run), ``curves.csv`` (a row a run and epoch) and
    ``analysis.json`` (cells, differences, findings, provenance) into ``results``.

    Raises:
        InputError: a run's files are missing, or not what its settings ask for.
    """
    by_folder = {folder: read_run(run) for folder, run in plan.runs.items()}
    run_rows, curve_frames, experiments, writers = [], [], [], []
    for experiment in plan.experiments:
        results_of: dict[Cell, list[RunResult]] = {}
        for run in experiment.runs:
            result = by_folder[run.folder]
            results_of.setdefault(run.cell, []).append(result)
            labels: dict[str, Any] = {
                "experiment": experiment.name,
                "dataset": run.dataset,
                "model": run.model,
                "augmentation": run.augmentation,
                "seed": run.seed,
                "id": run.id,
            }
            run_rows.append(
                {
                    **labels,
                    "status": result.record["status"],
                    **result.measures(),
                    "validation": experiment.block.validation,
                }
            )
            curve = result.history.copy()
            for position, (name, value) in enumerate(labels.items()):
                curve.insert(position, name, value)
            curve_frames.append(curve)
        block, writer = _experiment(experiment, results_of)
        experiments.append(block)
        writers.append(writer)

    analysis = {
        "format": 1,
        "study": plan.name,
        "title": plan.study.title,
        "description": plan.study.description,
        "summary": [finding.plain() for finding in summarise(writers)],
        "experiments": experiments,
        "provenance": _provenance(plan.name, list(by_folder.values())),
        "method": _method(),
    }
    results.mkdir(parents=True, exist_ok=True)
    runs = pd.DataFrame(run_rows)[list(RUN_COLUMNS)].astype({"epochs": int})
    _write(results / "runs.csv", runs.to_csv(index=False, lineterminator="\n"))
    curves = pd.concat(curve_frames, ignore_index=True)
    _write(results / "curves.csv", curves.to_csv(index=False, lineterminator="\n", na_rep="nan"))
    _write(results / "analysis.json", json.dumps(analysis, indent=2, allow_nan=False) + "\n")


def _experiment(
    experiment: PlannedExperiment, results: dict[Cell, list[RunResult]]
) -> tuple[dict[str, Any], Writer]:
    measures = {
        cell: {
            name: spread([result.measures()[name] for result in of_cell])
            for name in of_cell[0].measures()
        }
        for cell, of_cell in results.items()
    }
    correct = {
        cell: {r.run.seed: r.correct for r in of_cell if not r.diverged}
        for cell, of_cell in results.items()
    }
    wanted = comparisons(experiment)
    compared = [
        Compared(item, difference(correct[item.arm], correct[item.reference], len(wanted)))
        for item in wanted
    ]
    writer = Writer(experiment, results, measures, compared)
    to_baseline = {
        item.comparison.arm: item for item in compared if "baseline" in item.comparison.kinds
    }
    block = experiment.block
    content = {
        "name": experiment.name,
        "question": block.question,
        "validation": block.validation,
        "seeds": list(block.seeds),
        "datasets": [dataset.name for dataset in block.datasets],
        "models": list(experiment.architectures),
        "augmentations": [
            {
                "label": label,
                "pipeline": format_pipeline(steps),
                "mixes_labels": mixes_labels(steps),
            }
            for label, steps in experiment.pipelines.items()
        ],
        "baseline": block.baseline.model_dump(exclude_none=True) if block.baseline else None,
        "training": block.training.model_dump(),
        "overrides": [_tell_override(override) for override in block.overrides],
        "cells": [
            _cell(cell, results[cell], measures[cell], experiment, writer, to_baseline.get(cell))
            for cell in results
        ],
        "findings": [finding.plain() for finding in writer.findings()],
    }
    return content, writer


def _cell(
    cell: Cell,
    results: list[RunResult],
    measures: dict[str, Any],
    experiment: PlannedExperiment,
    writer: Writer,
    compared: Compared | None,
) -> dict[str, Any]:
    found = None
    if compared is not None and compared.difference is not None:
        one = compared.difference
        found = {
            "reference": writer.name(compared.comparison.reference),
            "mean": one.mean,
            "low": one.low,
            "high": one.high,
            "seeds": one.seeds,
            "verdict": one.verdict,
            "basis": one.basis,
        }
    return {
        "dataset": cell[0],
        "model": cell[1],
        "augmentation": cell[2],
        "is_baseline": reference_of(experiment, cell) == cell,
        "runs": len(results),
        "diverged": sum(result.diverged for result in results),
        "stopped_early": sum(result.record["status"] == "stopped_early" for result in results),
        "measures": measures,
        "difference": found,
    }


def _tell_override(override: Any) -> str:
    where = ", ".join(
        f"{key} {' or '.join(map(str, values))}" for key, values in override.where.given().items()
    )
    changed = override.training.model_dump(exclude_unset=True)
    return f"{where}: {', '.join(f'{key} {value}' for key, value in changed.items())}"


def _provenance(study: str, results: list[RunResult]) -> dict[str, Any]:
    environments = [result.record["environment"] for result in results]

    def every(values: Iterable[Any]) -> list[Any]:
        return sorted({value for value in values if value is not None})

    packages = {
        name: every(environment["packages"].get(name) for environment in environments)
        for name in environments[0]["packages"]
    }
    content: dict[str, Any] = {
        "command": COMMAND.format(study),
        "git_commits": every(environment["git_commit"] for environment in environments),
        "python": every(environment["python"] for environment in environments),
        "packages": packages,
        "processors": every(environment["processor"] for environment in environments),
        "gpus": every(gpu for environment in environments for gpu in environment["gpus"]),
        "systems": every(environment["system"] for environment in environments),
        "threads": every(result.record["threads"]["intra_op"] for result in results),
        "runs": len(results),
        "train_seconds": sum(result.record["seconds"] for result in results),
        "first_started": min(result.record["started"] for result in results),
        "last_started": max(result.record["started"] for result in results),
        "data": _data(results),
    }
    several = [
        ("TensorFlow versions", packages["tensorflow"]),
        ("Keras versions", packages["keras"]),
        ("processors", content["processors"]),
        ("graphics processors", content["gpus"]),
        ("versions of the training code", every(result.record["code"] for result in results)),
    ]
    content["warnings"] = [
        f"The runs of this study mix {name}: {', '.join(values)}."
        for name, values in several
        if len(values) > 1
    ]
    if any(str(commit).endswith("-dirty") for commit in content["git_commits"]):
        content["warnings"].append(
            "Some runs were made with changes that are in no commit (marked -dirty)."
        )
    return content


def _data(results: list[RunResult]) -> list[dict[str, Any]]:
    found = {}
    for result in results:
        data = result.record["data"]
        key = (result.run.data.folder, data["train"])
        if key not in found:
            description = json.loads(
                (Path(result.run.data.folder) / "description.json").read_text()
            )
            found[key] = {
                "dataset": result.run.dataset,
                **{name: data[name] for name in ("source", "hash", "shape")},
                **{name: data[name] for name in ("train", "validation", "test")},
                "classes": len(result.record["class_names"]),
                "splits": description["splits"],
                "citation": description["citation"],
            }
    return list(found.values())


def _method() -> list[str]:
    return [
        "Every number is of the last epoch, unless an experiment says that it restores the best; "
        "no other epoch was chosen by its score. Test accuracy is "
        "the share of test images classified rightly. Spread is the standard deviation over "
        "seeds. Clean training accuracy scores the training images without augmentation after "
        "training. During training, accuracy under mixed labels counts the class with the larger "
        "share as the right one.",
        "Differences are paired by seed and test image. The intervals are simultaneous 95 % "
        "intervals over all comparisons of an experiment (Bonferroni). From "
        f"{SEEDS_FOR_METHODS} seeds on they are Student's t intervals over the seeds and speak "
        "of the arms; with fewer they are normal intervals over the test images alone and speak "
        "of these trained networks only. An arm is called more or less accurate where its "
        "interval excludes zero and all seeds agree in sign and, with fewer than "
        f"{SEEDS_FOR_METHODS} seeds, an exact sign test over the images agrees at the same "
        "level; otherwise the arms differ too little to rank.",
        "Compared are each arm with the experiment's baseline, each plain network with its "
        "residual twin, and the deepest with the shallowest network of a kind.",
        "An overfitting gap is told from 5 points between clean training accuracy and test "
        "accuracy; a training loss has jumped if it rose by more than 25 % from one epoch to the "
        "next; an arm still improves if its validation loss fell by more than 5 % in the last "
        "epoch.",
    ]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"part-{path.name}")
    part.write_text(text)
    part.replace(path)

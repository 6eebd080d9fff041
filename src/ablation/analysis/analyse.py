"""From the files of a study's runs to its tables, findings and ``analysis.json``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis import tables as made
from ablation.analysis.budgets import budget_findings, budget_lengths
from ablation.analysis.claims import claim_counts, claim_findings, claims_table, survivals
from ablation.analysis.classes import class_effects
from ablation.analysis.effects import Scores, effects
from ablation.analysis.findings import Sentence, Writer, findings_table, partial_text, summarise
from ablation.analysis.looks import Looks, Sight
from ablation.analysis.measures import chance, near_chance
from ablation.analysis.method import method
from ablation.analysis.mixing import resumed_runs, warnings_of
from ablation.analysis.published import published_table
from ablation.analysis.records import mend
from ablation.analysis.rubric import rubric_checks
from ablation.analysis.rules import rules_table
from ablation.analysis.runs import RunResult, read_run
from ablation.analysis.states import RunState, run_states
from ablation.analysis.testing import OPEN, family_level
from ablation.errors import InputError
from ablation.storage import atomically, file_sha256, sealed
from ablation.study.comparisons import Cell, Source
from ablation.study.grid import Run
from ablation.study.pipelines import format_pipeline, mixes_labels
from ablation.study.plan import Plan, PlannedExperiment

FORMAT = 5
COMMAND = "snakemake --cores 8 --resources gpu=1 --config study={}"
TABLES = (
    "runs", "curves", "cells", "comparisons", "claims", "classes", "class_effects", "confusion",
    "calibration", "diagnostics", "rubric_checks", "published", "findings", "rules",
)  # fmt: skip

NAMED = 5  # further runs of no use that are named

Cells = dict[Cell, list[RunResult]]


def analyse(plan: Plan, results: Path, *, partial: bool = False, looks: Path | None = None) -> None:
    """Analyse the runs of a study.

    Writes the tables as CSV and ``analysis.json`` (what is to be said of them, settings,
    provenance, and the tables' hashes) into ``results``, each whole or as before. Records the look
    at these runs.

    Args:
        plan: the study.
        results: folder that they go into.
        partial: take the runs that are there, and tell which are missing.
        looks: record of the looks at the study; ``looks.csv`` in ``results`` by default.

    Raises:
        InputError: a run's files are missing (unless partial), not what its settings ask for, or
            have changed since they were written; or a table cannot be written.
    """
    by_folder, missing = _read(plan, partial)
    cells = {experiment.name: _cells(experiment, by_folder) for experiment in plan.experiments}
    looked = Looks(looks or results / "looks.csv", _seen(plan, by_folder))
    tables = _tables(plan, cells, missing, looked)
    margin = plan.study.margin / 100
    kinds = tables["comparisons"].rename(columns={"kind": "kinds"})
    tables["rubric_checks"] = rubric_checks(
        plan,
        {**tables, "comparisons": kinds},
        {folder: result.record for folder, result in by_folder.items()},
        {folder: chance(result.val_label) for folder, result in by_folder.items()},
    )
    tables["published"] = published_table(plan, tables["cells"])
    tables["rules"] = rules_table(margin, plan.comparing)
    writers = [
        Writer(experiment, _of(tables, experiment.name), _chosen_by(experiment))
        for experiment in plan.experiments
    ]
    summary = summarise(writers, tables, survivals(tables))
    findings = {
        writer.experiment.name: [
            *writer.findings(),
            *budget_findings(writer.experiment, plan, tables),
            *claim_findings(writer.experiment.name, tables),
        ]
        for writer in writers
    }
    tables["findings"] = findings_table({"summary": summary, **findings})
    analysis = {
        "format": FORMAT,
        "study": plan.name,
        "title": plan.study.title,
        "description": plan.study.description,
        "partial": {
            "text": partial_text(Sentence(tables)),
            "planned": len(plan.runs),
            "missing": len(missing),
        }
        if partial
        else None,
        "summary": [finding.plain() for finding in summary],
        "experiments": [
            {
                **_describe(experiment, plan, looked),
                "findings": [finding.plain() for finding in findings[experiment.name]],
                "grids": _grids(experiment, tables["cells"]),
            }
            for experiment in plan.experiments
        ],
        "method": method(margin),
        "provenance": _provenance(plan, by_folder),
    }
    files = [results / f"{name}.csv" for name in TABLES]
    for name, file in zip(TABLES, files, strict=True):
        _write(file, tables[name].to_csv(index=False, lineterminator="\n"))
    analysis = sealed({**analysis, "tables": {file.name: file_sha256(file) for file in files}})
    _write(results / "analysis.json", json.dumps(analysis, indent=2, allow_nan=False) + "\n")
    looked.record(open_comparisons(tables["comparisons"]))


def _read(plan: Plan, partial: bool) -> tuple[dict[str, RunResult], dict[str, RunState]]:
    """The runs that are there by folder, and the state of those that are not."""
    hashes = {
        folder: _description(Path(folder))["hash"]
        for folder in plan.data
        if Path(folder, "description.json").exists()
    }
    if not partial:
        return _read_all(plan, hashes), {}
    states = run_states(plan.runs.values())
    there = {}
    for folder, state in states.items():
        if state.status == "done":
            try:
                there[folder] = _read_run(plan.runs[folder], hashes)
            except InputError as error:  # told in the report's tables
                states[folder] = replace(state, status="failed", reason=str(error))
    if not there:
        raise InputError(
            f"study '{plan.name}': no run has finished yet, so that there is nothing to report"
        )
    return there, {folder: state for folder, state in states.items() if folder not in there}


def _read_all(plan: Plan, hashes: Mapping[str, str]) -> dict[str, RunResult]:
    there, faults = {}, {}
    for folder, run in plan.runs.items():
        try:
            there[folder] = _read_run(run, hashes)
        except InputError as error:
            faults[folder] = str(error)
    if faults:
        first, *others = faults
        named = [*others[:NAMED], *([f"{len(others) - NAMED} more"] if others[NAMED:] else [])]
        more = f" (of no use either: {', '.join(named)})" if others else ""
        raise InputError(f"{faults[first]}{more}")
    return there


def _read_run(run: Run, hashes: Mapping[str, str]) -> RunResult:
    """Read a run, which has to be trained on the data that there is.

    Args:
        run: the run.
        hashes: of the content of prepared data, by its folder.

    Raises:
        InputError: it was trained on other data, or a file is not as it was written.
    """
    result, folder = read_run(run), run.data.folder
    if hashes.get(folder) not in (None, result.record["data"]["hash"]):
        raise InputError(
            f"{run.folder} was trained on other data than {folder} holds; {mend(Path(run.folder))}"
        )
    return result


def _cells(experiment: PlannedExperiment, by_folder: Mapping[str, RunResult]) -> Cells:
    found: Cells = {}
    for run in experiment.runs:
        of_cell = found.setdefault(run.cell, [])
        if run.folder in by_folder:
            of_cell.append(by_folder[run.folder])
    return found


def _tables(
    plan: Plan, cells: Mapping[str, Cells], missing: Mapping[str, RunState], looks: Looks
) -> dict[str, pd.DataFrame]:
    """The tables that are made experiment by experiment."""
    sources = _sources(cells)
    scores = _scores(plan, cells)
    frames: dict[str, list[pd.DataFrame]] = {}
    for experiment in plan.experiments:
        results = cells[experiment.name]
        by_class = class_effects(
            [c for c in experiment.comparisons if c.epoch is None and "factor" not in c.kinds],
            sources,
            _level(plan, experiment, looks),
        )
        by_class.insert(0, "experiment", experiment.name)
        runs = made.runs_table(experiment, results, missing)
        of_cells = made.cells_table(experiment, runs)
        compared = _compare(plan, experiment, scores, looks)
        for name, frame in {
            "runs": runs,
            "curves": made.curves_table(experiment, results),
            "cells": of_cells,
            "comparisons": compared,
            "classes": made.classes_table(experiment, results),
            "class_effects": by_class,
            "confusion": made.confusion_table(experiment, results),
            "calibration": made.calibration_table(experiment, results),
            "diagnostics": made.diagnostics_table(experiment, results, of_cells, compared),
        }.items():
            frames.setdefault(name, []).append(frame)
    tables = {name: _below_each_other(parts) for name, parts in frames.items()}
    totals = made.totals(tables["comparisons"], list(missing.values()), len(plan.runs))
    tables["claims"] = claims_table(plan, tables["comparisons"])
    tables["diagnostics"] = _below_each_other(
        [
            totals,
            tables["diagnostics"],
            claim_counts(tables["claims"]),
            budget_lengths(plan),
            _look_counts(plan, looks),
        ]
    )
    return tables


def compare(
    plan: Plan, by_folder: Mapping[str, RunResult], looks: Looks | None = None
) -> pd.DataFrame:
    """Return the table of a study's comparisons.

    Args:
        plan: the study.
        by_folder: its runs by folder; what is missing counts as not run yet.
        looks: the looks at it; by default the level is that of a study that is looked at once.
    """
    scores = all_scores(plan, by_folder)
    parts = [_compare(plan, experiment, scores, looks) for experiment in plan.experiments]
    return _below_each_other(parts)


def all_scores(
    plan: Plan, by_folder: Mapping[str, RunResult]
) -> dict[int | None, dict[Source, Scores]]:
    """Return how every cell of a study did, by epoch; None: after training."""
    cells = {experiment.name: _cells(experiment, by_folder) for experiment in plan.experiments}
    return _scores(plan, cells)


def open_comparisons(comparisons: pd.DataFrame) -> int:
    """Return how many comparisons are open; one of several kinds counts once."""
    once = comparisons.drop_duplicates(["experiment", "dataset", "arm", "reference", "epoch"])
    return int((once["verdict"] == OPEN).sum())


def _look_counts(plan: Plan, looks: Looks) -> pd.DataFrame:
    """Rows for the diagnostics: looks at an experiment, if several, and whether its level is spent.

    The value is the level of this look.
    """
    rows: list[dict[str, Any]] = []
    for experiment in plan.experiments:
        name = experiment.name
        count, value = len(looks.of(name)), _level(plan, experiment, looks)
        row = {**dict.fromkeys(made.CELL, ""), "experiment": name, "count": count, "value": value}
        rows += [{**row, "diagnosis": "looks"}] if count > 1 else []
        rows += [{**row, "diagnosis": "level spent"}] if looks.is_spent(name) else []
    return made.diagnostics_rows(rows)


def _seen(plan: Plan, by_folder: Mapping[str, RunResult]) -> dict[str, Sight]:
    """What there is to see of the experiments that compare anything."""
    seen = {}
    for experiment in plan.experiments:
        if experiment.comparisons:
            there = [run for run in experiment.runs if run.folder in by_folder]
            seeds, final = experiment.block.seeds, experiment.block.final_seeds
            found = sorted({run.seed for run in there})
            runs = len(experiment.runs) // len(seeds) * len(found)
            more = final is None and len(found) < len(seeds)
            seen[experiment.name] = Sight(
                tuple(found),
                (runs - len(there), runs) if len(there) < runs else None,
                final,
                len(seeds) if more else None,
            )
    return seen


def _below_each_other(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of several; those without rows would change the types of its columns."""
    return pd.concat([one for one in parts if len(one)] or parts[:1], ignore_index=True)


def _compare(
    plan: Plan,
    experiment: PlannedExperiment,
    scores: Mapping[int | None, Mapping[Source, Scores]],
    looks: Looks | None,
) -> pd.DataFrame:
    def level(seeds: int | None = None) -> float:
        return _level(plan, experiment, looks, seeds)

    found = effects(experiment.comparisons, scores)
    return made.comparisons_table(experiment, found, level, plan.study.margin / 100)


def _level(
    plan: Plan, experiment: PlannedExperiment, looks: Looks | None, seeds: int | None = None
) -> float:
    """The level of all comparisons, at this look or at the next one with so many seeds."""
    questions = max(1, experiment.questions)
    by_itself = family_level(plan.comparing) / questions
    if looks is not None:
        by_itself = looks.level(experiment.name, by_itself, seeds)
    return by_itself * questions


def _sources(cells: Mapping[str, Cells]) -> dict[Source, list[RunResult]]:
    """The runs of every cell of the study that have not diverged."""
    return {
        (name, cell): [result for result in results if not result.diverged]
        for name, of_experiment in cells.items()
        for cell, results in of_experiment.items()
    }


def _scores(plan: Plan, cells: Mapping[str, Cells]) -> dict[int | None, dict[Source, Scores]]:
    """What comparisons are made from: right answers on test, or accuracies at an epoch."""
    epochs = {one.epoch for experiment in plan.experiments for one in experiment.comparisons}
    return {
        epoch: {
            (name, cell): _score(results, epoch)
            for name, of_experiment in cells.items()
            for cell, results in of_experiment.items()
        }
        for epoch in epochs
    }


def _score(every: Sequence[RunResult], epoch: int | None) -> Scores:
    results = [result for result in every if not result.diverged]
    if epoch is None:
        correct = {result.run.seed: result.correct for result in results}
        accuracy = {seed: float(right.mean()) for seed, right in correct.items()}
        labels = [result.label for result in results]
    else:
        correct = {}
        # A run that stopped early has no accuracy at a later epoch.
        at = [result for result in results if epoch <= len(result.history)]
        accuracy = {
            result.run.seed: float(result.history["val_accuracy"].iloc[epoch - 1]) for result in at
        }
        labels = [result.val_label for result in at]
    data = results[0].run.data if results else None
    return Scores(
        accuracy,
        max(map(len, labels), default=0),
        correct,
        data=data.folder if data else "",
        source=data.settings["source"] if data else "",
        near_chance=bool(labels)
        and near_chance(float(np.mean(list(accuracy.values()))), chance(labels[0])),
        diverged=len(results) < len(every),
    )


def _of(tables: Mapping[str, pd.DataFrame], experiment: str) -> dict[str, pd.DataFrame]:
    return {
        name: table[table["experiment"] == experiment] if "experiment" in table else table
        for name, table in tables.items()
    }


def _chosen_by(experiment: PlannedExperiment) -> list[str]:
    """The validation measures by which some run went back to its best epoch."""
    stopping = [run.settings["training"]["early_stopping"] or {} for run in experiment.runs]
    return sorted({one["monitor"] for one in stopping if one.get("restore_best")})


def _describe(experiment: PlannedExperiment, plan: Plan, looks: Looks) -> dict[str, Any]:
    block = experiment.block
    return {
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
        "runs": len(experiment.runs),
        "epochs": sorted({run.settings["training"]["epochs"] for run in experiment.runs}),
        "training": block.training.model_dump(),
        "overrides": [_tell_override(override) for override in block.overrides],
        "margin": plan.study.margin / 100,
        "level": _level(plan, experiment, looks),
        "looks": len(looks.of(experiment.name)),
        "comparisons": experiment.questions,
    }


def _grids(experiment: PlannedExperiment, cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean test accuracies of factorial grids: models × augmentations, and those declared."""
    own = cells[cells["experiment"] == experiment.name]
    accuracy = {
        (row["dataset"], row["model"], row["augmentation"]): row["test_accuracy"]
        for row in own.to_dict("records")
    }
    grids = []
    for dataset, of_dataset in own.groupby("dataset", sort=False):
        models, labels = (list(dict.fromkeys(of_dataset[key])) for key in ("model", "augmentation"))
        if len(models) > 1 and len(labels) > 1:
            grids.append(
                {
                    "title": "model × augmentation",
                    "dataset": dataset,
                    "row_factor": "model",
                    "column_factor": "augmentation",
                    "rows": models,
                    "columns": labels,
                    "values": [
                        [_finite(accuracy.get((str(dataset), m, a))) for a in labels]
                        for m in models
                    ],
                }
            )
    for grid in experiment.factorials:
        if len(grid.factors) != 2:
            continue  # a heat map has two sides
        rows, columns = grid.levels
        if grid.factors == ("model", "augmentation"):
            continue  # is there already
        grids.append(
            {
                "title": " × ".join(grid.factors),
                "dataset": grid.dataset,
                "row_factor": grid.factors[0],
                "column_factor": grid.factors[1],
                "rows": list(rows),
                "columns": list(columns),
                "values": [
                    [
                        _finite(
                            sum(accuracy[cell] for cell in grid.cells[row, column])
                            / len(grid.cells[row, column])
                        )
                        for column in columns
                    ]
                    for row in rows
                ],
            }
        )
    return grids


def _finite(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _tell_override(override: Any) -> str:
    where = ", ".join(
        f"{key} {' or '.join(map(str, values))}" for key, values in override.where.given().items()
    )
    changed = override.training.model_dump(exclude_unset=True)
    return f"{where}: {', '.join(f'{key} {value}' for key, value in changed.items())}"


def _provenance(plan: Plan, by_folder: Mapping[str, RunResult]) -> dict[str, Any]:
    results = list(by_folder.values())
    attempts = [attempt for result in results for attempt in result.record["attempts"]]
    environments = [attempt["environment"] for attempt in attempts]

    def every(values: Iterable[Any]) -> list[Any]:
        return sorted({value for value in values if value is not None})

    packages = {
        name: every(environment["packages"].get(name) for environment in environments)
        for name in environments[0]["packages"]
    }
    content: dict[str, Any] = {
        "command": COMMAND.format(plan.name),
        "git_commits": every(environment["git_commit"] for environment in environments),
        "python": every(environment["python"] for environment in environments),
        "packages": packages,
        "processors": every(environment["processor"] for environment in environments),
        "gpus": every(gpu for environment in environments for gpu in environment["gpus"]),
        "systems": every(environment["system"] for environment in environments),
        "threads": every(result.record["threads"]["intra_op"] for result in results),
        "runs": len(results),
        "resumed": resumed_runs(results),
        "train_seconds": sum(result.record["seconds"] for result in results),
        "first_started": min(result.record["started"] for result in results),
        "last_started": max(result.record["started"] for result in results),
        "data": _data(results),
        "warnings": warnings_of(plan, by_folder),
    }
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
            folder, settings = result.run.data.folder, result.run.data.settings
            names = result.record["class_names"]
            description = _description(Path(folder))
            found[key] = {
                "dataset": result.run.dataset,
                **{name: data[name] for name in ("source", "hash", "shape")},
                **{name: data[name] for name in ("train", "validation", "test")},
                "classes": len(names),
                "splits": description["splits"],
                "citation": description["citation"],
                "folder": folder,
                **{
                    name: settings[name]
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


def _description(folder: Path) -> dict[str, Any]:
    """What prepared data tells of itself."""
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


def _balance(counts: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Images and classes of a split, and the first of its largest and of its smallest classes."""
    ends = {"largest": int(np.argmax(counts)), "smallest": int(np.argmin(counts))}
    return {
        "images": sum(counts),
        "classes": int(np.count_nonzero(counts)),
        **{end: {"class": names[at], "images": counts[at]} for end, at in ends.items()},
    }


def _write(path: Path, text: str) -> None:
    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8", newline="\n")

    atomically(path, write)

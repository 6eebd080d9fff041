"""The tables of runs, epochs and cells."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.calibration import reliability
from ablation.analysis.classes import class_accuracies, class_effects, confusions
from ablation.analysis.results import Row, StudyResults
from ablation.analysis.runs import RunResult
from ablation.analysis.tables import CELL, TABLES
from ablation.study.comparisons import reference_of
from ablation.study.grid import Run
from ablation.study.metrics import METRICS, TEST_ACCURACY
from ablation.study.plan import PlannedExperiment

SOUND = ("completed", "stopped_early")
FINISHED = (*SOUND, "diverged")


def runs_table(results: StudyResults) -> pd.DataFrame:
    """Return a row for each run, in the order of the study file."""
    return TABLES["runs"].frame(
        {
            **_names(experiment, run),
            "validation": experiment.block.validation,
            **(
                _of_result(results.by_folder[run.folder])
                if run.folder in results.by_folder
                else _of_state(results, run)
            ),
        }
        for experiment in results.plan.experiments
        for run in experiment.runs
    )


def _names(experiment: PlannedExperiment, run: Run) -> Row:
    cell = dict(zip(CELL, (experiment.name, *run.cell), strict=True))
    return {**cell, "seed": run.seed, "id": run.id}


def _of_result(result: RunResult) -> Row:
    row = {
        "status": result.record["status"],
        "attempts": len(result.record["attempts"]),
        **result.metrics,
    }
    if result.diverged:
        row |= {"reason": _why_diverged(result), "log": result.run.log}
    return row


def _of_state(results: StudyResults, run: Run) -> Row:
    return asdict(results.missing[run.folder])


def _why_diverged(result: RunResult) -> str:
    bad = result.history.loc[~np.isfinite(result.history["loss"]), "epoch"]
    if len(bad):
        return f"the training loss was not finite in epoch {int(bad.iloc[0])}"
    return "the network's outputs were not finite after training"


def curves_table(results: StudyResults) -> pd.DataFrame:
    """Return a row for each run and epoch."""
    return _concatenate(
        "curves",
        [
            result.history.assign(**_names(experiment, result.run))
            for experiment in results.plan.experiments
            for of_cell in results.cells[experiment.name].values()
            for result in of_cell
        ],
    )


def epochs_table(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell and epoch: means over the runs that have not diverged.

    Args:
        runs: table of runs.
        curves: table of curves.
    """
    sound = runs.loc[runs["status"].isin(SOUND), ["experiment", "id"]]
    curves = curves.merge(sound, on=["experiment", "id"])
    keys = [*CELL, "epoch"]
    means = curves.groupby(keys, sort=False).agg(
        runs=("id", "size"),
        loss=("loss", "mean"),
        accuracy=("accuracy", "mean"),
        val_loss=("val_loss", "mean"),
        val_accuracy=("val_accuracy", "mean"),
        val_accuracy_min=("val_accuracy", "min"),
        val_accuracy_max=("val_accuracy", "max"),
    )
    return TABLES["epochs"].frame(means.reset_index())


def cells_table(results: StudyResults, runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell: counts of its runs, mean and standard deviation of metrics.

    Args:
        results: the study.
        runs: table of its runs.
    """
    experiments = {experiment.name: experiment for experiment in results.plan.experiments}
    rows: list[Row] = []
    for key, of_cell in runs.groupby(list(CELL), sort=False):
        name, *rest = map(str, key)
        cell = (rest[0], rest[1], rest[2])
        status = of_cell["status"]
        sound = of_cell[status.isin(SOUND)]
        row: Row = {
            **dict(zip(CELL, (name, *cell), strict=True)),
            "is_baseline": reference_of(experiments[name], cell) == cell,
            "runs": len(of_cell),
            "finished": status.isin(FINISHED).sum(),
            "missing": status.isin(["running", "missing"]).sum(),
            **{one: (status == one).sum() for one in ("diverged", "failed", "stopped_early")},
            "test_accuracy_min": sound["test_accuracy"].min(),
            "test_accuracy_max": sound["test_accuracy"].max(),
        }
        for metric in METRICS:
            values = sound[metric.name].astype(float)
            row |= {metric.name: values.mean(), f"{metric.name}_sd": values.std(ddof=1)}
        rows.append(row)
    return TABLES["cells"].frame(rows)


def classes_table(results: StudyResults) -> pd.DataFrame:
    """Return a row for each cell and class."""
    return _of_cells(results, "classes", class_accuracies)


def confusion_table(results: StudyResults) -> pd.DataFrame:
    """Return a row for each nonzero entry of the confusion matrix of a cell."""
    return _of_cells(results, "confusion", confusions)


def calibration_table(results: StudyResults) -> pd.DataFrame:
    """Return a row for each cell and bin, before and after temperature scaling."""
    return _of_cells(results, "calibration", _bins)


def _bins(sound: Sequence[RunResult]) -> pd.DataFrame:
    label = np.concatenate([result.label for result in sound])
    return pd.concat(
        [
            reliability(label, np.concatenate(probability)).assign(scaled=scaled)
            for scaled, probability in (
                (False, [result.probability for result in sound]),
                (True, [result.scaled for result in sound]),
            )
        ]
    )


def class_effects_table(results: StudyResults, levels: dict[str, float]) -> pd.DataFrame:
    """Return a row for each pair of cells that is compared on test accuracy, and class.

    Args:
        results: the study.
        levels: family-wise error rate of the class effects of each experiment.
    """
    return _concatenate(
        "class_effects",
        [
            class_effects(
                [
                    one
                    for one in experiment.comparisons
                    if one.measure == TEST_ACCURACY and one.arm.cell and one.reference.cell
                ],
                results.sound,
                levels[experiment.name],
            ).assign(experiment=experiment.name)
            for experiment in results.plan.experiments
        ],
    )


def _of_cells(
    results: StudyResults, name: str, make: Callable[[Sequence[RunResult]], pd.DataFrame]
) -> pd.DataFrame:
    """Return a table made from the runs of each cell that have not diverged."""
    return _concatenate(
        name,
        [
            make(sound).assign(**dict(zip(CELL, (experiment, *cell), strict=True)))
            for (experiment, cell), sound in results.sound.items()
            if sound
        ],
    )


def _concatenate(name: str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames; empty ones are left out, because they change column types."""
    nonempty: list[Any] = [part for part in parts if len(part)]
    return TABLES[name].frame(pd.concat(nonempty) if nonempty else ())

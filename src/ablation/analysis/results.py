"""The results of a study: its finished runs, and the tables made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ablation.analysis.description import read_description
from ablation.analysis.looks import Looks
from ablation.analysis.runs import RunResult, read_run
from ablation.errors import InputError
from ablation.study.comparisons import Cell, CellKey
from ablation.study.grid import Run
from ablation.study.plan import Plan
from ablation.training.records import OUTPUTS, remedy
from ablation.training.status import read_status

NAMED = 5  # further unusable runs named in a message

Row = dict[str, Any]


@dataclass(frozen=True)
class Missing:
    """A run without a result.

    Attributes:
        status: ``running``, ``failed``, or ``missing``: not started, or interrupted.
        reason: why it failed or was interrupted; otherwise None.
        log: its log; empty where there is none.
    """

    status: str
    reason: str | None
    log: str


@dataclass(frozen=True)
class StudyResults:
    """The results of a study.

    Attributes:
        plan: the study.
        by_folder: finished runs by folder.
        missing: the others, by folder.
        tables: the tables made so far, by name.
        looks: the looks at the study; None if they are not counted.
    """

    plan: Plan
    by_folder: Mapping[str, RunResult]
    missing: Mapping[str, Missing] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    looks: Looks | None = None

    @cached_property
    def cells(self) -> dict[str, dict[Cell, list[RunResult]]]:
        """Finished runs by experiment and cell, in the order of the study."""
        found: dict[str, dict[Cell, list[RunResult]]] = {}
        for experiment in self.plan.experiments:
            of_experiment = found.setdefault(experiment.name, {})
            for run in experiment.runs:
                of_cell = of_experiment.setdefault(run.cell, [])
                if run.folder in self.by_folder:
                    of_cell.append(self.by_folder[run.folder])
        return found

    @cached_property
    def sound(self) -> dict[CellKey, list[RunResult]]:
        """Finished runs that have not diverged, by experiment and cell."""
        return {
            (name, cell): [result for result in results if not result.diverged]
            for name, of_experiment in self.cells.items()
            for cell, results in of_experiment.items()
        }

    def rows(self, table: str, experiment: str) -> list[Row]:
        """Return the rows of an experiment in a table."""
        frame = self.tables[table]
        rows: list[Any] = frame[frame["experiment"] == experiment].to_dict("records")
        return rows


def read_results(plan: Plan, *, partial: bool = False) -> StudyResults:
    """Read the runs of a study.

    Args:
        plan: the study.
        partial: read the finished runs.

    Raises:
        InputError: files of a run are missing (unless partial), of other settings, or have changed
            since they were written; or no run has finished.
    """
    hashes = {
        folder: read_description(Path(folder))["hash"]
        for folder in plan.data
        if Path(folder, "description.json").exists()
    }
    if not partial:
        return StudyResults(plan, _read_all(plan, hashes))
    there, missing = {}, {}
    for folder, run in plan.runs.items():
        try:
            there[folder] = _read_run(run, hashes)
        except InputError as error:
            missing[folder] = _without_result(run, str(error))
    if not there:
        raise InputError(
            f"study '{plan.name}': no run has finished yet, so that there is nothing to report"
        )
    return StudyResults(plan, there, missing)


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
        more = f" (also unusable: {', '.join(named)})" if others else ""
        raise InputError(f"{faults[first]}{more}")
    return there


def _without_result(run: Run, fault: str) -> Missing:
    """Say why a run has no result: its files have a fault, or its training has not finished."""
    log = run.log if Path(run.log).is_file() else ""
    if all(Path(run.folder, name).is_file() for name in OUTPUTS):
        return Missing("failed", fault, log)
    attempt = read_status(Path(run.checkpoints))
    if attempt is None:
        return Missing("missing", None, log)
    statuses = {"waiting": "running", "running": "running", "failed": "failed"}
    return Missing(statuses.get(attempt.state, "missing"), attempt.reason, log)


def _read_run(run: Run, hashes: Mapping[str, str]) -> RunResult:
    """Read a run and check that it was trained on the present data.

    Args:
        run: the run.
        hashes: hash of the prepared data by folder.

    Raises:
        InputError: the run was trained on other data, or one of its files has changed.
    """
    result, folder = read_run(run), run.data.folder
    if hashes.get(folder) not in (None, result.record["data"]["hash"]):
        raise InputError(
            f"{run.folder} was trained on other data than {folder} holds; "
            f"{remedy(Path(run.folder))}"
        )
    return result

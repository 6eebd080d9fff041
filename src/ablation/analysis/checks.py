"""Checks of the runs and results of a study.

`CHECKS` declares them; the table ``checks`` has rows for each check that found something.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ablation.analysis.description import chosen_by, read_description
from ablation.analysis.environments import ASPECTS, confounded, unused_gpu, values_of
from ablation.analysis.results import Row, StudyResults
from ablation.analysis.runs import RunResult
from ablation.analysis.tables import CELL, TABLES
from ablation.analysis.thresholds import chance, chance_limit, near_chance, threshold, unequal
from ablation.analysis.verdicts import experiment_level
from ablation.study.comparisons import names_of
from ablation.study.plan import PlannedExperiment
from ablation.training.settings import RunSettings

NAMED = 10  # most names in a detail
MIN_RUNS = 2  # fewest other runs to detect a failed run

Scope = Literal["run", "cell", "experiment", "study"]


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: name in the table.
        scope: what `compute` takes and returns. ``run``: it takes a row of the table of runs and
            the run's result (None without a result). It returns a flag, or a number that is
            compared with the threshold. The table has a row for the study, each experiment and each
            cell with such runs; its value is the largest number. ``cell``: it takes a row of the
            table of cells and the cell's runs that have not diverged. ``experiment``: it takes the
            study and an experiment. ``study``: it takes the study. These three return rows.
        threshold: name of its threshold, if any.
        compute: see ``scope``.
    """

    name: str
    scope: Scope
    threshold: str | None
    compute: Callable[..., Any]


def checks_table(results: StudyResults) -> pd.DataFrame:
    """Return the rows of all checks.

    Args:
        results: the study, with its tables of runs, cells and comparisons.
    """
    rows: list[Row] = []
    for check in CHECKS:
        common: Row = {"check": check.name}
        if check.threshold is not None:
            common["threshold"] = threshold(check.threshold)
        rows += [{**common, **row} for row in _rows(check, results)]
    return TABLES["checks"].frame(rows)


def _rows(check: Check, results: StudyResults) -> Iterable[Row]:
    if check.scope == "run":
        yield from _of_runs(check, results)
    elif check.scope == "study":
        yield from check.compute(results)
    else:
        for experiment in results.plan.experiments:
            if check.scope == "cell":
                found = _of_cells(check, results, experiment)
            else:
                found = check.compute(results, experiment)
            yield from ({"experiment": experiment.name, **row} for row in found)


# Runs


def _of_runs(check: Check, results: StudyResults) -> Iterable[Row]:
    """Return rows for the study, in which each run counts once, each experiment and each cell."""
    places: dict[tuple[str, ...], dict[str, float | None]] = {}
    for experiment in results.plan.experiments:
        rows = results.rows("runs", experiment.name)
        for run, row in zip(experiment.runs, rows, strict=True):
            value = check.compute(row, results.by_folder.get(run.folder))
            if isinstance(value, bool):
                value = math.nan if value else None
            elif value <= threshold(str(check.threshold)):
                value = None
            of_experiment, of_study = (experiment.name, "", "", ""), ("", "", "", "")
            for key in (of_study, of_experiment, (experiment.name, *run.cell)):
                places.setdefault(key, {})[run.folder] = value
    for place, values in places.items():
        found = [value for value in values.values() if value is not None]
        if found:
            names = dict(zip(CELL, place, strict=True))
            yield {**names, "count": len(found), "of": len(values), "value": max(found)}


def largest_rise(loss: Sequence[float] | np.ndarray) -> float:
    """Return the largest rise of a loss above its running minimum, as a share of its range.

    Epochs without a finite loss are ignored.
    """
    values = np.asarray(loss, float)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0
    spread = values.max() - values.min()
    rise = (values - np.minimum.accumulate(values)).max()
    return float(rise / spread) if spread else 0.0


def last_fall(result: RunResult) -> float:
    """Return the relative decrease of the validation loss in the last epoch; 0 if diverged."""
    return 0.0 if result.diverged else fall(result.history["val_loss"].to_numpy())


def fall(loss: np.ndarray) -> float:
    """Return the relative decrease of a loss in the last epoch; 0 with fewer than two epochs."""
    return float(1 - loss[-1] / loss[-2]) if len(loss) > 1 and loss[-2] > 0 else 0.0


def _status(*statuses: str) -> Callable[[Row, RunResult | None], bool]:
    return lambda row, _: row["status"] in statuses


# Cells


def _of_cells(check: Check, results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Return the rows of a check of the cells with a result."""
    for row in results.rows("cells", experiment.name):
        cell = (row["dataset"], row["model"], row["augmentation"])
        sound = results.sound[experiment.name, cell]
        if sound:
            names = dict(zip(CELL[1:], cell, strict=True))
            yield from ({**names, **found} for found in check.compute(row, sound))


def _above(column: str, limit: str) -> Callable[[Row, Sequence[RunResult]], list[Row]]:
    """Return a check that a column of the table of cells is above a threshold."""
    return lambda row, _: [{"value": row[column]}] if row[column] > threshold(limit) else []


def _near_chance(row: Row, sound: Sequence[RunResult]) -> list[Row]:
    """Count the images of the largest class."""
    label = sound[0].label
    chance_accuracy = chance(label)
    if not near_chance(row["test_accuracy"], chance_accuracy):
        return []
    return [
        {
            "value": row["test_accuracy"],
            "threshold": chance_limit(chance_accuracy),
            "count": int(np.bincount(label).max()),
            "of": len(label),
        }
    ]


def _never_predicted(_: Row, sound: Sequence[RunResult]) -> list[Row]:
    """List the classes of the test split that no run predicts."""
    names = sound[0].record["class_names"]
    classes = {label for result in sound for label in result.label.tolist()}
    never = sorted(classes.difference(*(result.answer.tolist() for result in sound)))
    if not never:
        return []
    detail = _listed([str(names[label]) for label in never])
    return [{"count": len(never), "of": len(classes), "detail": detail}]


def _low_balanced_accuracy(row: Row, sound: Sequence[RunResult]) -> list[Row]:
    below = row["test_accuracy"] - row["balanced_accuracy"]
    is_low = below > threshold("low_balanced_accuracy")
    return [{"value": below}] if is_low and unequal(_class_sizes(sound[0])) else []


def _class_sizes(result: RunResult) -> list[int]:
    """Return the number of test images of each class."""
    sizes = np.bincount(result.label, minlength=len(result.record["class_names"]))
    return [int(size) for size in sizes]


# Experiments


def _datasets(
    results: StudyResults, experiment: PlannedExperiment
) -> dict[str, tuple[list[Row], RunResult]]:
    """Return for each data set the rows of its cells with a result, and a run of one of them."""
    found: dict[str, tuple[list[Row], RunResult]] = {}
    for row in results.rows("cells", experiment.name):
        cell = (row["dataset"], row["model"], row["augmentation"])
        sound = results.sound[experiment.name, cell]
        if sound:
            found.setdefault(row["dataset"], ([], sound[0]))[0].append(row)
    return found


def _unequal_classes(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Count the images of the smallest class, of those of the largest."""
    for dataset, (_, result) in _datasets(results, experiment).items():
        sizes = _class_sizes(result)
        if unequal(sizes):
            least, most = min(sizes), max(sizes)
            value = most / least if least else math.nan
            yield {"dataset": dataset, "count": least, "of": most, "value": value}


def _balanced_order(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Count the pairs of cells; the detail names the clearest pair."""
    name = names_of(experiment)
    for dataset, (rows, result) in _datasets(results, experiment).items():
        changed = changed_order(rows)
        if changed and unequal(_class_sizes(result)):
            pair = [name((dataset, row["model"], row["augmentation"])) for row in changed[0]]
            yield {
                "dataset": dataset,
                "count": len(changed),
                "of": math.comb(len(rows), 2),
                "detail": _listed(pair),
            }


def changed_order(
    cells: Sequence[Mapping[Any, Any]],
) -> list[tuple[Mapping[Any, Any], Mapping[Any, Any]]]:
    """Return the pairs of cells that test accuracy and balanced accuracy rank differently.

    Values are compared as printed, in percent with two decimals.

    Args:
        cells: cells of one data set, with ``test_accuracy`` and ``balanced_accuracy``.

    Returns:
        The pairs, the clearest first; each starts with the cell of higher test accuracy.
    """
    found = []
    for pair in combinations(cells, 2):
        by_accuracy, by_balance = (
            round(pair[0][name], 4) - round(pair[1][name], 4)
            for name in ("test_accuracy", "balanced_accuracy")
        )
        if by_accuracy * by_balance < 0:
            first, second = pair if by_accuracy > 0 else pair[::-1]
            found.append((min(abs(by_accuracy), abs(by_balance)), first, second))
    found.sort(key=lambda one: one[0], reverse=True)
    return [(first, second) for _, first, second in found]


def _test_as_validation(_: StudyResults, experiment: PlannedExperiment) -> list[Row]:
    return [{}] if experiment.block.validation == "test" else []


def _best_epoch_weights(_: StudyResults, experiment: PlannedExperiment) -> list[Row]:
    monitors = chosen_by(experiment)
    return [{"detail": _listed(monitors)}] if monitors else []


def _best_epoch_gain(summary: Callable[[Any], Any]) -> Callable[..., list[Row]]:
    """Return a check of the gain in validation accuracy at the best epoch."""

    def compute(results: StudyResults, experiment: PlannedExperiment) -> list[Row]:
        gains = [
            result.metrics["best_epoch_gain"]
            for (name, _), sound in results.sound.items()
            if name == experiment.name
            for result in sound
        ]
        if not any(gains) or chosen_by(experiment):
            return []
        return [{"value": float(summary(gains))}]

    return compute


def _seed_range(summary: Callable[[Any], Any]) -> Callable[..., list[Row]]:
    """Return a check of the range of test accuracy over the seeds of a cell."""

    def compute(results: StudyResults, experiment: PlannedExperiment) -> list[Row]:
        ranges = [
            row["test_accuracy_max"] - row["test_accuracy_min"]
            for row in results.rows("cells", experiment.name)
            if row["finished"] - row["diverged"] > 1
        ]
        return [{"value": float(summary(ranges))}] if ranges else []

    return compute


def _longer_budget(results: StudyResults, experiment: PlannedExperiment) -> list[Row]:
    """The value is the number of epochs to try."""
    limit = threshold("still_improving")
    still = [
        result.run.settings.training.epochs
        for (name, _), sound in results.sound.items()
        if name == experiment.name
        for result in sound
        if last_fall(result) > limit
    ]
    return [{"value": threshold("longer_budget") * max(still)}] if still else []


def _failed_run(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Find cells with a run far below the others; the value is the distance."""
    failing = {
        (row["dataset"], row[f"{side}_model"], row[f"{side}_augmentation"])
        for row in results.rows("comparisons", experiment.name)
        for side in ("arm", "reference")
        if row["failing"]
    }
    for row in results.rows("cells", experiment.name):
        cell = (row["dataset"], row["model"], row["augmentation"])
        accuracy = sorted(result.accuracy for result in results.sound[experiment.name, cell])
        if cell in failing and len(accuracy) > MIN_RUNS:
            lowest, others = accuracy[0], np.array(accuracy[1:])
            distance = float(others.mean() - lowest)
            if distance > threshold("failed_run") * others.std(ddof=1):
                yield {**dict(zip(CELL[1:], cell, strict=True)), "value": distance}


def _looks(results: StudyResults, experiment: PlannedExperiment) -> list[Row]:
    """The value is the level of the current look."""
    count = len(results.looks.of(experiment.name)) if results.looks else 0
    level = experiment_level(results.plan, experiment, results.looks)
    return [{"count": count, "value": level}] if count > 1 else []


def _level_spent(results: StudyResults, experiment: PlannedExperiment) -> list[Row]:
    level = experiment_level(results.plan, experiment, results.looks)
    spent = results.looks is not None and results.looks.is_spent(experiment.name)
    return [{"value": level}] if spent else []


def _budget_settings(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Find experiments compared as budgets that differ in more than the number of epochs."""
    runs = {(other.name, run.cell): run for other in results.plan.experiments for run in other.runs}
    differing = {}
    for comparison in experiment.comparisons:
        if "budget" not in comparison.kinds or comparison.epoch is not None:
            continue
        ((_, own),), ((_, other),) = comparison.arm.terms, comparison.reference.terms
        if other[0] != own[0] and other[1] == own[1]:
            settings = [_without_length(runs[source].settings) for source in (own, other)]
            if settings[0] != settings[1]:
                differing[other[0]] = {"detail": other[0]}
    yield from differing.values()


def _without_length(settings: RunSettings) -> dict[str, Any]:
    """Return the settings without seed and number of epochs."""
    return settings.model_dump(exclude={"seed": True, "training": {"epochs"}})


def _confounded(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    """Find comparisons whose two sides have no value of an aspect in common."""
    for aspect in ASPECTS:
        values = {
            source: set().union(*(values_of(aspect, result) for result in sound))
            for source, sound in results.sound.items()
        }
        pairs = [
            f"{one.arm.label} − {one.reference.label}"
            for one in experiment.comparisons
            if confounded(one, values)
        ]
        if pairs:
            yield {
                "count": len(pairs),
                "of": len(experiment.comparisons),
                "detail": f"{aspect}: {_listed(pairs)}",
            }


# The study


def _mixed_environments(results: StudyResults) -> Iterable[Row]:
    """Count the different values; the detail lists each with its number of runs."""
    for aspect, values in _values(results).items():
        counts = Counter(value for of_run in values for value in of_run)
        if len(counts) > 1:
            shares = [f"{value} ({counts[value]})" for value in sorted(counts)]
            detail = f"{aspect}: {_listed(shares)}"
            yield {"count": len(counts), "of": len(values), "detail": detail}


def _changed_environment(results: StudyResults) -> Iterable[Row]:
    """Count the runs resumed in another environment, for each aspect."""
    for aspect, values in _values(results).items():
        changed = sum(len(of_run) > 1 for of_run in values)
        if changed:
            yield {"count": changed, "of": len(values), "detail": aspect}


def _values(results: StudyResults) -> dict[str, list[set[str]]]:
    return {
        aspect: [values_of(aspect, result) for result in results.by_folder.values()]
        for aspect in ASPECTS
    }


def _uncommitted(results: StudyResults) -> list[Row]:
    """Count the runs with uncommitted changes of the code."""
    found = [
        {
            str(attempt["environment"].get("git_commit"))
            for attempt in result.record["attempts"]
            if str(attempt["environment"].get("git_commit")).endswith("-dirty")
        }
        for result in results.by_folder.values()
    ]
    count = sum(map(bool, found))
    detail = _listed(sorted(set().union(*found)))
    return [{"count": count, "of": len(found), "detail": detail}] if count else []


def _shared_images(results: StudyResults) -> Iterable[Row]:
    """Count the copies of images in two splits of a data set."""
    for folder, data in results.plan.data.items():
        if Path(folder, "description.json").is_file():
            for finding in read_description(Path(folder)).get("checks", []):
                if finding["kind"] == "copies-between-splits":
                    detail = _listed([str(name) for name in finding["items"]])
                    yield {"dataset": data.dataset, "count": finding["count"], "detail": detail}


def _listed(names: Sequence[str]) -> str:
    return "; ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])


CHECKS: tuple[Check, ...] = (
    Check("failed", "run", None, _status("failed")),
    Check("missing", "run", None, _status("running", "missing")),
    Check("running", "run", None, _status("running")),
    Check("diverged", "run", None, _status("diverged")),
    Check("stopped_early", "run", None, _status("stopped_early")),
    Check("resumed", "run", None, lambda _, run: bool(run and len(run.record["attempts"]) > 1)),
    Check(
        "unused_gpu",
        "run",
        None,
        lambda _, run: bool(run and any(map(unused_gpu, run.record["attempts"]))),
    ),
    Check(
        "loss_jump",
        "run",
        "loss_jump",
        lambda _, run: largest_rise(run.history["loss"]) if run else 0.0,
    ),
    Check(
        "still_improving", "run", "still_improving", lambda _, run: last_fall(run) if run else 0.0
    ),
    Check("overfitting", "cell", "overfitting", _above("generalization_gap", "overfitting")),
    Check("miscalibrated", "cell", "miscalibrated", _above("ece", "miscalibrated")),
    Check("near_chance", "cell", "near_chance", _near_chance),
    Check("never_predicted", "cell", None, _never_predicted),
    Check("low_balanced_accuracy", "cell", "low_balanced_accuracy", _low_balanced_accuracy),
    Check("unequal_classes", "experiment", "unequal_classes", _unequal_classes),
    Check("balanced_order", "experiment", None, _balanced_order),
    Check("test_as_validation", "experiment", None, _test_as_validation),
    Check("best_epoch_weights", "experiment", None, _best_epoch_weights),
    Check("best_epoch_gain", "experiment", None, _best_epoch_gain(np.mean)),
    Check("best_epoch_gain_largest", "experiment", None, _best_epoch_gain(np.max)),
    Check("seed_range", "experiment", None, _seed_range(np.median)),
    Check("seed_range_largest", "experiment", None, _seed_range(np.max)),
    Check("longer_budget", "experiment", "longer_budget", _longer_budget),
    Check("failed_run", "experiment", "failed_run", _failed_run),
    Check("looks", "experiment", None, _looks),
    Check("level_spent", "experiment", None, _level_spent),
    Check("budget_settings", "experiment", None, _budget_settings),
    Check("confounded", "experiment", None, _confounded),
    Check("mixed_environments", "study", None, _mixed_environments),
    Check("changed_environment", "study", None, _changed_environment),
    Check("uncommitted", "study", None, _uncommitted),
    Check("shared_images", "study", None, _shared_images),
)

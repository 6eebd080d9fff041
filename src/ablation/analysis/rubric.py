"""The checks of a rubric, answered from the tables of a study: keys and numbers, no sentences.

What each check means is said with its form in `ablation.study.rubrics`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.checks import largest_rise
from ablation.analysis.published import effective_steps, mixing_steps, step_kinds
from ablation.analysis.testing import SEEDS_FOR_VERDICTS
from ablation.analysis.thresholds import near_chance
from ablation.augmentation.registry import STEPS, StepCall
from ablation.data.sources import source_name, source_of
from ablation.models.families.base import NetworkSettings
from ablation.models.families.resnet import ResNetSettings
from ablation.study.grid import Run
from ablation.study.plan import Plan, PlannedExperiment
from ablation.study.rubrics import (
    ArmsCompared,
    BestArm,
    Check,
    Converges,
    LossFalls,
    Network,
    NetworkCheck,
    Pictures,
    Table,
    Wanted,
)

STATUSES = MET, UNDECIDED, NOT_MET = "met", "cannot be decided", "not met"
FINISHED = ("completed", "stopped_early")
SETTLED_SHARE = 0.2  # of the epochs, at the end
SETTLED_EPOCHS = 2  # at least
REMEDIES = {
    "": MET,
    "finish_runs": UNDECIDED,
    "train_longer": UNDECIDED,
    "add_seeds": UNDECIDED,
    "add_cells": NOT_MET,
    "add_arms": NOT_MET,
    "compare_arms": NOT_MET,
    "try_other_arms": NOT_MET,
    "correct_network": NOT_MET,
    "train_stably": NOT_MET,
    "train_better": NOT_MET,
    "train_until_settled": NOT_MET,
    "train_equally": NOT_MET,
}
"""What each kind of remedy is for: the status of a check that asks for it."""

CELL = ("experiment", "dataset", "model", "augmentation")
TEXTS = ("check", *CELL, "status", "measure", "remedy_kind")
COLUMNS = (
    "criterion", "question", "check", *CELL, "status", "measure", "value", "threshold", "count",
    "of", "needed", "remedy_kind",
)  # fmt: skip

Row = dict[str, Any]


def rubric_checks(
    plan: Plan,
    tables: Mapping[str, pd.DataFrame],
    records: Mapping[str, Mapping[str, Any]],
    chance: Mapping[str, float],
) -> pd.DataFrame:
    """Answer the checks of a study's rubric.

    Args:
        plan: the study.
        tables: its tables by name: ``runs``, ``curves`` and ``comparisons``.
        records: content of ``run.json`` by the run's folder, for the runs that have left one.
        chance: share of the largest class in the validation split, of the same runs.

    Returns:
        For each criterion a row without a ``check``, which has its status, and of its checks how
        many are met (``count``) out of how many (``of``); then a row for each check and cell, or
        what else a check looks at. Empty where the study names no rubric.
    """
    rows: list[Row] = []
    if plan.rubric is not None:
        study = _Study(plan, tables, records, chance)
        for number, criterion in enumerate(plan.rubric.criteria, 1):
            found = [
                [{"check": check.check, **row} for row in _ANSWERS[check.check](study, check)]
                for check in criterion.checks
            ]
            met = sum(_status(of_check) == MET for of_check in found)
            of_checks = list(chain.from_iterable(found))
            own = {"status": _status(of_checks), "count": met, "of": len(found)}
            names = {"criterion": str(number), "question": criterion.question}
            names |= dict.fromkeys(TEXTS, "")
            rows += [{**names, **row} for row in (own, *of_checks)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = {"value": float, "threshold": float}
    return table.astype(numbers | dict.fromkeys(("count", "of", "needed"), "Int64"))


def parameter_count(settings: ResNetSettings, channels: int, classes: int) -> tuple[int, int]:
    """Count the parameters of a residual or plain network from its blocks, without building it.

    Args:
        settings: the network.
        channels: of an image.
        classes: outputs of the head.

    Returns:
        All parameters, batch norm's moving statistics included, and the trainable ones.
    """
    convolutions = []  # channels in, channels out, side of the kernel
    width = settings.width
    convolutions.append((channels, width, 7 if settings.stem == "imagenet" else 3))
    entering = width
    for stage, blocks in enumerate(settings.blocks):
        inner = width * 2**stage
        leaving = 4 * inner if settings.bottleneck else inner
        for _ in range(blocks):
            if settings.bottleneck:
                convolutions += [(entering, inner, 1), (inner, inner, 3), (inner, leaving, 1)]
            else:
                convolutions += [(entering, inner, 3), (inner, inner, 3)]
            if entering != leaving and settings.kind == "residual" and settings.projection != "pad":
                convolutions.append((entering, leaving, 1 if settings.projection == "1x1" else 3))
            entering = leaving
    kernels = sum(first * second * side**2 for first, second, side in convolutions)
    outputs = sum(second for _, second, _ in convolutions)  # each with a batch norm
    biases = outputs if settings.bias else 0
    trainable = kernels + biases + 2 * outputs + (entering + 1) * classes
    return trainable + 2 * outputs, trainable


def falls_steadily(loss: Sequence[float] | np.ndarray, rise: float) -> bool:
    """Return whether a loss ends below where it began and never rises by more than ``rise``."""
    values = np.asarray(loss, float)
    if not np.isfinite(values).all() or values[-1] >= values[0]:
        return False
    return largest_rise(values) <= rise


def late_change(accuracy: Sequence[float] | np.ndarray) -> float:
    """Return how far accuracy still moved in the end.

    The mean over the last fifth of the epochs (at least two) less the mean over as many before.
    """
    number = max(SETTLED_EPOCHS, round(SETTLED_SHARE * len(accuracy)))
    return float(np.mean(accuracy[-number:]) - np.mean(accuracy[-2 * number : -number]))


# What a study has ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """A cell of an experiment: its planned runs and what the tables say of them.

    Attributes:
        experiment: the experiment.
        runs: its planned runs.
        rows: their rows of the table of runs, by seed.
        curves: the epochs of those that have any, by seed.
    """

    experiment: PlannedExperiment
    runs: list[Run]
    rows: dict[int, Row]
    curves: dict[Any, pd.DataFrame]

    @property
    def names(self) -> Row:
        """The keys of the cell."""
        return dict(zip(CELL, (self.experiment.name, *self.runs[0].cell), strict=True))

    @property
    def label(self) -> str:
        """The label of the augmentation."""
        return self.runs[0].augmentation

    @property
    def network(self) -> NetworkSettings:
        """The network."""
        return self.experiment.architectures[self.runs[0].model]

    @cached_property
    def steps(self) -> list[StepCall]:
        """The steps that can change an image or a label."""
        return effective_steps(self.runs[0].settings.augmentation)

    @cached_property
    def finished(self) -> list[int]:
        """The seeds of the runs that have finished, rising."""
        return sorted(seed for seed, row in self.rows.items() if row["status"] in FINISHED)

    @cached_property
    def diverged(self) -> set[int]:
        """The seeds of the runs that have diverged."""
        return {seed for seed, row in self.rows.items() if row["status"] == "diverged"}

    @property
    def counts(self) -> Row:
        """How many of its runs have finished."""
        return {"count": len(self.finished), "of": len(self.runs)}

    def column(self, name: str) -> list[np.ndarray]:
        """Return the course of a column of the curves for each run that has finished."""
        return [self.curves[seed][name].to_numpy(float) for seed in self.finished]

    def mean(self, metric: str, seeds: Iterable[int]) -> float:
        """Return the mean of a metric over seeds."""
        return float(np.mean([float(self.rows[seed][metric]) for seed in seeds]))

    def has_fewer(self, epochs: int) -> bool:
        """Return whether a run has, or is to have, fewer epochs."""
        planned = [run.settings.training.epochs for run in self.runs]
        return min([*planned, *map(len, self.column("loss"))]) < epochs

    def matches(self, wanted: Wanted) -> bool:
        """Return whether the cell is of the wanted kind."""
        return (
            wanted.dataset in (None, _source(self.runs[0]))
            and all(
                getattr(self.network, key, None) == value for key, value in wanted.settings.items()
            )
            and (wanted.augmentation is None or self.has(wanted.augmentation))
        )

    def has(self, augmentation: str) -> bool:
        """Return whether the pipeline has a step, or is of a kind."""
        if augmentation == "none":
            return not self.steps
        if augmentation in STEPS:
            return any(step.step == augmentation for step in self.steps)
        wanted = {"geometric", "colour"} if augmentation == "basic" else {augmentation}
        return bool(step_kinds(self.steps) & wanted) and not mixing_steps(self.steps)


@dataclass(frozen=True)
class _Study:
    """A study's plan, tables and records."""

    plan: Plan
    tables: Mapping[str, pd.DataFrame]
    records: Mapping[str, Mapping[str, Any]]
    chance: Mapping[str, float]

    @cached_property
    def cells(self) -> list[_Cell]:
        """Every cell of every experiment, in the order of the study."""
        rows: dict[Any, dict[int, Row]] = {}
        for row in _rows(self.tables["runs"]):
            rows.setdefault(tuple(row[key] for key in CELL), {})[row["seed"]] = row
        curves: dict[Any, dict[Any, pd.DataFrame]] = {}
        for (*key, seed), part in self.tables["curves"].groupby([*CELL, "seed"], sort=False):
            curves.setdefault(tuple(key), {})[seed] = part.sort_values("epoch")
        planned: dict[Any, list[Run]] = {}
        experiments = {experiment.name: experiment for experiment in self.plan.experiments}
        for experiment in self.plan.experiments:
            for run in experiment.runs:
                planned.setdefault((experiment.name, *run.cell), []).append(run)
        return [
            _Cell(experiments[key[0]], runs, rows[key], curves.get(key, {}))
            for key, runs in planned.items()
        ]

    @cached_property
    def distinct(self) -> list[_Cell]:
        """The cells, of those with the same runs the first."""
        once: dict[frozenset[str], _Cell] = {}
        for cell in self.cells:
            once.setdefault(frozenset(run.folder for run in cell.runs), cell)
        return list(once.values())

    def blocks(self, dataset: str | None, model: str | Network | None) -> list[list[_Cell]]:
        """Return the arms of each network on each data set in each experiment, where they fit."""
        found: dict[Any, list[_Cell]] = {}
        for cell in self.cells:
            if cell.matches(Wanted(dataset, model, None)):
                key = tuple(cell.names[name] for name in CELL[:3])
                found.setdefault(key, []).append(cell)
        return list(found.values())

    def compared(self, block: list[_Cell]) -> dict[tuple[str, str], Row]:
        """Return the comparisons of two arms of a block, by arm and reference."""
        names = block[0].names
        return {
            (row["arm_augmentation"], row["reference_augmentation"]): row
            for row in _rows(self.tables["comparisons"])
            if row["experiment"] == names["experiment"]
            and {"baseline", "arm"} & set(row["kinds"].split())
            and row["dataset"] == names["dataset"]
            and row["arm_model"] == row["reference_model"] == names["model"]
            and row["measure"] == "test_accuracy"
        }


def _source(run: Run) -> str:
    """Return the name of a run's source; of local images the label of the data set."""
    source = run.data.settings.source
    return run.dataset if source_of(source).path else source_name(source)


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


# Rows of the table ---------------------------------------------------------------------------


def _row(names: Row, remedy: str, **numbers: Any) -> Row:
    return {**names, "status": REMEDIES[remedy], "remedy_kind": remedy, **numbers}


def _status(rows: list[Row]) -> str:
    return max((str(row["status"]) for row in rows), key=STATUSES.index)


def _nearest_to_met(candidates: list[list[Row]]) -> list[Row]:
    return min(candidates, key=lambda rows: STATUSES.index(_status(rows)))


def _names(
    dataset: str | None, models: Iterable[str | Network | None], augmentations: Iterable[str | None]
) -> Row:
    """What a check asks for, as the keys of a row."""
    model, augmentation = (
        " ".join(str(one) for one in words if one is not None) for words in (models, augmentations)
    )
    return {"dataset": dataset or "", "model": model, "augmentation": augmentation}


def _absent(wanted: Iterable[Wanted]) -> list[Row]:
    """Rows for cells that a study has not got, one for each data set and augmentation."""
    models: dict[Any, list[str | Network | None]] = {}
    for dataset, model, augmentation in wanted:
        models.setdefault((dataset, augmentation), []).append(model)
    return [
        _row(_names(dataset, of_one, [augmentation]), "add_cells")
        for (dataset, augmentation), of_one in models.items()
    ]


# Checks that each cell has to pass -----------------------------------------------------------


def _each_cell(study: _Study, check: Check, judge: Callable[[_Cell], Row]) -> list[Row]:
    found: dict[int, _Cell] = {}
    absent = []
    for wanted in check.wanted():
        matching = {id(cell): cell for cell in study.distinct if cell.matches(wanted)}
        found |= matching
        absent += [] if matching else [wanted]
    return [judge(cell) for cell in found.values()] + _absent(absent)


def _loss_falls(study: _Study, check: LossFalls) -> list[Row]:
    def judge(cell: _Cell) -> Row:
        losses = cell.column("loss")
        steady = sum(falls_steadily(loss, check.rise) for loss in losses)
        remedy, needed = "", None
        if cell.diverged:
            remedy = "train_stably"
        elif cell.has_fewer(check.epochs):
            remedy, needed = "train_longer", check.epochs
        elif steady < len(losses):
            remedy = "train_stably"
        elif len(losses) < len(cell.runs):
            return _row(cell.names, "finish_runs", **cell.counts)
        return _row(
            cell.names, remedy, measure="loss", threshold=check.rise, count=steady,
            of=len(cell.runs), needed=needed, value=max(map(largest_rise, losses), default=None),
        )  # fmt: skip

    return _each_cell(study, check, judge)


def _converges(study: _Study, check: Converges) -> list[Row]:
    def judge(cell: _Cell) -> Row:
        losses, needed = cell.column("loss"), 2 * SETTLED_EPOCHS
        if cell.diverged or not all(np.isfinite(loss).all() for loss in losses):
            return _row(cell.names, "train_stably", **cell.counts)
        if cell.has_fewer(needed):
            return _row(cell.names, "train_longer", **cell.counts, needed=needed)
        if len(losses) < len(cell.runs):
            return _row(cell.names, "finish_runs", **cell.counts)
        share = float(max(loss[-1] / loss[0] for loss in losses))
        accuracy = cell.mean("val_accuracy_last", cell.finished)
        by_chance = study.chance[cell.runs[0].folder]
        change = float(np.mean([late_change(course) for course in cell.column("val_accuracy")]))
        if share > check.loss:
            remedy, measure, value, threshold = "train_better", "loss", share, check.loss
        elif near_chance(accuracy, by_chance):
            remedy, measure = "train_better", "val_accuracy_last"
            value, threshold = accuracy, by_chance
        else:
            remedy = "train_until_settled" if abs(change) >= check.change else ""
            measure, value, threshold = "change", change, check.change
        of = {"measure": measure, "value": value, "threshold": threshold}
        return _row(cell.names, remedy, **of, **cell.counts)

    return _each_cell(study, check, judge)


# Checks of networks and pictures -------------------------------------------------------------


def _network(study: _Study, check: NetworkCheck) -> list[Row]:
    """A row for each network and data set."""
    networks: dict[str, list[_Cell]] = {}
    absent = []
    for wanted in check.wanted():
        matching = [
            cell
            for cell in study.distinct
            if isinstance(cell.network, ResNetSettings) and cell.matches(wanted)
        ]
        absent += [] if matching else [wanted]
        for cell in matching:
            key = repr((cell.runs[0].dataset, cell.network))
            networks.setdefault(key, []).append(cell)
    return [_counted(study, cells) for cells in networks.values()] + _absent(absent)


def _counted(study: _Study, cells: list[_Cell]) -> Row:
    """Whether each run of a network has counted its parameters right; if not, a wrong count."""
    names = {**cells[0].names, "experiment": "", "augmentation": ""}
    network = cells[0].network
    assert isinstance(network, ResNetSettings)
    folders = {run.folder for cell in cells for run in cell.runs}
    records = [study.records[folder] for folder in sorted(folders & study.records.keys())]
    if not records:
        return _row(names, "finish_runs", count=0, of=len(folders))
    for record in records:
        channels, classes = record["data"]["shape"][-1], len(record["class_names"])
        total, trainable = parameter_count(network, channels, classes)
        of = {"threshold": total, "of": trainable}
        of |= {"value": record["parameters"], "count": record["trainable_parameters"]}
        if (of["value"], of["count"]) != (total, trainable):
            return _row(names, "correct_network", **of)
    return _row(names, "", **of)


def _pictures(study: _Study, check: Pictures) -> list[Row]:
    rows = []
    for wanted in check.wanted():
        arms = {(c.runs[0].dataset, c.label) for c in study.cells if c.matches(wanted)}
        names = _names(wanted.dataset, [wanted.model], [wanted.augmentation])
        rows.append(_row(names, "" if arms else "add_cells", count=len(arms)))
    return rows


# Checks of arms side by side -----------------------------------------------------------------


def _table(study: _Study, check: Table) -> list[Row]:
    """The rows of the arms of the table that is nearest to being met."""
    models, augmentations = check.listed("model"), check.listed("augmentation")
    rows = []
    for dataset in check.listed("dataset"):
        groups: dict[str, list[_Cell]] = {}
        for cell in study.cells:
            if cell.matches(Wanted(dataset, None, None)):
                groups.setdefault(_common(cell, models, augmentations), []).append(cell)
        candidates = []
        for group in groups.values():
            arms = [
                next((cell for cell in group if cell.matches(Wanted(None, *arm))), None)
                for arm in product(models, augmentations)
            ]
            there = [arm for arm in arms if arm is not None]
            if len(there) == len(arms):
                candidates.append(_arms_of_table(there, check.metric))
        absent = _row(_names(dataset, models, augmentations), "add_cells")
        rows += _nearest_to_met(candidates or [[absent]])
    return rows


def _common(cell: _Cell, models: list[Any], augmentations: list[Any]) -> str:
    """What the arms of a table have in common."""
    _, dataset, model, augmentation = cell.names.values()
    (options,) = (one.options for one in cell.experiment.block.models if one.name == model)
    common = [cell.experiment.name, dataset, cell.network.weights]
    # Only a residual network has projections.
    common.append(sorted(item for item in options.items() if item[0] != "projection"))
    common += [model] if models == [None] else []
    common += [augmentation] if augmentations == [None] else []
    return repr(common)


def _arms_of_table(arms: list[_Cell], metric: str) -> list[Row]:
    common = sorted(set.intersection(*(set(arm.finished) for arm in arms)))
    if not common:
        lost = set().union(*(arm.diverged for arm in arms))
        remedy = "train_stably" if lost >= arms[0].rows.keys() else "finish_runs"
        return [_row(arm.names, remedy, **arm.counts) for arm in arms]
    epochs = [{len(arm.curves[seed]) for seed in common} for arm in arms]
    of = {"measure": metric, "count": len(common), "needed": max(set().union(*epochs))}
    rows = []
    for arm, own in zip(arms, epochs, strict=True):
        remedy = "" if own == {of["needed"]} else "train_equally"
        of |= {"value": arm.mean(metric, common), "of": len(arm.runs)}
        rows.append(_row(arm.names, remedy, **of))
    return rows


def _best_arm(study: _Study, check: BestArm) -> list[Row]:
    """The row of the network whose best arm is known, or nearest to being so."""
    words = [word for word in check.listed("augmentation") if word is not None]
    rows = []
    for dataset, model in product(check.listed("dataset"), check.listed("model")):
        blocks = [
            (sum(bool(arm.steps) and (not words or any(map(arm.has, words))) for arm in arms), arms)
            for arms in study.blocks(dataset, model)
        ]
        most = max((tried for tried, _ in blocks), default=0)
        few = _row(_names(dataset, [model], words), "add_arms", count=most, needed=check.at_least)
        wide = [arms for tried, arms in blocks if tried >= check.at_least]
        found = [[_best_of(arms, study.compared(arms))] for arms in wide]
        rows += _nearest_to_met(found or [[few]])
    return rows


def _best_of(arms: list[_Cell], compared: Mapping[tuple[str, str], Row]) -> Row:
    for arm in arms:
        if not arm.finished:
            remedy = "train_stably" if len(arm.diverged) == len(arm.runs) else "finish_runs"
            return _row(arm.names, remedy, **arm.counts)
    accuracy = {arm.label: arm.mean("test_accuracy", arm.finished) for arm in arms}
    leader = max(accuracy, key=lambda label: accuracy[label])
    better, same = _relations(compared)
    others = accuracy.keys() - {leader}
    unclear = {other for other in others if (leader, other) not in better | same}
    asked = [row for pair, row in compared.items() if {leader, *unclear} & set(pair)]
    remedy, needed = "", None
    if unclear and any(row["verdict"] == "open" for row in asked):
        remedy, needed = "add_seeds", _seeds_needed(asked)
    elif unclear:
        remedy = "compare_arms"
    elif not any((leader, other) in better for other in others):
        remedy = "try_other_arms"
    return _row(
        {**arms[0].names, "augmentation": leader}, remedy, measure="test_accuracy",
        value=accuracy[leader], count=len(others) - len(unclear), of=len(others), needed=needed,
    )  # fmt: skip


def _relations(
    compared: Mapping[tuple[str, str], Row],
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Pairs of which the first is better, arms in between included, and pairs that are the same."""
    better, same = set(), set()
    for (arm, reference), row in compared.items():
        if row["verdict"] == "better":
            better.add((arm, reference))
        elif row["verdict"] == "worse":
            better.add((reference, arm))
        elif row["verdict"] == "same":
            same |= {(arm, reference), (reference, arm)}
    while True:
        further = {(a, d) for a, b in better for c, d in better if b == c} - better
        if not further:
            return better, same
        better |= further


def _seeds_needed(rows: Iterable[Row]) -> int:
    """How many seeds would decide those comparisons that are open: if unknown, one more."""
    needed = [
        row["seeds"] + 1 if pd.isna(row["seeds_needed"]) else row["seeds_needed"]
        for row in rows
        if row["verdict"] == "open"
    ]
    return int(max(SEEDS_FOR_VERDICTS, *needed))


def _arms_compared(study: _Study, check: ArmsCompared) -> list[Row]:
    """The rows of the network whose arms are compared, or nearest to being so."""
    words = check.listed("augmentation")
    rows = []
    for dataset, model in product(check.listed("dataset"), check.listed("model")):
        found = []
        for block in study.blocks(dataset, model):
            groups = [[arm for arm in block if arm.has(word)] for word in words]
            if all(groups):
                found.append(_with_one_reference(block, groups, study.compared(block), check))
        rows += _nearest_to_met(found or [[_row(_names(dataset, [model], words), "add_cells")]])
    return rows


def _with_one_reference(
    block: list[_Cell],
    groups: list[list[_Cell]],
    compared: Mapping[tuple[str, str], Row],
    check: ArmsCompared,
) -> list[Row]:
    """The rows of the reference, and of an arm for each augmentation."""

    def covered(reference: _Cell) -> list[list[_Cell]]:
        known = {arm for arm, other in compared if other == reference.label} | {reference.label}
        return [[arm for arm in group if arm.label in known] for group in groups]

    reference = max(block, key=lambda one: sum(map(bool, covered(one))))
    chosen = {reference.label: reference}
    for group, known in zip(groups, covered(reference), strict=True):
        arm = max(known or group, key=lambda one: len(one.finished))
        chosen[arm.label] = arm
    rows = []
    for label, arm in chosen.items():
        row = compared.get((label, reference.label))
        remedy, needed = "", None
        if row is None and arm is not reference:
            remedy = "compare_arms"
        elif arm.diverged:
            remedy = "train_stably"
        elif len(arm.finished) < len(arm.runs):
            remedy = "finish_runs"
        elif check.decided and row is not None and row["verdict"] == "open":
            remedy, needed = "add_seeds", _seeds_needed([row])
        of = {"measure": "reference"} if row is None else {
            "measure": "test_accuracy", "value": row["difference"]
        }  # fmt: skip
        rows.append(_row(arm.names, remedy, **of, **arm.counts, needed=needed))
    return rows


_ANSWERS: dict[str, Callable[[_Study, Any], list[Row]]] = {
    "network": _network,
    "loss_falls": _loss_falls,
    "converges": _converges,
    "table": _table,
    "best_arm": _best_arm,
    "pictures": _pictures,
    "comparison": _arms_compared,
}

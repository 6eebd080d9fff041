"""Interpretations: what may lie behind the results of an experiment.

`INTERPRETATIONS` declares them; each gives rows of the table ``interpretations`` where its
condition holds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.checks import fall
from ablation.analysis.published import effective_steps
from ablation.analysis.results import Row, StudyResults
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import SEEDS_FOR_VERDICTS
from ablation.analysis.thresholds import threshold
from ablation.study.comparisons import REVERSED, Cell
from ablation.study.metrics import TEST_ACCURACY
from ablation.study.plan import PlannedExperiment

CELLS_FOR_RANGES = 3  # fewer show no usual range


@dataclass(frozen=True)
class Interpretation:
    """Something that may lie behind results.

    Attributes:
        name: its name.
        compute: takes an experiment's results and returns rows of the table.
    """

    name: str
    compute: Callable[["Experiment"], Iterable[Row]]


class Experiment:
    """The results of an experiment, as interpretations read them.

    Args:
        results: the study, with its tables.
        planned: the experiment.

    Attributes:
        cells: the row of each cell that has a result.
        pairs: the two cells of each comparison of test accuracies within the experiment that has a
            result, with its row.
    """

    def __init__(self, results: StudyResults, planned: PlannedExperiment) -> None:
        self.results, self.planned = results, planned
        self.margin = results.plan.study.margin / 100
        self.cells: dict[Cell, Row] = {
            (row["dataset"], row["model"], row["augmentation"]): row
            for row in results.rows("cells", planned.name)
            if np.isfinite(row["test_accuracy"])
        }
        self.pairs = pairs_of(results, planned)

    def winner(self, row: Row) -> int:
        """Return 1 where the arm is ahead, -1 where the reference is, 0 where neither is.

        With too few seeds for a verdict, a difference of more than the margin counts.
        """
        if row["verdict"] in REVERSED:
            return 1 if row["verdict"] == "better" else -1
        is_ahead = row["seeds"] < SEEDS_FOR_VERDICTS and abs(row["difference"]) > self.margin
        return int(np.sign(row["difference"])) if is_ahead else 0

    def decided(self) -> Iterable[tuple[Cell, Cell, float]]:
        """Return the losing and the winning cell of each pair, and their difference (below 0)."""
        for arm, reference, row in self.pairs:
            winner = self.winner(row)
            if winner:
                pair = (reference, arm) if winner > 0 else (arm, reference)
                yield *pair, -abs(row["difference"])

    def is_unaugmented(self, cell: Cell) -> bool:
        """Return whether no step of a cell's pipeline changes anything."""
        return not effective_steps(self.planned.pipelines[cell[2]])

    def unaugmented(self, cell: Cell) -> Cell | None:
        """Return the cell of the same model without augmentation."""
        for other in self.cells:
            if other[:2] == cell[:2] and self.is_unaugmented(other):
                return other
        return None

    def epochs(self, cell: Cell) -> pd.DataFrame:
        """Return the rows of the table of epochs of a cell."""
        table = self.results.tables["epochs"]
        keys = zip(("experiment", "dataset", "model", "augmentation"),
                   (self.planned.name, *cell), strict=True)  # fmt: skip
        for key, value in keys:
            table = table[table[key] == value]
        return table


def pairs_of(results: StudyResults, planned: PlannedExperiment) -> list[tuple[Cell, Cell, Row]]:
    """Return the two cells and the row of each comparison of test accuracies in an experiment.

    Those without a result are left out.
    """
    found = []
    rows = results.rows("comparisons", planned.name)
    for comparison, row in zip(planned.comparisons, rows, strict=True):
        arm, reference = comparison.arm.cell, comparison.reference.cell
        within = {name for name, _ in comparison.sources} == {planned.name}
        if arm and reference and within and comparison.measure == TEST_ACCURACY and row["seeds"]:
            found.append((arm, reference, row))
    return found


def interpretations_table(results: StudyResults) -> pd.DataFrame:
    """Return the rows of all interpretations.

    Args:
        results: the study, with its tables of cells, epochs, comparisons and class effects.
    """
    rows: list[Row] = []
    for planned in results.plan.experiments:
        experiment = Experiment(results, planned)
        for one in INTERPRETATIONS:
            common = {"experiment": planned.name, "interpretation": one.name}
            rows += [{**common, **row} for row in one.compute(experiment)]
    return TABLES["interpretations"].frame(rows)


def _keys(cell: Cell, reference: Cell | None = None) -> Row:
    row: Row = dict(zip(("dataset", "model", "augmentation"), cell, strict=True))
    if reference is not None:
        row |= {"reference_model": reference[1], "reference_augmentation": reference[2]}
    return row


def _train_differences(
    experiment: Experiment, failed: bool
) -> Iterable[tuple[Cell, Cell, float, float]]:
    """Pairs whose losing cell fits the training images less well too, or those where it does not.

    Returns:
        The losing and the winning cell, the difference of their clean training accuracies, and half
        of that of their test accuracies, which it is compared with.
    """
    for losing, winning, difference in experiment.decided():
        value = (
            experiment.cells[losing]["train_accuracy_clean"]
            - experiment.cells[winning]["train_accuracy_clean"]
        )
        limit = threshold("train_share") * difference
        if np.isfinite(value) and (value <= limit) == failed:
            yield losing, winning, value, limit


def _train_difference(failed: bool) -> Callable[[Experiment], Iterable[Row]]:
    """The value is the difference in clean training accuracy, losing less winning cell.

    What is too strong for the budget is explained by that.
    """

    def compute(experiment: Experiment) -> Iterable[Row]:
        explained = list(_too_strong_for_budget(experiment))
        for losing, winning, value, limit in _train_differences(experiment, failed):
            row = _keys(losing, winning)
            if not any(row.items() <= one.items() for one in explained):
                yield {**row, "value": value, "threshold": limit}

    return compute


def _little_to_regularize(experiment: Experiment) -> Iterable[Row]:
    limit = threshold("little_to_regularize")
    for cell, row in experiment.cells.items():
        if not experiment.is_unaugmented(cell) or not row["generalization_gap"] < limit:
            continue
        against = [
            sign * experiment.winner(compared)
            for arm, reference, compared in experiment.pairs
            for sign, own, other in ((-1, arm, reference), (1, reference, arm))
            if own == cell and other[:2] == cell[:2] and not experiment.is_unaugmented(other)
        ]
        if against and max(against) <= 0:
            yield {**_keys(cell), "value": row["generalization_gap"], "threshold": limit}


def _too_strong_for_budget(experiment: Experiment) -> Iterable[Row]:
    """Augmented cells behind the unaugmented one; the value is the last fall of their loss."""
    limit = threshold("still_improving")
    for cell, plain, _ in experiment.decided():
        if plain != experiment.unaugmented(cell) or experiment.is_unaugmented(cell):
            continue
        lost = (
            experiment.cells[plain]["train_accuracy_clean"]
            - experiment.cells[cell]["train_accuracy_clean"]
        )
        value = fall(experiment.epochs(cell)["val_loss"].to_numpy())
        if lost > threshold("too_strong_for_budget") and value > limit:
            yield {**_keys(cell, plain), "value": value, "threshold": limit}


def _confidence(sign: int) -> Callable[[Experiment], Iterable[Row]]:
    """Cells with a calibration error whose confidence is above (1) or below (-1) accuracy.

    Where optimization has failed, confidence says nothing about the method.
    """

    def compute(experiment: Experiment) -> Iterable[Row]:
        limit = threshold("miscalibrated")
        failed = {cell for cell, *_ in _train_differences(experiment, failed=True)}
        for cell, row in experiment.cells.items():
            beyond = sign * (row["confidence"] - row["test_accuracy"])
            if row["ece"] > limit and beyond > 0 and cell not in failed:
                yield {**_keys(cell), "value": row["ece"], "threshold": limit}

    return compute


def _unstable(experiment: Experiment) -> Iterable[Row]:
    """The value is the range of test accuracy over the seeds."""
    ranges = {
        cell: row["test_accuracy_max"] - row["test_accuracy_min"]
        for cell, row in experiment.cells.items()
        if row["finished"] - row["diverged"] > 1
    }
    if len(ranges) < CELLS_FOR_RANGES:
        return
    usual = float(np.median(list(ranges.values())))
    limit = max(threshold("unstable_ratio") * usual, threshold("unstable"))
    for cell, value in ranges.items():
        if value > limit:
            yield {**_keys(cell), "value": value, "threshold": limit}


def _rank_change(experiment: Experiment) -> Iterable[Row]:
    """The clearest pair of each data set that changes places after half of the epochs.

    Of the pairs that are compared, those in which all seeds agree at both times. The cell is ahead
    at the end, its reference at half; the value is the smaller difference.
    """
    clearest: dict[str, Row] = {}
    for first, second, _ in experiment.pairs:
        curves, others = (
            {
                result.run.seed: result.validated.to_numpy()
                for result in experiment.results.sound[experiment.planned.name, cell]
            }
            for cell in (first, second)
        )
        pairs = [(curves[seed], others[seed]) for seed in curves.keys() & others.keys()]
        lengths = {len(one) for pair in pairs for one in pair}
        if len(pairs) < SEEDS_FOR_VERDICTS or len(lengths) != 1 or lengths == {1}:
            continue
        (epochs,) = lengths
        half, last = (
            np.array([one[epoch - 1] - other[epoch - 1] for one, other in pairs])
            for epoch in (epochs // 2, epochs)
        )
        agree = all(abs(np.sign(one).sum()) == len(pairs) for one in (half, last))
        value = min(abs(half.mean()), abs(last.mean()))
        best = clearest.get(first[0], {"value": experiment.margin})["value"]
        if agree and half[0] * last[0] < 0 and value > best:
            ahead = (first, second) if last[0] > 0 else (second, first)
            clearest[first[0]] = {
                **_keys(*ahead),
                "epoch": epochs // 2,
                "value": value,
                "threshold": experiment.margin,
            }
    yield from clearest.values()


def _budget_reversal(experiment: Experiment) -> Iterable[Row]:
    """Pairs with opposite verdicts here and in an experiment of another training length.

    That experiment is one that the study compares with this one as a budget. The cell is the
    better one here; the epoch is the other training length, and the value the difference there.
    """
    results, planned = experiment.results, experiment.planned
    by_name = {other.name: other for other in results.plan.experiments}
    linked: dict[str, set[Cell]] = {}
    for comparison in planned.comparisons:
        if "budget" in comparison.kinds and comparison.epoch is None:
            ((_, own),), ((_, other),) = comparison.arm.terms, comparison.reference.terms
            if other[0] != own[0] and other[1] == own[1]:
                linked.setdefault(other[0], set()).add(own[1])
    for name, cells in linked.items():
        there: dict[Any, float] = {}
        for arm, reference, row in pairs_of(results, by_name[name]):
            if row["verdict"] in REVERSED:
                there |= {(arm, reference): row["difference"], (reference, arm): -row["difference"]}
        for arm, reference, row in experiment.pairs:
            difference = there.get((arm, reference), 0.0)
            opposite = row["verdict"] in REVERSED and difference * row["difference"] < 0
            if {arm, reference} <= cells and opposite:
                better = row["verdict"] == "better"
                pair = (arm, reference) if better else (reference, arm)
                run = next(run for run in by_name[name].runs if run.cell == arm)
                yield {
                    **_keys(*pair),
                    "epoch": run.settings.training.epochs,
                    "value": difference if better else -difference,
                }


def _classes_pay(experiment: Experiment) -> Iterable[Row]:
    """The value is the number of classes on which an arm differs and not as on the whole split."""
    effects = experiment.results.tables["class_effects"]
    effects = effects[effects["verdict"].isin(["helped", "harmed"])]
    for arm, reference, row in experiment.pairs:
        keys = ("experiment", "dataset", "arm", "reference")
        same_pair = effects[np.all([effects[key] == row[key] for key in keys], axis=0)]
        overall = row["difference"] if row["verdict"] in REVERSED else 0.0
        count = int((same_pair["difference"] * overall <= 0).sum())
        if count:
            yield {**_keys(arm, reference), "value": count}


INTERPRETATIONS: tuple[Interpretation, ...] = (
    Interpretation("optimization_failure", _train_difference(failed=True)),
    Interpretation("overfits_more", _train_difference(failed=False)),
    Interpretation("little_to_regularize", _little_to_regularize),
    Interpretation("too_strong_for_budget", _too_strong_for_budget),
    Interpretation("underconfident", _confidence(-1)),
    Interpretation("overconfident", _confidence(1)),
    Interpretation("unstable", _unstable),
    Interpretation("rank_change", _rank_change),
    Interpretation("budget_reversal", _budget_reversal),
    Interpretation("classes_pay", _classes_pay),
)

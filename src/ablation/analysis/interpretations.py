"""Interpretations: possible explanations of the results of an experiment.

`INTERPRETATIONS` declares them; the table ``interpretations`` has rows for each whose condition
holds.
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

MIN_CELLS = 3  # fewest cells for a usual range over seeds


@dataclass(frozen=True)
class Interpretation:
    """A possible explanation of results.

    Attributes:
        name: name in the table.
        compute: takes the results of an experiment and returns rows of the table.
    """

    name: str
    compute: Callable[["ExperimentResults"], Iterable[Row]]


class ExperimentResults:
    """The results of an experiment for interpretations.

    Args:
        results: the study, with its tables.
        planned: the experiment.

    Attributes:
        cells: row of each cell with a result.
        pairs: see `pairs_of`.
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
        """Return 1 if the arm wins, -1 if the reference wins, otherwise 0.

        With too few seeds for a verdict, a difference above the margin wins.
        """
        if row["verdict"] in REVERSED:
            return 1 if row["verdict"] == "better" else -1
        wins = row["seeds"] < SEEDS_FOR_VERDICTS and abs(row["difference"]) > self.margin
        return int(np.sign(row["difference"])) if wins else 0

    def decided(self) -> Iterable[tuple[Cell, Cell, float]]:
        """Return losing cell, winning cell and difference (below 0) of each pair with a winner."""
        for arm, reference, row in self.pairs:
            winner = self.winner(row)
            if winner:
                pair = (reference, arm) if winner > 0 else (arm, reference)
                yield *pair, -abs(row["difference"])

    def is_unaugmented(self, cell: Cell) -> bool:
        """Return whether the pipeline of a cell changes no image."""
        return not effective_steps(self.planned.pipelines[cell[2]])

    def unaugmented(self, cell: Cell) -> Cell | None:
        """Return the unaugmented cell of the same model; None without one."""
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
    """Return arm, reference and row of each comparison of two cells of an experiment.

    Only comparisons of test accuracy with a result.
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
        experiment = ExperimentResults(results, planned)
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
    experiment: ExperimentResults, failed: bool
) -> Iterable[tuple[Cell, Cell, float, float]]:
    """Return pairs whose losing cell also fits the training images worse, or does not.

    Args:
        experiment: the experiment.
        failed: whether the losing cell fits the training images worse.

    Returns:
        Losing cell, winning cell, difference of their clean training accuracies, and its threshold:
        half the difference of their test accuracies.
    """
    for losing, winning, difference in experiment.decided():
        value = (
            experiment.cells[losing]["train_accuracy_clean"]
            - experiment.cells[winning]["train_accuracy_clean"]
        )
        limit = threshold("train_share") * difference
        if np.isfinite(value) and (value <= limit) == failed:
            yield losing, winning, value, limit


def _train_difference(failed: bool) -> Callable[[ExperimentResults], Iterable[Row]]:
    """The value is the difference in clean training accuracy, losing minus winning cell.

    Pairs of `_too_strong_for_budget` are left out.
    """

    def compute(experiment: ExperimentResults) -> Iterable[Row]:
        explained = list(_too_strong_for_budget(experiment))
        for losing, winning, value, limit in _train_differences(experiment, failed):
            row = _keys(losing, winning)
            if not any(row.items() <= one.items() for one in explained):
                yield {**row, "value": value, "threshold": limit}

    return compute


def _little_to_regularize(experiment: ExperimentResults) -> Iterable[Row]:
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


def _too_strong_for_budget(experiment: ExperimentResults) -> Iterable[Row]:
    """Augmented cells that lose to the unaugmented one while their loss still decreases.

    The value is the relative decrease of the validation loss in the last epoch.
    """
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


def _confidence(sign: int) -> Callable[[ExperimentResults], Iterable[Row]]:
    """Miscalibrated cells with confidence above (1) or below (-1) accuracy.

    Cells whose optimization failed are left out.
    """

    def compute(experiment: ExperimentResults) -> Iterable[Row]:
        limit = threshold("miscalibrated")
        failed = {cell for cell, *_ in _train_differences(experiment, failed=True)}
        for cell, row in experiment.cells.items():
            beyond = sign * (row["confidence"] - row["test_accuracy"])
            if row["ece"] > limit and beyond > 0 and cell not in failed:
                yield {**_keys(cell), "value": row["ece"], "threshold": limit}

    return compute


def _unstable(experiment: ExperimentResults) -> Iterable[Row]:
    """The value is the range of test accuracy over the seeds."""
    ranges = {
        cell: row["test_accuracy_max"] - row["test_accuracy_min"]
        for cell, row in experiment.cells.items()
        if row["finished"] - row["diverged"] > 1
    }
    if len(ranges) < MIN_CELLS:
        return
    usual = float(np.median(list(ranges.values())))
    limit = max(threshold("unstable_ratio") * usual, threshold("unstable"))
    for cell, value in ranges.items():
        if value > limit:
            yield {**_keys(cell), "value": value, "threshold": limit}


def _rank_change(experiment: ExperimentResults) -> Iterable[Row]:
    """The clearest pair of each data set whose order changes in the second half of training.

    Only pairs in which all seeds agree at both epochs. The cell is better at the end, its reference
    at half of the epochs; the value is the smaller of both differences.
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


def _budget_reversal(experiment: ExperimentResults) -> Iterable[Row]:
    """Pairs with opposite verdicts in an experiment that is compared with this one as a budget.

    The cell is the better one here. The epoch is the other training length; the value is the
    difference there.
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


def _classes_pay(experiment: ExperimentResults) -> Iterable[Row]:
    """The value is the number of classes with an effect that is not that on the whole split."""
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

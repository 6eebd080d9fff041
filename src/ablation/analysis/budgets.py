"""Whether the ranking of arms changes with the budget: the same arms, trained for longer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from ablation.analysis.findings import LISTED, Finding, Sentence, count, join, percent, size
from ablation.analysis.tables import CELL, diagnostics_rows
from ablation.study.comparisons import Cell, names_of
from ablation.study.grid import Run
from ablation.study.plan import Plan, PlannedExperiment

LENGTH = "training length"  # the diagnosis that tells how many epochs a cell is trained for
OPPOSITE = {"better": "worse", "worse": "better"}
SAID = {"better": "more", "worse": "less"}

Row = Mapping[Any, Any]  # of a table
Pair = tuple[Cell, Cell]
Budget = tuple[str, int]  # experiment, epochs


@dataclass(frozen=True)
class Budgets:
    """The same arms on one data set, trained for different numbers of epochs.

    Attributes:
        dataset: the data set.
        cells: the arms, two or more.
        lengths: the experiments with their epochs, the shortest first.
    """

    dataset: str
    cells: tuple[Cell, ...]
    lengths: tuple[Budget, ...]


def find_budgets(
    experiment: PlannedExperiment, others: Mapping[str, PlannedExperiment]
) -> list[Budgets]:
    """Return the arms that an experiment compares with themselves at other budgets.

    They are told by its budget comparisons on the test split whose two sides are one cell of two
    experiments, and by those of the experiments that it is compared with, as far as these have all
    of its arms. Experiments with the same arms stand together.

    Args:
        experiment: the experiment.
        others: every experiment of the study by name.
    """
    found = []
    for (dataset, own), linked in _links(experiment, others).items():
        by_cells: dict[tuple[Cell, ...], list[Budget]] = {}
        for budget, cells in linked.items():
            by_cells.setdefault(tuple(cells), [(experiment.name, own)]).append(budget)
        for arms, budgets in by_cells.items():
            if len(arms) < 2:
                continue
            for name, epochs in budgets:  # grows while it is gone through
                further = _links(others[name], others).get((dataset, epochs), {})
                budgets += [
                    budget
                    for budget, theirs in further.items()
                    if set(arms) <= set(theirs) and budget not in budgets
                ]
            budgets.sort(key=lambda budget: budget[1])
            found.append(Budgets(dataset, arms, tuple(budgets)))
    return found


def _links(
    experiment: PlannedExperiment, others: Mapping[str, PlannedExperiment]
) -> dict[tuple[str, int], dict[Budget, list[Cell]]]:
    """By data set and epochs, the other budgets at which an experiment's cells are compared."""
    linked: dict[tuple[str, int], dict[Budget, list[Cell]]] = {}
    for comparison in experiment.comparisons:
        if "budget" not in comparison.kinds or comparison.epoch is not None:
            continue
        ((_, (_, cell)),), ((_, (other, same)),) = comparison.arm.terms, comparison.reference.terms
        if other != experiment.name and same == cell:
            own = _epochs(_run(experiment, cell))
            budget = (other, _epochs(_run(others[other], cell)))
            linked.setdefault((cell[0], own), {}).setdefault(budget, []).append(cell)
    return linked


def budget_lengths(plan: Plan) -> pd.DataFrame:
    """Return rows for the diagnostics: the training length of each cell at several budgets."""
    others = {experiment.name: experiment for experiment in plan.experiments}
    lengths = {
        (name, cell): epochs
        for experiment in plan.experiments
        for budgets in find_budgets(experiment, others)
        for name, epochs in budgets.lengths
        for cell in budgets.cells
    }
    return diagnostics_rows(
        [
            {**_at((name, epochs), cell), "diagnosis": LENGTH, "value": epochs}
            for (name, cell), epochs in lengths.items()
        ]
    )


def budget_findings(
    experiment: PlannedExperiment, plan: Plan, tables: Mapping[str, pd.DataFrame]
) -> list[Finding]:
    """Return how arms rank at each budget that an experiment compares, and what is shown reversed.

    Args:
        experiment: the one that declares the budget comparisons.
        plan: its study.
        tables: every table of the study.
    """
    others = {other.name: other for other in plan.experiments}
    found = find_budgets(experiment, others)
    several = len({budgets.dataset for budgets in found}) > 1
    return [_Ranking(experiment, budgets, others, tables, several).finding() for budgets in found]


class _Ranking:
    """Writes the finding on one set of budgets."""

    def __init__(
        self,
        experiment: PlannedExperiment,
        budgets: Budgets,
        others: Mapping[str, PlannedExperiment],
        tables: Mapping[str, pd.DataFrame],
        several: bool,
    ) -> None:
        self.budgets, self.others, self.tables = budgets, others, tables
        self.on = f" on {budgets.dataset}" if several else ""
        self.name = names_of(experiment)
        self.say = Sentence(tables)
        self.pairs = list(combinations(budgets.cells, 2))
        self.verdicts = {name: self._verdicts(name) for name, _ in budgets.lengths}

    def finding(self) -> Finding:
        """Return the order at each budget, and what is shown to change from one to another."""
        orders = "; ".join(self._order(budget) for budget in self.budgets.lengths)
        text = f"Order by mean test accuracy{self.on}: {orders}. {self._changes()}"
        text += self._confounded()
        return Finding("evidence", "budgets", text, tuple(self.say.sources))

    def _order(self, budget: Budget) -> str:
        after = self._after(budget)
        cells = self.tables["cells"]
        accuracy = {
            (row["dataset"], row["model"], row["augmentation"]): row["test_accuracy"]
            for row in cells[cells["experiment"] == budget[0]].to_dict("records")
        }
        there = [cell for cell in self.budgets.cells if pd.notna(accuracy[cell])]
        told = []
        for cell in sorted(there, key=lambda cell: -accuracy[cell]):
            mean = self.say("cells", "test_accuracy", percent, **_at(budget, cell))
            told.append(f"{self.name(cell)} {mean} %")
        lost = [self.name(cell) for cell in self.budgets.cells if cell not in there]
        if lost:
            told.append(f"{join(lost)} without a result")
        return f"{after} (experiment {budget[0]}) {', '.join(told)}"

    def _after(self, budget: Budget) -> str:
        at = _at(budget, self.budgets.cells[0])
        epochs = self.say("diagnostics", "value", count, diagnosis=LENGTH, **at)
        return f"after {epochs} {'epoch' if epochs == '1' else 'epochs'}"

    def _verdicts(self, experiment: str) -> dict[Pair, tuple[str, Row]]:
        """What the experiment's own comparisons say of the first arm of each pair."""
        table = self.tables["comparisons"]
        rows = table[
            (table["experiment"] == experiment) & table["kind"].isin(["baseline", "twin", "arm"])
        ]
        found: dict[Pair, tuple[str, Row]] = {}
        for row in rows.to_dict("records"):
            arm, reference = (
                (row["dataset"], row[f"{side}_model"], row[f"{side}_augmentation"])
                for side in ("arm", "reference")
            )
            found.setdefault((arm, reference), (row["verdict"], row))
            found.setdefault((reference, arm), (OPPOSITE.get(row["verdict"], row["verdict"]), row))
        return found

    def _definite(self, pair: Pair) -> list[tuple[Budget, str, Row]]:
        """The budgets at which two arms are shown to differ, with the verdict on the first."""
        return [
            (budget, *self.verdicts[budget[0]][pair])
            for budget in self.budgets.lengths
            if pair in self.verdicts[budget[0]] and self.verdicts[budget[0]][pair][0] in OPPOSITE
        ]

    def _changes(self) -> str:
        definite = {pair: self._definite(pair) for pair in self.pairs}
        changed = [
            pair
            for pair, at in definite.items()
            if {verdict for _, verdict, _ in at} == set(OPPOSITE)
        ]
        if changed:
            told = "; ".join(self._changed(pair, definite[pair]) for pair in changed[:LISTED])
            more = "; the tables of comparisons hold others" if len(changed) > LISTED else ""
            return f"The order is shown to change with the budget: {told}{more}."
        if all(sum(pair in of for of in self.verdicts.values()) < 2 for pair in self.pairs):
            return (
                "No pair of these arms is compared at more than one of these budgets, so whether "
                "their order changes is not tested."
            )
        more_than_one = any(len(at) > 1 for at in definite.values())
        why = "" if more_than_one else "; no pair has either at more than one of them"
        return (
            "No pair has the verdict better at one of these budgets and worse at another"
            f"{why}. So no change of the order is shown, which is not to say that there is none."
        )

    def _changed(self, pair: Pair, definite: Sequence[tuple[Budget, str, Row]]) -> str:
        first, second = map(self.name, pair)
        told = [
            f"{SAID[verdict]} accurate {self._after(budget)} ({self._numbers(row)})"
            for budget, verdict, row in definite
        ]
        return f"{first} against {second} is {join(told)}"

    def _numbers(self, row: Row) -> str:
        keys = ("experiment", "kind", "dataset", "arm", "reference")
        where = {key: row[key] for key in keys}
        difference = self.say("comparisons", "difference", size, **where)
        # A verdict of better or worse has both ends on one side of zero.
        least, most = (
            self.say("comparisons", end, size, **where)
            for end in sorted(("low", "high"), key=lambda end: abs(row[end]))
        )
        return f"by {difference} points, interval {least} to {most}"

    def _confounded(self) -> str:
        """Say so where the experiments differ in more than the training length."""
        for cell in self.budgets.cells:
            runs = [_run(self.others[name], cell) for name, _ in self.budgets.lengths]
            if any(_besides_length(run) != _besides_length(runs[0]) for run in runs):
                return (
                    " The experiments differ in more than the number of epochs, so that a change "
                    "could not be put down to it alone."
                )
        return ""


def _run(experiment: PlannedExperiment, cell: Cell) -> Run:
    return next(run for run in experiment.runs if run.cell == cell)


def _epochs(run: Run) -> int:
    return int(run.settings["training"]["epochs"])


def _besides_length(run: Run) -> dict[str, Any]:
    """Everything that decides a result but the seed and the number of epochs."""
    settings = {key: value for key, value in run.settings.items() if key != "seed"}
    return settings | {"training": settings["training"] | {"epochs": None}}


def _at(budget: Budget, cell: Cell) -> dict[str, Any]:
    return dict(zip(CELL, (budget[0], *cell), strict=True))

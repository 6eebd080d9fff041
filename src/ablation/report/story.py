"""Which comparisons a section speaks of, and in which order. The sentences are in the templates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ablation.report.values import Row, Tables

VERDICTS = ("better", "worse", "same", "open")
MARKS = {"better": "▲", "worse": "▼", "same": "≈", "open": "?"}
SEEDS_FOR_VERDICTS = 3
INTERPRETED = 4  # sentences of interpretation in one section
TOLD = 3  # sentences of an answer


@dataclass(frozen=True)
class Group:
    """Comparisons of one data set and measure that have one reference.

    Attributes:
        reference: short name of the reference.
        model: the model of all its arms, where other groups have another one; otherwise empty.
        rows: the comparisons, the largest differences first.
    """

    reference: str
    model: str
    rows: list[Row]

    def of(self, verdict: str) -> list[Row]:
        """Return the comparisons with a verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def decided(self) -> bool:
        """Whether some verdict is better, worse or same."""
        return any(row.verdict in VERDICTS[:3] for row in self.rows)

    @property
    def first(self) -> Row:
        """The comparison with the largest difference."""
        return self.rows[0]


@dataclass
class Story:
    """An experiment with its results, as the templates tell it.

    Attributes:
        block: its entry in ``analysis.json``.
        tables: its rows of every table.
        figures: names of its figures by what they show.
    """

    block: Mapping[str, Any]
    tables: Tables
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.block["name"])

    @cached_property
    def cells(self) -> list[Row]:
        """Its cells, in the order of the study."""
        return self.tables.rows("cells")

    @cached_property
    def comparisons(self) -> list[Row]:
        """Its comparisons that have a result."""
        return [row for row in self.tables.rows("comparisons") if row.verdict]

    @property
    def pairs(self) -> list[Row]:
        """Comparisons of two arms."""
        return [row for row in self.comparisons if not row.factors]

    @property
    def main_effects(self) -> list[Row]:
        """Effects of one factor, averaged over the others."""
        return [row for row in self.comparisons if row.factors and "×" not in row.factors]

    @property
    def interactions(self) -> list[Row]:
        """Effects that depend on a second factor, the largest first."""
        return _largest_first(row for row in self.comparisons if "×" in row.factors)

    @property
    def has_verdicts(self) -> bool:
        """Whether some comparison has enough seeds for a verdict."""
        return any(row.seeds >= SEEDS_FOR_VERDICTS for row in self.comparisons)

    @property
    def several_models(self) -> bool:
        """Whether its models vary."""
        return len(self.block["models"]) > 1

    @property
    def several_datasets(self) -> bool:
        """Whether its data sets vary."""
        return len(self.block["datasets"]) > 1

    @cached_property
    def groups(self) -> list[Group]:
        """Its pairs by reference, decided ones first, then by the size of the difference."""
        found: dict[Any, list[Row]] = {}
        for row in self.pairs:
            key = (row.dataset, row.reference, row.measure, row.get("epoch") or 0)
            found.setdefault(_comparable(key), []).append(row)
        groups = []
        for rows in found.values():
            models = {(row.arm_model, row.reference_model) for row in rows}
            one_model = len(models) == 1 and len(set(*models)) == 1 and self.several_models
            groups.append(
                Group(
                    short(rows[0], "reference"),
                    rows[0].arm_model if one_model else "",
                    _largest_first(rows),
                )
            )
        return sorted(groups, key=lambda group: (not group.decided, -abs(group.first.difference)))

    @property
    def open_pairs(self) -> list[Row]:
        """Pairs that cannot be told apart."""
        return [row for row in self.pairs if row.verdict == "open"]

    @property
    def factorial(self) -> Mapping[str, Any] | None:
        """The factorial of two factors that holds all cells of the experiment, if one does."""
        for one in self.block["factorials"]:
            held = {tuple(cell) for cells in one["cells"].values() for cell in cells}
            if len(one["factors"]) == 2 and held == {(c.model, c.augmentation) for c in self.cells}:
                return dict(one)
        return None

    def checks(self, name: str) -> list[Row]:
        """Return what a check found in single cells, the largest value first."""
        found = [row for row in self.tables.rows("checks", check=name) if row.model]
        return sorted(found, key=lambda row: -row.value if row.value == row.value else 0)

    def check(self, name: str) -> Row | None:
        """Return what a check found in the experiment as a whole."""
        found = [row for row in self.tables.rows("checks", check=name) if not row.model]
        return found[0] if found else None

    @property
    def interpretations(self) -> list[Row]:
        """What rules make of the results, in the order of the rules."""
        return self.tables.rows("interpretations")

    def cell(self, dataset: str, model: str, augmentation: str) -> Row:
        """Return a cell."""
        found = self.tables.row("cells", dataset=dataset, model=model, augmentation=augmentation)
        if found is None:
            raise LookupError(f"no cell {model} · {augmentation} on {dataset}")
        return found

    def arm(self, row: Mapping[str, Any], side: str = "") -> str:
        """Return the short name of a cell, by what varies in the experiment.

        Args:
            row: with the columns model and augmentation.
            side: in front of these columns' names, such as ``reference_``.
        """
        model, augmentation = str(row[f"{side}model"]), str(row[f"{side}augmentation"])
        several = len(self.block["augmentations"]) > 1
        if not several:
            return model
        return f"{model} · {augmentation}" if self.several_models else augmentation


def short(row: Row, side: str) -> str:
    """Return the name of a side of a comparison, without what both sides have in common.

    Args:
        row: of the table of comparisons.
        side: ``arm`` or ``reference``.
    """
    if row.arm_model and row.arm_model == row.reference_model:
        if row.arm_augmentation != row.reference_augmentation:
            return str(row[f"{side}_augmentation"])
    elif row.arm_model and row.arm_augmentation == row.reference_augmentation:
        return str(row[f"{side}_model"])
    return str(row[side])


def _largest_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -abs(row.difference))


def _comparable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(0 if value != value else value for value in key)  # NaN is not itself

"""Selection and order of the results of an experiment; the templates put them into sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ablation.report.values import Row, Tables
from ablation.study.metrics import TEST_ACCURACY

VERDICTS = ("better", "worse", "same", "open")
MARKS = {"better": "▲", "worse": "▼", "same": "≈", "open": "?"}
SEEDS_FOR_VERDICTS = 3
INTERPRETED = 4  # most interpretations in a section
SENTENCES = 3  # most sentences of an answer


@dataclass(frozen=True)
class ComparisonGroup:
    """Comparisons of one data set and metric that share a sentence.

    Attributes:
        kind: what they have in common: ``reference``, ``arm``, ``models`` (two models under several
            augmentations) or ``single`` for one comparison.
        rows: the comparisons, largest differences first.
        model: model of all arms, if other groups have another one; otherwise empty.
        depth: common depth of a ``single`` plain network and its residual counterpart; otherwise
            empty.
    """

    kind: str
    rows: list[Row]
    model: str = ""
    depth: str = ""

    def of(self, verdict: str) -> list[Row]:
        """Return the comparisons with a verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def decided(self) -> bool:
        """Whether a verdict is better, worse or same."""
        return any(row.verdict in VERDICTS[:3] for row in self.rows)

    @property
    def first(self) -> Row:
        """The comparison with the largest difference."""
        return self.rows[0]

    def names(self, verdict: str) -> list[str]:
        """Return distinguishing names of the comparisons with a verdict."""
        side = "reference" if self.kind == "arm" else "arm"
        if self.kind == "models":
            return [str(row.arm_augmentation) for row in self.of(verdict)]
        return [short(row, side) for row in self.of(verdict)]


@dataclass
class ExperimentView:
    """An experiment with its results, for the templates.

    Attributes:
        block: entry of the experiment in ``analysis.json``.
        tables: rows of the experiment in every table.
    """

    block: Mapping[str, Any]
    tables: Tables

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.block["name"])

    @cached_property
    def cells(self) -> list[Row]:
        """Cells, in the order of the study."""
        return self.tables.rows("cells")

    @cached_property
    def comparisons(self) -> list[Row]:
        """Comparisons with a result."""
        return [row for row in self.tables.rows("comparisons") if row.verdict]

    @property
    def pairs(self) -> list[Row]:
        """Comparisons of two arms."""
        return [row for row in self.comparisons if not row.factors]

    @property
    def main_effects(self) -> list[Row]:
        """Main effects of factors."""
        return [row for row in self.comparisons if row.factors and "×" not in row.factors]

    @property
    def interactions(self) -> list[Row]:
        """Interactions of two factors, the largest first."""
        return _largest_first(row for row in self.comparisons if "×" in row.factors)

    @property
    def has_verdicts(self) -> bool:
        """Whether a comparison has enough seeds for a verdict."""
        return any(row.seeds >= SEEDS_FOR_VERDICTS for row in self.comparisons)

    @property
    def optimistic(self) -> bool:
        """Whether the test split served as validation split."""
        return bool(self.block["validation"] == "test")

    @property
    def dagger(self) -> str:
        """A dagger if the test split served as validation split."""
        return "†" if self.optimistic else ""

    @property
    def best(self) -> Row | None:
        """The cell with the highest test accuracy."""
        known = [cell for cell in self.cells if cell.test_accuracy == cell.test_accuracy]
        return max(known, key=lambda cell: cell.test_accuracy, default=None)

    @property
    def anchor(self) -> str:
        """Id of the section."""
        return f"experiment-{self.name}"

    @property
    def several_models(self) -> bool:
        """Whether its models vary."""
        return len(self.block["models"]) > 1

    @property
    def several_datasets(self) -> bool:
        """Whether its data sets vary."""
        return len(self.block["datasets"]) > 1

    @cached_property
    def groups(self) -> list[ComparisonGroup]:
        """Groups of `pairs`; decided groups first, then by the size of the difference."""
        groups: list[ComparisonGroup] = []
        rest = self.pairs
        for kind in ("models", "reference", "arm", "single"):
            found: dict[Any, list[Row]] = {}
            for row in rest:
                key = (row.dataset, row.measure, str(row.get("epoch")), *_shared(kind, row))
                found.setdefault(key, []).append(row)
            several = [rows for rows in found.values() if len(rows) > 1 or kind == "single"]
            groups += [self._group(kind, _largest_first(rows)) for rows in several]
            taken = [row.where for rows in several for row in rows]
            rest = [row for row in rest if row.where not in taken]
        return sorted(groups, key=lambda group: (not group.decided, -abs(group.first.difference)))

    def _group(self, kind: str, rows: list[Row]) -> ComparisonGroup:
        models = {model for row in rows for model in (row.arm_model, row.reference_model)}
        model = models.pop() if len(models) == 1 and self.several_models else ""
        depths = {
            self.block["architectures"].get(rows[0][f"{side}_model"], {}).get("depth")
            for side in ("arm", "reference")
        }
        alike = kind == "single" and "counterpart" in rows[0].kinds.split() and len(depths) == 1
        return ComparisonGroup(kind, rows, model, str(depths.pop()) if alike else "")

    @property
    def factorial(self) -> Mapping[str, Any] | None:
        """The two-factor design that covers all cells of the experiment, if any."""
        for one in self.block["factorials"]:
            held = {tuple(cell) for cells in one["cells"].values() for cell in cells}
            if len(one["factors"]) == 2 and held == {(c.model, c.augmentation) for c in self.cells}:
                return dict(one)
        return None

    def checks(self, name: str) -> list[Row]:
        """Return the rows of a check for single cells, the largest value first."""
        found = [row for row in self.tables.rows("checks", check=name) if row.model]
        return sorted(found, key=lambda row: -row.value if row.value == row.value else 0)

    def check(self, name: str) -> Row | None:
        """Return the row of a check for the whole experiment."""
        found = [row for row in self.tables.rows("checks", check=name) if not row.model]
        return found[0] if found else None

    @property
    def interpretations(self) -> dict[str, list[Row]]:
        """Rows of each interpretation, the clearest first."""
        found: dict[str, list[Row]] = {}
        for row in self.tables.rows("interpretations"):
            found.setdefault(row.interpretation, []).append(row)
        first = list(found.items())[:INTERPRETED]
        return {name: sorted(rows, key=lambda row: -abs(row.value)) for name, rows in first}

    @property
    def answer_groups(self) -> list[ComparisonGroup]:
        """Groups that fit into the answer, decided ones first."""
        return self.groups[: SENTENCES - bool(self.decided_interactions)]

    @property
    def decided_interactions(self) -> list[Row]:
        """Significant interactions, the largest first."""
        return [row for row in self.interactions if row.verdict in ("better", "worse")]

    @property
    def answer_effects(self) -> list[Row]:
        """Main effects in the answer of an experiment without groups."""
        return _largest_first(self.unqualified_main_effects)[:SENTENCES]

    @property
    def further_groups(self) -> list[ComparisonGroup]:
        """Groups that are not in the answer."""
        return [group for group in self.groups if group not in self.answer_groups]

    @property
    def further_interactions(self) -> list[Row]:
        """Interactions that are not in the answer."""
        return [row for row in self.interactions if row not in self.decided_interactions[:1]]

    @property
    def unqualified_main_effects(self) -> list[Row]:
        """Main effects of factors without a significant interaction."""
        qualified = {
            factor for row in self.decided_interactions for factor in row.factors.split(" × ")
        }
        return [row for row in self.main_effects if row.factors not in qualified]

    def of(self, row: Mapping[str, Any], side: str = "") -> Row:
        """Return the cell of a row; with side ``reference_`` its reference."""
        return self._one("cells", row, side)

    def at_epoch(self, row: Mapping[str, Any], side: str = "") -> Row:
        """Return the epoch means of the cell of a row, at its epoch."""
        return self._one("epochs", row, side, epoch=row["epoch"])

    def _one(self, table: str, row: Mapping[str, Any], side: str, **where: Any) -> Row:
        names = {key: row[f"{side}{key}"] for key in ("model", "augmentation")}
        found = self.tables.row(table, dataset=row["dataset"], **names, **where)
        if found is None:
            raise LookupError(f"{table} has no row of {names} on {row['dataset']}")
        return found

    @property
    def mixing(self) -> bool:
        """Whether some, but not all augmentations mix labels."""
        return len({one["mixes_labels"] for one in self.block["augmentations"]}) > 1

    def mixes(self, row: Mapping[str, Any]) -> bool:
        """Return whether the augmentation of a row mixes labels."""
        mixing = [one["label"] for one in self.block["augmentations"] if one["mixes_labels"]]
        return row["augmentation"] in mixing

    @property
    def class_effects(self) -> list[Row]:
        """Significant effects on classes that are not those on the whole test split.

        The largest first.
        """
        overall = {
            (row.dataset, row.arm, row.reference): row.difference
            for row in self.pairs
            if row.measure == TEST_ACCURACY and row.verdict in ("better", "worse")
        }
        return _largest_first(
            row
            for row in self.tables.rows("class_effects")
            if row.verdict in ("helped", "harmed")
            and row.difference * overall.get((row.dataset, row.arm, row.reference), 0) <= 0
        )

    def arm(self, row: Mapping[str, Any], side: str = "") -> str:
        """Return the short name of a cell: model, augmentation or both, whichever vary.

        Args:
            row: row with the columns model and augmentation.
            side: prefix of these columns, such as ``reference_``.
        """
        model, augmentation = str(row[f"{side}model"]), str(row[f"{side}augmentation"])
        several = len(self.block["augmentations"]) > 1
        if not several:
            return model
        return f"{model} · {augmentation}" if self.several_models else augmentation


def short(row: Row, side: str) -> str:
    """Return the name of a side of a comparison, without the part that both sides share.

    Args:
        row: row of the table of comparisons.
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


def _shared(kind: str, row: Row) -> tuple[str, ...]:
    """Return what comparisons of a group have in common."""
    if kind == "models" and row.arm_augmentation == row.reference_augmentation:
        return (row.arm_model, row.reference_model)
    if kind in ("reference", "arm"):
        return (row[kind],)
    return (row.arm, row.reference)

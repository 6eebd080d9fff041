"""An experiment on one data set: the unit that tables and figures are made for."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ablation.analysis.measures import unequal
from ablation.report.figures import Arm, ArmStyles, arm_names
from ablation.report.inputs import Inputs
from ablation.report.text import OPTIMISTIC

ALL_DATASETS = "all"
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Part:
    """An experiment on one data set.

    Attributes:
        block: the experiment as ``analysis.json`` tells it.
        dataset: the data set.
        inputs: everything that the report is made from.
        styles: the styles of the study's arms.
    """

    block: Mapping[str, Any]
    dataset: str
    inputs: Inputs
    styles: ArmStyles

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return str(self.block["name"])

    @property
    def optimistic(self) -> bool:
        """Whether the test split was used for validation."""
        return bool(self.block["validation"] == "test")

    @cached_property
    def class_images(self) -> list[float]:
        """Number of test images of each class; empty if no run has finished."""
        return self.rows("classes").drop_duplicates("class")["images"].to_list()

    @property
    def unequal(self) -> bool:
        """Whether the classes of the test split are unequal."""
        return unequal(self.class_images)

    @property
    def where(self) -> str:
        """The part in words."""
        data = "over all data sets" if self.dataset == ALL_DATASETS else f"on {self.dataset}"
        return f"experiment {self.experiment} {data}"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Its rows of ``cells.csv``, in the order of every table and figure."""
        return self.rows("cells")

    @cached_property
    def arms(self) -> list[Arm]:
        """Its arms, one for each cell."""
        return arms_of(self.cells)

    @cached_property
    def names(self) -> dict[Arm, str]:
        """Names of its arms by what tells them apart."""
        return arm_names(self.arms)

    @property
    def models(self) -> list[dict[str, Any]]:
        """Its networks as ``models.json`` describes them."""
        wanted = {model for model, _ in self.arms}
        return [
            model
            for model in self.inputs.models
            if model["dataset"] == self.dataset and model["model"] in wanted
        ]

    @property
    def notes(self) -> list[str]:
        """What has to be said wherever its test scores stand."""
        return [OPTIMISTIC] if self.optimistic else []

    def rows(self, table: str) -> pd.DataFrame:
        """Return its rows of a table."""
        return self.inputs.rows(table, self.experiment, self.dataset)

    def mark(self, title: str) -> str:
        """Mark a title whose numbers are optimistic because of how validation was done."""
        return f"{title} †" if self.optimistic else title


def every_arm(rows: pd.DataFrame) -> list[Arm]:
    """Return the arm of every row of a table."""
    return list(zip(rows["model"], rows["augmentation"], strict=True))


def arms_of(rows: pd.DataFrame) -> list[Arm]:
    """Return the arms that a table has rows of, in its order."""
    return list(dict.fromkeys(every_arm(rows)))


def extremes(rows: pd.DataFrame, column: str) -> tuple[Row, Row]:
    """Return the rows with the lowest and with the highest value of a column, the first of each."""
    lowest, highest = (
        rows.sort_values(column, ascending=rising, kind="stable").head(1).to_dict("records")[0]
        for rising in (True, False)
    )
    return lowest, highest

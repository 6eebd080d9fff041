"""Where in the report the numbers of a finding stand."""

from collections.abc import Mapping
from typing import Any

from ablation.report.model import Drawing, Link, Table

# What shows the rows of a table of the analysis, by its name, its column or its diagnosis.
_OF_TABLES = {
    "classes": "class accuracies",
    "class_effects": "class effects",
    "confusion": "confusion",
    "calibration": "reliability",
    "curves": "curves",
}
_OF_COLUMNS = {
    **dict.fromkeys(
        ("val_accuracy_last", "val_accuracy_best", "val_accuracy_median5", "best_epoch_gain"),
        "epochs",
    ),
    **dict.fromkeys(("nll", "brier", "ece", "ece_scaled", "temperature"), "calibration"),
    **dict.fromkeys(("epochs", "seconds", "images_per_second"), "cost"),
}
_OF_DIAGNOSES = {
    "overfitting": "ablation",
    "balanced order": "ablation",
    "seed range": "accuracies",
    "best epoch": "epochs",
    "miscalibration": "calibration",
    "loss jump": "curves",
    "still improving": "curves",
    "longer budget": "curves",
    "training length": "ablation",
    "claims": "claims",
    "revisited": "survives",
    "looks": "judging",
}


class Sources:
    """The tables and figures that show the numbers of findings."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str, str], Link] = {}

    def add(
        self, block: Table | Drawing, kind: str, experiment: str = "", dataset: str = ""
    ) -> None:
        """Remember what a table or figure shows.

        Args:
            block: the table or figure.
            kind: what it shows.
            experiment: of which experiment; empty if of all.
            dataset: on which data set.
        """
        self._shown[kind, experiment, dataset] = Link(block.number, block.id)

    def links(self, finding: Mapping[str, Any]) -> list[Link]:
        """Return links to what shows the sources of a finding, each once."""
        found: dict[Link, str] = {}
        for source in finding["sources"]:
            kind, where = self._kind(source), source["where"]
            for (shown, experiment, dataset), link in self._shown.items():
                if (
                    shown == kind
                    and experiment in ("", where.get("experiment"))
                    and dataset in ("", where.get("dataset") or dataset)
                ):
                    found[link] = kind
        # Nearly every sentence names a threshold; the results are what a reader wants to see.
        results = [link for link, kind in found.items() if kind != "rules"]
        return results or list(found)

    @staticmethod
    def _kind(source: Mapping[str, Any]) -> str:
        table = source["table"]
        if table == "cells":
            return _OF_COLUMNS.get(source["column"].removesuffix("_sd"), "ablation")
        if table == "diagnostics":
            diagnosis = source["where"].get("diagnosis", "")
            if ": " in diagnosis:  # how many comparisons have a verdict, such as `twin: worse`
                return "comparisons"
            return _OF_DIAGNOSES.get(diagnosis.split(",")[0], "runs")  # `seed range, median`
        return _OF_TABLES.get(table, table)

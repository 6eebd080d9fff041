"""What single cells of the tables of results say."""

import math
from collections.abc import Mapping
from typing import Any

from ablation.report.model import Cell
from ablation.report.part import Row
from ablation.report.text import (
    NO_BREAK,
    NOTHING,
    interval,
    magnitude,
    number,
    points,
    spread,
)


def told_runs(cell: Row) -> str:
    """Tell how many runs of a cell have finished, and what became of the others."""
    count = {name: int(cell[name]) for name in ("runs", "finished", "stopped_early")}
    remarks = [
        f"{int(cell[status])} {status}"
        for status in ("diverged", "failed", "missing")
        if cell[status]
    ]
    if count["stopped_early"]:
        epochs = number(cell["epochs"], 1).removesuffix(".0")
        remarks.append(f"{count['stopped_early']} stopped early, mean {epochs} epochs")
    text = f"{count['finished']} of {count['runs']}"
    return text + (f" ({'; '.join(remarks)})" if remarks else "")


def told_accuracy(cell: Row) -> str:
    """Tell the mean test accuracy of a cell, or why it has none."""
    if math.isfinite(cell["test_accuracy"]):
        return spread(cell["test_accuracy"], cell["test_accuracy_sd"])
    if not cell["finished"]:
        return "no finished run"
    return f"every {'finished ' * (cell['finished'] < cell['runs'])}run diverged"


def told_difference(row: Row) -> str:
    """Tell a difference with its interval."""
    if not math.isfinite(row["difference"]):
        return NOTHING
    text, limits = told_size(row), told_interval(row)
    return text if limits == NOTHING else f"{text} ({limits})".replace(" ", NO_BREAK)


def told_size(row: Row) -> str:
    """Tell a difference; from two seeds, that of each in brackets besides."""
    text = points(row["difference"])
    if row.get("basis") != "images" or row["seeds"] < 2:
        return text
    seeds = ", ".join(points(float(one)) for one in str(row["by_seed"]).split())
    return f"{text} [{seeds}]"


def told_interval(row: Row) -> str:
    """Tell an interval, marked where it is for the test images only."""
    text = interval(row["low"], row["high"])
    return text if row.get("basis") != "images" else f"{text} *"


def multiply_adds_cell(model: Mapping[str, Any]) -> Cell:
    """Return a network's multiply-adds, or which of its layers keep them from being counted."""
    count = model["multiply_adds"]
    if count is None:
        return Cell(f"not counted ({', '.join(model['uncounted'])})")
    return Cell(magnitude(count), count)


def arm_cells(row: Row) -> list[Cell]:
    """Return the cells that name an arm."""
    return [Cell(row["model"]), Cell(row["augmentation"])]


def share_cell(row: Row, name: str) -> Cell:
    """Return a mean share in percent with its standard deviation."""
    return Cell(spread(row[name], row[f"{name}_sd"]), row[name])


def number_cell(row: Row, name: str, decimals: int) -> Cell:
    """Return a mean with its standard deviation."""
    text, sd = number(row[name], decimals), row[f"{name}_sd"]
    if text != NOTHING and math.isfinite(sd):
        text += f"{NO_BREAK}±{NO_BREAK}{number(sd, decimals)}"
    return Cell(text, row[name])


def points_cell(value: float) -> Cell:
    """Return a difference in points."""
    return Cell(points(value), value)

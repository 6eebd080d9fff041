"""Accuracy of every run."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ablation.report.plots import style


@style.styled()
def accuracies(
    cells: pd.DataFrame, runs: pd.DataFrame, styles: style.Styles, optimistic: bool = False
) -> Figure:
    """Draw the test accuracy of every run as a pale dot, and the mean of each arm.

    Args:
        cells: model, augmentation, runs, finished, diverged, missing, test_accuracy.
        runs: model, augmentation, test_accuracy.
        styles: the styles of the study.
        optimistic: whether the test split served as validation split.

    Returns:
        The figure, half as wide as the page.
    """
    arms = style.arms_of(cells)
    figure = Figure(figsize=(style.HALF, 0.3 * len(arms) + 1), layout="constrained")
    ax = figure.subplots()
    for y, (arm, cell) in enumerate(zip(arms, cells.to_dict("records"), strict=True)):
        colour, marker = styles[arm]
        mean = 100 * cell["test_accuracy"]
        values = 100 * style.rows_of(runs, arm)["test_accuracy"].dropna()
        ax.plot(values, [y] * len(values), "o", color=colour, alpha=0.4, ms=5, mew=0)
        if math.isnan(mean):
            style.write_note(ax, _missing_reason(cell), y)
            continue
        label = f"mean:{arm[0]}:{arm[1]}"
        ax.plot(mean, y, marker, color=colour, ms=8, mec="white", mew=0.6, label=label)
        counts = f" ({cell['finished']} of {cell['runs']})"
        style.number_row(ax, y, f"{mean:.1f}" + counts * (cell["finished"] < cell["runs"]))
    style.name_rows(ax, [style.wrapped(name) for name in style.arm_names(arms).values()])
    ax.margins(x=0.06)
    if cells["test_accuracy"].isna().all():
        ax.set_xlim(0, 100)
    ax.set_xlabel(f"Test accuracy, %{style.OPTIMISTIC * optimistic}")
    ink: dict[str, Any] = {"color": style.INK, "marker": "o", "ls": ""}
    handles = {
        "mean over seeds": Line2D([], [], ms=8, mec="white", **ink),
        "a run": Line2D([], [], ms=5, mew=0, alpha=0.4, **ink),
    }
    style.legend(figure, handles)
    return figure


def _missing_reason(cell: Mapping[Any, Any]) -> str:
    """Return why an arm has no accuracy."""
    if cell["missing"] == cell["runs"]:
        return "not run yet"
    return "every run diverged" if cell["diverged"] == cell["runs"] else "no result"

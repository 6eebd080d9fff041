"""Accuracy against cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from ablation.report.plots import style


@style.styled()
def cost(
    cells: pd.DataFrame,
    networks: Sequence[Mapping[str, Any]],
    styles: style.Styles,
    seconds: bool = False,
    optimistic: bool = False,
) -> Figure:
    """Draw mean test accuracy against multiply-adds per image, or against training time.

    Args:
        cells: dataset, model, augmentation, test_accuracy and seconds.
        networks: content of ``models.json``: model and costs, each with dataset and
            multiply_adds (None if unknown).
        styles: styles of the study.
        seconds: whether to draw against the training time of a run.
        optimistic: whether the test split served as validation split.

    Returns:
        The figure, half as wide as the page; full width with more than 12 arms.
    """
    counted = {
        (cost["dataset"], network["model"]): cost["multiply_adds"]
        for network in networks
        for cost in network["costs"]
    }
    keys = zip(cells["dataset"], cells["model"], strict=True)
    costs = cells["seconds"] if seconds else [counted[key] for key in keys]
    table = cells.assign(cost=pd.Series(costs, cells.index, dtype=float))
    table = table.dropna(subset=["cost", "test_accuracy"])
    beside = int(table["cost"].value_counts().max()) if len(table) else 0
    size = (style.HALF if len(cells) <= 12 else style.FULL, max(2.8, beside * style.LINE / 72 + 1))
    figure = Figure(figsize=size, layout="constrained")
    ax = figure.subplots()
    names, points = style.arm_names(style.arms_of(cells)), []
    for row in table.to_dict("records"):
        arm, x, y = (row["model"], row["augmentation"]), row["cost"], 100 * row["test_accuracy"]
        colour, marker = styles[arm]
        label = f"cost:{arm[0]}:{arm[1]}"
        ax.plot(x, y, marker, color=colour, ms=7, mec="white", mew=0.6, label=label)
        points.append((x, y, names[arm], colour))
    ax.set_ylabel(f"Test accuracy, %{style.OPTIMISTIC * optimistic}")
    ax.set_xlabel("Training of a run, seconds" if seconds else "Multiply-adds per image")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(EngFormatter())
    style.log_if_wide(ax.xaxis, table["cost"], EngFormatter())
    if table["cost"].nunique() == 1:
        only = float(table["cost"].iloc[0])
        ax.set_xticks([only], [EngFormatter()(float(f"{only:.3g}"))])
    drawn = {point[2] for point in points}
    style.name_missing(ax, [name for name in names.values() if name not in drawn])
    if table.empty:
        ax.set(xticks=[], yticks=[])
    ax.margins(0.08)
    style.label_points(ax, points)
    return figure

"""Loss and error over the epochs."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablation.report.plots import style

MANY = 4000  # rows from which bands are rasterized, for smaller files


@style.styled()
def curves(
    table: pd.DataFrame,
    styles: style.Styles,
    mixed: Collection[str] = (),
    optimistic: bool = False,
) -> Figure:
    """Draw training loss and validation error: means, with bands over the range of the seeds.

    If models and augmentations both vary, each model has a row of panels. The training loss of arms
    that mix labels is dashed, because it is not comparable with that of the others.

    Args:
        table: model, augmentation, epoch, loss, val_accuracy; a row for each seed.
        styles: the styles of the study.
        mixed: augmentations that mix labels.
        optimistic: whether the test split served as validation split.

    Returns:
        The figure, as wide as the page.
    """
    table = table.assign(error=100 - 100 * table["val_accuracy"])
    table = table.replace([np.inf, -np.inf], np.nan)
    groups = style.arm_groups(style.arms_of(table))
    figure, grid = style.panels(groups)
    for (model, arms), (left, right) in zip(groups.items(), grid, strict=True):
        names, ends = style.arm_names(arms), []
        if any(arm[1] in mixed for arm in arms):
            left.set_title("dashed: mixed labels", loc="right", fontsize=style.SMALL)
        left.set_title(style.shortened(model, 60), fontweight="bold")
        left.set_ylabel("Training loss")
        right.set_ylabel(f"Validation error, %{style.OPTIMISTIC * optimistic}")
        for arm in arms:
            rows = style.rows_of(table, arm)
            _draw(left, rows, "loss", styles[arm], "--" if arm[1] in mixed else "-")
            last = _draw(right, rows, "error", styles[arm], "-")
            if last is not None:
                ends.append((*last, names[arm], styles[arm].colour))
        drawn = {end[2] for end in ends}
        style.name_missing(right, [name for name in names.values() if name not in drawn])
        for ax, measure in ((left, "loss"), (right, "error")):
            ax.set_rasterization_zorder(1 if len(table) > MANY else -1)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            style.log_if_wide(ax.yaxis, table[measure])
            ax.margins(x=0.02)
        style.label_points(right, ends, outside=True)
    for ax in grid[-1]:
        ax.set_xlabel("Epoch")
    return figure


def _draw(
    ax: Axes, rows: pd.DataFrame, measure: str, arm_style: style.Style, line: str
) -> tuple[float, float] | None:
    """Draw an arm; return the end of its line, or None without finite values."""
    found = rows.groupby("epoch")[measure].agg(["mean", "min", "max"]).dropna()
    if found.empty:
        return None
    epochs, colour = found.index, arm_style.colour
    ax.fill_between(epochs, found["min"], found["max"], color=colour, alpha=0.11, lw=0, zorder=0.9)
    ax.plot(
        epochs, found["mean"], line, color=colour, marker=arm_style.marker, lw=1.6, ms=4.5,
        mec="white", mew=0.5, markevery=max(1, len(found) // 8),
        label=f"{measure}:{rows['model'].iloc[0]}:{rows['augmentation'].iloc[0]}",
    )  # fmt: skip
    return float(epochs[-1]), float(found["mean"].iloc[-1])

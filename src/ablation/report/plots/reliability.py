"""Reliability diagrams."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablation.report.plots import style

LEAST = 0.02  # bins with a smaller share of the images are left out


@style.styled()
def reliability(
    calibration: pd.DataFrame, arms: Sequence[style.Arm], styles: style.Styles
) -> Figure:
    """Draw accuracy minus confidence by confidence, before and after temperature scaling.

    The area of a marker increases with the number of images in its bin. Bins with less than 2 % of
    the images are left out.

    Args:
        calibration: model, augmentation, scaled, count, confidence, accuracy; a row for each bin.
        arms: arms to draw; those without rows are marked.
        styles: the styles of the study.

    Returns:
        The figure, as wide as the page.
    """
    groups = style.arm_groups(arms)
    figure, grid = style.panels(groups, sharey=True)
    for (model, of_model), axes in zip(groups.items(), grid, strict=True):
        for ax, scaled in zip(axes, (False, True), strict=True):
            ax.axhline(0, color=style.GREY, lw=1)
            for arm in of_model:
                bins = style.rows_of(calibration, arm)
                _draw(ax, bins[bins["scaled"] == scaled], styles[arm])
            when = "after temperature scaling" if scaled else "as trained"
            ax.set_title(f"{style.shortened(model, 20)}, {when}" if model else when.capitalize())
        axes[0].set_ylabel("Accuracy − confidence, points\n(above 0: underconfident)")
        names = style.arm_names(of_model)
        missing = [arm for arm in of_model if style.rows_of(calibration, arm).empty]
        style.name_missing(axes[1], [names[arm] for arm in missing])
        style.legend_beside(axes[1], names, styles)
    for ax in grid[-1]:
        ax.set_xlabel("Confidence, %")
    return figure


def _draw(ax: Axes, bins: pd.DataFrame, arm_style: style.Style) -> None:
    bins = bins.assign(share=bins["count"] / bins["count"].sum())
    bins = bins[bins["share"] >= LEAST]
    if bins.empty:
        return
    model, augmentation, scaled = bins[["model", "augmentation", "scaled"]].iloc[0]
    x, y = 100 * bins["confidence"], 100 * (bins["accuracy"] - bins["confidence"])
    label = f"{'scaled' if scaled else 'trained'}:{model}:{augmentation}"
    ax.plot(x, y, color=arm_style.colour, lw=1.3, label=label)
    sizes = 12 + 90 * np.sqrt(bins["share"])
    ax.scatter(x, y, sizes, c=arm_style.colour, marker=arm_style.marker, linewidths=0, alpha=0.75)

"""Accuracy on each class."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ablation.report.plots import style

MOST = 25  # most classes in the figure


@style.styled(**{"axes.grid": False})
def classes(
    table: pd.DataFrame,
    arms: Sequence[style.Arm],
    references: Mapping[style.Arm, style.Arm] | None = None,
) -> Figure:
    """Draw the accuracy of references on each class, and the differences of other arms to it.

    With more than 25 classes, only those on which arms differ most are drawn.

    Args:
        table: model, augmentation, class, accuracy.
        arms: arms to draw; those without rows are marked.
        references: reference of each arm; arms without one show their accuracy.

    Returns:
        The figure, as wide as the page.
    """
    wide = table.pivot(index=["model", "augmentation"], columns="class", values="accuracy")
    wide = 100 * wide.reindex(
        index=pd.MultiIndex.from_tuples(arms), columns=table["class"].unique()
    )
    differing = (wide.max() - wide.min()).fillna(0).nlargest(MOST).index
    accuracy = wide.loc[:, wide.columns.isin(differing)]
    values, place = accuracy.to_numpy(copy=True), {arm: row for row, arm in enumerate(arms)}
    based = {a: r for a, r in (references or {}).items() if a in place and r in place and a != r}
    for arm, reference in based.items():
        values[place[arm]] -= accuracy.to_numpy()[place[reference]]

    figure = Figure(figsize=(style.FULL, 3), layout="constrained")
    ax = figure.subplots()
    differs = np.tile([[arm in based] for arm in arms], values.shape[1])
    digits = 1 if values.shape[1] <= 12 else 0
    numbers = [
        [style.signed(v, digits) if arm in based else f"{v:.{digits}f}" for v in row]
        for arm, row in zip(arms, values, strict=True)
    ]
    largest = np.nanmax(np.abs(values[differs]), initial=1.0)
    least = np.nanmin(values[~differs], initial=100.0)
    options = (
        (~differs, {"cmap": [style.PALE] if based else "Blues", "vmin": least, "vmax": 105}),
        (differs, {"cmap": "PuOr", "vmin": -largest, "vmax": largest}),
    )
    for shown, map_options in options:
        if shown.any():
            sns.heatmap(
                values, mask=~shown | np.isnan(values), annot=np.array(numbers), fmt="", cbar=False,
                linewidths=1, annot_kws={"fontsize": style.SMALL}, rasterized=True, ax=ax,
                **map_options,
            )  # fmt: skip
            style.set_number_colours(ax)
    names = style.arm_names(arms)
    if based:
        names |= {arm: f"{names[arm]} (accuracy, %)" for arm in arms if arm not in based}
    if len(set(based.values())) > 1:
        names |= dict(zip(based, style.pair_names(list(based.items())), strict=True))
    below = style.name_matrix(
        ax,
        [style.wrapped(name, 30) for name in names.values()],
        list(accuracy.columns),
        style.FULL - 2,
    )
    figure.set_figheight(0.29 * len(arms) + 0.9 + below)
    count = wide.shape[1]
    ax.set_xlabel(f"Class (the {MOST} of {count} that differ most)" if count > MOST else "Class")
    ax.set_title("Difference in accuracy to the reference, points" if based else "Accuracy, %")
    for row in np.flatnonzero(np.isnan(values).all(axis=1)):
        style.write_note(ax, y=row + 0.5)
    return figure

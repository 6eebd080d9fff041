"""Confusion matrices."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ablation.report.plots import style

MOST = 20  # most classes of a matrix; with more classes, number of pairs drawn


@style.styled(**{"axes.grid": False})
def confusion(table: pd.DataFrame, names: Sequence[str], arms: Sequence[style.Arm]) -> Figure:
    """Draw a confusion matrix for each arm; with more than 20 classes the most frequent errors.

    Args:
        table: model, augmentation, true, predicted, share (of the true class).
        names: names of the classes, in order.
        arms: arms to draw; those without rows are marked.

    Returns:
        The figure, as wide as the page.
    """
    table = table.assign(percent=100 * table["share"])
    if len(names) <= MOST:
        return _matrices(table, names, arms)
    return _most_frequent(table, arms)


def _matrices(table: pd.DataFrame, names: Sequence[str], arms: Sequence[style.Arm]) -> Figure:
    lines = -(-len(arms) // 5)
    columns = -(-len(arms) // lines)
    size = (style.FULL - 1.7) / max(3, columns)  # inches
    figure = Figure(figsize=(style.FULL, 3), layout="compressed")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
    right = np.eye(len(names), dtype=bool)
    titles, ticks = style.arm_names(arms), [style.shortened(name, 22) for name in names]
    largest = max(1.0, table["percent"].where(table["true"] != table["predicted"]).max())
    for ax in panels[len(arms) :]:
        ax.set_visible(False)
    for ax, arm in zip(panels, arms, strict=False):
        of_arm = style.rows_of(table, arm)
        matrix = of_arm.pivot(index="true", columns="predicted", values="percent")
        matrix = matrix.reindex(index=list(names), columns=list(names)).fillna(0)
        sns.heatmap(
            matrix, mask=right | of_arm.empty, cmap="OrRd", vmin=0, vmax=largest, square=True,
            cbar=False, linewidths=0.3, rasterized=True, ax=ax,
            annot=len(arms) <= 2 and len(names) <= 7, fmt=".1f",
            annot_kws={"fontsize": style.SMALL},
        )  # fmt: skip
        style.set_number_colours(ax)
        below = style.name_matrix(ax, ticks, ticks, size)
        ax.set_title(style.wrapped(titles[arm], int(size * 12)))
        ax.set_facecolor(style.PALE)
        if of_arm.empty:
            style.write_note(ax)
    beside = max(map(len, ticks)) * style.LETTER / 72
    wide = min(style.FULL, columns * (size + 0.1) + beside + 1.2)
    figure.set_size_inches(wide, lines * (size + 0.3) + 0.45 + below)
    figure.supxlabel("Predicted class", fontsize=9)
    figure.supylabel("True class", fontsize=9)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, largest), "OrRd"), ax=figure.axes, shrink=0.7, aspect=30
    )
    bar.set_label("Share of true class, %")
    return figure


def _most_frequent(table: pd.DataFrame, arms: Sequence[style.Arm]) -> Figure:
    missing = [arm for arm in arms if style.rows_of(table, arm).empty]
    wide = table[table["true"] != table["predicted"]].pivot(
        index=["true", "predicted"], columns=["model", "augmentation"], values="percent"
    )
    pairs = wide.max(axis=1).nlargest(MOST).index
    wide = wide.reindex(index=pairs, columns=pd.MultiIndex.from_tuples(arms)).fillna(0)
    shares = wide.to_numpy(copy=True)
    shares[:, [arm in missing for arm in arms]] = np.nan
    figure = Figure(figsize=(style.FULL, 3), layout="constrained")
    ax = figure.subplots()
    if not len(pairs):
        style.write_note(ax, "no mistakes")
        return figure
    many = len(arms) > 15
    sns.heatmap(
        shares, cmap="OrRd", vmin=0, annot=not many, fmt=".1f", linewidths=1, cbar=many,
        annot_kws={"fontsize": style.SMALL}, rasterized=True, ax=ax,
    )  # fmt: skip
    style.set_number_colours(ax)
    rows = [" → ".join(style.shortened(name, 20) for name in pair) for pair in pairs]
    names = style.arm_names(arms).items()
    columns = [name + " (no result)" * (arm in missing) for arm, name in names]
    below = style.name_matrix(ax, rows, columns, style.FULL - 3)
    figure.set_figheight(0.25 * len(pairs) + 0.6 + below)
    ax.set_title(f"The {len(pairs)} most frequent mistakes, % of the true class")
    return figure

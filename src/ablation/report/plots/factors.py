"""Accuracy by the levels of two factors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ablation.report.plots import style


@style.styled()
def headline_factors(
    cells: pd.DataFrame,
    runs: pd.DataFrame,
    factorial: Mapping[str, Any],
    styles: style.Styles,
    optimistic: bool = False,
) -> Figure:
    """Draw accuracy by level of the first factor, a line for each level of the second.

    If the second factor has more levels, the factors are swapped. Solid lines are test accuracy,
    dots are seeds, dashed lines are accuracy on clean training images. Arms with the same levels
    are averaged.

    Args:
        cells: model, augmentation, test_accuracy, train_accuracy_clean.
        runs: model, augmentation, seed, test_accuracy.
        factorial: factors, levels and cells of two factors, one of the experiment's ``factorials``.
        styles: the styles of the study.
        optimistic: whether the test split served as validation split.

    Returns:
        The figure, half as wide as the page.
    """
    (across, by_line), (levels, lines) = factorial["factors"], factorial["levels"]
    swapped = len(lines) > len(levels)
    if swapped:
        across, levels, lines = by_line, lines, levels
    figure = Figure(figsize=(style.HALF, 2.8), layout="constrained")
    ax = figure.subplots()
    ends, missing = [], []
    for number, line in enumerate(lines):
        keys = [(line, level) if swapped else (level, line) for level in levels]
        groups = [[tuple(arm) for arm in factorial["cells"]["|".join(key)]] for key in keys]
        colour, marker = styles[groups[0][0]]
        x = np.arange(len(levels)) + min(0.04, 0.5 / len(lines)) * (number - (len(lines) - 1) / 2)
        test, train = (
            [100 * _mean(cells, arms, measure) for arms in groups]
            for measure in ("test_accuracy", "train_accuracy_clean")
        )
        for place, arms in zip(x, groups, strict=True):
            seeds = 100 * _by_seed(runs, arms)
            ax.plot([place] * len(seeds), seeds, "o", color=colour, alpha=0.45, ms=4.5, mew=0)
        ax.plot(x, train, "--", color=colour, lw=1.1, label=f"train:{line}")
        ax.plot(
            x, test, f"-{marker}", color=colour, lw=2, ms=6.5, mec="white", label=f"test:{line}"
        )
        if np.isfinite(test[-1]):
            ends.append((x[-1], test[-1], line, colour))
        elif not np.isfinite(test).any():
            missing.append(line)
    below = style.name_columns(ax, np.arange(len(levels)), levels, style.HALF - 1)
    figure.set_figheight(2.8 + below)
    ax.set(
        xlabel=style.shortened(across[:1].upper() + across[1:], 60),
        ylabel=f"Accuracy, %{style.OPTIMISTIC * optimistic}",
    )
    ax.grid(axis="x", visible=False)
    style.name_missing(ax, missing)
    if len(missing) == len(lines):
        ax.set_ylim(0, 100)
    style.label_points(ax, ends)
    ink: dict[str, Any] = {"color": style.INK}
    handles = {
        "test (mean)": Line2D([], [], lw=2, marker="o", ms=6.5, mec="white", **ink),
        "each seed": Line2D([], [], marker="o", ms=4.5, ls="", alpha=0.45, mew=0, **ink),
        "clean training images": Line2D([], [], lw=1.1, ls="--", **ink),
    }
    style.legend(figure, handles)
    return figure


def _mean(cells: pd.DataFrame, arms: Sequence[style.Arm], measure: str) -> float:
    return float(np.mean([style.rows_of(cells, arm)[measure].mean() for arm in arms]))


def _by_seed(runs: pd.DataFrame, arms: Sequence[style.Arm]) -> pd.Series:
    """Return the mean over the arms at each seed that all of them have."""
    values = [style.rows_of(runs, arm).set_index("seed")["test_accuracy"] for arm in arms]
    return pd.concat(values, axis=1).dropna().mean(axis=1)

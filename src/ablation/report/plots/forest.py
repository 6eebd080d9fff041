"""Forest plot of differences to the reference, with intervals and verdicts."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from ablation.report.plots import style


def _sign(text: str) -> Path:
    """Return a character as a marker path."""
    form = TextPath((0, 0), text, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    middle = (form.vertices.max(axis=0) + form.vertices.min(axis=0)) / 2
    return Path(form.vertices - middle, form.codes)


VERDICTS: dict[str, Any] = {
    "better": "^", "worse": "v", "same": _sign("≈"), "open": _sign("?"),
}  # fmt: skip
MANY = 10  # rows from which their height is reduced
FRAMED = ("same", "open")  # markers drawn in a circle


@style.styled()
def headline_arms(
    comparisons: pd.DataFrame,
    styles: style.Styles,
    margin: float,
    measure: str = "test accuracy",
    unit: str = "points",
    optimistic: bool = False,
) -> Figure:
    """Draw the difference of each arm to its reference, the largest at the top.

    The bar is the deciding interval; a thin bar is an interval over the test images only. The
    marker shows the verdict: ▲, ▼, ≈ or ?. Models with separate references share rows.

    Args:
        comparisons: arm, reference, arm_model, arm_augmentation, reference_model,
            reference_augmentation, difference, ci_low, ci_high, verdict, basis and by_seed, of one
            measure; at least one row.
        styles: the styles of the study.
        margin: margin in the unit of the table; NaN without a margin.
        measure: name of the metric.
        unit: ``points`` for differences of shares, otherwise the unit of the metric.
        optimistic: whether the test split served as validation split.

    Returns:
        The figure, half as wide as the page.
    """
    scale = 100 if unit == "points" else 1
    margin *= scale
    numbers = ["difference", "ci_low", "ci_high"]
    table = comparisons.assign(**{name: scale * comparisons[name] for name in numbers})
    table["seeds"] = [[scale * float(v) for v in str(t).split()] for t in table["by_seed"]]
    table["row"], reference = _named(table)
    shared = bool(table["row"].duplicated().any())
    models = list(dict.fromkeys(table["arm_model"])) if shared else []
    means = table.groupby("row", sort=False)["difference"].mean()
    order = list(means.sort_values(ascending=False, kind="stable").index)

    many = len(order) > MANY
    labels = [style.wrapped(name, 34 if many else 28, lines=3) for name in order]
    lines = max(label.count("\n") + 1 for label in labels)
    tall = max(0.06 + 0.22 * len(models) if shared else 0.2 if many else 0.26, 0.14 * lines)
    figure = Figure(figsize=(style.HALF, tall * len(order) + 1.3), layout="constrained")
    ax = figure.subplots()
    ax.set_xlim(*_limits(table, np.nan_to_num(margin)))
    ax.axvline(0, color=style.GREY, lw=1, zorder=1)
    if math.isfinite(margin):
        ax.axvspan(-margin, margin, color=style.PALE, lw=0, zorder=0)
    for row in table.to_dict("records"):
        y, colour = float(order.index(row["row"])), style.INK  # for effects of factors
        if shared:
            y += (models.index(row["arm_model"]) - (len(models) - 1) / 2) * 0.22 / tall
            colour = styles.of_model(row["arm_model"]).colour
        elif row["arm_model"]:
            colour = styles[row["arm_model"], row["arm_augmentation"]].colour
        _draw(ax, y, row, colour, 1 if margin >= 0.1 else 2)
    if shared:
        ax.hlines(np.arange(len(order) - 1) + 0.5, *ax.get_xlim(), style.PALE, lw=0.8, zorder=0)
    style.name_rows(ax, labels)
    images_only = bool((table["basis"] == "images").any())
    ax.set_xlabel(
        f"Difference in {measure}{style.OPTIMISTIC * optimistic}{reference}, {unit}"
        + "\nthin: 95 % interval over the test images alone, no verdict" * images_only,
        loc="right",
    )
    handles = _handles(table, models, styles, margin, unit)
    style.legend(figure, handles, columns=2 if len(handles) == 4 else 3)
    return figure


def _named(table: pd.DataFrame) -> tuple[list[str], str]:
    """Return short names of the rows, and the reference for the axis label."""
    arms, references = (
        list(zip(table[f"{side}_model"], table[f"{side}_augmentation"], strict=True))
        for side in ("arm", "reference")
    )
    pairs = list(zip(arms, references, strict=True))
    names = [arm[1] for arm in arms]
    if all(map(all, [*arms, *references])):
        if len(set(references)) == 1:
            short = style.arm_names([*arms, references[0]])
            known = style.shortened(short[references[0]], 32)
            return [short[arm] for arm in arms], f" to {known}"
        if all(a[0] == r[0] for a, r in pairs) and len({r[1] for r in references}) == 1:
            known = style.shortened(references[0][1], 18)
            return names, f" to {known} of the same model"
        if all(a[1] == r[1] for a, r in pairs) and len({(a[0], r[0]) for a, r in pairs}) == 1:
            return names, f", {arms[0][0]} − {references[0][0]}"
        return style.pair_names(pairs), ""
    return [f"{row['arm']} − {row['reference']}" for row in table.to_dict("records")], ""


def _draw(ax: Axes, y: float, row: Mapping[Any, Any], colour: str, digits: int) -> None:
    if row["verdict"] not in VERDICTS:
        style.write_note(ax, "no result: no seed in common", y)
        return
    (left, right), low, high = ax.get_xlim(), row["ci_low"], row["ci_high"]
    wide: dict[str, Any] = {"lw": 5, "alpha": 0.4} if row["basis"] == "seeds" else {"lw": 1}
    ends = [max(low, left), min(high, right)]
    ax.plot(ends, [y, y], color=colour, solid_capstyle="butt", zorder=2, **wide)
    for beyond, edge, head in ((low < left, left, "<"), (high > right, right, ">")):
        if beyond:
            ax.plot(edge, y, head, color=colour, ms=6, mew=0, clip_on=False, label=f"cut {head}")
    ax.plot(row["seeds"], [y] * len(row["seeds"]), "o", color=colour, alpha=0.5, ms=3.6, mew=0)
    marker: dict[str, Any] = {"ms": 8, "mec": "white", "mew": 0.8}
    if row["verdict"] in FRAMED:
        colour = style.text_colour(colour)
        ax.plot(row["difference"], y, "o", ms=10, mfc="white", mec=colour, mew=1.3, zorder=4)
        marker = {"ms": 6, "mew": 0}
    ax.plot(
        row["difference"], y, color=colour, marker=VERDICTS[row["verdict"]], ls="", zorder=5,
        label=f"difference:{row['arm']}:{row['reference']}", **marker,
    )  # fmt: skip
    style.number_row(ax, y, style.signed(row["difference"], digits))


def _limits(table: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Return limits that include all differences and cut extremely wide intervals."""
    seeds = [value for values in table["seeds"] for value in values if math.isfinite(value)]
    inner = [-margin, margin, *table["difference"].dropna(), *seeds]
    widths = (table["ci_high"] - table["ci_low"]).dropna()
    reach = max(2 * widths.median(), margin) if len(widths) else margin
    low = max(min(*inner, *table["ci_low"].dropna()), min(inner) - reach)
    high = min(max(*inner, *table["ci_high"].dropna()), max(inner) + reach)
    rim = 0.04 * (high - low) or 1.0
    return low - rim, high + rim


def _handles(
    table: pd.DataFrame, models: list[str], styles: style.Styles, margin: float, unit: str
) -> dict[str, Artist]:
    bar: dict[str, Any] = {"lw": 5, "alpha": 0.4, "solid_capstyle": "butt"}
    ink: dict[str, Any] = {"color": style.INK}
    handles: dict[str, Artist] = {}
    for model in models:
        colour = styles.of_model(model).colour
        handles[style.shortened(model, 24)] = Line2D([], [], color=colour, **bar | {"alpha": 0.7})
    for verdict, marker in VERDICTS.items():
        if (table["verdict"] == verdict).any():
            handles[verdict] = Line2D([], [], marker=marker, ls="", mew=0, ms=7, **ink)
    handles["each seed"] = Line2D([], [], marker="o", ls="", ms=3.6, mew=0, alpha=0.5, **ink)
    if (table["basis"] == "seeds").any():
        handles["interval that decides"] = Line2D([], [], **bar, **ink)
    if math.isfinite(margin):
        size = f"±{margin:g} {unit.removesuffix('s') if margin == 1 else unit}"
        handles[f"same within {size}"] = Patch(color=style.PALE, lw=0)
    return handles

"""Drawing: numbers as SVG, images as PNG, the same bytes for the same data."""

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import offset_copy
from PIL import Image

from ablation.report.text import counted, magnitude

Arm = tuple[str, str]  # model, augmentation

MEASURES = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy, %",
}
OPTIMISTIC_AXIS = " † (test split)"
TILE = 112  # pixels that an image of the gallery fills at most
GAP = 6

WIDTH = 10.2  # inches of a figure as wide as the page
ROW = 0.29  # inches of a row with one line of text
LABEL = 46  # characters in a line of a row's label
LETTER = 5.2  # points that a character is wide on average
INK = "#333333"
FACTOR = "#555555"  # what belongs to no arm
PALE = "#e3e6ea"

# The form of a comparison's marker tells its verdict, its colour the arm.
VERDICTS = {"better": "^", "worse": "v", "same": "s", "open": "o"}
VERDICT_NAMES = {
    "better": "more accurate",
    "worse": "less accurate",
    "same": "the same within the margin",
    "open": "open",
}

# Arms of one style differ in their model alone; fill and size of the marker tell the models.
FILLS: tuple[Any, ...] = ("full", "none", "left", "top", "right", "bottom")
SIZES = (7.5, 10.5, 5.0)

SHARES = "YlGnBu"  # from pale to dark in one direction, so that it reads without colour too
NUMBERED_CLASSES = 12  # as many as have room for a number in each cell of a matrix

# Seaborn's colour-blind palette without its two colours that vanish on white, and black.
# The three lists have lengths without a common factor, so no two of the first 360 styles agree.
COLOURS = (
    "#0173b2", "#d55e00", "#029e73", "#cc78bc", "#de8f05", "#56b4e9", "#8a5a2b", "#7a7a7a",
    "#222222",
)  # fmt: skip
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (9, 2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")

# Foreign text is text: no `$…$` is read as mathematics. The salt makes the SVG's ids repeatable.
STYLE: Any = {
    **sns.axes_style("whitegrid"),
    "text.parse_math": False,
    "svg.hashsalt": "ablation",
    "svg.fonttype": "path",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": "#8c8c8c",
    "axes.linewidth": 0.8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "figure.facecolor": "white",
}


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn: colour, dashes and marker, as matplotlib takes them."""

    colour: str
    dashes: Any
    marker: str


class ArmStyles:
    """One style for each arm of a study, kept in every figure.

    An arm with the common augmentation takes its model's style, any other arm its augmentation's,
    so that models can be told apart where models vary and augmentations where these vary. Arms
    with the same style differ in their model alone; such figures have a row for each model.

    Args:
        experiments: the experiments of the analysis.
    """

    def __init__(self, experiments: Sequence[Mapping[str, Any]]) -> None:
        augmentations = [a for e in experiments for a in e["augmentations"]]
        unchanged = [a["label"] for a in augmentations if not a["pipeline"]]
        self.common: str = (unchanged or [augmentations[0]["label"]])[0]
        models = dict.fromkeys(m for e in experiments for m in e["models"])
        labels = dict.fromkeys(a["label"] for a in augmentations if a["label"] != self.common)
        keys = [("model", m) for m in models] + [("augmentation", a) for a in labels]
        self._places = {key: place for place, key in enumerate(keys)}

    def __getitem__(self, arm: Arm) -> ArmStyle:
        """Return the style of an arm."""
        place = self.place(arm)
        return ArmStyle(
            COLOURS[place % len(COLOURS)],
            DASHES[place % len(DASHES)],
            MARKERS[place % len(MARKERS)],
        )

    def place(self, arm: Arm) -> int:
        """Return the place of the arm's style among the styles of the study."""
        model, augmentation = arm
        same = augmentation == self.common
        return self._places[("model", model) if same else ("augmentation", augmentation)]


def arm_names(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Name arms by what tells them apart: model, augmentation, or both."""
    one_model = len({model for model, _ in arms}) == 1
    one_augmentation = len({augmentation for _, augmentation in arms}) == 1
    return {
        (model, augmentation): model
        if one_augmentation
        else augmentation
        if one_model
        else f"{model} · {augmentation}"
        for model, augmentation in arms
    }


def draw_curves(
    curves: pd.DataFrame, arms: Sequence[Arm], styles: ArmStyles, optimistic: bool
) -> bytes:
    """Draw training loss, validation loss and validation accuracy over the epochs.

    Each arm is a line, the mean over its seeds, in a band from the lowest to the highest seed.
    Where models and augmentations both vary, each model has a row.

    Args:
        curves: rows of ``curves.csv``, of one experiment and data set.
        arms: the arms to draw.
        styles: the styles of the study.
        optimistic: whether the test split was used for validation.

    Returns:
        The figure as SVG.
    """
    crossed = len({styles.place(arm) for arm in arms}) < len(arms) or all(
        len(set(names)) > 1 for names in zip(*arms, strict=True)
    )
    rows = list(dict.fromkeys(model for model, _ in arms)) if crossed else [None]
    curves = curves.assign(val_accuracy=100 * curves["val_accuracy"])
    curves = curves.replace([np.inf, -np.inf], np.nan)
    last = int(curves["epoch"].max()) if len(curves) else 1
    shown = {arm: _legend_name(arm, arms, styles, crossed) for arm in arms}
    with mpl.rc_context(STYLE):
        lines = -(-len(set(shown.values())) // 4)
        figure = Figure(
            figsize=(10.2, 2.75 * len(rows) + 0.25 * lines + 0.15), layout="constrained"
        )
        grid = figure.subplots(len(rows), len(MEASURES), squeeze=False, sharex=True, sharey="col")
        for row, axes in zip(rows, grid, strict=True):
            for (measure, label), ax in zip(MEASURES.items(), axes, strict=True):
                for arm in arms:
                    if row in (None, arm[0]):
                        _draw_arm(ax, curves, arm, measure, style=styles[arm], last=last)
                marked = measure != "loss" and optimistic
                ax.set(xlabel="epoch", ylabel=label + OPTIMISTIC_AXIS * marked)
                if row != rows[-1]:
                    ax.set_xlabel("")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            if row is not None:
                axes[0].set_title(row, loc="left", fontweight="bold")
        for measure, ax in zip(MEASURES, grid[0], strict=True):
            if measure != "val_accuracy" and _explodes(curves, measure):
                ax.set_yscale("log")
                for axes in grid:
                    column = axes[list(MEASURES).index(measure)]
                    column.set_ylabel(f"{column.get_ylabel()} (log scale)")
                    column.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    column.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                    column.yaxis.set_minor_formatter(NullFormatter())
        handles = {shown[arm]: _handle(styles[arm]) for arm in sorted(arms, key=styles.place)}
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=min(4, len(handles)),
            handlelength=4,
        )
        return _svg(figure)


def draw_accuracies(
    cells: pd.DataFrame, runs: pd.DataFrame, styles: ArmStyles, optimistic: bool
) -> bytes:
    """Draw the test accuracy of each run, and of each arm the mean and standard deviation.

    Args:
        cells: rows of ``cells.csv``, of one experiment and data set.
        runs: rows of ``runs.csv``, of the same.
        styles: the styles of the study.
        optimistic: whether the test split was used for validation.

    Returns:
        The figure as SVG.
    """
    rows = cells.to_dict("records")
    arms = [_arm_of(row) for row in rows]
    names = arm_names(arms)
    labels = []
    for arm, row in zip(arms, rows, strict=True):
        lost = int(row["diverged"] + row["failed"] + row["missing"])
        remark = f" ({int(row['runs']) - lost} of {counted(int(row['runs']), 'run')})"
        counts = remark if 0 < lost < row["runs"] else ""
        labels.append(_wrapped(names[arm] + " (reference)" * bool(row["is_baseline"]) + counts))
    places, height = _row_places(labels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height + 0.8), layout="constrained")
        ax = figure.subplots()
        for y, arm, row in zip(places, arms, rows, strict=True):
            colour = styles[arm].colour
            scores = 100 * _rows_of(runs, arm)["test_accuracy"].dropna()
            ax.plot(scores, [y + 0.24] * len(scores), "o", color=colour, **_RUN)
            if math.isnan(row["test_accuracy"]):
                _say(ax, y, _no_result(row))
                continue
            mean, sd = 100 * row["test_accuracy"], 100 * row["test_accuracy_sd"]
            if not math.isnan(sd):
                ax.plot([mean - sd, mean + sd], [y, y], "-|", color=colour, linewidth=1.4, ms=7)
            (line,) = ax.plot([mean], [y], styles[arm].marker, color=colour, **_EDGED)
            line.set_gid(f"mean:{arm[0]}:{arm[1]}")
        _name_rows(ax, places, labels)
        if cells["test_accuracy"].isna().all():
            ax.set_xlim(0, 100)
        ax.set_xlabel(f"test accuracy, %{' †' * optimistic}")
        _legend(
            figure,
            {
                "a run": Line2D([], [], color=INK, marker="o", linestyle="", **_RUN),
                "mean over seeds, ± standard deviation": Line2D(
                    [], [], color=INK, marker="o", linewidth=1.4, **_EDGED
                ),
            },
        )
        return _svg(figure)


def draw_differences(
    comparisons: pd.DataFrame, styles: ArmStyles, margin: float, optimistic: bool
) -> bytes:
    """Draw differences with their intervals, a row each.

    The axis holds every difference. Intervals that are far wider than the others are cut at its
    edge and end in an arrowhead.

    Args:
        comparisons: rows of ``comparisons.csv``, of one experiment and data set, at least one.
        styles: the styles of the study.
        margin: difference below which arms are the same, as a share.
        optimistic: whether the test split was used for validation.

    Returns:
        The figure as SVG.
    """
    rows = comparisons.to_dict("records")
    labels = [_comparison_name(row) for row in rows]
    places, height = _row_places(labels)
    low, high = _axis_of_differences(comparisons, margin)
    seen = [verdict for verdict in VERDICTS if (comparisons["verdict"] == verdict).any()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height + 1.0), layout="constrained")
        ax = figure.subplots()
        ax.axvspan(-100 * margin, 100 * margin, color=PALE, linewidth=0, zorder=0)
        ax.axvline(0, color="#555555", linewidth=1, zorder=1)
        ax.set_xlim(low, high)
        for number, (y, row) in enumerate(zip(places, rows, strict=True)):
            if row["verdict"] == "none":
                _say(ax, y, "no result: no seed in common")
                continue
            arm = (row["arm_model"], row["arm_augmentation"])
            colour = FACTOR if row["kind"] == "factor" else styles[arm].colour
            over_seeds = row["basis"] == "seeds"
            if over_seeds:
                _draw_interval(ax, y, (row["low"], row["high"]), colour=colour, width=2.6)
            _draw_interval(
                ax, y + 0.27 * over_seeds, (row["image_low"], row["image_high"]),
                colour=colour, width=1.0,
            )  # fmt: skip
            (line,) = ax.plot(
                [100 * row["difference"]], [y], VERDICTS[row["verdict"]], color=colour,
                markersize=8.5, markeredgecolor="white", markeredgewidth=0.9,
            )  # fmt: skip
            if row["verdict"] == "open":
                line.set(markerfacecolor="white", markeredgecolor=colour)
                line.set(markersize=7, markeredgewidth=1.5)
            line.set_gid(f"difference {number}:{':'.join(arm)}")
        _name_rows(ax, places, labels)
        of_test = set(comparisons["measure"]) == {"test_accuracy"}
        ax.set_xlabel(f"difference in {'test ' * of_test}accuracy, points{' †' * optimistic}")
        handles: dict[str, Artist] = {
            VERDICT_NAMES[verdict]: Line2D(
                [], [], color=INK, marker=VERDICTS[verdict], linestyle="", markersize=7,
                markerfacecolor="white" if verdict == "open" else INK,
            )
            for verdict in seen
        }  # fmt: skip
        if comparisons.loc[comparisons["basis"] == "seeds", "low"].notna().any():
            handles["interval that decides"] = Line2D([], [], color=INK, linewidth=2.6)
        if comparisons["image_low"].notna().any():
            handles["95 % interval, test images only"] = Line2D([], [], color=INK, linewidth=1)
        size = f"±{100 * margin:g} {'point' if margin == 0.01 else 'points'}"
        handles[f"within the margin of {size}"] = Patch(color=PALE, linewidth=0)
        _legend(figure, handles)
        return _svg(figure)


def draw_cost(
    cells: pd.DataFrame, models: Sequence[Mapping[str, Any]], styles: ArmStyles, optimistic: bool
) -> bytes:
    """Draw test accuracy against multiply-adds an image and against seconds of training.

    Args:
        cells: rows of ``cells.csv``, of one experiment and data set.
        models: the content of ``models.json``.
        styles: the styles of the study.
        optimistic: whether the test split was used for validation.

    Returns:
        The figure as SVG.
    """
    rows = cells.to_dict("records")
    arms = [_arm_of(row) for row in rows]
    names = arm_names(arms)
    costs = {(model["dataset"], model["model"]): model["multiply_adds"] for model in models}
    work = np.array([costs[row["dataset"], row["model"]] for row in rows], float)
    seconds = cells["seconds"].to_numpy(float)
    unit, seconds_of_unit = _unit_of_time(seconds)
    filled = _fills(arms, styles)
    beside = _places_in_model(arms)
    handles: dict[str, Artist] = {}
    with mpl.rc_context(STYLE):
        lines = -(-len(arms) // _legend_columns(names.values()))
        figure = Figure(figsize=(WIDTH, 3.5 + 0.2 * lines), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for ax, values in ((left, work), (right, seconds / seconds_of_unit)):
            for x, arm, row in zip(values, arms, rows, strict=True):
                mean, sd = 100 * row["test_accuracy"], 100 * row["test_accuracy_sd"]
                if math.isnan(mean) or math.isnan(x):
                    continue
                shift = 7 * beside[arm] if ax is left else 0
                place = offset_copy(ax.transData, figure, x=shift, units="points")
                if not math.isnan(sd):
                    ax.plot(
                        [x, x], [mean - sd, mean + sd], "-_", transform=place,
                        color=styles[arm].colour, linewidth=1.1, markersize=6,
                    )  # fmt: skip
                (line,) = ax.plot([x], [mean], transform=place, **_filled(styles[arm], filled[arm]))
                line.set_gid(f"{'work' if ax is left else 'seconds'}:{arm[0]}:{arm[1]}")
                ax.update_datalim([(x, mean), (x, mean - np.nan_to_num(sd))])
                ax.update_datalim([(x, mean + np.nan_to_num(sd))])
            ax.margins(0.12, 0.1)
            ax.autoscale_view()
            if cells["test_accuracy"].isna().all():
                ax.set_ylim(0, 100)
                _say(ax, 0.5, "no result", centred=True)
        many = any(beside.values())
        told = " of networks where they are counted" * bool(np.isnan(work).any())
        left.set_xlabel(f"multiply-adds an image{told}" + " (arms of a model side by side)" * many)
        right.set_xlabel(f"training of a run, {unit}")
        left.set_ylabel(f"test accuracy, %{' †' * optimistic}")
        _scale(left, work, magnitude)
        _scale(right, seconds / seconds_of_unit, "{:g}".format)
        for arm, row in zip(arms, rows, strict=True):
            lacks = math.isnan(row["test_accuracy"])
            name = _wrapped(names[arm] + f" ({_no_result(row)})" * lacks, lines=6)
            handles[name] = Line2D([], [], **_filled(styles[arm], filled[arm]))
        _legend(figure, handles)
        return _svg(figure)


def draw_confusion(
    confusion: pd.DataFrame,
    classes: Sequence[str],
    arms: Sequence[Arm],
    names: Sequence[str],
) -> bytes:
    """Draw a confusion matrix for each arm: rows are true classes, columns predicted ones.

    Colour is the share of the true class, stretched at low shares, because the mistakes are there.

    Args:
        confusion: rows of ``confusion.csv``, of one experiment and data set.
        classes: the class names in order.
        arms: the arms to draw.
        names: their titles, in the same order.

    Returns:
        The figure as SVG.
    """
    place = {name: number for number, name in enumerate(classes)}
    columns = min(4, len(arms))
    lines = -(-len(arms) // columns)
    named = 0.075 * min(16, max(map(len, classes)))  # inches of a class name
    size = min(5.0, (WIDTH - named - 1.1) / columns - 0.15)
    step = max(1, math.ceil(len(classes) / min(25, size * 72 / 11)))
    shown = range(0, len(classes), step)
    ticks = [_shortened(classes[number], 16) for number in shown]
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(
            figsize=(columns * (size + 0.15) + named + 1.1, lines * (size + 0.3) + named + 0.35),
            layout="constrained",
        )
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
        norm = PowerNorm(0.4, 0, 1)
        for number, ax in enumerate(panels):
            if number >= len(arms):
                ax.remove()
                continue
            shares = np.zeros((len(classes), len(classes)))
            of_arm = _rows_of(confusion, arms[number])
            rows = [place[name] for name in of_arm["true"]]
            found = [place[name] for name in of_arm["predicted"]]
            shares[rows, found] = of_arm["share"]
            if of_arm.empty:
                shares[:] = np.nan
                _say(ax, 0.5, "no result", centred=True)
            image = ax.imshow(shares, SHARES, norm, interpolation="none")
            ax.set_title(_wrapped(names[number], int(size * 72 / LETTER * 0.95)))
            ax.set_xticks(shown, ticks, rotation=90)
            ax.set_yticks(shown, ticks)
            ax.tick_params(
                length=2, labelsize=8, labelbottom=number + columns >= len(arms),
                labelleft=number % columns == 0,
            )  # fmt: skip
            if len(arms) <= 2 and len(classes) <= NUMBERED_CLASSES:
                _number_cells(ax, 100 * shares, image, "{:.1f}", size=7)
        few = f" (every {_ordinal(step)} is named)" if step > 1 else ""
        figure.supxlabel(f"predicted class{few}", fontsize=9)
        figure.supylabel(f"true class{few}", fontsize=9)
        bar = figure.colorbar(image, ax=figure.axes, shrink=0.8 if lines < 3 else 0.4, aspect=25)
        bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0", "1", "5", "20", "50", "100"])
        bar.set_label("share of the true class, %")
        bar.outline.set_visible(False)
        return _svg(figure)


def draw_classes(classes: pd.DataFrame, arms: Sequence[Arm], names: Sequence[str]) -> bytes:
    """Draw the accuracy on each class: a row an arm, a column a class.

    Args:
        classes: rows of ``classes.csv``, of one experiment and data set.
        arms: the arms to draw.
        names: their titles, in the same order.

    Returns:
        The figure as SVG.
    """
    order = list(dict.fromkeys(classes["class"])) or [""]  # room for "no result"
    place = {name: number for number, name in enumerate(order)}
    accuracy = np.full((len(arms), len(order)), np.nan)
    for row, arm in enumerate(arms):
        of_arm = _rows_of(classes, arm)
        accuracy[row, [place[name] for name in of_arm["class"]]] = of_arm["accuracy"]
    labels = [_wrapped(name, 30) for name in names]
    names_wide = max(max(map(len, label.split("\n"))) for label in labels) * LETTER / 72
    wide = (WIDTH - names_wide - 0.4) * 72 / max(1, len(order))  # points of a column
    step = max(1, math.ceil(11 / wide))
    ticks = [_shortened(name, 18) for name in order[::step]]
    longest = max(map(len, ticks), default=0)
    upright = longest * LETTER > wide * step - 4
    tall = max(0.27, 0.17 * max(label.count("\n") + 1 for label in labels) + 0.06)
    below = (longest * LETTER / 72 if upright else 0.15) + 0.35
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(WIDTH, tall * len(arms) + below + 0.75), layout="constrained")
        ax = figure.subplots()
        norm = _range(accuracy)
        image = ax.imshow(100 * accuracy, SHARES, norm, aspect="auto", interpolation="none")
        ax.set_xticks(range(0, len(order), step), ticks, rotation=90 if upright else 0)
        ax.set_yticks(range(len(arms)), labels)
        ax.tick_params(length=2)
        ax.hlines(np.arange(len(arms) - 1) + 0.5, -0.5, len(order) - 0.5, "white", linewidth=1.5)
        few = f" (every {_ordinal(step)} is named)" if step > 1 else ""
        ax.set_xlabel(f"class{few}")
        for empty in np.flatnonzero(np.isnan(accuracy).all(axis=1)):
            _say(ax, float(empty), "no result")
        if wide >= 26 and len(arms) * len(order) <= 200:
            _number_cells(ax, 100 * accuracy, image, "{:.1f}" if accuracy.size <= 100 else "{:.0f}")
        bar = figure.colorbar(
            image,
            ax=ax,
            location="top",
            shrink=0.4,
            aspect=30,
            anchor=(1, 0),
            pad=0.1 / (tall * len(arms)),
        )
        bar.set_label("accuracy on the class, %")
        bar.outline.set_visible(False)
        return _svg(figure)


def draw_reliability(
    calibration: pd.DataFrame,
    arms: Sequence[Arm],
    names: Sequence[str],
    styles: ArmStyles,
) -> bytes:
    """Draw a reliability diagram for each arm: accuracy against confidence, as trained and scaled.

    Below zero, bars show how the images spread over the bins, on one scale for all arms.

    Args:
        calibration: rows of ``calibration.csv``, of one experiment and data set.
        arms: the arms to draw.
        names: their titles, in the same order.
        styles: the styles of the study.

    Returns:
        The figure as SVG.
    """
    columns = min(4, len(arms))
    lines = -(-len(arms) // columns)
    size = {1: 4.4, 2: 3.7}.get(columns, WIDTH / columns)
    of_networks = calibration.groupby(["model", "augmentation", "scaled"])["count"]
    legend = {1: 5, 2: 3}.get(columns, 2)  # lines
    tallest = float((of_networks.max() / of_networks.sum()).max())  # share of one bin
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(size * columns, lines * (size + 0.1) + 0.5 + 0.2 * legend),
            layout="constrained",
        )
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
        for number, ax in enumerate(panels):
            if number >= len(arms):
                ax.remove()
                continue
            arm = arms[number]
            style, of_arm = styles[arm], _rows_of(calibration, arm)
            ax.set_title(_wrapped(names[number], int(size * 72 / LETTER * 0.8)))
            if of_arm.empty:
                _say(ax, 0.5, "no result", centred=True)
            else:
                ax.plot([0, 100], [0, 100], ":", color="#777777", linewidth=1, zorder=1)
            for scaled, bins in of_arm.groupby("scaled"):
                _draw_histogram(ax, bins, style, tallest=tallest, scaled=bool(scaled))
                (line,) = ax.plot(
                    100 * bins["confidence"], 100 * bins["accuracy"],
                    **_calibrated(style.colour, style.marker, scaled=bool(scaled)),
                )  # fmt: skip
                line.set_gid(f"{'scaled' if scaled else 'trained'}:{arm[0]}:{arm[1]}")
            ax.set(xlim=(-3, 103), ylim=(-_HISTOGRAM - 4, 103), box_aspect=1)
            ax.set_xticks([0, 50, 100])
            ax.set_yticks([0, 50, 100])
            lowest, leftmost = number + columns >= len(arms), number % columns == 0
            ax.set(xlabel="confidence, %" * lowest, ylabel="accuracy, %" * leftmost)
            ax.tick_params(labelbottom=lowest, labelleft=leftmost)
        _legend(
            figure,
            {
                "as trained": Line2D([], [], **_calibrated(INK, "o", scaled=False)),
                "after temperature scaling": Line2D([], [], **_calibrated(INK, "o", scaled=True)),
                "confidence is accuracy": Line2D([], [], color="#777777", linestyle=":"),
                "images in the bin, as trained": Patch(color=INK, alpha=0.35, linewidth=0),
                "images in the bin, after scaling": Line2D([], [], color=INK, linewidth=0.9),
            },
            width=size * columns,
        )
        return _svg(figure)


def draw_grid(grid: Mapping[str, Any]) -> bytes:
    """Draw the mean test accuracy of two crossed factors, a row and a column for each level.

    Args:
        grid: one of the ``grids`` of an experiment of the analysis.

    Returns:
        The figure as SVG.
    """
    values = np.array([[np.nan if v is None else 100 * v for v in row] for row in grid["values"]])
    longest = max(map(len, grid["columns"])) * LETTER / 72 + 0.2  # inches
    wide = min(max(1.0, longest), 1.5, (WIDTH - 2.6) / len(grid["columns"]))
    rows = [_wrapped(label, 28, lines=2) for label in grid["rows"]]
    columns = [_wrapped(label, int(wide * 72 / LETTER)) for label in grid["columns"]]
    tall = max(0.36, 0.17 * max(label.count("\n") + 1 for label in rows) + 0.08)
    beside = 0.5 + LETTER / 72 * max(len(line) for label in rows for line in label.split("\n"))
    above = 0.45 + 0.17 * max(label.count("\n") + 1 for label in columns)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(
            figsize=(max(3.0, wide * len(columns) + beside), tall * len(rows) + above + 0.15),
            layout="constrained",
        )
        ax = figure.subplots()
        image = ax.imshow(values, SHARES, _range(values / 100), aspect="auto", interpolation="none")
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
        ax.xaxis.set_label_position("top")
        ax.set(xlabel=grid["column_factor"], ylabel=grid["row_factor"])
        ax.hlines(np.arange(len(rows) - 1) + 0.5, -0.5, len(columns) - 0.5, "white", linewidth=2)
        ax.vlines(np.arange(len(columns) - 1) + 0.5, -0.5, len(rows) - 0.5, "white", linewidth=2)
        _number_cells(ax, values, image, "{:.2f}", size=9)
        for row, column in np.argwhere(np.isnan(values)):
            ax.text(column, row, "not run", ha="center", va="center", style="italic", color=INK)
        return _svg(figure)


def png(image: np.ndarray) -> bytes:
    """Return an image, uint8 [height, width, channels], as PNG."""
    stored = io.BytesIO()
    _picture(image).save(stored, "PNG", optimize=True)
    return stored.getvalue()


def tiles(images: np.ndarray) -> list[np.ndarray]:
    """Bring images, uint8 [n, height, width, 1 or 3], to the size at which they are shown.

    Small ones are enlarged by a whole factor, so that each pixel stays a crisp square; large ones
    are reduced.
    """
    side = max(images.shape[1:3])
    scaled = []
    for image in images:
        if side <= TILE:
            factor = max(1, TILE // side)
            scaled.append(image.repeat(factor, axis=0).repeat(factor, axis=1))
            continue
        small = _picture(image)
        small.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
        array = np.asarray(small)
        scaled.append(array if array.ndim == 3 else array[..., None])
    return scaled


def strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """Put images of one size side by side with white gaps between them."""
    gap = np.full((images[0].shape[0], GAP, images[0].shape[2]), 255, np.uint8)
    parts = [part for image in images for part in (gap, image)][1:]
    return np.concatenate(parts, axis=1)


def _draw_arm(
    ax: Axes, curves: pd.DataFrame, arm: Arm, measure: str, *, style: ArmStyle, last: int
) -> None:
    of_arm = curves[(curves["model"] == arm[0]) & (curves["augmentation"] == arm[1])]
    of_arm = of_arm.dropna(subset=[measure])
    if of_arm.empty:
        return
    sns.lineplot(
        data=of_arm,
        x="epoch",
        y=measure,
        color=style.colour,
        linestyle=style.dashes,
        linewidth=1.5,
        marker=style.marker,
        markersize=5.5,
        markeredgewidth=0.5,
        markevery=max(1, -(-last // 12)),
        errorbar=("pi", 100),  # from the lowest to the highest seed
        err_kws={"alpha": 0.15, "linewidth": 0},
        ax=ax,
    )
    ax.lines[-1].set_gid(f"{measure}:{arm[0]}:{arm[1]}")


def _explodes(curves: pd.DataFrame, measure: str) -> bool:
    """Tell whether a few values are so large that a linear axis would flatten all others."""
    finite = curves[measure].dropna()
    return len(finite) > 0 and bool(finite.min() > 0) and finite.max() > 20 * finite.median()


def _legend_name(arm: Arm, arms: Sequence[Arm], styles: ArmStyles, crossed: bool) -> str:
    """Name the style of an arm: rows of a crossed figure tell the model already."""
    if not crossed:
        return arm_names(arms)[arm]
    model, augmentation = arm
    return f"{augmentation} ({model})" if augmentation == styles.common else augmentation


def _handle(style: ArmStyle) -> Line2D:
    return Line2D(
        [], [], color=style.colour, linestyle=style.dashes, marker=style.marker, linewidth=1.5,
        markersize=5.5, markeredgecolor="white", markeredgewidth=0.5,
    )  # fmt: skip


_EDGED: Any = {"markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.6}
_RUN: Any = {"markersize": 4.7, "markeredgewidth": 0, "alpha": 0.5}
_HISTOGRAM = 24  # how far a reliability diagram's bars reach below zero, in its unit

# What a figure can do without: a report carries dozens of them.
_COORDINATES = re.compile(r'\s(?:d|x|y)="[^"]*"|translate\([^)]*\)')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_LETTER = re.compile(r'transform="translate\(([-\d.]+) 0\)"/>')
_FONT = re.compile(r'((?:id|xlink:href)="#?)DejaVuSans-')
_ALIKE = re.compile(r'<g( clip-path="[^"]*")?>((?:\n<use [^>]* style="([^"]*)"/>){2,})\n</g>')


def _arm_of(row: Mapping[Any, Any]) -> Arm:
    return (row["model"], row["augmentation"])


def _rows_of(table: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    return table[(table["model"] == arm[0]) & (table["augmentation"] == arm[1])]


def _no_result(cell: Mapping[Any, Any]) -> str:
    """Tell in words why a cell has no accuracy."""
    words = {"diverged": "diverged", "failed": "failed", "missing": "not run yet"}
    for key, told in words.items():
        if cell[key] == cell["runs"] > 0:
            return "not run yet" if key == "missing" else f"every run {told}"
    counts = [f"{int(cell[key])} {told}" for key, told in words.items() if cell[key]]
    return ", ".join(["no result", *counts])


def _comparison_name(row: Mapping[Any, Any]) -> str:
    """Name a comparison, in one line or with its two sides below each other."""
    sides = [f"({side})" if " − " in side else side for side in (row["arm"], row["reference"])]
    if not math.isnan(row["epoch"]):
        sides[1] += f" at epoch {row['epoch']:.0f}, validation"
    whole = f"{sides[0]} − {sides[1]}"
    if len(whole) <= LABEL:
        return whole
    return f"{_wrapped(sides[0], lines=2)}\n{_wrapped(f'− {sides[1]}', lines=2)}"


def _axis_of_differences(comparisons: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Return an axis in points that no single wide interval can flatten.

    It holds zero, the margin and all differences, and around them four times what an interval of
    usual width reaches. What is only a little more is shown whole.
    """
    found = comparisons[comparisons["verdict"] != "none"]
    lows = 100 * found[["low", "image_low"]].to_numpy(float)
    highs = 100 * found[["high", "image_high"]].to_numpy(float)
    fixed = [-100 * margin, 100 * margin, *(100 * found["difference"])]
    inner = (min(fixed), max(fixed))
    whole = (
        float(np.nanmin(lows, initial=inner[0])),
        float(np.nanmax(highs, initial=inner[1])),
    )
    halves = np.fmax(*(highs - lows).T) / 2
    usual = float(np.quantile(halves, 0.5, method="lower")) if len(halves) else 0.0
    reach = 4 * max(usual, 100 * margin)
    low, high = max(whole[0], inner[0] - reach), min(whole[1], inner[1] + reach)
    if whole[1] - whole[0] < 1.4 * (high - low):
        low, high = whole
    rim = 0.04 * (high - low) or 1.0
    return low - rim, high + rim


def _draw_interval(
    ax: Axes, y: float, interval: tuple[float, float], *, colour: str, width: float
) -> None:
    """Draw an interval of shares in points, if there is one.

    An end beyond the axis becomes an arrowhead.
    """
    if math.isnan(interval[0]):
        return
    left, right = ax.get_xlim()
    low, high = (100 * end for end in interval)
    ax.plot(
        [max(low, left), min(high, right)], [y, y], color=colour, linewidth=width,
        solid_capstyle="butt", zorder=2,
    )  # fmt: skip
    for beyond, edge, head in ((low < left, left, "<"), (high > right, right, ">")):
        if beyond:
            (line,) = ax.plot(
                [edge], [y], head, color=colour, markersize=5 + width, mew=0, clip_on=False
            )
            line.set_gid(f"clipped {head}")


def _draw_histogram(
    ax: Axes, bins: pd.DataFrame, style: ArmStyle, *, tallest: float, scaled: bool
) -> None:
    """Draw below zero which share of the images each bin holds, against the tallest bar."""
    edges = sorted({*bins["low"], *bins["high"]})
    counts = dict(zip(bins["low"], bins["count"], strict=True))
    shares = np.array([counts.get(low, 0) for low in edges[:-1]]) / bins["count"].sum()
    look: dict[str, Any] = (
        {"color": INK, "linewidth": 0.9}
        if scaled
        else {"color": style.colour, "alpha": 0.35, "fill": True, "linewidth": 0}
    )
    floor = -_HISTOGRAM - 1
    ax.stairs(floor + _HISTOGRAM * shares / tallest, 100 * np.array(edges), baseline=floor, **look)


def _calibrated(colour: str, marker: str, *, scaled: bool) -> dict[str, Any]:
    """The line of a reliability diagram: filled as trained, hollow and dashed once scaled."""
    return {
        "color": colour,
        "marker": marker,
        "markersize": 4.5,
        "linewidth": 1.2,
        "linestyle": (0, (4, 2)) if scaled else "-",
        "markerfacecolor": "white" if scaled else colour,
        "markeredgewidth": 1,
    }


def _fills(arms: Sequence[Arm], styles: ArmStyles) -> dict[Arm, int]:
    """Number the models of arms that have one style; 0 for all where styles are enough."""
    if len({styles.place(arm) for arm in arms}) == len(arms):
        return dict.fromkeys(arms, 0)
    models = list(dict.fromkeys(model for model, _ in arms))
    return {arm: models.index(arm[0]) for arm in arms}


def _filled(style: ArmStyle, fill: int) -> dict[str, Any]:
    """The marker of an arm, with the fill and size that tell its model."""
    return {
        "color": style.colour,
        "marker": style.marker,
        "linestyle": "",
        "fillstyle": FILLS[fill % len(FILLS)],
        "markersize": SIZES[fill // len(FILLS) % len(SIZES)],
        "markerfacecoloralt": "white",
        "markeredgewidth": 1.2,
    }


def _places_in_model(arms: Sequence[Arm]) -> dict[Arm, float]:
    """Return how many places an arm stands beside the middle of its model's arms."""
    places: dict[Arm, float] = {}
    for model in dict.fromkeys(model for model, _ in arms):
        of_model = [arm for arm in arms if arm[0] == model]
        places |= {arm: i - (len(of_model) - 1) / 2 for i, arm in enumerate(of_model)}
    return places


def _unit_of_time(seconds: np.ndarray) -> tuple[str, float]:
    """Return the unit in which these times read best, and its seconds."""
    longest = np.nanmax(seconds, initial=0)
    return (
        ("hours", 3600)
        if longest >= 7200
        else ("minutes", 60)
        if longest >= 300
        else ("seconds", 1)
    )


def _scale(ax: Axes, values: np.ndarray, write: Callable[[float], str]) -> None:
    """Give an axis of positive values a log scale if they span a decade, and readable ticks."""
    values = np.unique(values[np.isfinite(values)])
    axis: Axis = ax.xaxis
    if len(values) < 2:
        ax.set_xticks(values)
    elif values[0] > 0 and values[-1] >= 10 * values[0]:
        ax.set_xscale("log")
        ax.set_xlabel(f"{ax.get_xlabel()} (log scale)")
        decades = values[-1] / values[0]
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1000 else (1,)))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def _range(shares: np.ndarray) -> Normalize:
    """Colours from the lowest to the highest share, in percent, apart even where all are equal."""
    found = 100 * shares[np.isfinite(shares)]
    if not len(found):
        return Normalize(0, 100)
    low, high = float(found.min()), float(found.max())
    return Normalize(low, high) if high > low else Normalize(low - 1, high)


def _number_cells(ax: Axes, values: np.ndarray, image: Any, form: str, size: float = 8) -> None:
    """Write the numbers of a matrix into its cells; what would read as zero is left out."""
    nothing = form.format(0)
    for (row, column), value in np.ndenumerate(values):
        text = form.format(value)
        if math.isnan(value) or text == nothing:
            continue
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in image.cmap(float(image.norm(image.get_array()[row, column])))[:3]
        )
        # Relative luminance as WCAG defines it; at 0.18 black and white stand out alike.
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18
        ax.text(
            column, row, text, ha="center", va="center", fontsize=size,
            color="white" if dark else "#111111",
        )  # fmt: skip


def _row_places(labels: Sequence[str]) -> tuple[np.ndarray, float]:
    """Return where rows with labels of several lines are centred, and their height in inches."""
    heights = np.array([1 + 0.55 * label.count("\n") for label in labels])
    return np.cumsum(heights) - heights / 2, ROW * float(heights.sum())


def _name_rows(ax: Axes, places: np.ndarray, labels: Sequence[str]) -> None:
    """Label the rows, the first one at the top."""
    last = places[-1] + 0.5 + 0.275 * labels[-1].count("\n")
    ax.set_yticks(places, labels)
    ax.set_ylim(last, 0)


def _say(ax: Axes, y: float, words: str, *, centred: bool = False) -> None:
    """Tell in words that there is nothing to show."""
    ax.text(
        0.5 if centred else 0.01, y, words, va="center", ha="center" if centred else "left",
        style="italic", color=INK, bbox={"facecolor": "white", "linewidth": 0, "pad": 1.5},
        transform=ax.transAxes if centred else ax.get_yaxis_transform(),
    )  # fmt: skip


def _wrapped(text: str, width: int = LABEL, lines: int = 3) -> str:
    """Break a text into lines; what does not fit into them is left out."""
    return "\n".join(textwrap.wrap(text, max(8, width), max_lines=lines, placeholder=" …")) or " "


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def _legend_columns(names: Iterable[str], width: float = WIDTH) -> int:
    """Return how many entries of a legend fit side by side."""
    longest = max(len(line) for name in names for line in name.split("\n"))
    return max(1, min(4, int(width * 72 / (longest * LETTER + 48))))


def _legend(figure: Figure, handles: Mapping[str, Artist], width: float = WIDTH) -> None:
    """Put a legend below a figure, in as many columns as its names leave room for."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=min(len(handles), _legend_columns(handles, width)),
        handlelength=3,
    )


def _svg(figure: Figure) -> bytes:
    stored = io.StringIO()
    figure.savefig(stored, format="svg", metadata={"Date": None, "Creator": None})
    return _shorter(stored.getvalue()).encode()


def _shorter(svg: str) -> str:
    """Write the same drawing in about half the bytes.

    Coordinates keep two decimals, of a point or less; letters are placed in fewer words; markers
    that look alike share their style.
    """
    svg = re.sub(r">\n +<", ">\n<", svg)
    svg = _COORDINATES.sub(lambda found: _DECIMALS.sub(r"\1", found[0]), svg)
    svg = _LETTER.sub(r'x="\1"/>', svg)
    svg = _FONT.sub(r"\1g", svg)
    return _ALIKE.sub(_share_style, svg)


def _share_style(found: re.Match[str]) -> str:
    place, markers, last = found.groups()
    style = f' style="{last}"'
    if markers.count("<use ") != markers.count(style):
        return found[0]
    return f"<g{place or ''}{style}>{markers.replace(style, '')}\n</g>"


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)

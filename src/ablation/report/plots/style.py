"""Shared parts of the figures: settings, styles of arms, labels, and saving."""

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter, LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from ablation.errors import visible

Arm = tuple[str, str]  # model, augmentation

HALF, FULL = 4.6, 9.2  # inches: half and full width of the page
SMALL = 8.5  # points: smallest text, legible on a phone
LETTER = 5.0  # points: mean width of a character
LINE = 11.5  # points: height of a line of labels
INK, GREY, PALE = "#222222", "#5f6670", "#e6e9ee"
OPTIMISTIC = " †"  # marks scores if the test split served as validation split

# Seaborn's colour-blind palette without two pale colours, then darker ones. The lengths of both
# lists are coprime, so the first 84 styles differ.
COLOURS = (
    "#0173b2", "#d55e00", "#029e73", "#cc78bc", "#de8f05", "#56b4e9", "#8a5a2b", "#7a7a7a",
    "#222222", "#7b2d8b", "#a3142b", "#74780c",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

RC: Any = {
    **sns.axes_style("whitegrid"),
    "text.parse_math": False,  # dollar signs in names are text
    "svg.hashsalt": "ablation",  # reproducible ids
    "svg.fonttype": "path",
    "image.composite_image": False,  # images are not resampled
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa0a8",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e9ebee",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "figure.facecolor": "white",
}


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """Context manager and decorator that applies the settings of the report."""
    with mpl.rc_context(RC | more), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names may be in any script
        yield


def save(figure: Figure, kind: Literal["svg", "pdf"]) -> bytes:
    """Return a figure as the content of a file; equal data gives equal bytes."""
    dates = {"svg": ("Date", "Creator"), "pdf": ("CreationDate", "Creator", "Producer")}
    stored = io.BytesIO()
    with styled():
        figure.savefig(stored, format=kind, metadata=dict.fromkeys(dates[kind]), dpi=150)
    return stored.getvalue()


class Style(NamedTuple):
    """Colour and marker of an arm."""

    colour: str
    marker: str


class Styles:
    """Styles of the arms, the same in every figure of a study.

    An arm with the common augmentation has the style of its model, any other arm that of its
    augmentation. Arms with equal style differ in the model only; figures separate these by
    position.

    Args:
        experiments: experiments of ``analysis.json``.
    """

    def __init__(self, experiments: Sequence[Mapping[str, Any]]) -> None:
        augmentations = [a for e in experiments for a in e["augmentations"]]
        unchanged = [a["label"] for a in augmentations if not a["steps"]]
        self.common: str = [*unchanged, augmentations[0]["label"]][0]
        models = [(model, self.common) for e in experiments for model in e["models"]]
        others = [("", a["label"]) for a in augmentations if a["label"] != self.common]
        self._places = {key: i for i, key in enumerate(dict.fromkeys(models + others))}

    def __getitem__(self, arm: Arm) -> Style:
        """Return the style of an arm."""
        model, augmentation = arm
        place = self._places[model if augmentation == self.common else "", augmentation]
        return Style(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])

    def of_model(self, model: str) -> Style:
        """Return the style of a model in figures with a colour for each model."""
        return self[model, self.common]


def arms_of(table: pd.DataFrame) -> list[Arm]:
    """Return the arms of a table, in its order."""
    return list(dict.fromkeys(zip(table["model"], table["augmentation"], strict=True)))


def rows_of(table: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    """Return the rows of an arm."""
    return table[(table["model"] == arm[0]) & (table["augmentation"] == arm[1])]


def arm_names(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Return names of arms: model, augmentation or both, whichever vary."""
    models, augmentations = ({arm[i] for arm in arms} for i in (0, 1))
    if len(augmentations) == 1:
        return {arm: arm[0] for arm in arms}
    if len(models) == 1:
        return {arm: arm[1] for arm in arms}
    return {arm: f"{shortened(arm[0], 24)} · {shortened(arm[1], 30)}" for arm in arms}


def pair_names(pairs: Sequence[tuple[Arm, Arm]]) -> list[str]:
    """Return names of differences between two arms, such as ``resnet8: cutmix − none``.

    A common part of both arms comes first, unless all arms share it.
    """
    arms = [arm for pair in pairs for arm in pair]
    several = [len({arm[i] for arm in arms}) > 1 for i in (0, 1)]
    names = []
    for arm, reference in pairs:
        common = [i for i in (0, 1) if arm[i] == reference[i]]
        sides = [
            " · ".join(shortened(side[i], 24) for i in (0, 1) if i not in common)
            for side in (arm, reference)
        ]
        shared = [f"{shortened(arm[i], 24)}: " for i in common if several[i]]
        names.append("".join(shared) + " − ".join(sides))
    return names


def arm_groups(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Return the arms by model if augmentations vary too, otherwise as one group."""
    models = list(dict.fromkeys(model for model, _ in arms))
    if len(models) > 1 and len({augmentation for _, augmentation in arms}) > 1:
        return {model: [arm for arm in arms if arm[0] == model] for model in models}
    return {"": list(arms)}


def panels(
    groups: Mapping[str, Sequence[Arm]], sharey: bool | Literal["col"] = "col"
) -> tuple[Figure, Any]:
    """Return a figure with two panels for each group, high enough for the names of its arms."""
    height = max(2.5, (max(map(len, groups.values())) + 1) * LINE / 72 + 0.6)
    figure = Figure(figsize=(FULL, height * len(groups) + 0.1), layout="constrained")
    return figure, figure.subplots(len(groups), 2, squeeze=False, sharex=True, sharey=sharey)


def wrapped(text: str, width: int = 34, lines: int = 2) -> str:
    """Wrap a text; an ellipsis replaces what exceeds the number of lines."""
    text = visible(" ".join(text.split()))
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …")) or " "


def shortened(text: str, longest: int) -> str:
    """Return a text on one line, truncated with an ellipsis."""
    text = visible(" ".join(text.split()))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def signed(value: float, digits: int) -> str:
    """Format a difference with its sign; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def text_colour(colour: str) -> Any:
    """Return a darker colour that is legible as text on white."""
    return sns.set_hls_values(colour, l=0.3)


def space_out(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move sorted positions minimally so that they are ``gap`` apart, within limits."""
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    steps = gap * np.arange(len(wanted))
    return np.clip(isotonic_regression(wanted - steps).x, low, high - steps[-1]) + steps


def label_points(
    ax: Axes, points: Sequence[tuple[float, float, str, str]], outside: bool = False
) -> None:
    """Label points without overlaps; thin lines lead to displaced labels.

    Args:
        ax: axes with the points.
        points: x, y, name and colour of each point.
        outside: whether to put all labels to the right of the axes.
    """
    if not points:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    unit = figure.dpi / 72
    places = ax.transData.transform([point[:2] for point in points]) / unit
    _, bottom, right, top = np.array(ax.bbox.extents) / unit
    names = [shortened(point[2], 28) for point in points]
    gaps = np.diff(np.sort(places[:, 0])) > LETTER * max(map(len, names)) + 12
    groups = np.zeros(len(points), int)
    if not outside:
        groups[np.argsort(places[:, 0])] = np.cumsum([0, *gaps])
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        members = members[np.argsort(places[members, 1], kind="stable")]
        heights = space_out(places[members, 1], LINE, bottom, top)
        for i, height in zip(members.tolist(), heights, strict=True):
            x, y, _, colour = points[i]
            away, moved = right - places[i, 0] if outside else 0.0, height - places[i, 1]
            line = {"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 0, "relpos": (0, 0.5)}
            ax.annotate(
                names[i], (x, y), (away + 9, moved), textcoords="offset points", va="center",
                fontsize=SMALL, color=text_colour(colour), annotation_clip=False,
                arrowprops=line if abs(moved) > 3 or away > 20 else None,
            )  # fmt: skip


def log_if_wide(axis: Axis, values: pd.Series, labels: Formatter | str = "{x:g}") -> None:
    """Make an axis logarithmic if its positive values span a decade or crowd at the low end."""
    values = values[np.isfinite(values)]
    low, high = values.min(), values.max()
    crowded = high >= 4 * low and values.median() < low + (high - low) / 5
    if values.empty or low <= 0 or not (high >= 10 * low or crowded):
        return
    axis.axes.set(**{"xscale" if isinstance(axis, XAxis) else "yscale": "log"})
    subs = (1,) if high > 500 * low else (1, 2, 5) if high >= 10 * low else (1, 2, 3, 5, 7)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(labels)


def name_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Label rows at 0, 1, …, from the top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def name_columns(ax: Axes, places: np.ndarray, labels: Sequence[str], width: float) -> float:
    """Label columns of ``width`` inches in total; return the height of rotated labels in inches."""
    names = [shortened(label, 24) for label in labels]
    longest = max(map(len, names), default=0) * LETTER
    upright = longest > width * 72 / max(1, len(names)) - 4
    ax.set_xticks(places, names, rotation=90 if upright else 0)
    return longest / 72 if upright else 0.0


def name_matrix(ax: Axes, rows: Sequence[str], columns: Sequence[str], width: float) -> float:
    """Label a heat map of ``width`` inches; return the height of rotated labels, in inches."""
    below = name_columns(ax, np.arange(len(columns)) + 0.5, columns, width)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0)
    ax.tick_params(length=0)
    ax.set(xlabel="", ylabel="")
    return below


def set_number_colours(ax: Axes) -> None:
    """Make the numbers of the last heat map dark on pale cells and white on dark cells."""
    mesh = ax.collections[-1]
    assert isinstance(mesh, QuadMesh)
    width = np.shape(mesh.get_coordinates())[1] - 1
    colours = np.asarray(mesh.get_facecolor())
    for text in ax.texts:
        column, row = (int(place) for place in text.get_position())
        r, g, b, opaque = colours[row * width + column]
        if opaque:
            dark = sns.utils.relative_luminance((r, g, b)) < 0.21
            text.set_color("white" if dark else INK)


def number_row(ax: Axes, y: float, text: str) -> None:
    """Write a number at the right end of a row."""
    place = ax.get_yaxis_transform()
    ax.text(1.02, y, text, transform=place, va="center", fontsize=SMALL, color=INK)


def write_note(ax: Axes, text: str = "no result", y: float | None = None) -> None:
    """Write a note instead of missing data, in a row or in the whole axes."""
    whole = y is None
    ax.text(
        0.5 if whole else 0.02, 0.5 if y is None else y, text, style="italic", color=GREY,
        ha="center" if whole else "left", va="center",
        transform=ax.transAxes if whole else ax.get_yaxis_transform(),
    )  # fmt: skip


def name_missing(ax: Axes, names: Sequence[str]) -> None:
    """Write the names of arms without data."""
    if names:
        text = wrapped(f"no result: {', '.join(names)}", 44, 4)
        options: Any = {"style": "italic", "color": GREY, "fontsize": SMALL}
        ax.text(0.99, 0.98, text, ha="right", va="top", transform=ax.transAxes, **options)


def legend_beside(ax: Axes, names: Mapping[Arm, str], styles: Styles) -> None:
    """Put a legend of arms to the right of the axes."""
    handles = [
        Line2D([], [], color=styles[arm].colour, marker=styles[arm].marker, ms=5) for arm in names
    ]
    texts = [shortened(name, 28) for name in names.values()]
    ax.legend(handles, texts, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=1.6)


def legend(figure: Figure, handles: Mapping[str, Artist], columns: int = 4) -> None:
    """Put a legend below a figure."""
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center",
        ncols=min(columns, len(handles)), handlelength=2.2, columnspacing=1.4,
    )  # fmt: skip

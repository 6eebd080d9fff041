"""Drawing: curves and results as SVG, images as PNG, the same bytes for the same data."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

Arm = tuple[str, str]  # model, augmentation

MEASURES = {
    "loss": "training loss",
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy, %",
}
OPTIMISTIC_AXIS = " † (test split)"
TILE = 112  # pixels that an image of the gallery fills at most
GAP = 6

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


def draw_results(
    cells: Sequence[Mapping[str, Any]], runs: pd.DataFrame, styles: ArmStyles, optimistic: bool
) -> bytes:
    """Draw the test accuracy of each run and the differences to the reference.

    Args:
        cells: cells of the analysis, of one experiment and data set.
        runs: rows of ``runs.csv``, of the same.
        styles: the styles of the study.
        optimistic: whether the test split was used for validation.

    Returns:
        The figure as SVG.
    """
    arms = [(cell["model"], cell["augmentation"]) for cell in cells]
    names = arm_names(arms)
    compared = any(cell["difference"] for cell in cells)
    mark = " †" * optimistic
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.2, 0.29 * len(cells) + 0.95), layout="constrained")
        panels = figure.subplots(1, 2 if compared else 1, sharey=True, squeeze=False)[0]
        for y, (arm, cell) in enumerate(zip(arms, cells, strict=True)):
            style = styles[arm]
            of_arm = runs[(runs["model"] == arm[0]) & (runs["augmentation"] == arm[1])]
            scores = 100 * of_arm["test_accuracy"].dropna()
            panels[0].scatter(
                scores, [y] * len(scores), s=22, color=style.colour, alpha=0.45, linewidths=0
            )
            mean = cell["measures"]["test_accuracy"]
            if mean is None:
                panels[0].text(
                    0.02, y, "every run diverged", va="center", style="italic",
                    transform=panels[0].get_yaxis_transform(),
                )  # fmt: skip
            else:
                (line,) = panels[0].plot(
                    [100 * mean["mean"]], [y], style.marker, color=style.colour, markersize=7,
                    markeredgecolor="white", markeredgewidth=0.6,
                )  # fmt: skip
                line.set_gid(f"mean:{arm[0]}:{arm[1]}")
            if cell["difference"]:
                found = {key: 100 * cell["difference"][key] for key in ("mean", "low", "high")}
                panels[1].plot(
                    [found["low"], found["high"]], [y, y], color=style.colour, linewidth=2
                )
                panels[1].plot(
                    [found["mean"]], [y], style.marker, color=style.colour, markersize=7,
                    markeredgecolor="white", markeredgewidth=0.6,
                )  # fmt: skip
            elif compared and cell["is_baseline"]:
                panels[1].plot(
                    [0], [y], style.marker, color=style.colour, markersize=6,
                    markerfacecolor="white", markeredgewidth=1.3,
                )  # fmt: skip
        panels[0].set_yticks(range(len(cells)), [names[arm] for arm in arms])
        panels[0].set_ylim(len(cells) - 0.4, -0.6)
        panels[0].set_xlabel(f"test accuracy, %{mark}")
        if compared:
            panels[1].axvline(0, color="#444444", linewidth=1, zorder=0)
            panels[1].set_xlabel(f"difference to the reference, points{mark}")
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


def _svg(figure: Figure) -> bytes:
    stored = io.BytesIO()
    figure.savefig(stored, format="svg", metadata={"Date": None, "Creator": None})
    return stored.getvalue()


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)

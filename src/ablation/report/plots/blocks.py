"""Diagram of a residual and a plain block."""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from ablation.report.plots import style

CONVOLUTIONS = {"basic": ["3×3", "3×3"], "bottleneck": ["1×1", "3×3", "1×1"]}
CONV, RELU, SHORTCUT = "#dbe7f3", "#fdeccf", style.COLOURS[0]
GAP, SUM = 0.3, 0.3  # space between two parts, diameter of the addition


@style.styled()
def blocks(kind: Literal["basic", "bottleneck"] = "basic") -> Figure:
    """Draw a residual block above a plain block without shortcut and addition.

    Args:
        kind: two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1.

    Returns:
        The figure, half as wide as the page.
    """
    figure = Figure()
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    for y, name in ((0.0, "residual"), (-1.45, "plain")):
        right = _block(ax, y, CONVOLUTIONS[kind], residual=name == "residual")
        ax.text(-0.12, y + (1.0 if name == "residual" else 0.5), f"{name} block", weight="bold")
    ax.set(xlim=(-0.25, right + 0.25), ylim=(-1.85, 1.25))
    figure.set_size_inches(style.HALF, style.HALF * 3.1 / (right + 0.5))  # units are square
    return figure


def _block(ax: Axes, y: float, sizes: list[str], residual: bool) -> float:
    """Draw a block from left to right; return its right end."""
    ax.text(0, y, "x", ha="center", va="center", style="italic", fontsize=11)
    x = 0.12
    for size in sizes[:-1]:
        x = _part(ax, x, y, 1.15, f"{size} conv\nbatch norm", CONV)
        x = _part(ax, x, y, 0.6, "ReLU", RELU)
    x = _part(ax, x, y, 1.15, f"{sizes[-1]} conv\nbatch norm", CONV)
    if residual:
        middle = x + GAP + SUM / 2
        line: dict[str, Any] = {"color": SHORTCUT, "linewidth": 1.6}
        ax.plot([0.25, 0.25, middle], [y, y + 0.75, y + 0.75], solid_joinstyle="round", **line)
        _arrow(ax, (middle, y + 0.75), (middle, y + SUM / 2), **line)
        label = "shortcut (identity, or projection)"
        ax.text(
            (0.25 + middle) / 2,
            y + 0.53,
            label,
            ha="center",
            va="center",
            color=style.text_colour(SHORTCUT),
        )
        _arrow(ax, (x, y), (x + GAP, y))
        ax.add_patch(Circle((middle, y), SUM / 2, facecolor="white", edgecolor=style.INK, zorder=3))
        ax.text(middle, y, "+", ha="center", va="center_baseline", fontsize=12, zorder=4)
        x += GAP + SUM
    else:
        ax.plot([x, x + GAP + SUM], [y, y], color=style.INK, linewidth=1)
        x += GAP + SUM
    x = _part(ax, x, y, 0.6, "ReLU", RELU)
    _arrow(ax, (x, y), (x + GAP, y))
    return x + GAP


def _part(ax: Axes, x: float, y: float, width: float, text: str, colour: str) -> float:
    """Draw an arrow and a box; return the right end of the box."""
    _arrow(ax, (x, y), (x + GAP, y))
    shape = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch((x + GAP, y - 0.3), width, 0.6, shape, fc=colour, ec=style.INK, lw=0.8)
    ax.add_patch(box)
    ax.text(x + GAP + width / 2, y, text, ha="center", va="center", fontsize=style.SMALL)
    return x + GAP + width


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], **line: Any) -> None:
    options = {
        "arrowstyle": "-|>",
        "color": style.INK,
        "linewidth": 1,
        "shrinkA": 0,
        "shrinkB": 0,
    } | line
    ax.annotate("", end, start, arrowprops=options)

"""Augmented images, and misclassified images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ablation.report.plots import style

SIDE = 96  # largest side of an image, in pixels
LEFT, GAP = 1.7, 0.08  # inches: width of the row names, space between images


@style.styled()
def gallery(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the same images under each augmentation, with the labels that result.

    Args:
        entries: for each row augmentation, pipeline, images (uint8 [n, height, width, 1 or 3]) and
            captions, such as ``70 % ‘5’ + 30 % ‘3’``.

    Returns:
        The figure, as wide as the page.
    """
    return _rows(
        [
            (
                entry["augmentation"],
                entry["pipeline"],
                entry["images"],
                [
                    caption.replace(" + ", " +\n").replace(", others", ",\nothers")
                    for caption in entry["captions"]
                ],
            )
            for entry in entries
        ]
    )


@style.styled()
def mistakes(entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw misclassified test images with true and predicted class.

    Args:
        entries: for each row arm (as text), images (uint8 [n, height, width, 1 or 3]), and names
            of their true and predicted classes.

    Returns:
        The figure, as wide as the page.
    """
    return _rows(
        [
            (entry["arm"], "", entry["images"], [
                f"true {style.shortened(true, 30)},\ntaken for {style.shortened(predicted, 30)}"
                for true, predicted in zip(entry["true"], entry["predicted"], strict=True)
            ])
            for entry in entries
        ]
    )  # fmt: skip


def _rows(rows: Sequence[tuple[str, str, np.ndarray, Sequence[str]]]) -> Figure:
    """Draw rows of name, remark and images, with a caption below each image."""
    step = min(1.0, (style.FULL - LEFT) / max(len(captions) for *_, captions in rows))
    side = step - GAP
    letters = int(side * 72 / 4.6)  # in a line of a caption
    figure = Figure()
    ax = figure.add_axes((0, 0, 1, 1))  # in inches, downwards
    ax.set_axis_off()
    top = GAP
    for name, remark, images, captions in rows:
        title = style.wrapped(name, 20)
        ax.text(GAP, top, title, weight="bold", va="top")
        if remark != name:
            below = top + 0.21 + 0.15 * title.count("\n")
            words = style.wrapped(remark, 24, 5)
            ax.text(GAP, below, words, va="top", fontsize=style.SMALL, color=style.GREY)
        high, lines = side * images.shape[1] / images.shape[2], 1
        for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
            left = LEFT + step * number
            place = (left, left + side, top + high, top)
            ax.imshow(_small(image), "gray", vmin=0, vmax=255, interpolation="none", extent=place)
            words = "\n".join(style.wrapped(line, letters) for line in caption.split("\n"))
            lines = max(lines, words.count("\n") + 1)
            middle = left + side / 2
            ax.text(middle, top + high + 0.04, words, ha="center", va="top", fontsize=style.SMALL)
        top += max(high + 0.15 * lines, 0.9) + 0.14
    ax.set(xlim=(0, style.FULL), ylim=(top, 0), aspect="auto")
    figure.set_size_inches(style.FULL, top)
    return figure


def _small(image: np.ndarray) -> np.ndarray:
    """Reduce an image to at most `SIDE` pixels; small images are unchanged."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)

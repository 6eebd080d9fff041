"""What a source of images is: where the preparation of a data set gets its examples from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from ablation.data.checks import Finding

PARTS = ("train", "validation", "test")
"""The parts in which a source may bring its examples."""


@dataclass(frozen=True)
class Form:
    """The form in which images are stored.

    Attributes:
        height, width: in pixels.
        channels: 1 or 3.
        resize: ``stretch``, ``crop`` or ``pad``, as in `ablation.data.resizing.to_size`.
    """

    height: int
    width: int
    channels: int
    resize: str


@dataclass(frozen=True)
class Read:
    """An image as it was read.

    Attributes:
        pixels: uint8 [height, width, channels].
        conversions: what was done to it beside resizing, as short sentences.
    """

    pixels: np.ndarray
    conversions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read, and why."""

    reason: str


class Source(Protocol):
    """Labelled images in parts.

    Attributes:
        name: full name, with a version where it has one.
        class_names: name of each class, in the order of the labels.
        citation: BibTeX; empty if there is none.
        channels: 1 if all images are grey, else 3.
        shape: height and width of all images; None if they differ.
    """

    name: str
    class_names: list[str]
    citation: str
    channels: int
    shape: tuple[int, int] | None

    def examples(self) -> pd.DataFrame:
        """Return the examples of all labelled parts, fetching them if need be.

        Returns:
            The columns part (of `PARTS`, in this order), position in the part, name, and label
            from 0. There is always a part ``train``.

        Raises:
            InputError: they cannot be had.
        """
        ...

    def images(self, examples: pd.DataFrame, form: Form) -> Iterator[Read | Unreadable]:
        """Read images.

        Args:
            examples: some rows of `examples`, in their order.
            form: what the images are brought to.

        Yields:
            One image for each row, in the order of the rows.
        """
        ...

    def findings(self) -> list[Finding]:
        """Return what was left out of the source."""
        ...

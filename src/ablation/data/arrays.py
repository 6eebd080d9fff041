"""A source whose images are arrays in memory."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

from ablation.data.issues import DataIssue
from ablation.data.resizing import to_channels, to_size
from ablation.data.sources.base import PARTS, Form, Image


class ArraySource:
    """Labelled images in arrays: an `ablation.data.sources.base.Source`.

    Args:
        name: name of the source.
        parts: images, uint8 [examples, height, width, 1 or 3], and labels, int [examples], from 0,
            of ``train`` and, if given, ``validation`` and ``test``.
        class_names: name of each class.
        citation: BibTeX; empty if there is none.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
        class_names: Sequence[str],
        citation: str = "",
    ) -> None:
        self.name, self.class_names, self.citation = name, list(class_names), citation
        self._parts = parts
        height, width, self.channels = parts["train"][0].shape[1:]
        self.shape: tuple[int, int] | None = (height, width)

    def examples(self) -> pd.DataFrame:
        """Return the examples, named by part and position."""
        return pd.DataFrame(
            [
                (part, position, f"{part}-{position}", int(label))
                for part in PARTS
                if part in self._parts
                for position, label in enumerate(self._parts[part][1])
            ],
            columns=["part", "position", "name", "label"],
        )

    def images(self, examples: pd.DataFrame, form: Form) -> Iterator[Image]:
        """Yield the images of examples in a form."""
        for part, position in zip(examples["part"], examples["position"], strict=True):
            image = to_channels(tf.constant(self._parts[part][0][position]), form.channels)
            yield Image(to_size(image, form.height, form.width, form.resize).numpy())

    def issues(self) -> list[DataIssue]:
        """Return an empty list: all examples are used."""
        return []

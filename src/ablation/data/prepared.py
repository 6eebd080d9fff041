"""A prepared data set: uint8 images on disk that training reads at memory speed.

A folder holds ``images.npy`` (uint8 [examples, height, width, channels], read through a memory
map), ``examples.csv`` (index, split, label, and the example's name at its source) and
``description.json`` (source, class names, counts, image shape, content hash).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.errors import InputError

IMAGES, EXAMPLES, DESCRIPTION = "images.npy", "examples.csv", "description.json"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        images: uint8 [examples, height, width, channels], at the stored size.
        labels: int64 [examples].
        split: ``train``, ``validation`` or ``test`` for each example.
        description: the content of ``description.json``.
    """

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    description: dict[str, Any]

    @property
    def class_names(self) -> list[str]:
        """Name of each class."""
        return self.description["class_names"]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of what a network sees: at most the stored size."""
        height, width = self.description["settings"]["image_size"] or self.images.shape[1:3]
        return int(height), int(width), int(self.images.shape[3])

    def indices(self, *splits: str) -> np.ndarray:
        """Return the indices of the examples of some splits, rising."""
        return np.flatnonzero(np.isin(self.split, splits))


def content_hash(images: np.ndarray, examples: pd.DataFrame, class_names: list[str]) -> str:
    """Return the SHA-256 over shape, pixels, labels, splits and class names, in hex."""
    digest = hashlib.sha256()
    digest.update(json.dumps([list(images.shape), class_names]).encode())
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).data)
    digest.update(examples["label"].to_numpy(np.int64).tobytes())
    digest.update("\n".join(examples["split"]).encode())
    return digest.hexdigest()


def load(folder: Path, *, verify: bool = True) -> Prepared:
    """Open a prepared data set.

    Args:
        folder: where it lies.
        verify: read everything once and compare its hash with the description's.

    Raises:
        InputError: a file is missing or cut short, or the content is not what was prepared.
    """
    mend = f"delete {folder} and run snakemake again"
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        examples = pd.read_csv(folder / EXAMPLES, dtype={"name": str}, keep_default_na=False)
        images = np.load(folder / IMAGES, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: the prepared data cannot be read ({error}); {mend}") from None
    if images.shape != tuple(description["shape"]) or len(examples) != len(images):
        raise InputError(f"{folder}: the prepared data is not whole; {mend}")
    if verify and content_hash(images, examples, description["class_names"]) != description["hash"]:
        raise InputError(f"{folder}: the prepared data has changed since it was made; {mend}")
    return Prepared(
        images,
        examples["label"].to_numpy(np.int64),
        examples["split"].to_numpy(str),
        description,
    )

"""A prepared data set: uint8 images on disk, read through a memory map.

Its folder contains ``images.npy`` (uint8 [examples, height, width, channels]), ``examples.csv``
(index, split, label, and the name of the example at its source) and ``description.json`` (source,
class names, counts, image shape, content hash), which is sealed and written last.
"""

import hashlib
import json
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.errors import InputError
from ablation.storage import file_sha256, is_sealed

FORMAT = 2
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
        """Input shape of the network: height, width and channels; at most the stored size."""
        height, width = self.description["settings"]["image_size"] or self.images.shape[1:3]
        return int(height), int(width), int(self.images.shape[3])

    def indices(self, *splits: str) -> np.ndarray:
        """Return the indices of the examples of some splits, in increasing order."""
        return np.flatnonzero(np.isin(self.split, splits))


def content_hash(images: np.ndarray, examples: pd.DataFrame, class_names: list[str]) -> str:
    """Return the SHA-256 of shape, pixels, labels, splits and class names, in hex."""
    labels, split = examples["label"].to_numpy(np.int64), examples["split"].to_numpy(str)
    return _content_hash(images, labels, split, class_names)


def _content_hash(
    images: np.ndarray, labels: np.ndarray, split: np.ndarray, class_names: list[str]
) -> str:
    digest = hashlib.sha256()
    digest.update(json.dumps([list(images.shape), class_names]).encode())
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).data)
    digest.update(labels.tobytes())
    digest.update("\n".join(split).encode())
    return digest.hexdigest()


def read_description(folder: Path) -> dict[str, Any]:
    """Return the description of a prepared data set.

    Args:
        folder: folder of the data set.

    Raises:
        InputError: it cannot be read, has changed, or has another format.
    """
    file = folder / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(file, error) from None
    if not isinstance(description, dict) or (
        description.get("format") == FORMAT and not is_sealed(description)
    ):
        raise _changed(file)
    if description.get("format") != FORMAT:
        raise InputError(f"{file}: was made by another version; {_advice(folder)}")
    return description


def load(folder: Path, *, verify: bool = True) -> Prepared:
    """Open a prepared data set.

    Args:
        folder: folder of the data set.
        verify: whether to compare the hash of the images with the description.

    Raises:
        InputError: a file is missing, truncated or changed.
    """
    description = read_description(folder)
    labels, split = _read_examples(folder / EXAMPLES, description["examples_sha256"])
    images = _open_images(folder / IMAGES)
    if list(images.shape) != description["shape"] or len(labels) != len(images):
        raise InputError(f"{folder}: the prepared data is incomplete; {_advice(folder)}")
    if verify and (
        _content_hash(images, labels, split, description["class_names"]) != description["hash"]
    ):
        raise _changed(folder / IMAGES)
    return Prepared(images, labels, split, description)


def _read_examples(file: Path, digest: str) -> tuple[np.ndarray, np.ndarray]:
    """Return label and split of each example."""
    try:
        if file_sha256(file) != digest:
            raise _changed(file)
        examples = pd.read_csv(
            file,
            usecols=["split", "label"],
            dtype={"split": str, "label": np.int64},
            keep_default_na=False,
            encoding="utf-8",
        )
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    return examples["label"].to_numpy(np.int64), examples["split"].to_numpy(str)


def _open_images(file: Path) -> np.ndarray:
    try:
        # np.load would treat a file without the right first bytes as a pickle.
        images = np.lib.format.open_memmap(file, mode="r")
        size = file.stat().st_size
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise _unreadable(file, error) from None
    shaped = images.dtype == np.uint8 and images.ndim == 4 and images.flags.c_contiguous
    if not shaped or images.offset + images.nbytes != size:
        raise _changed(file)
    return images


def _unreadable(file: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError) and file.name == DESCRIPTION:
        return InputError(f"{file}: no such file; prepare the data with 'snakemake data'")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InputError(f"{file}: cannot be read ({reason}); {_advice(file.parent)}")


def _changed(file: Path) -> InputError:
    return InputError(f"{file}: has changed since it was made; {_advice(file.parent)}")


def _advice(folder: Path) -> str:
    return f"delete {folder} and run snakemake again"

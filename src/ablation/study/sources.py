"""Which data sets can be asked for, without TensorFlow and without the network."""

import os
from pathlib import Path

import tensorflow_datasets as tfds


def data_dir(configured: str | None) -> Path:
    """Return the folder of TensorFlow Datasets: the config's, TFDS_DATA_DIR, or its default."""
    return Path(
        configured or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    ).expanduser()


def known_sources(configured: str | None) -> list[str]:
    """Return the names that TFDS can build, and those that lie prepared in the data folder."""
    names = set(tfds.list_builders(with_community_datasets=False)) | {"mnist5k"}
    folder = data_dir(configured)
    if folder.is_dir():
        names |= {entry.name for entry in folder.iterdir() if entry.is_dir()}
    return sorted(names)

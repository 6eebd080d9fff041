"""What tests of data sets share."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ablation.data.settings import DataSettings


def settings(source, path=None, **more):
    """Data settings with their defaults."""
    return DataSettings(source=source, path=None if path is None else str(path), **more)


@pytest.fixture
def tfds_dir(tmp_path, monkeypatch):
    """An empty folder of TensorFlow Datasets."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path / "tfds"


def store(name, features, splits, folder, version="1.0.0"):
    """Store a small data set as TFDS does, to be read by the builder of this name."""
    features = tfds.features.FeaturesDict(features)
    signature = features.get_tensor_spec()
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version=version,
        features=features,
        split_datasets={
            split: tf.data.Dataset.from_generator(
                lambda rows=rows: iter(rows), output_signature=signature
            )
            for split, rows in splits.items()
        },
        data_dir=str(folder),
    )


def paint(file, value, size=(10, 8), mode="RGB"):
    """A uniform image whose value tells it from others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 255 - value, 40)).save(file)
    return file


def fill(folder, classes=("cat", "dog"), count=10, first=0, **more):
    """A folder for each class, with images of the values first, first + 1, …, then first + 20, …"""
    for i, name in enumerate(classes):
        for j in range(count):
            paint(folder / name / f"{j:02d}.png", first + 20 * i + j, **more)
    return folder


def values_of(data, *splits):
    """The first value of each image of some splits, sorted."""
    return sorted(np.asarray(data.images)[data.indices(*splits), 0, 0, 0].tolist())


def issues_of(description, kind):
    return [one for one in description["checks"] if one["kind"] == kind]

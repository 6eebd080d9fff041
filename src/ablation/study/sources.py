"""Which data sets can be asked for, and what is known of them, without TensorFlow or network."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation.errors import InputError

VERSION = re.compile(r"\d+\.\d+\.\d+")
GREY = (28, 28, 1)
SMALL = (32, 32, 3)
COLOUR = (None, None, 3)


@dataclass(frozen=True)
class Known:
    """What is known of a source before it is fetched.

    Attributes:
        shape: height, width and channels of its images; height and width None where they vary.
        images: number of images in the splits that are used: labelled ``train``, ``validation``
            and ``test``; None where it depends on the config.
        test: how many of them are the given test split; 0 where the source has none.
        download: bytes to fetch.
        builder: of a source that this project builds itself, the class in the module of its name
            in ``ablation.data``; None for the sources of TensorFlow Datasets.
        version: the one version of that class.
    """

    shape: tuple[int | None, int | None, int]
    images: int | None
    test: int = 0
    download: int = 0
    builder: str | None = None
    version: str | None = None


# Downloads are those in the checksums that TensorFlow Datasets 4.9.10 carries, for the config that
# a name alone stands for.
KNOWN = {
    "mnist5k": Known(GREY, 5_000, 1_000, builder="Mnist5k", version="1.0.0"),
    "mnist": Known(GREY, 70_000, 10_000, 11_594_722),
    "fashion_mnist": Known(GREY, 70_000, 10_000, 30_878_645),
    "kmnist": Known(GREY, 70_000, 10_000, 21_240_888),
    "emnist": Known(GREY, None, download=561_753_746),
    "cifar10": Known(SMALL, 60_000, 10_000, 170_052_171),
    "cifar100": Known(SMALL, 60_000, 10_000, 168_513_733),
    "svhn_cropped": Known(SMALL, 99_289, 26_032, 1_575_594_780),
    "eurosat": Known((64, 64, 3), 27_000, 0, 94_277_468),
    "cats_vs_dogs": Known(COLOUR, 23_262, 0, 824_887_076),
    "stanford_dogs": Known(COLOUR, 20_580, 8_580, 815_912_960),
}
IMAGENET_WEIGHTS_SIZE = 94_765_736
"""Bytes of Keras' file of ResNet-50's ImageNet weights."""

# Images of common sources (height, width, channels), so that a step that does not fit them is
# refused before any download. Other sources are checked once they are prepared.
KNOWN_SHAPES = {
    name: (known.shape[0], known.shape[1], known.shape[2])
    for name, known in KNOWN.items()
    if known.shape[0] is not None and known.shape[1] is not None
}


def source_name(source: str) -> str:
    """Return the name in ``name[/config][:version]``."""
    return source.partition(":")[0].partition("/")[0]


def known(source: str) -> Known | None:
    """Return what is known of ``name[/config][:version]``; None of a config but the first."""
    config = source.partition(":")[0].partition("/")[2]
    first = {"eurosat": "rgb", "emnist": "byclass"}
    name = source_name(source)
    return KNOWN.get(name) if config in ("", first.get(name)) else None


def check_own_version(source: str) -> None:
    """Refuse a config or version that a source of this project's own has not got.

    Raises:
        InputError: the source is another than its name alone or with its version.
    """
    name = source_name(source)
    version = KNOWN[name].version
    if source not in (name, f"{name}:{version}"):
        raise InputError(
            f"{name} has one version and no configs: write {name} or {name}:{version}, not {source}"
        )


def data_dir(configured: str | None) -> Path:
    """Return the folder of TensorFlow Datasets: the config's, TFDS_DATA_DIR, or its default."""
    return Path(
        configured or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    ).expanduser()


def images_prepared(settings: Mapping[str, Any], images: int, test: int) -> int:
    """Return how many images of a source are prepared, about.

    Args:
        settings: of the prepared data set.
        images: how many the source has.
        test: how many of these are a given test split; 0 if it has none.
    """
    training = images - (test or images * settings["test_share"])
    if settings["limit"] is not None:
        training = min(training, settings["limit"])
        images = min(images, 3 * settings["limit"])  # training, validation, test
    trained = training * (1 - settings["held_out"])
    return round(images - trained * (1 - settings["train_share"]))


def is_stored(source: str, configured: str | None) -> bool:
    """Tell whether TensorFlow Datasets has a source prepared, so that nothing is fetched.

    Args:
        source: ``name[/config][:version]``; without a version, any will do.
        configured: the config's data folder.
    """
    path, _, version = source.partition(":")
    folder = data_dir(configured) / path
    found = [*folder.glob("*/dataset_info.json"), *folder.glob("*/*/dataset_info.json")]
    names = {file.parent.name for file in found}  # an unfinished one is called otherwise
    return version in names if version else any(map(VERSION.fullmatch, names))


def known_sources(configured: str | None) -> list[str]:
    """Return the names that TFDS can build, and those that lie prepared in the data folder."""
    # Half a second and no TensorFlow, and only where a study goes beyond this project's sources.
    import tensorflow_datasets as tfds  # noqa: PLC0415

    names = set(tfds.list_builders(with_community_datasets=False))
    names |= {name for name, known in KNOWN.items() if known.builder}
    folder = data_dir(configured)
    if folder.is_dir():
        names |= {entry.name for entry in folder.iterdir() if entry.is_dir()}
    return sorted(names)

"""Data sets of TensorFlow Datasets (TFDS), downloaded at first use."""

import contextlib
import io
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablation.data.disk import DOWNLOAD_FACTOR, require_disk_space
from ablation.data.issues import DataIssue
from ablation.data.progress import downloaded, folder_size, progress_lines
from ablation.data.settings import DataSettings
from ablation.data.sources.base import PARTS, Form, Image, Known, SourceType
from ablation.downloads import is_network_error, one_line, with_retries
from ablation.errors import InputError, nearest
from ablation.lazy import pd, tf, tfds
from ablation.storage import exclusive_lock

if TYPE_CHECKING:
    from pandas import DataFrame

GREY = (28, 28, 1)
SMALL = (32, 32, 3)
COLOUR = (None, None, 3)
# Sizes of downloads are those in the checksums of TensorFlow Datasets 4.9.10, for the default
# config.
KNOWN = {
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
FIRST_CONFIG = {"eurosat": "rgb", "emnist": "byclass"}
"""The default config of data sets with several configs."""

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DELETE = "delete that folder and run snakemake again"


def data_dir(configured: str | None = None) -> Path:
    """Return the data folder of TFDS: as configured, TFDS_DATA_DIR, or its default."""
    return Path(
        configured or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    ).expanduser()


def in_table(source: str) -> Known | None:
    """Return the entry of ``name[/config][:version]`` in `KNOWN`; None if there is none."""
    name, _, config = source.partition(":")[0].partition("/")
    return KNOWN.get(name) if config in ("", FIRST_CONFIG.get(name)) else None


def is_stored(source: str) -> bool:
    """Return whether a source is stored already.

    Args:
        source: ``name[/config][:version]``; without a version, any counts.
    """
    path, _, version = source.partition(":")
    folder = data_dir() / path
    found = [*folder.glob("*/dataset_info.json"), *folder.glob("*/*/dataset_info.json")]
    names = {file.parent.name for file in found}  # an unfinished one is named differently
    return version in names if version else any(map(_VERSION.fullmatch, names))


def known_names(configured: str | None) -> list[str]:
    """Return the names of data sets that TFDS can build or has stored."""
    names = set(tfds.list_builders(with_community_datasets=False))
    folder = data_dir(configured)
    if folder.is_dir():
        names |= {entry.name for entry in folder.iterdir() if entry.is_dir()}
    return sorted(names)


class _Tfds(SourceType):
    def known(self, source: str) -> Known | None:
        known = in_table(source)
        return replace(known or Known(), download=0) if is_stored(source) else known

    def check(self, settings: DataSettings, data_dir: str | None) -> None:
        from ablation.data.sources import SOURCES, source_name  # noqa: PLC0415 (imports this file)

        name = source_name(settings.source)
        if name in KNOWN:
            return
        names = known_names(data_dir)
        if name not in names:
            hint = nearest(name, [*names, *SOURCES])[:300]
            raise InputError(
                f"TensorFlow Datasets has no '{name}', and no such data set is prepared{hint}"
            )


class TfdsSource:
    """A data set of TFDS: an `ablation.data.sources.base.Source`.

    Raises:
        InputError: the source is unknown, or not an image classification data set.
    """

    def __init__(self, settings: DataSettings) -> None:
        self._source = settings.source
        self._builder = make_builder(self._source)
        self._image, self._label = _keys(self._builder, self._source)
        features = self._builder.info.features
        height, width, channels = features[self._image].shape
        kind = features[self._image].np_dtype
        if kind != np.uint8 or channels not in (1, 3):
            raise InputError(
                f"'{self._source}' has images of type {kind} and {channels} channels, not of "
                "uint8 and 1 or 3"
            )
        self.name = self._builder.info.full_name
        self.class_names = list(features[self._label].names)
        self.citation = str(self._builder.info.citation)
        self.channels: int = channels
        self.shape = None if None in (height, width) else (height, width)

    def issues(self) -> list[DataIssue]:
        """Return an empty list: TFDS reports no issues."""
        return []

    def examples(self) -> "DataFrame":
        """Return the examples; download the data set if it is not stored."""
        download(self._builder, self._source)
        self.citation = str(self._builder.info.citation)  # may be known only after the download
        with self._reading():
            splits = self._builder.info.splits
            if "train" not in splits:
                raise InputError(f"'{self._source}' has no split 'train', only {list(splits)}")
            parts = {part: self._labels(part) for part in PARTS if part in splits}
        if parts["train"] is None:
            raise InputError(f"'{self._source}': the examples of 'train' have no labels")
        return pd.concat([one for one in parts.values() if one is not None], ignore_index=True)

    def images(self, examples: "DataFrame", form: Form) -> Iterator[Image]:
        """Read images."""
        with self._reading():
            for part in examples["part"].unique():
                positions = examples.loc[examples["part"] == part, "position"]
                yield from self._images(part, positions, form)

    def _images(self, part: str, positions: Any, form: Form) -> Iterator[Image]:
        # Not imported with this file, because it imports TensorFlow.
        from ablation.data.resizing import to_channels, to_size  # noqa: PLC0415

        wanted = np.zeros(self._builder.info.splits[part].num_examples, dtype=bool)
        wanted[positions] = True
        keep = tf.constant(wanted)

        def shaped(_: Any, row: Any) -> Any:
            image = to_channels(row[self._image], form.channels)
            return to_size(image, form.height, form.width, form.resize)

        data = (
            self._read(part, self._image)
            .enumerate()
            .filter(lambda position, _: keep[position])
            .map(shaped, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(64)
        )
        yield from map(Image, data.as_numpy_iterator())

    def _labels(self, part: str) -> "DataFrame | None":
        """Return the examples of a part; None if they have no labels."""
        data = self._read(part, self._label).map(lambda row: (row["tfds_id"], row[self._label]))
        rows = [
            (part, position, name.decode(), int(label))
            for position, (name, label) in enumerate(data.as_numpy_iterator())
        ]
        frame = pd.DataFrame(rows, columns=["part", "position", "name", "label"])
        return None if frame.empty or (frame["label"] < 0).any() else frame

    def _read(self, split: str, key: str) -> Any:
        """Return one feature and the name of each example, in the order of storage."""
        config = tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1)
        wanted = tfds.decode.PartialDecoding({key: self._builder.info.features[key]})
        return self._builder.as_dataset(
            split=split, shuffle_files=False, read_config=config, decoders=wanted
        )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors of reading stored data into an InputError that names the folder."""
        try:
            yield
        except (tf.errors.OpError, OSError, ValueError, AssertionError) as error:
            raise InputError(
                f"'{self._source}': {self._builder.data_path} cannot be read "
                f"({_reason(error)}); if it is damaged, {_DELETE}"
            ) from error


def make_builder(source: str) -> Any:
    """Return the TFDS builder of ``name[/config][:version]``.

    Raises:
        InputError: TFDS does not have this data set, config or version.
    """
    stored = data_dir() / source.replace(":", "/")
    hint = f"; if {stored} is damaged, {_DELETE}" if stored.is_dir() else ""
    try:
        return tfds.builder(source, data_dir=str(data_dir()))
    except Exception as error:  # wrong name, version or config, or a damaged file
        raise InputError(
            f"TensorFlow Datasets cannot build '{source}': {_reason(error)}{hint}"
        ) from error


def _keys(builder: Any, source: str) -> tuple[str, str]:
    """Return the names of the image and of the label among a data set's features."""
    keys = builder.info.supervised_keys or ("image", "label")
    features = builder.info.features
    if (
        len(keys) != 2
        or not all(isinstance(key, str) and key in features for key in keys)
        or not isinstance(features[keys[0]], tfds.features.Image)
        or not isinstance(features[keys[1]], tfds.features.ClassLabel)
    ):
        raise InputError(f"'{source}' is not an image classification data set (image and class)")
    return keys[0], keys[1]


def download(builder: Any, source: str) -> None:
    """Download and store a data set, unless it is stored.

    Args:
        builder: builder of the data set.
        source: its name in the study.

    Raises:
        InputError: disk space is not enough, or the download fails.
    """
    if builder.data_path.exists():  # TFDS renames the folder when it is complete
        return
    folder, name, size = data_dir(), builder.name, download_size(builder, source)
    downloads = folder / "downloads"
    # One download at a time, so that the checked disk space stays free.
    with exclusive_lock(
        folder / ".downloads.lock", f"waiting for another job that downloads into {folder}"
    ):
        if builder.data_path.exists():
            return
        require_disk_space(
            folder,
            DOWNLOAD_FACTOR * (size or 0),
            f"'{source}' (a download of {(size or 0) / 1e6:.0f} MB, unpacked and stored)",
            "free some, or set data_dir in config/config.yaml or TFDS_DATA_DIR to another folder",
        )
        before = folder_size(downloads, ("extracted",))

        def line() -> str | None:
            stored = sum(map(folder_size, _unfinished(builder)))
            if stored:
                return f"{name}: downloaded; stored {stored / 1e6:.0f} MB"
            done = folder_size(downloads, ("extracted",)) - before
            return downloaded(name, max(done, 0), size) if size else None

        def once() -> None:
            # TFDS does not reuse the files of failed attempts.
            for left in [*_unfinished(builder), *(downloads / name).glob("*.tmp.*")]:
                shutil.rmtree(left, ignore_errors=True)
            with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints progress bars
                builder.download_and_prepare()

        if size:
            print(f"{name}: downloading {size / 1e6:.0f} MB into {folder}", flush=True)
        tfds.disable_progress_bar()
        damaged = (tfds.download.download_manager.NonMatchingChecksumError,)
        try:
            with progress_lines(line):
                with_retries(once, name, damaged)
        except Exception as error:  # builders raise errors of any type
            advice = (
                "run snakemake again when the network is back; if the nodes of a cluster have "
                "none, run 'snakemake data' on its login node first"
                if is_network_error(error)
                else f"if a download is damaged, delete {downloads / name} and run snakemake "
                "again; if its address has changed, upgrade TensorFlow Datasets"
            )
            raise InputError(
                f"'{source}' could not be downloaded into {folder}: {_reason(error)}; {advice}"
            ) from error
        if size:
            print(f"{name}: downloaded and stored", flush=True)


def download_size(builder: Any, source: str) -> int | None:
    """Return the size of the download of a source, in bytes; None if unknown."""
    known = in_table(source)
    if known is not None:
        return known.download
    # The sum of all configs: too large if there are several.
    infos = builder.url_infos
    return sum(info.size for info in infos.values()) if infos else None


def _unfinished(builder: Any) -> list[Path]:
    """Return the temporary folders of this version of a data set."""
    stored = Path(builder.data_path)
    return list(stored.parent.glob(f"incomplete.*_{stored.name}"))


def _reason(error: BaseException) -> str:
    """Return an error as one line, without names of TensorFlow operations."""
    return re.sub(r"\{\{.*?\}\} ?| *\[Op:.*| *\[\[.*", "", one_line(error))


SOURCE = _Tfds("tfds", TfdsSource)

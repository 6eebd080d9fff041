"""Data sets of TensorFlow Datasets, and those that this project builds in their form."""

import contextlib
import errno
import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from ablation.data import network
from ablation.data.checks import Finding
from ablation.data.disk import DOWNLOAD_FACTOR, require_room
from ablation.data.resizing import to_channels, to_size
from ablation.data.source import PARTS, Form, Read
from ablation.data.told import fetched, folder_size, watching
from ablation.errors import InputError, nearest
from ablation.storage import alone
from ablation.study.sources import (
    KNOWN,
    check_own_version,
    data_dir,
    known,
    known_sources,
    source_name,
)

_TRIES = 2
"""How often one address is asked for again within one of our own tries."""
_MEND = "delete that folder and run snakemake again"
_MORE_ROOM = "make room, or name another folder by data_dir in config/config.yaml or TFDS_DATA_DIR"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def make_builder(source: str, folder: str | None) -> tfds.core.DatasetBuilder:
    """Return the TFDS builder of a source, ``name[/config][:version]``.

    Args:
        source: the name, of TFDS or of a module in ``ablation.data`` (`ablation.study.sources`).
        folder: where TFDS keeps its data; None for TFDS_DATA_DIR or TFDS' default.

    Raises:
        InputError: TFDS has no such data set, or not in this version.
    """
    where, name = data_dir(folder), source_name(source)
    stored = where / source.replace(":", "/")
    hint = f"; if {stored} is damaged, {_MEND}" if stored.is_dir() else ""
    own = KNOWN[name].builder if name in KNOWN else None
    if own is not None:
        check_own_version(source)
    try:
        if own is not None:
            return getattr(import_module(f"ablation.data.{name}"), own)(data_dir=str(where))
        return tfds.builder(source, data_dir=str(where))
    except tfds.core.DatasetNotFoundError:
        known_names = set(known_sources(folder)) - {name}
        raise InputError(
            f"TensorFlow Datasets has no '{source}'{nearest(name, known_names)[:300]}{hint}"
        ) from None
    except Exception as error:  # of a wrong version or config, and whatever a broken file leads to
        raise InputError(
            f"TensorFlow Datasets cannot build '{source}': {_told(error)}{hint}"
        ) from error


class TfdsSource:
    """A data set of TensorFlow Datasets, fetched at first use.

    Args:
        source: ``name[/config][:version]``.
        folder: where TFDS keeps its data; None for TFDS_DATA_DIR or TFDS' default.

    Raises:
        InputError: the source is unknown, or is no image classification.
    """

    def __init__(self, source: str, folder: str | None) -> None:
        self._source, self._folder = source, data_dir(folder)
        self._builder = make_builder(source, folder)
        self._image, self._label = _keys(self._builder, source)
        features = self._builder.info.features
        height, width, channels = features[self._image].shape
        if features[self._image].np_dtype != np.uint8:
            kind = features[self._image].np_dtype
            raise InputError(f"'{source}' has images of type {kind}, not uint8")
        if channels not in (1, 3):
            raise InputError(f"'{source}' has images of {channels} channels, not 1 or 3")
        self.name = self._builder.info.full_name
        self.class_names = list(features[self._label].names)
        self.citation = self._builder.info.citation
        self.channels = channels
        self.shape = None if None in (height, width) else (height, width)

    def findings(self) -> list[Finding]:
        """Return nothing: what TFDS leaves out, it does not tell."""
        return []

    def examples(self) -> pd.DataFrame:
        """Return the examples, as `ablation.data.source.Source` says."""
        fetch(self._builder, self._source, self._folder)
        with self._reading():
            return self._examples()

    def _examples(self) -> pd.DataFrame:
        # Construction may have told less than what was stored in the meantime.
        self.citation = self._builder.info.citation
        self._refuse_stray_files()
        if "train" not in self._builder.info.splits:
            raise InputError(
                f"'{self.name}' has no split 'train', only {list(self._builder.info.splits)}; if "
                f"{self._builder.data_path} is damaged, {_MEND}"
            )
        parts = {part: self._labels(part) for part in PARTS}
        if parts["train"] is None:
            raise InputError(f"'{self.name}': the examples of 'train' have no labels")
        return pd.concat(
            [frame for frame in parts.values() if frame is not None], ignore_index=True
        )

    def images(self, examples: pd.DataFrame, form: Form) -> Iterator[Read]:
        """Read images, as `ablation.data.source.Source` says."""
        with self._reading():
            yield from self._images(examples, form)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Tell which folder is damaged where what TFDS stored cannot be read."""
        try:
            yield
        except (tf.errors.OpError, OSError, ValueError, AssertionError) as error:
            full = isinstance(error, tf.errors.ResourceExhaustedError)
            way_out = "make memory free" if full else f"if it is damaged, {_MEND}"
            raise InputError(
                f"'{self._source}': what lies in {self._builder.data_path} cannot be read "
                f"({_told(error)}); {way_out}"
            ) from error

    def _images(self, examples: pd.DataFrame, form: Form) -> Iterator[Read]:
        for part in examples["part"].unique():
            positions = examples.loc[examples["part"] == part, "position"]
            wanted = np.zeros(self._builder.info.splits[part].num_examples, dtype=bool)
            wanted[positions] = True
            keep = tf.constant(wanted)

            def shaped(_: Any, row: Any) -> tf.Tensor:
                image = to_channels(row[self._image], form.channels)
                return to_size(image, form.height, form.width, form.resize)

            data = (
                self._read(part, self._image, decode=True)
                .enumerate()
                .filter(lambda position, _, keep=keep: keep[position])
                .map(shaped, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
                .prefetch(64)
            )
            for image in data.as_numpy_iterator():
                yield Read(image)

    def _refuse_stray_files(self) -> None:
        """Refuse a folder with images of a split that TFDS does not know of, by a damaged name."""
        info, folder = self._builder.info, Path(self._builder.data_path)
        known_files = {name for split in info.splits.values() for name in split.filenames}
        suffix = info.file_format.file_suffix if info.file_format else "tfrecord"
        for file in sorted(folder.glob(f"*.{suffix}*")):
            if file.name not in known_files:
                raise InputError(
                    f"'{self._source}': {file} is of no split that {folder}/dataset_info.json "
                    f"tells of; {_MEND}"
                )

    def _labels(self, part: str) -> pd.DataFrame | None:
        """The examples of a part; None if it is missing or unlabelled."""
        if part not in self._builder.info.splits:
            return None
        rows = [
            (part, position, row["tfds_id"].decode(), int(row["label"]))
            for position, row in enumerate(self._read(part, self._label, decode=False))
        ]
        frame = pd.DataFrame(rows, columns=["part", "position", "name", "label"])
        return None if frame.empty or (frame["label"] < 0).any() else frame

    def _read(self, split: str, key: str, *, decode: bool) -> Any:
        """Iterate over one feature and the example's name, in the order in which TFDS stores."""
        config = tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1)
        wanted = tfds.decode.PartialDecoding({key: self._builder.info.features[key]})
        data = self._builder.as_dataset(
            split=split, shuffle_files=False, read_config=config, decoders=wanted
        )
        if decode:
            return data
        return data.map(
            lambda row: {"label": row[key], "tfds_id": row["tfds_id"]}
        ).as_numpy_iterator()


def fetch(builder: tfds.core.DatasetBuilder, source: str, folder: Path) -> None:
    """Let TFDS download and store a data set, if it has not done so yet.

    Args:
        builder: of the data set.
        source: its name in the study.
        folder: where TFDS keeps its data.

    Raises:
        InputError: there is no room for it, or it cannot be fetched.
    """
    if builder.data_path.exists():  # TFDS renames it to this when it is whole
        return
    size = download_size(builder, source)
    # One download at a time, so that the room is still there and the folder tells of one alone.
    lock = folder / f".{'downloads' if size else builder.name}.lock"
    with alone(lock, f"waiting for another job that fetches into {folder}"):
        if builder.data_path.exists():
            return
        _remove_unfinished(builder, folder)
        require_room(
            folder,
            DOWNLOAD_FACTOR * (size or 0),
            f"'{source}' (a download of {(size or 0) / 1e6:.0f} MB, unpacked and stored)",
            _MORE_ROOM,
        )
        name, downloads = builder.name, folder / "downloads"
        before = folder_size(downloads, ("extracted",))

        def tell() -> str | None:
            # TFDS stores here until all is there.
            stored = sum(map(folder_size, _unfinished(builder)))
            if stored:
                return f"{name}: fetched; stored {stored / 1e6:.0f} MB"
            done = folder_size(downloads, ("extracted",)) - before
            return fetched(name, max(done, 0), size) if size else None

        def once() -> None:
            # What TFDS prints by itself is meant for a terminal.
            with _short_patience(), contextlib.redirect_stdout(io.StringIO()):
                try:
                    builder.download_and_prepare()
                except BaseException:
                    _remove_unfinished(builder, folder)
                    raise

        if size:
            print(f"{name}: fetching {size / 1e6:.0f} MB into {folder}", flush=True)
        tfds.disable_progress_bar()
        try:
            with watching(tell):
                network.patiently(once, name, damaged=(NonMatchingChecksumError,))
        except Exception as error:  # builders raise whatever a broken download leads to
            raise InputError(
                f"'{source}' could not be fetched into {folder}: {_told(error)}; "
                f"{_way_out(error, downloads / name)}"
            ) from error
        if size:
            print(f"{name}: fetched and stored", flush=True)


def _unfinished(builder: tfds.core.DatasetBuilder) -> list[Path]:
    """The folders where TFDS stores this version of a data set until it is whole."""
    stored = Path(builder.data_path)
    return list(stored.parent.glob(f"incomplete.*_{stored.name}"))


def _remove_unfinished(builder: tfds.core.DatasetBuilder, folder: Path) -> None:
    """Remove what a fetching left behind that was killed; it would never be used.

    To be called where no other job fetches the same.
    """
    downloads = (folder / "downloads" / builder.name).rglob("*.tmp.*")
    for left in [*_unfinished(builder), *(place for place in downloads if place.is_dir())]:
        # A thread may still be writing there, one of several downloads of which another failed.
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _short_patience() -> Iterator[None]:
    """Keep TFDS from waiting for ever for a server, and from minutes of trying without a word."""
    before = downloader.MAX_RETRIES, downloader._open_with_requests
    downloader.MAX_RETRIES = _TRIES
    downloader._open_with_requests = partial(before[1], timeout=network.SECONDS)
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_with_requests = before


def _way_out(error: BaseException, downloads: Path) -> str:
    if network.of_network(error):
        return "run snakemake again when the network is back"
    if isinstance(error, (NonMatchingChecksumError, tfds.download.DownloadError)):
        return "what lies there may have moved or changed: a newer TensorFlow Datasets may know it"
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or isinstance(error, tf.errors.ResourceExhaustedError):
        return _MORE_ROOM
    return f"if a download is damaged, delete {downloads} and run snakemake again"


def _told(error: BaseException) -> str:
    """Tell an error in one line, without the names of TensorFlow's operations."""
    if not isinstance(error, tf.errors.OpError):
        return network.reason(error)
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*|\[\[.*|.*Iterator::\S*", "", str(error.message))
    return f"{type(error).__name__}: {' '.join(text.split())}"


def download_size(builder: tfds.core.DatasetBuilder, source: str) -> int | None:
    """Return the bytes that a source has to fetch; None if nobody knows."""
    of_source = known(source)
    if of_source is not None:
        return of_source.download
    # Of all configs together: more than needed where there are several.
    infos = builder.url_infos
    return sum(info.size for info in infos.values()) if infos else None


def _keys(builder: tfds.core.DatasetBuilder, source: str) -> tuple[str, str]:
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

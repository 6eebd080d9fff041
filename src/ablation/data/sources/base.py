"""The interface of sources of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ablation.data.issues import DataIssue
from ablation.data.settings import DataSettings
from ablation.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

PARTS = ("train", "validation", "test")
"""The parts of a source."""


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
class Image:
    """An image that was read.

    Attributes:
        pixels: uint8 [height, width, channels].
        conversions: what was done to it except resizing, as short texts.
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
        name: full name, with a version if there is one.
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

    def examples(self) -> "DataFrame":
        """Return the examples of all labelled parts; download them if they are missing.

        Returns:
            The columns part (of `PARTS`, in this order), position in the part, name, and label
            from 0. The part ``train`` is required.

        Raises:
            InputError: they cannot be downloaded or read.
        """
        ...

    def images(self, examples: "DataFrame", form: Form) -> Iterator[Image | Unreadable]:
        """Read images.

        Args:
            examples: some rows of `examples`, in their order.
            form: the form of the images.

        Yields:
            One image for each row, in the order of the rows.
        """
        ...

    def issues(self) -> list[DataIssue]:
        """Return the issues of the source, such as files that are left out."""
        ...


@dataclass(frozen=True)
class Known:
    """Properties of a source that are known before a download.

    Attributes:
        shape: height, width and channels of its images; None if they vary or are unknown.
        images: number of labelled images in the parts that are used; None if unknown.
        test: number of these in the test split; 0 if the source has none.
        download: bytes to download; None if unknown.
    """

    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    images: int | None = None
    test: int = 0
    download: int | None = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of all images; None if they vary or are unknown."""
        height, width, _ = self.shape
        return None if height is None or width is None else (height, width)


@dataclass(frozen=True)
class SourceType:
    """A kind of source, as a study names it.

    Attributes:
        name: its name in studies.
        open: opens the source, without a download; raises `InputError` if that fails.
        about: what is known before the source is opened; None for nothing.
        path: kind of the setting ``path``; None if the source does not have it.
        files: for local images, returns each image file with the values that identify the example;
            raises `InputError` if the path cannot be read.
    """

    name: str
    open: Callable[[DataSettings], Source]
    about: Known | None = None
    path: Literal["folder", "file"] | None = None
    files: Callable[[Path], list[tuple[tuple[str, ...], Path]]] | None = None

    @property
    def module(self) -> str:
        """Full name of the module that defines it."""
        return self.open.__module__

    def known(self, source: str) -> Known | None:
        """Return what is known before a download; None for nothing.

        Args:
            source: ``name[/config][:version]``, as in the study.
        """
        del source
        return self.about

    def check(self, settings: DataSettings, data_dir: str | None) -> None:
        """Check settings for this source, without importing large libraries.

        Args:
            settings: the settings.
            data_dir: data folder of TensorFlow Datasets; None for its default.

        Raises:
            InputError: ``source`` or ``path`` is wrong.
        """
        del data_dir
        if settings.source != self.name:
            raise InputError(
                f"source {self.name} has no configs or versions: write {self.name}, not "
                f"{settings.source}"
            )

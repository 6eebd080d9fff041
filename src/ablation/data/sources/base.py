"""What a source of images is, to a study and to the preparation of a data set."""

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
class Image:
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

    def examples(self) -> "DataFrame":
        """Return the examples of all labelled parts, downloading them if need be.

        Returns:
            The columns part (of `PARTS`, in this order), position in the part, name, and label
            from 0. There is always a part ``train``.

        Raises:
            InputError: they cannot be had.
        """
        ...

    def images(self, examples: "DataFrame", form: Form) -> Iterator[Image | Unreadable]:
        """Read images.

        Args:
            examples: some rows of `examples`, in their order.
            form: what the images are brought to.

        Yields:
            One image for each row, in the order of the rows.
        """
        ...

    def issues(self) -> list[DataIssue]:
        """Return what was left out of the source."""
        ...


@dataclass(frozen=True)
class Known:
    """What is known of a source before anything is downloaded.

    Attributes:
        shape: height, width and channels of its images; None where they vary or are not known.
        images: number of labelled images in the parts that are used; None if not known.
        test: how many of them are the given test split; 0 where the source has none.
        download: bytes that are still to be downloaded; None if not known.
    """

    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    images: int | None = None
    test: int = 0
    download: int | None = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of all images; None where they vary or are not known."""
        height, width, _ = self.shape
        return None if height is None or width is None else (height, width)


@dataclass(frozen=True)
class SourceType:
    """A kind of source, as a study names it.

    Attributes:
        name: how a study names it.
        open: opens it; nothing is downloaded yet. Raises `InputError` where that is not possible.
        about: what is known of it beforehand, if anything.
        path: what the setting ``path`` must be; None: there is no such setting.
        files: of local images, which have a ``path``: each image file with what else identifies
            the example. Raises `InputError` where the path cannot be read.
    """

    name: str
    open: Callable[[DataSettings], Source]
    about: Known | None = None
    path: Literal["folder", "file"] | None = None
    files: Callable[[Path], list[tuple[tuple[str, ...], Path]]] | None = None

    @property
    def module(self) -> str:
        """Full name of the module that holds its code."""
        return self.open.__module__

    def known(self, source: str) -> Known | None:
        """Return what is known before anything is downloaded; None for nothing.

        Args:
            source: as the study has it: ``name[/config][:version]``.
        """
        del source
        return self.about

    def check(self, settings: DataSettings, data_dir: str | None) -> None:
        """Refuse settings that cannot be of this source; imports no large library.

        Args:
            settings: the settings.
            data_dir: where TensorFlow Datasets keeps its data; None for its default.

        Raises:
            InputError: ``source`` or ``path`` is wrong.
        """
        del data_dir
        if settings.source != self.name:
            raise InputError(
                f"source {self.name} has no configs or versions: write {self.name}, not "
                f"{settings.source}"
            )

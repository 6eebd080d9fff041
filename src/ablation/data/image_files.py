"""A source whose images are files."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pandas as pd
import tensorflow as tf

from ablation.data.decoding import decode, read_header
from ablation.data.issues import DataIssue
from ablation.data.local_files import ImageFile
from ablation.data.resizing import to_size
from ablation.data.sources.base import PARTS, Form, Image, Unreadable
from ablation.errors import InputError

_AHEAD = 64  # images decoded in advance

Result = TypeVar("Result")


class ImageFiles:
    """Labelled image files: an `ablation.data.sources.base.Source`.

    Args:
        name: name of the source.
        files: the examples.
        class_names: name of each class.
        issues: issues to report, such as files that are left out.

    Raises:
        InputError: there are no training images.
    """

    citation = ""

    def __init__(
        self,
        name: str,
        files: Iterable[ImageFile],
        class_names: list[str],
        issues: Iterable[DataIssue] = (),
    ) -> None:
        self.name, self.class_names, self._issues = name, class_names, list(issues)
        # Sorted by part and name, so that the order does not depend on the folder.
        self._files = sorted(files, key=lambda one: (PARTS.index(one.part), one.name))
        if not any(one.part == "train" for one in self._files):
            raise InputError(f"{name}: no images in the split train")
        headers = [
            header
            for header in _in_threads(read_header, [one.file for one in self._files])
            if header is not None
        ]
        self.channels = 1 if headers and all(header.grey for header in headers) else 3
        shapes = {header.shape for header in headers}
        self.shape = shapes.pop() if len(shapes) == 1 else None

    def examples(self) -> pd.DataFrame:
        """Return the examples."""
        label = {name: number for number, name in enumerate(self.class_names)}
        rows = [(one.part, one.name, label[one.class_name]) for one in self._files]
        frame = pd.DataFrame(rows, columns=["part", "name", "label"])
        return frame.assign(position=frame.groupby("part").cumcount())

    def issues(self) -> list[DataIssue]:
        """Return the issues."""
        return self._issues

    def images(self, examples: pd.DataFrame, form: Form) -> Iterator[Image | Unreadable]:
        """Read images, in several threads."""
        resized = tf.function(
            lambda image: to_size(image, form.height, form.width, form.resize),
            input_signature=[tf.TensorSpec((None, None, form.channels), tf.uint8)],
        )

        def read(file: Path) -> Image | Unreadable:
            image = decode(file, form.channels)
            if isinstance(image, Unreadable):
                return image
            return Image(resized(image.pixels).numpy(), image.conversions)

        files: dict[tuple[str, int], Path] = {}
        for part in PARTS:
            of_part = [one.file for one in self._files if one.part == part]
            files |= {(part, position): file for position, file in enumerate(of_part)}
        wanted = zip(examples["part"], examples["position"], strict=True)
        yield from _in_threads(read, [files[one] for one in wanted])


def _in_threads(work: Callable[[Path], Result], files: list[Path]) -> Iterator[Result]:
    """Yield the result for each file in order, computed slightly in advance."""
    with ThreadPoolExecutor(_processors()) as pool:
        waiting: deque[Future[Result]] = deque()
        for file in files:
            waiting.append(pool.submit(work, file))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _processors() -> int | None:
    """Return the number of processors that this job may use: on a cluster, not those of others."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

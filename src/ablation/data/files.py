"""Images of the user's own: a folder with a folder for each class, or a table in a CSV file."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from ablation.data.checks import Finding, counted, finding
from ablation.data.decoding import Header, decode, read_header
from ablation.data.resizing import to_size
from ablation.data.source import PARTS, Form, Read, Unreadable
from ablation.errors import InputError, visible
from ablation.study.own_images import files_below, is_image, read_csv

PART_NAMES = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""How the parts may be called in folders and tables."""

_AHEAD = 64  # images that are decoded before they are asked for


class Files:
    """A source of image files.

    Args:
        name: full name.
        rows: the examples, with the columns part, name, class and file.
        class_names: name of each class.
        left_out: what is not among the examples.
    """

    citation = ""

    def __init__(
        self,
        name: str,
        rows: pd.DataFrame,
        class_names: list[str],
        left_out: Iterable[Finding] = (),
    ) -> None:
        self.name, self.class_names = name, class_names
        self._left_out = list(left_out)
        # The same order wherever the files lie: by part, then by name.
        order = {part: position for position, part in enumerate(PARTS)}
        rows = rows.assign(rank=rows["part"].map(order))
        rows = rows.sort_values(["rank", "name"], ignore_index=True, kind="stable")
        rows["position"] = rows.groupby("part").cumcount()
        rows["label"] = rows["class"].map({name: i for i, name in enumerate(class_names)})
        self._files = rows["file"].tolist()
        self._examples = rows[["part", "position", "name", "label"]]
        if not (rows["part"] == "train").any():
            raise InputError(f"{name}: there are no images in the split train")
        headers = self._headers()
        self.channels = 1 if all(header.grey for header in headers) and headers else 3
        shapes = {header.shape for header in headers}
        self.shape = shapes.pop() if len(shapes) == 1 else None

    def examples(self) -> pd.DataFrame:
        """Return the examples, as `ablation.data.source.Source` says."""
        return self._examples.copy()

    def findings(self) -> list[Finding]:
        """Return what lies beside the examples and is not one of them."""
        return self._left_out

    def images(self, examples: pd.DataFrame, form: Form) -> Iterator[Read | Unreadable]:
        """Read images, as `ablation.data.source.Source` says, in some threads."""
        resized = tf.function(
            lambda image: to_size(image, form.height, form.width, form.resize),
            input_signature=[tf.TensorSpec((None, None, form.channels), tf.uint8)],
        )

        def read(file: Path) -> Read | Unreadable:
            image = decode(file, form.channels)
            if isinstance(image, Unreadable):
                return image
            return Read(resized(image.pixels).numpy(), image.conversions)

        rows = self._examples.reset_index().merge(
            examples[["part", "position"]], on=["part", "position"], how="right"
        )
        yield from _in_threads(read, [self._files[row] for row in rows["index"]])

    def _headers(self) -> list[Header]:
        return [header for header in _in_threads(read_header, self._files) if header is not None]


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # too long for a path
        return False


def _in_threads(work: Any, items: list[Path]) -> Iterator[Any]:
    """Yield the result for each item in order, computed a little ahead; memory stays bounded."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def image_folder(path: str) -> Files:
    """Open a folder of images.

    Args:
        path: ``path/CLASS/**/IMAGE``, or ``path/SPLIT/CLASS/**/IMAGE`` where each folder directly
            in ``path`` is one of `PART_NAMES`. Hidden files and folders do not count.

    Raises:
        InputError: split folders lie beside others, or there are too few classes or images.
    """
    root = Path(path)
    parts = _parts(root)
    loose: list[str] = []
    rows, no_images, empty = [], [], []
    for part, folder in parts.items():
        for class_folder in _folders(folder):
            files = files_below(class_folder)
            images = [file for file in files if is_image(file)]
            no_images += [_name(file, root) for file in files if not is_image(file)]
            if not images:
                empty.append(_name(class_folder, root))
            label = visible(class_folder.name)
            rows += [(part, _name(file, root), label, file) for file in images]
    for folder in {root, *parts.values()}:
        for file in files_below(folder, deep=False):
            (loose if is_image(file) else no_images).append(_name(file, root))
    frame = pd.DataFrame(rows, columns=["part", "name", "class", "file"])
    class_names = sorted(set(frame["class"]))
    for part, folder in parts.items():
        if len(frame) and not (frame["part"] == part).any():
            raise InputError(f"{folder}: there are no images in the split {part}")
    if len(class_names) < 2:
        where = f"{path}/CLASS" if parts == {"train": root} else f"{path}/SPLIT/CLASS"
        raise InputError(
            f"{path}: images of two classes or more are needed in {where}/…, found "
            f"{_names(class_names) or 'none'}"
        )
    left_out = []
    if no_images:
        text = f"{counted(len(no_images), 'file')} left out: no images by their names."
        left_out.append(finding("left-out", "note", text, sorted(no_images)))
    if loose:
        text = f"{counted(len(loose), 'image')} left out: in no class's folder."
        left_out.append(finding("left-out", "warning", text, sorted(loose)))
    if empty:
        text = f"{counted(len(empty), 'folder')} left out: no images in it."
        left_out.append(finding("left-out", "warning", text, sorted(empty)))
    return Files(f"image_folder {path}", frame, class_names, left_out)


def _parts(root: Path) -> dict[str, Path]:
    """Return the folder of each part: the folders of splits, or the whole one for training."""
    folders = _folders(root)
    splits = [folder for folder in folders if folder.name.casefold() in PART_NAMES]
    others = [folder.name for folder in folders if folder not in splits]
    if splits and others:
        raise InputError(
            f"{root}: the folders {_names(f.name for f in splits)} are called like splits and lie "
            f"beside {_names(others)}: either all of them are splits with a folder for each class "
            "in it, or none is; a class with such a name can be given by a CSV file"
        )
    parts: dict[str, Path] = {}
    for folder in splits or [root]:
        part = PART_NAMES[folder.name.casefold()] if splits else "train"
        if part in parts:
            raise InputError(
                f"{root}: the folders '{parts[part].name}' and '{folder.name}' are both the split "
                f"{part}; leave one of them"
            )
        parts[part] = folder
    if "train" not in parts:
        raise InputError(f"{root}: there is no folder 'train' beside {_names(parts)}")
    return parts


def csv_table(path: str) -> Files:
    """Open a CSV file of images.

    Args:
        path: the file, with the columns path (absolute, or relative to the CSV file's folder),
            label (text or number) and, if the splits are given, split (one of `PART_NAMES`).
            Other columns do not count.

    Raises:
        InputError: a column or a value is missing or wrong; the message names file and line.
    """
    folder, rows = Path(path).parent, []
    seen: dict[Path, int] = {}
    missing: list[tuple[str, str]] = []
    for line, row in read_csv(path):
        where = f"{path}:{line}"
        if not row["path"]:
            raise InputError(f"{where}: path is empty")
        if not row["label"]:
            raise InputError(f"{where}: label is empty")
        part = PART_NAMES.get(row.get("split", "train").casefold())
        if part is None:
            raise InputError(
                f"{where}: split: '{row['split']}' is none of train, validation and test"
            )
        file = folder / row["path"]
        same = Path(os.path.normpath(file))
        if same in seen:
            raise InputError(f"{where}: the path {row['path']} stands in line {seen[same]} already")
        seen[same] = line
        if not _is_file(file):
            missing.append((where, row["path"]))
        name = visible(Path(os.path.normpath(row["path"])).as_posix())
        rows.append((part, name, visible(row["label"]), file))
    if missing:
        more = f"; so do {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{missing[0][0]}: the path {missing[0][1]} leads to no file (paths are relative to "
            f"the folder of the CSV file){more}"
        )
    frame = pd.DataFrame(rows, columns=["part", "name", "class", "file"])
    labels = set(frame["class"])
    if len(labels) < 2:
        raise InputError(f"{path}: two labels or more are needed, found {_names(labels) or 'none'}")
    numbers = all(label.isascii() and label.isdigit() and len(label) < 19 for label in labels)
    class_names = (
        sorted(labels, key=lambda label: (int(label), label)) if numbers else sorted(labels)
    )
    return Files(f"csv {path}", frame, class_names)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _name(file: Path, root: Path) -> str:
    return visible(file.relative_to(root).as_posix())


def _names(names: Iterable[str], most: int = 5) -> str:
    known = sorted(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(f"'{name}'" for name in known[:most]) + more

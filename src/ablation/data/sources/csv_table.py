"""Local images: a CSV file that names each image and its class."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from ablation.data.local_files import PART_NAMES, ImageFile, listed
from ablation.data.settings import DataSettings
from ablation.data.sources.base import Source, SourceType
from ablation.errors import InputError, nearest, visible

COLUMNS = ("path", "label", "split")


def open_table(settings: DataSettings) -> Source:
    """Open a CSV file of images.

    Its columns are path (absolute, or relative to the folder of the CSV file), label (text or
    number) and optionally split (one of `PART_NAMES`). Other columns are ignored.

    Raises:
        InputError: a column or a value is missing or wrong; the message names file and line.
    """
    from ablation.data.image_files import ImageFiles  # noqa: PLC0415 (imports TensorFlow)

    path = str(settings.path)
    examples: list[ImageFile] = []
    lines: dict[str, int] = {}
    for line, row in read_rows(Path(path)):
        where = f"{path}:{line}"
        for column in ("path", "label"):
            if not row[column]:
                raise InputError(f"{where}: {column} is empty")
        part = PART_NAMES.get(row.get("split", "train").casefold())
        if part is None:
            raise InputError(f"{where}: split: '{row['split']}' is not train, validation or test")
        file = Path(path).parent / row["path"]
        same = os.path.normpath(file)
        if same in lines:
            raise InputError(f"{where}: the path {row['path']} is in line {lines[same]} already")
        lines[same] = line
        if not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises for a name too long)
            raise InputError(
                f"{where}: file {row['path']} not found (paths are relative to the folder of "
                "the CSV file)"
            )
        name = visible(os.path.normpath(row["path"]))
        examples.append(ImageFile(part, name, visible(row["label"]), file))
    labels = {example.class_name for example in examples}
    if len(labels) < 2:
        raise InputError(f"{path}: at least two labels needed, found {listed(labels) or 'none'}")
    numbers = all(label.isascii() and label.isdigit() and len(label) < 19 for label in labels)
    class_names = sorted(labels, key=lambda label: (int(label) if numbers else 0, label))
    return ImageFiles(f"csv {path}", examples, class_names)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the values of path, label and, if given, split of each row.

    Raises:
        InputError: the file cannot be read, or a column or value is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            columns = [name.strip() for name in next(reader, [])]
            for column in COLUMNS:
                count = columns.count(column)
                if count > 1:
                    raise InputError(f"{path}:1: {count} columns are named '{column}'")
                if not count and column != "split":
                    raise InputError(
                        f"{path}:1: column '{column}' is missing{nearest(column, columns)}"
                    )
            for values in reader:
                if not values:
                    continue
                if len(values) != len(columns):
                    raise InputError(
                        f"{path}:{reader.line_num}: expected {len(columns)} values, one for each "
                        f"column, but found {len(values)}"
                    )
                row = dict(zip(columns, map(str.strip, values), strict=True))
                if "\0" in row["path"]:
                    raise InputError(f"{path}:{reader.line_num}: path contains a NUL character")
                yield reader.line_num, {name: row[name] for name in COLUMNS if name in row}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV in UTF-8: {error}") from None


def image_files(path: Path) -> list[tuple[tuple[str, ...], Path]]:
    """Return the image file of each row, with the row's values."""
    return [(tuple(row.values()), path.parent / row["path"]) for _, row in read_rows(path)]


SOURCE = SourceType("csv", open_table, path="file", files=image_files)

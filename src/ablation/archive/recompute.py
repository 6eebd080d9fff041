"""Recomputation of the tables and of the report of an archive, and comparison."""

import base64
import json
import math
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.analyse import analyse
from ablation.analysis.tables import TABLES, Table
from ablation.archive.files import names, read_about
from ablation.errors import InputError
from ablation.report.page import TYPES
from ablation.report.render import render
from ablation.storage import UNREADABLE
from ablation.study.plan_file import read_plan

RELATIVE, ABSOLUTE = 1e-9, 1e-12  # largest differences of numbers in tables
DRAWN = 0.05  # largest difference of coordinates in figures, in points
# Made from the images of the data, which an archive does not contain.
_TAKEN = ("models.json", "gallery.npz", "mistakes.npz")
_WORDS = ("text", "flag", "count")
_SUFFIXES = {kind: suffix for suffix, kind in TYPES.items()}
_URI = re.compile(r"data:([a-z/+-]+);base64,([A-Za-z0-9+/=]*)")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")
# Ids of matplotlib are hashes of coordinates; the encoding of pictures depends on libraries.
_ENCODED = re.compile(
    rb'(?<=id=")\w+|(?<=url\(#)\w+|(?<=href="#)\w+|data:image/png;base64,[A-Za-z0-9+/=\s]*'
)
# Compressed streams, their lengths, and the offsets at the end.
_STREAM = re.compile(
    rb"(?<=stream\n).*?(?=\nendstream)|(?<= 0 obj\n)\d+(?=\nendobj)|\nxref\n.*", re.DOTALL
)


def recompute(tree: Path, again: Path) -> list[str]:
    """Analyse the runs of an archive and render its report again, and compare the files.

    Args:
        tree: the files of the archive.
        again: an empty folder for the new tables, with the folder ``reports``.

    Returns:
        A line for each file that differs.

    Raises:
        InputError: files of the archive are missing or cannot be read.
    """
    study = read_about(tree)["study"]
    archived = tree / "results" / study
    with chdir(tree):
        plan = read_plan(Path("results", study, "plan.json"))
        analyse(plan, again, looks=Path("results", study, "looks.csv"))
        for name in _TAKEN:
            shutil.copyfile(archived / name, again / name)
        (again / "reports").mkdir()
        render(study, again, again / "reports")
    found = [
        *_tables(archived, again),
        *_same_text(archived, again, ("findings.csv", "rubric.csv")),
        *_report(tree / "reports", again / "reports", study),
    ]
    return [f"{file.relative_to(tree).as_posix()}: {what}" for file, what in found]


Found = Iterator[tuple[Path, str]]


def _tables(archived: Path, again: Path) -> Found:
    for name, table in TABLES.items():
        file = archived / f"{name}.csv"
        try:
            old = table.read(archived)
        except (*UNREADABLE, LookupError) as error:
            yield file, f"cannot be read ({error})"
        else:
            if difference := table_difference(table, old, table.read(again)):
                yield file, difference
    file = archived / "analysis.json"
    place = json_difference(*(_json(folder / file.name) for folder in (archived, again)))
    if place is not None:
        yield file, f"{place or 'its content'} does not follow from the runs"


def table_difference(table: Table, old: pd.DataFrame, new: pd.DataFrame) -> str:
    """Return the first difference of two tables in words; empty if they agree.

    Text, flags and counts have to be equal, and numbers within `RELATIVE` and `ABSOLUTE`.
    """
    if len(old) != len(new):
        return f"{len(old)} rows, but {len(new)} follow from the runs"
    cells = []
    for column in table.columns:
        before, now = old[column.name], new[column.name]
        if column.unit in _WORDS:
            pairs = zip(before, now, strict=True)
            same = np.array([str(x) == str(y) for x, y in pairs], dtype=bool)
        else:
            same = np.isclose(before, now, RELATIVE, ABSOLUTE, equal_nan=True)
        cells += [(row, column.name) for row in np.flatnonzero(~same)]
    if not cells:
        return ""
    row, name = min(cells, key=lambda cell: cell[0])
    more = f" (and {len(cells) - 1} more cells)" if cells[1:] else ""
    values = f"{old[name][row]}, but {new[name][row]} follows from the runs"
    return f"line {row + 2}, {name}: {values}{more}"


def json_difference(old: Any, new: Any, place: str = "") -> str | None:
    """Return the place of the first difference of two JSON values; None if they agree."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        pairs = [(f"{place}.{key}".lstrip("."), old[key], new[key]) for key in old]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(old, new, strict=True))]
    elif isinstance(old, float) and isinstance(new, float):
        close = math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        return None if close else place
    else:
        return None if type(old) is type(new) and old == new else place
    found = (json_difference(before, now, at) for at, before, now in pairs)
    return next((at for at in found if at is not None), None)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file.name}: cannot be read ({error})") from None


def _same_text(archived: Path, again: Path, files: tuple[str, ...]) -> Found:
    for name in files:
        if not same_content(name, (archived / name).read_bytes(), (again / name).read_bytes()):
            yield archived / name, "is not what the tables give"


def _report(archived: Path, again: Path, study: str) -> Found:
    """Yield the files of a report that differ from those rendered again."""
    pages = [f"{study}.html", f"{study}.md"]
    old, new = (
        {*pages, *(f"{study}/{name}" for name in names(folder / study))}
        for folder in (archived, again)
    )
    for name in sorted(old | new):
        if name not in new:
            yield archived / name, "is not part of the report that the tables give"
        elif not (archived / name).is_file():
            yield archived / name, "is missing from the report"
        else:
            yield from _same_text(archived, again, (name,))


def same_content(name: str, old: bytes, new: bytes) -> bool:
    """Return whether two versions of a file of a report show the same.

    Figures may differ in the encoding of pictures, and in coordinates by `DRAWN`. Files that a page
    embeds are compared like others.

    Args:
        name: name of the file, or its suffix, which decides how it is compared.
        old, new: content.
    """
    if old == new:
        return True
    suffix = name.rpartition(".")[2]
    if suffix == "svg":
        return _same_drawing(_ENCODED.sub(b"", old), _ENCODED.sub(b"", new))
    if suffix == "pdf":
        return _same_drawing(*(_STREAM.sub(_inflated, content) for content in (old, new)))
    if suffix != "html":
        return False
    before, now = (_URI.split(content.decode(errors="replace")) for content in (old, new))
    return len(before) == len(now) and all(
        same_content(_SUFFIXES.get(before[i - 1], ""), *map(base64.b64decode, pair))
        if i % 3 == 2
        else pair[0] == pair[1]
        for i, pair in enumerate(zip(before, now, strict=True))
    )


def _inflated(stream: re.Match[bytes]) -> bytes:
    """Return a stream of a PDF file as text; nothing for lengths, offsets and pictures."""
    try:
        content = zlib.decompress(stream[0])
    except zlib.error:
        return b""
    return content if content.isascii() else b""


def _same_drawing(old: bytes, new: bytes) -> bool:
    if _NUMBER.split(old) != _NUMBER.split(new):
        return False
    before, now = (np.array(_NUMBER.findall(content), dtype=float) for content in (old, new))
    return np.allclose(before, now, rtol=0, atol=DRAWN)

"""Output for the terminal: tables, paragraphs and times."""

import io
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ablation.storage import atomically

WIDTH = 100
"""Columns of output that does not go to a terminal."""

Part = str | Text | Table


def show(parts: Iterable[Part], log: Path | None = None) -> None:
    """Print parts with empty lines between them.

    On a terminal in colour and in its width, otherwise as plain text.

    Args:
        parts: tables, paragraphs (str), and lines that are not wrapped (``Text``).
        log: file for a copy as plain text.

    Raises:
        InputError: the file cannot be written.
    """
    parts = list(parts)
    text = plain(parts)
    if sys.stdout.isatty():
        _print(parts, Console(markup=False, highlight=False, emoji=False))
    else:
        print(text, flush=True)
    if log is not None:

        def write(part: Path) -> None:
            part.write_text(f"{text}\n", encoding="utf-8")

        atomically(log, write)


def plain(parts: Iterable[Part]) -> str:
    """Return parts as plain text, 100 columns wide; long paths and names are not broken."""
    file = io.StringIO()
    console = Console(
        file=file, width=WIDTH, force_terminal=False, color_system=None, markup=False,
        highlight=False, emoji=False,
    )  # fmt: skip
    _print(parts, console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def _print(parts: Iterable[Part], console: Console) -> None:
    for number, part in enumerate(parts):
        if number:
            console.print()
        if isinstance(part, Table):
            console.print(part)
        elif isinstance(part, Text):
            console.print(part, soft_wrap=True)
        else:
            console.print(_wrap(part, console.width), soft_wrap=True)


def _wrap(text: str, width: int) -> str:
    """Wrap a paragraph; long words, such as paths, are not broken."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[RenderableType]],
    right: Sequence[int] = (),
    title: str | None = None,
) -> Table:
    """Return a table.

    Args:
        header: names of the columns.
        rows: cells of each row.
        right: indices of columns that are aligned to the right and not wrapped.
        title: title above the table.
    """
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for number, name in enumerate(header):
        if number in right:
            made.add_column(name, justify="right", no_wrap=True)
        else:
            made.add_column(name, overflow="ellipsis")
    for row in rows:
        made.add_row(*row)
    return made


def duration(seconds: float) -> str:
    """Return a time as text with two units: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``.

    Args:
        seconds: at least 0.
    """
    if round(seconds) < 60:
        return f"{max(1, round(seconds))} s" if seconds else "0 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(hours + minutes / 60), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 run``, ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

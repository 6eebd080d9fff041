"""Plain text for the terminal: aligned tables and times."""

import textwrap
from collections.abc import Sequence

WIDTH = 100
GAP = "  "
SHORTEST = 8


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> str:
    """Lay out a table of text, at most 100 columns wide where that can be.

    The widest columns give way first, by leaving out the middle of what is too long.

    Args:
        header: the columns' names.
        rows: their texts.
        right: numbers of the columns that are set to the right.
        whole: numbers of the columns that do not give way.
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    giving = [i for i in range(len(widths)) if i not in whole]
    while sum(widths) + len(GAP) * (len(widths) - 1) > WIDTH:
        widest = max(giving, key=lambda i: widths[i])
        if widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    lines = []
    for row in [header, *rows]:
        cells = [
            shorten(text, width).rjust(width) if i in right else shorten(text, width).ljust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(cells).rstrip())
    lines.insert(1, GAP.join("-" * width for width in widths))
    return "\n".join(lines)


def shorten(text: str, width: int) -> str:
    """Leave out the middle of a text that is longer than the width."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def wrap(text: str) -> str:
    """Break a paragraph into lines of at most 100 columns; long words, as paths, stay whole."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def duration(seconds: float) -> str:
    """Write a time to two figures that matter: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``.

    Args:
        seconds: 0 or more.
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
    """Write a number and what it counts: ``1 run``, ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Formatting of numbers, and escaping of text from study files."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

MINUS = "−"
NOTHING = "–"
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NO_BREAK = "\N{NO-BREAK SPACE}"


# escaped with a backslash; HTML and mathematics need character references on GitHub
_ESCAPED = re.compile(r"([\\`*_\[\]|~])")
_BLOCK_START = re.compile(r"^(\d+)([.)])(?=\s|$)|^([#+=-])(?=[\s#=-]|$)")
# addresses that GitHub turns into links
_ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
# pairs that LaTeX turns into ligatures or dashes
_LIGATURE = re.compile(r"(?<=[-–])(?=[-–])|(?<=([',]))(?=\1)")
_LATEX = {
    "\0": "{}",
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    # after the end of a row, LaTeX reads these as options
    "[": r"{[}",
    "]": r"{]}",
    "*": r"{*}",
    MINUS: r"$-$",
    NOTHING: r"--",
    NO_BREAK: "~",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "†": r"\dag{}",
    "▲": r"$\bigtriangleup$",
    "▼": r"$\bigtriangledown$",
    "≈": r"$\approx$",
}


def percent(share: float | None, decimals: int = 2) -> str:
    """Format a share, 0 to 1, in percent without the sign; a dash for None and not-a-number."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return _plain(f"{100 * share:.{decimals}f}")


def points(difference: float | None, decimals: int = 2) -> str:
    """Format a difference of shares, -1 to 1, in percentage points, always with its sign."""
    if difference is None:
        return NOTHING
    return signed(100 * difference, decimals)


def signed(value: float, decimals: int = 2) -> str:
    """Format a number with its sign; zero has none."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def join(names: Sequence[str], word: str = "and") -> str:
    """Join names as prose does: ``a, b and c``."""
    return f" {word} ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])


def in_words(number: int) -> str:
    """Format a small whole number as a word."""
    return WORDS[number] if 0 <= number < len(WORDS) else f"{number:,}"


def number(value: float | None, decimals: int = 2) -> str:
    """Format a number with fixed decimals; a dash for None and not-a-number."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _plain(f"{value:.{decimals}f}")


def p_value(value: float | None) -> str:
    """Format a p-value with three decimals, or as below 0.001; a dash for not-a-number."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def magnitude(value: float) -> str:
    """Format a large count with three digits and the unit's prefix: ``1.81 G``."""
    for size, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            decimals = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{scaled:.{decimals}f}{prefix}"
    return f"{value:g}"


def duration(seconds: float) -> str:
    """Format a time in seconds as hours, minutes or seconds, whichever reads best."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.1f} seconds"


def setting(value: object) -> str:
    """Format the value of a setting: yes, no, a dash for nothing, otherwise as it is."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(setting(item) for item in value)
    return str(value)


def shape(sizes: list[int]) -> str:
    """Format a shape: ``28×28×8``."""
    return "×".join(map(str, sizes))


def markdown_text(value: object) -> Markup:
    """Escape text for Markdown; `Markup` is returned unchanged.

    Line breaks become spaces, because a table cell is one line.
    """
    if isinstance(value, Markup):
        return value
    text = re.sub(r"\s+", " ", str(value), flags=re.ASCII).strip()
    text = _ESCAPED.sub(r"\\\1", text)
    text = _ADDRESS.sub(r"\\\g<0>", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("$", "&#36;")
    text = _BLOCK_START.sub(_escape_start, text)
    return Markup(text)


def html_text(value: object) -> Markup:
    """Escape text for HTML within Markdown, on one line."""
    text = escape(re.sub(r"\s+", " ", str(value), flags=re.ASCII).strip())
    return Markup(str(text).replace("$", "&#36;"))


def latex_text(text: str) -> str:
    """Escape text for LaTeX; characters beyond ASCII are kept as UTF-8."""
    plain = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text, flags=re.ASCII).strip()
    plain = _LIGATURE.sub("\0", plain)
    return "".join(_LATEX.get(character, character) for character in plain)


def fenced(text: str) -> Markup:
    """Return text as a fenced Markdown block, with a fence longer than any in the text."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{text.rstrip()}\n{fence}")


def slug(text: str) -> str:
    """Return a name for anchors and files: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _plain(text: str) -> str:
    """Replace the hyphen of a number by a minus sign; drop the sign of zero."""
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def _escape_start(found: re.Match[str]) -> str:
    """Escape the start of a line that would start a list, heading or rule."""
    digits, mark, sign = found.groups()
    return f"{digits}\\{mark}" if digits else f"\\{sign}"

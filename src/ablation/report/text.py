"""Numbers and foreign text as the report prints them."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

MINUS = "−"
NOTHING = "–"
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NO_BREAK = "\N{NO-BREAK SPACE}"


# Backslashes take away the meaning of these; what GitHub reads as HTML or as mathematics needs
# a character reference.
_ESCAPED = re.compile(r"([\\`*_\[\]|~])")
_BLOCK_START = re.compile(r"^(\d+)([.)])(?=\s|$)|^([#+=-])(?=[\s#=-]|$)")
# What GitHub makes a link of.
_ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
# Pairs that LaTeX draws as one character; what it draws as a dash is written with hyphens.
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
    # These after the end of a row would be read as its options.
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
    """Write a share, 0 to 1, in percent without the sign; a dash for None and not-a-number."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return _plain(f"{100 * share:.{decimals}f}")


def points(difference: float | None, decimals: int = 2) -> str:
    """Write a difference of shares, -1 to 1, in percentage points, always with its sign."""
    if difference is None:
        return NOTHING
    return signed(100 * difference, decimals)


def signed(value: float, decimals: int = 2) -> str:
    """Write a number with its sign; zero has none."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def join(names: Sequence[str], word: str = "and") -> str:
    """Join names as prose does: ``a, b and c``."""
    return f" {word} ".join([*filter(None, [", ".join(names[:-1])]), *names[-1:]])


def in_words(number: int) -> str:
    """Write a small whole number as a word."""
    return WORDS[number] if 0 <= number < len(WORDS) else f"{number:,}"


def number(value: float | None, decimals: int = 2) -> str:
    """Write a number with fixed decimals; a dash for None and not-a-number."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _plain(f"{value:.{decimals}f}")


def p_value(value: float | None) -> str:
    """Write a p-value with three decimals, or as below 0.001; a dash for not-a-number."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def magnitude(value: float) -> str:
    """Write a large count with three digits and the unit's prefix: ``1.81 G``."""
    for size, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            decimals = 2 if scaled < 10 else 1 if scaled < 100 else 0
            return f"{scaled:.{decimals}f}{prefix}"
    return f"{value:g}"


def duration(seconds: float) -> str:
    """Write a time in seconds as hours, minutes or seconds, whichever reads best."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.1f} seconds"


def setting(value: object) -> str:
    """Write the value of a setting: yes, no, a dash for nothing, otherwise as it is."""
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
    """Write a shape: ``28×28×8``."""
    return "×".join(map(str, sizes))


def markdown_text(value: object) -> Markup:
    """Write foreign text for Markdown so that it comes out as the characters that it holds.

    Line breaks become spaces, because a line is the most that a table's cell may hold. What is
    `Markup` already is left as it is.
    """
    if isinstance(value, Markup):
        return value
    text = re.sub(r"\s+", " ", str(value), flags=re.ASCII).strip()
    text = _ESCAPED.sub(r"\\\1", text)
    text = _ADDRESS.sub(r"\\\g<0>", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("$", "&#36;")
    text = _BLOCK_START.sub(_disarm, text)
    return Markup(text)


def html_text(value: object) -> Markup:
    """Write foreign text for HTML inside of Markdown, on one line."""
    text = escape(re.sub(r"\s+", " ", str(value), flags=re.ASCII).strip())
    return Markup(str(text).replace("$", "&#36;"))


def latex_text(text: str) -> str:
    """Write foreign text for LaTeX so that it comes out as the characters that it holds.

    Letters beyond ASCII are left as they are; LaTeX reads UTF-8.
    """
    plain = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text, flags=re.ASCII).strip()
    plain = _LIGATURE.sub("\0", plain)
    return "".join(_LATEX.get(character, character) for character in plain)


def fenced(text: str) -> Markup:
    """Write foreign text as a fenced block of Markdown whose fence it cannot close."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{text.rstrip()}\n{fence}")


def slug(text: str) -> str:
    """Make a text fit for an anchor or a file's name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _plain(text: str) -> str:
    """Write a number with a real minus sign, and no sign before zero."""
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def _disarm(found: re.Match[str]) -> str:
    """Keep the beginning of a line from starting a list, a heading or a rule."""
    digits, mark, sign = found.groups()
    return f"{digits}\\{mark}" if digits else f"\\{sign}"

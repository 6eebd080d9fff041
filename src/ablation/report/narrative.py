"""Narratives: Markdown files of the author with numbers from the tables of an experiment."""

import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from ablation.errors import InputError
from ablation.report.values import Tables, Value

# private-use characters around numbers from tables during rendering
_FROM, _TO = "\ue000", "\ue001"
# a number that is not part of a name such as ResNet-50 or CIFAR-10
_TYPED = re.compile(r"(?<![\w.#/&-])[-−+]?\d+(?:[.,]\d+)*(?![\w-])")
_KEPT = re.compile(rf"{_FROM}[^{_TO}]*{_TO}|`[^`]*`|\]\([^)]*\)|^\s*\d+[.)](?=\s)", re.MULTILINE)
_MARK = '<sup class="unchecked">?</sup>'
NOTE = f"{_MARK} typed by hand, not checked against the runs."


def narrative(
    file: Path, tables: Tables, filters: Mapping[str, Callable[[Value], Markup]]
) -> Markup:
    """Render a narrative as Markdown and mark the numbers typed by hand.

    Args:
        file: Markdown with Jinja2; ``value(table, column, **where)`` is a number of a table.
        tables: tables of the experiment.
        filters: filters that format and record numbers.

    Raises:
        InputError: the file cannot be read or rendered, or cites a missing number; names file and
            line.
    """
    environment = SandboxedEnvironment(
        autoescape=False, undefined=StrictUndefined, finalize=_checked, keep_trailing_newline=True
    )
    environment.filters |= {name: _marked(write) for name, write in filters.items()}
    environment.globals = {"value": tables.value}
    try:
        source = file.read_text(encoding="utf-8")
        template = environment.from_string(source)
        text = template.render()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None
    except TemplateSyntaxError as error:
        raise InputError(f"{file}, line {error.lineno}: {error.message}") from None
    except (TemplateError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"{file}, line {_line_of(error)}: {error}") from None
    return Markup(_mark_typed(text))


def _checked(value: Any) -> Any:
    """Raise an error for a number without a filter, which would show all its digits."""
    if isinstance(value, float | int):
        raise TypeError(f"{value} has no format: write `| percent`, `| points` or `| number`")
    return value


def _marked(write: Callable[[Value], Markup]) -> Callable[[Value], str]:
    return lambda value: f"{_FROM}{write(value)}{_TO}"


def _mark_typed(text: str) -> str:
    parts, end, typed = [], 0, 0
    for kept in [*_KEPT.finditer(text), None]:
        start = kept.start() if kept else len(text)
        marked, count = _TYPED.subn(rf"\g<0>{_MARK}", text[end:start])
        parts += [marked, kept[0] if kept else ""]
        typed += count
        end = kept.end() if kept else end
    whole = "".join(parts).replace(_FROM, "").replace(_TO, "")
    return f"{whole.rstrip()}\n\n{NOTE}\n" if typed else whole


def _line_of(error: BaseException) -> int:
    """Return the line of the template that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    return (lines or [1])[-1] or 1

"""Reading YAML as data, with the place of every value.

Written on ruamel.yaml's node tree, because a study's mistakes must be told with file and line,
a duplicate key must be refused, and YAML 1.2 reads ``on`` and ``no`` as words and ``1e-3`` as a
number. Tags and anything else that could construct an object are refused.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablation.errors import InputError

MAX_BYTES = 200_000
MAX_VALUES = 100_000  # of the expanded tree: aliases of aliases grow exponentially
MAX_DEPTH = 50

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values.

    Attributes:
        path: the file.
        data: its content: dicts, lists, text, numbers, booleans and None.
        lines: for each place (keys and list indices from the top) its line and column, from 1.
    """

    path: Path
    data: Any
    lines: dict[Place, tuple[int, int]] = field(repr=False)

    def where(self, place: Place) -> str:
        """Return ``file:line:column`` of a place, or of the nearest thing that contains it."""
        while place and place not in self.lines:
            place = place[:-1]
        line, column = self.lines.get(place, (1, 1))
        return f"{self.path}:{line}:{column}"

    def error(self, place: Place, message: object) -> InputError:
        """Return the error that tells what is wrong at a place."""
        return InputError(f"{self.where(place)}: {dotted(place)}: {message}")


def dotted(place: Place) -> str:
    """Write a place as ``experiments.residual.models[2]``."""
    text = ""
    for part in place:
        name = part if isinstance(part, int) or part.isprintable() else repr(part)
        text += f"[{part}]" if isinstance(part, int) else f".{name}" if text else str(name)
    return text


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InputError: the file is missing, not a file, too large, not UTF-8 or not YAML, has a
            duplicate key, a tag, or a key that is not text.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if not path.is_file():
        raise InputError(f"{path}: is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: is larger than {MAX_BYTES // 1000} kB: not a study file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read (permissions)") from None
    if re.search(r"^%", text, re.MULTILINE):
        raise InputError(f"{path}: YAML directives (%) are not supported; files are YAML 1.2")
    if re.search(r"(?:[\[{]\s*){" + str(MAX_DEPTH) + "}", text):  # the parser would take its time
        raise InputError(f"{path}: not valid YAML: nested too deeply")
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise InputError(f"{path}{line}: not valid YAML: {problem}") from None
    except (YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"{path}: not valid YAML: {reason.splitlines()[0]}") from None
    lines: dict[Place, tuple[int, int]] = {}
    data = None if node is None else _plain(node, (), path, lines)
    return Document(path, data, lines)


def _plain(node: Node, place: Place, path: Path, lines: dict[Place, tuple[int, int]]) -> Any:
    here = (node.start_mark.line + 1, node.start_mark.column + 1)
    lines.setdefault(place, here)
    if len(lines) > MAX_VALUES or len(place) > MAX_DEPTH:
        raise InputError(f"{path}:{here[0]}:{here[1]}: too many or too deeply nested values")
    if isinstance(node, MappingNode):
        _expect_tag(node, "map", path, here)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if not isinstance(key_node, ScalarNode):
                raise InputError(f"{path}:{line}:{column}: a key must be text")
            key = str(key_node.value).encode(errors="backslashreplace").decode()
            if key == "<<":
                raise InputError(
                    f"{path}:{line}:{column}: merge keys (<<) are not supported; "
                    "write the keys out or use an alias for the whole value"
                )
            if key in result:
                first = lines[(*place, key)]
                raise InputError(
                    f"{path}:{line}:{column}: key '{key}' stands twice in "
                    f"'{dotted(place) or 'the file'}' (first in line {first[0]}); keep one"
                )
            lines[(*place, key)] = (line, column)
            result[key] = _plain(value_node, (*place, key), path, lines)
        return result
    if isinstance(node, SequenceNode):
        _expect_tag(node, "seq", path, here)
        return [_plain(item, (*place, i), path, lines) for i, item in enumerate(node.value)]
    return _scalar(node, place, path, here)


def _expect_tag(node: Node, kind: str, path: Path, here: tuple[int, int]) -> None:
    if str(node.tag) != f"tag:yaml.org,2002:{kind}":
        raise InputError(
            f"{path}:{here[0]}:{here[1]}: the tag '{node.tag}' is not allowed: plain values only"
        )


def _scalar(node: Node, place: Place, path: Path, here: tuple[int, int]) -> Any:
    text, tag = node.value, str(node.tag)
    kind = tag.removeprefix("tag:yaml.org,2002:")
    try:
        if kind == "str":
            text.encode()  # refuses halves of characters, which no file could hold
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text.replace("_", ""), 0) if not text.lstrip("+-").isdigit() else int(text)
        if kind == "float":
            number = float(
                text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
            )
            if not math.isfinite(number):
                raise InputError(
                    f"{path}:{here[0]}:{here[1]}: {dotted(place)}: {text} is not a finite number"
                )
            return number
    except UnicodeEncodeError:
        raise InputError(f"{path}:{here[0]}:{here[1]}: {dotted(place)}: not valid text") from None
    except ValueError:
        raise InputError(
            f"{path}:{here[0]}:{here[1]}: {dotted(place)}: cannot read '{text[:60]}' as a number"
        ) from None
    if kind == "timestamp":  # a date is text here
        return text
    raise InputError(f"{path}:{here[0]}:{here[1]}: the tag '{tag}' is not allowed")

"""Reading YAML as data, with the place of every value.

Written on ruamel.yaml's node tree, because a study's mistakes must be told with file and line,
a duplicate key must be refused, and YAML 1.2 reads ``on`` and ``no`` as words and ``1e-3`` as a
number. Tags and anything else that could construct an object are refused.
"""

import math
import re
import reprlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablation.errors import InputError

MAX_BYTES = 200_000
MAX_PARTS = 20_000  # lines and commas: the parser takes two seconds for so many
MAX_VALUES = 100_000  # of the expanded tree: aliases of aliases grow exponentially
MAX_DEPTH = 50
MAX_INTEGER = 2**63  # what other programs read as a whole number
SHOWN = 60  # characters of a foreign text that a message holds
WORDS = {"bool": ("true", "false"), "null": ("", "~", "null")}

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
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = shortened(part if part.isprintable() else repr(part))
            text += f".{name}" if text else name
    return text


def shortened(text: str) -> str:
    """Cut a foreign text so that a message stays readable."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


class _Short(reprlib.Repr):
    """Values as Python writes them, cut while they are written: aliases make them huge."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxdict = self.maxstring = SHOWN

    def repr_int(self, value: int, level: int) -> str:
        """Write a whole number; Python itself refuses to write those of 4,301 digits."""
        del level
        return repr(value) if abs(value) < MAX_INTEGER else "a huge number"


_SHORT = _Short()


def shown_value(value: object) -> str:
    """Write a value of a configuration file for a message."""
    return shortened(repr(value[:SHOWN]) if isinstance(value, str) else _SHORT.repr(value))


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InputError: the file is missing, not a file, too large, not UTF-8 or not YAML, has a
            duplicate key or anchor, a tag, a number beyond 64 bits, or a key that is not text.
    """
    text = _text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReusedAnchorWarning)
            node = YAML(typ="safe", pure=True).compose(text)
    except ReusedAnchorWarning as error:
        line, column = re.findall(r"line (\d+), column (\d+)", str(error))[-1]
        raise InputError(
            f"{path}:{line}:{column}: an anchor of this name stands above as well, so it is hard "
            "to tell which one its aliases mean; give it another name"
        ) from None
    except (OverflowError, ValueError):  # "\UFFFFFFFF"
        raise InputError(
            f"{path}: not valid YAML: an escape (\\U...) stands for no character"
        ) from None
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


def _text(path: Path) -> str:
    """The text of a file, unless the parser would choke on it."""
    try:
        if not path.exists():
            raise InputError(f"{path}: there is no such file")
        if not path.is_file():
            raise InputError(f"{path}: is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is larger than {MAX_BYTES // 1000} kB: not a study file")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read (permissions)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if text.count("\n") + text.count(",") > MAX_PARTS:
        raise InputError(f"{path}: has more than {MAX_PARTS} lines and commas: not a study file")
    if re.search(r"^%", text, re.MULTILINE):
        raise InputError(f"{path}: YAML directives (%) are not supported; files are YAML 1.2")
    if re.search(r"(?:[\[{]\s*){" + str(MAX_DEPTH) + "}", text):  # the parser would take its time
        raise InputError(f"{path}: not valid YAML: nested too deeply")
    return text


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
            if not str(key_node.tag).startswith("tag:yaml.org,2002:"):
                raise InputError(
                    f"{path}:{line}:{column}: the tag '{shortened(str(key_node.tag))}' is not "
                    "allowed: plain keys only"
                )
            key = str(key_node.value).encode(errors="backslashreplace").decode()
            if key == "<<":
                raise InputError(
                    f"{path}:{line}:{column}: merge keys (<<) are not supported; "
                    "write the keys out or use an alias for the whole value"
                )
            if key in result:
                first = lines[(*place, key)]
                raise InputError(
                    f"{path}:{line}:{column}: key '{shortened(key)}' stands twice in "
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
            f"{path}:{here[0]}:{here[1]}: the tag '{shortened(str(node.tag))}' is not allowed: "
            "plain values only"
        )


def _scalar(node: Node, place: Place, path: Path, here: tuple[int, int]) -> Any:
    text, tag = node.value, str(node.tag)
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if text.lower() not in WORDS.get(kind, (text.lower(),)):  # it has a tag of its own
        raise InputError(
            f"{path}:{here[0]}:{here[1]}: {dotted(place)}: {shortened(repr(text))} is no {kind}"
        )
    try:
        if kind == "str":
            text.encode()  # refuses halves of characters, which no file could hold
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            integer = int(text) if text.lstrip("+-").isdigit() else int(text.replace("_", ""), 0)
            if abs(integer) >= MAX_INTEGER:
                raise InputError(
                    f"{path}:{here[0]}:{here[1]}: {dotted(place)}: {shortened(text)} is too large "
                    "a number"
                )
            return integer
        if kind == "float":
            number = float(
                text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
            )
            if not math.isfinite(number):
                raise InputError(
                    f"{path}:{here[0]}:{here[1]}: {dotted(place)}: {shortened(text)} is not a "
                    "finite number"
                )
            return number
    except UnicodeEncodeError:
        raise InputError(f"{path}:{here[0]}:{here[1]}: {dotted(place)}: not valid text") from None
    except ValueError:
        raise InputError(
            f"{path}:{here[0]}:{here[1]}: {dotted(place)}: cannot read '{shortened(text)}' as a "
            "number"
        ) from None
    if kind == "timestamp":  # a date is text here
        return text
    raise InputError(f"{path}:{here[0]}:{here[1]}: the tag '{shortened(tag)}' is not allowed")

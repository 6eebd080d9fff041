"""Reading YAML as plain data, with the line and column of every value.

Files are YAML 1.2: ``on`` and ``no`` are text, ``1e-3`` is a number. Dates stay text. Anchors,
aliases and merge keys are supported, tags are not.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from ablation.errors import InputError, shown_value

MAX_BYTES = 200_000
CORE = "tag:yaml.org,2002:"

Place = tuple[str | int, ...]
Lines = dict[Place, tuple[int, int]]


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values.

    Attributes:
        path: the file.
        data: its content: dicts, lists, text, numbers, booleans and None.
        lines: line and column, from 1, of each place (keys and list indices from the top); empty
            if the data does not come from a file.
    """

    path: Path
    data: Any
    lines: Lines = field(repr=False)

    def position(self, place: Place) -> tuple[int, ...]:
        """Return line and column of a place, or of the nearest value that contains it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, ())

    def where(self, place: Place) -> str:
        """Return ``file:line:column`` of a place."""
        return ":".join(map(str, (self.path, *self.position(place))))

    def error(self, place: Place, message: object) -> InputError:
        """Return an error at a place."""
        return InputError(f"{self.where(place)}: {dotted(place) or 'the file'}: {message}")


def dotted(place: Place) -> str:
    """Write a place as ``experiments.residual.models[2]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InputError: the file is missing, not a file, too large, not UTF-8 or not valid YAML, or
            has a duplicate key, a key that is not text, or a tag.
    """
    text = _text(path)
    yaml = YAML()
    yaml.Constructor = _Constructor
    lines: Lines = {(): (1, 1)}
    try:
        return Document(path, _plain(yaml.load(text), (), lines), lines)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        kind = "" if isinstance(error, ConstructorError) else "not valid YAML: "
        raise InputError(f"{path}:{mark.line + 1}:{mark.column + 1}: {kind}{problem}") from None
    # For some values that do not fit their type, ruamel.yaml raises Python's own errors.
    except (YAMLError, ArithmeticError, LookupError, RecursionError, ValueError) as error:
        reason, *_ = str(error).splitlines()
        raise InputError(f"{path}: not valid YAML: {reason}") from None


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 1000} kB")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


class _Constructor(RoundTripConstructor):
    """Constructs text, numbers, booleans, null, lists and mappings with text keys."""

    def check_mapping_key(
        self, node: MappingNode, key_node: Node, mapping: CommentedMap, key: object, value: object
    ) -> bool:
        """Refuse a key that is not text or is already in the mapping."""
        del node, value
        problem = None
        if not isinstance(key, str):
            problem = f"the key {shown_value(key)} is not text; write it in quotes"
        elif key in mapping:
            problem = f"duplicate key '{key}' (first in line {mapping.lc.key(key)[0] + 1})"
        if problem:
            raise ConstructorError(None, None, problem, key_node.start_mark)
        return True

    def text(self, node: Node) -> str:
        """Return plain text; a lone surrogate raises a UnicodeError."""
        text: str = self.construct_scalar(node)
        return text.encode().decode()

    def refuse(self, node: Node) -> None:
        """Refuse a tag."""
        raise ConstructorError(None, None, f"the tag {node.tag} is not supported", node.start_mark)


_Constructor.yaml_constructors = {
    CORE + "null": SafeConstructor.construct_yaml_null,
    CORE + "bool": SafeConstructor.construct_yaml_bool,
    CORE + "int": SafeConstructor.construct_yaml_int,
    CORE + "float": SafeConstructor.construct_yaml_float,
    CORE + "str": _Constructor.text,
    CORE + "timestamp": _Constructor.text,
    CORE + "seq": _Constructor.construct_yaml_seq,
    CORE + "map": _Constructor.construct_yaml_map,
    None: _Constructor.refuse,
}


def _plain(value: Any, place: Place, lines: Lines) -> Any:
    """Return a value of ruamel.yaml as plain Python; ``lines`` gets the places inside it."""
    if isinstance(value, CommentedMap):
        mapping = {}
        for key, item in value.items():
            lines[*place, key] = _key_position(value, key)
            mapping[key] = _plain(item, (*place, key), lines)
        return mapping
    if isinstance(value, CommentedSeq):
        for i in range(len(value)):
            line, column = value.lc.item(i)
            lines[*place, i] = (line + 1, column + 1)
        return [_plain(item, (*place, i), lines) for i, item in enumerate(value)]
    return value


def _key_position(mapping: CommentedMap, key: str) -> tuple[int, int]:
    """Return line and column of a key; a merged key is where its own mapping has it."""
    if key in (mapping.lc.data or {}):
        line, column = mapping.lc.key(key)
        return line + 1, column + 1
    return next(_key_position(base, key) for base in mapping.merge if key in base)

"""Digests of code, which change when the behaviour of the code may change.

A digest covers modules and all modules that they import, directly or indirectly. Comments,
docstrings, formatting and the texts of ``description=`` arguments do not count.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
NAME = PACKAGE.name
KEPT = PACKAGE / "__pycache__/code.json"  # parsed modules, beside what Python keeps of them

_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(
    modules: Iterable[str], *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> str:
    """Return the digest of modules of this package and of the modules that they import.

    Imports by ``importlib`` are not followed.

    Args:
        modules: full names, such as ``ablation.training.run``.
        only: the parts of the package that count, such as ``report``; None for all.
        without: parts of the package that do not count, such as ``storage``.

    Returns:
        16 hex digits, the same for any version of Python.

    Raises:
        FileNotFoundError: a module does not exist.
    """
    digest = hashlib.sha256()
    for name in sorted(reached(modules, only=only, without=without)):
        digest.update(f"{name}:{_module(name)[0]}\n".encode())
    _write_kept()
    return digest.hexdigest()[:16]


def reached(
    modules: Iterable[str], *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> set[str]:
    """Return the names of modules and of all that they import, as in `code_digest`."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for other in _module(name)[1]:
            part = other.partition(".")[2].partition(".")[0]
            if part not in without and (only is None or part in only):
                waiting.add(other)
    return found


def files_digest(files: Iterable[Path]) -> str:
    """Return the digest of files, by name and content: 16 hex digits.

    Hidden files, such as those of editors, do not count.
    """
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file() and file.name[0] != "."):
        digest.update(f"{file.name}:{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _module(name: str) -> tuple[str, frozenset[str]]:
    """Return the hash of a module's code, and which modules of this package it imports."""
    file = _file(name)
    if file is None:
        raise FileNotFoundError(f"module {name} does not exist")
    source = file.read_bytes()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    # Without keeping it, parsing takes a tenth of a second of every call of Snakemake.
    key = hashlib.sha256(b"\0".join((_own_source(), package.encode(), source))).hexdigest()
    if key not in _kept():
        _kept()[key] = list(_parsed(source, package))
        _new.append(key)
    content, *names = _kept()[key]
    return content, frozenset(name for name in names if _file(name) is not None)


def _parsed(source: bytes, package: str) -> Iterator[str]:
    """Yield the hash of a module's code, and the names that may be modules that it imports."""
    imports: list[ast.Import | ast.ImportFrom] = []
    tree = _canonical(ast.parse(source), imports)
    yield hashlib.sha256(repr(tree).encode()).hexdigest()
    yield from sorted(_imported(imports, package))


@cache
def _own_source() -> bytes:
    return Path(__file__).read_bytes()


@cache
def _kept() -> dict[str, list[str]]:
    """Return what earlier processes have parsed, by the hash of the source."""
    try:
        kept: dict[str, list[str]] = json.loads(KEPT.read_bytes())
    except (OSError, ValueError):  # missing, or damaged
        return {}
    return kept


_new: list[str] = []  # keys that this process has added


def _write_kept() -> None:
    """Keep what was parsed, where Python may keep bytecode."""
    if not _new or sys.dont_write_bytecode or not os.access(KEPT.parent, os.W_OK):
        return
    part = KEPT.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(_kept()), encoding="utf-8")
    part.replace(KEPT)
    _new.clear()


def _file(name: str) -> Path | None:
    """Return the file of a module, or the ``__init__.py`` of a package; None if there is none."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None) if _is_own(name) else None


def _is_own(name: str) -> bool:
    return name == NAME or name.startswith(f"{NAME}.")


def _canonical(node: Any, imports: list[ast.Import | ast.ImportFrom]) -> Any:
    """Return a syntax tree as nested tuples, and add its import statements to a list.

    Not `ast.dump`, whose text depends on the version of Python.
    """
    kind = type(node)
    if kind is list:
        return [_canonical(item, imports) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = node.__dict__
    if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
        fields = {**fields, "body": fields["body"][1:]}
    elif isinstance(node, ast.Call):
        kept = [keyword for keyword in fields["keywords"] if keyword.arg != "description"]
        fields = {**fields, "keywords": kept}
    elif isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    children = [kind.__name__]
    for name in kind._fields:
        value = fields.get(name)
        # Whether a name is read or set follows from its place.
        if value is not None and value != [] and name != "ctx":
            children += (name, _canonical(value, imports))
    return tuple(children)


def _imported(statements: Iterable[ast.Import | ast.ImportFrom], package: str) -> set[str]:
    """Return the names of this package that import statements in a subpackage import."""
    names: set[str] = set()
    for node in statements:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            continue
        module = node.module or ""
        if node.level:
            module = resolve_name(f"{'.' * node.level}{module}", package)
        names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    # Importing a.b.c runs a and a.b as well.
    places = [name.split(".") for name in names if _is_own(name)]
    return {".".join(parts[:end]) for parts in places for end in range(1, len(parts) + 1)}

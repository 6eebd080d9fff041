"""Parsing of pipelines as studies write them.

A pipeline is text such as ``flip | crop(4) | contrast(0.8, 1.2) | cutmix(box=independent)``: steps
in the order of their application, with parameters by position or by name. It is parsed as a Python
expression but not evaluated.
"""

import ast
from collections.abc import Mapping
from typing import Any

from ablation.augmentation.pipelines import NONE
from ablation.augmentation.registry import STEPS, Pipeline, StepCall, shortened
from ablation.errors import InputError, nearest


def parse_pipeline(text: str, named: Mapping[str, str] | None = None) -> Pipeline:
    """Return the steps of a pipeline.

    Args:
        text: steps and named pipelines joined by ``|``; the empty string and ``none`` mean none.
        named: named pipelines, by name; they may use each other.

    Returns:
        The steps with all parameters.

    Raises:
        InputError: the text is not a pipeline; a step or parameter is unknown, missing or given
            twice; a value is out of its range; several steps crop to the size of the network; named
            pipelines use each other in a cycle.
    """
    steps = tuple(_steps(text, named or {}, ()))
    cropping = [str(step) for step in steps if step.definition.crops]
    if len(cropping) > 1:
        raise InputError(
            f"{' and '.join(cropping)} both crop to the input size of the network; leave one out"
        )
    return steps


def _steps(text: str, named: Mapping[str, str], within: tuple[str, ...]) -> list[StepCall]:
    steps: list[StepCall] = []
    source = f"(\n{text}\n)"  # in brackets, because text may have several lines
    for term in _terms(source) if text.strip() else []:
        written = shortened(str(ast.get_source_segment(source, term)))
        call = term.func if isinstance(term, ast.Call) else term
        name = call.id if isinstance(call, ast.Name) else written
        if name in STEPS:
            try:
                steps.append(StepCall(step=name, parameters=_arguments(name, term, source)))
            except InputError as error:
                raise InputError(f"{written}: {error}") from None
        elif name not in named and name != NONE:
            hint = nearest(name.replace("-", "_"), [*STEPS, *named, NONE])
            raise InputError(f"unknown step '{shortened(name)}'{hint}")
        elif isinstance(term, ast.Call):
            raise InputError(f"'{name}' is a named pipeline and takes no parameters")
        elif name in within:
            raise InputError(f"'{name}' uses itself: {' → '.join((*within, name))}")
        elif name in named:
            try:
                steps += _steps(named[name], named, (*within, name))
            except InputError as error:
                raise InputError(f"in '{name}': {error}" if within else str(error)) from None
    return steps


def _terms(source: str) -> list[ast.expr]:
    """Return the parts of a pipeline between ``|``."""
    try:
        node = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(
            f"'{shortened(source[2:-2])}' is not a pipeline; write it as in "
            "'flip | crop(4) | cutmix(alpha=1)'"
        ) from None
    terms = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def _arguments(step: str, term: ast.expr, source: str) -> dict[str, Any]:
    """Return the parameters of a call by name."""
    if not isinstance(term, ast.Call):
        return {}
    fields = list(STEPS[step].parameters.model_fields)
    if len(term.args) > len(fields):
        takes = ", ".join(fields) or "no parameters"
        raise InputError(f"more values than parameters; '{step}' takes {takes}")
    given = list(zip(fields, term.args, strict=False))
    given += [(keyword.arg or "**", keyword.value) for keyword in term.keywords]
    values: dict[str, Any] = {}
    for name, node in given:
        if name in values:
            raise InputError(f"'{shortened(name)}' is given twice")
        values[name] = _value(node, source)
    return values


def _value(node: ast.expr, source: str) -> Any:
    """Return a number, or other values as text."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        value = None
    if type(value) in (int, float):
        return value + 0  # converts -0.0 to 0.0
    return ast.get_source_segment(source, node)

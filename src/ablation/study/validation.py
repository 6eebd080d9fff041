"""Validation of the data of configuration files by typed models."""

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ablation.errors import SHOWN, InputError, did_you_mean
from ablation.study.loading import Document, Place

Block = TypeVar("Block", bound=BaseModel)


def validate(model: type[Block], document: Document, data: Any) -> Block:
    """Return the data of a document as a typed model.

    Raises:
        InputError: the first error in the file, with its place.
    """
    if not isinstance(data, dict):
        raise InputError(f"{document.where(())}: must hold keys and values")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _first(error.errors(), document, data) from None


def _first(errors: list[ErrorDetails], document: Document, data: Any) -> InputError:
    """Return the first error in the file; of the branches of a union, the deepest."""
    placed = [(_place(error, data), error) for error in errors]
    above = {place[:length] for place, _ in placed for length in range(len(place))}
    deepest = [(place, error) for place, error in placed if place not in above]
    place, error = min(deepest, key=lambda item: document.position(item[0]))
    return document.error(place, _message(error))


def _place(error: ErrorDetails, data: Any) -> Place:
    """Return the location of an error without the names of the branches of a union."""
    place: list[str | int] = []
    for part in error["loc"]:
        try:
            data = data[part]
        except (TypeError, LookupError):
            continue
        place.append(part)
    if error["type"] == "missing":
        place.append(error["loc"][-1])
    if error["type"] == "unknown_key":
        place.append(error["ctx"]["key"])
    return tuple(place)


def _message(error: ErrorDetails) -> str:
    """Return the message of pydantic, with a short value and the nearest right one."""
    message, value, context = error["msg"], error["input"], error.get("ctx", {})
    if "url" not in error:  # a message of this project
        return message
    if not isinstance(value, list | dict) and len(repr(value)) <= SHOWN:
        message += f", not {value!r}"
    expected = context.get("expected") or context.get("expected_tags") or ""
    choices = re.findall(r"'([^']*)'", expected)
    return message + did_you_mean(context.get("tag", value), choices)

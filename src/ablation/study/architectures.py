"""The networks a study may name, each resolved to every setting that decides it.

A study writes a short name and, where it departs from the name's defaults, a few options;
`resolve_architecture` turns both into one flat record of plain values. Two networks are the
same exactly where their records are the same: a setting that cannot matter in a network is
None in its record. Nothing here needs TensorFlow.

Networks come in families. Each is described in `ablation.study.families`, registered here, and
built in `ablation.models`; docs/adding-a-model.md adds one.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from ablation.errors import InputError, nearest
from ablation.study.families.base import Family, Settings
from ablation.study.families.resnet import RESNET
from ablation.study.loading import shown_value

FAMILIES: dict[str, Family] = {
    "resnet": RESNET,
}
"""Every family of networks by name."""

KNOWN_ARCHITECTURES = tuple(name for family in FAMILIES.values() for name in family.names)
"""Every name that `resolve_architecture` takes."""


def family_of(name: str) -> str | None:
    """Return the family of an architecture; None of an unknown one."""
    return next((family for family, record in FAMILIES.items() if name in record.names), None)


def resolve_architecture(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Resolve a name and options to every setting of the network.

    Args:
        name: one of `KNOWN_ARCHITECTURES`.
        options: fields of the options of its family; None counts as not given.

    Returns:
        The fields of the family's settings as plain values, fit for JSON; ``family`` among them.

    Raises:
        InputError: the name, an option or a value is unknown, or they do not go together.
    """
    own = family_of(name)
    if own is None:
        raise InputError(
            f"unknown architecture {shown_value(name)}{nearest(name, KNOWN_ARCHITECTURES)}"
        )
    family = FAMILIES[own]
    for option in options:
        if reason := refused_option(name, option):
            raise InputError(f"architecture {name}: {reason}")
    try:
        given = check_options(own, options)
    except ValidationError as error:
        raise InputError(f"architecture {name}: {_first(error, family.options)}") from None
    settings = {**family.resolve(name, given), "family": own}
    if settings.get("weights") == "none":
        settings["weights"] = None
    return check_architecture(settings, name).model_dump(mode="json")


def check_architecture(settings: dict[str, Any], name: str = "") -> Settings:
    """Return the settings as those of their family.

    Args:
        settings: what `resolve_architecture` returns.
        name: the name to speak of in an error.

    Raises:
        InputError: a setting is missing, unknown or wrong, or settings do not go together.
    """
    place, family = f"architecture {name or 'settings'}", settings.get("family")
    if family not in FAMILIES:
        raise InputError(f"{place}: unknown family {family!r}{nearest(family, FAMILIES)}")
    model = FAMILIES[family].settings
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise InputError(f"{place}: {_first(error, model)}") from None


def refused_option(name: str, option: str, others: Iterable[str] = ()) -> str | None:
    """Say why an architecture does not take an option.

    Args:
        name: of an architecture; of an unknown one, every family's options are taken.
        option: the option's name.
        others: keys beside the options that might be meant.

    Returns:
        The reason; None if the option is taken.
    """
    own = family_of(name)
    of_family = {family: record.options.model_fields for family, record in FAMILIES.items()}
    taken = of_family[own] if own else [key for fields in of_family.values() for key in fields]
    if option in taken:
        return None
    if own and option in FAMILIES[own].settings.model_fields:
        return f"'{option}' follows from the name, leave it out"
    owners = [family for family, fields in of_family.items() if option in fields]
    if owners:
        told, hint = " and ".join(owners), ", ".join(taken)
        return f"'{option}' is an option of {told} networks; {name} is of the family {own}: {hint}"
    return f"unknown option {shown_value(option)}{nearest(option, [*taken, *others])}"


def check_options(family: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are given, each checked alone.

    Raises:
        pydantic.ValidationError: a value is wrong.
    """
    given = {option: value for option, value in options.items() if value is not None}
    checked = FAMILIES[family].options.model_validate(given)
    return checked.model_dump(exclude_unset=True)


def option_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every family's options, by option.

    What one family alone has is as it has it; of what several have, any family's values pass, as
    only a study's names tell which family is meant.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for family, record in FAMILIES.items():
        for option, schema in record.options.model_json_schema()["properties"].items():
            found.setdefault(option, {})[family] = schema
    return {
        option: next(iter(schemas.values()))
        if len(schemas) == 1
        else {
            "anyOf": list(schemas.values()),
            "description": " ".join(f"{f}: {s['description']}" for f, s in schemas.items()),
        }
        for option, schemas in found.items()
    }


def _first(error: ValidationError, model: type[BaseModel]) -> str:
    """Say the first thing that is wrong in one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"'{where}' is missing"
    if first["type"] == "extra_forbidden":
        return f"unknown setting '{where}'{nearest(where, model.model_fields)}"
    return f"{where}: {message[0].lower()}{message[1:]}, not {shown_value(first['input'])}"

"""The families of networks.

A family is one file in this package that defines ``FAMILY``, a `base.Family`: names, settings and a
builder. Adding a family is adding a file, see docs/adding-a-model.md. Importing a family does not
import TensorFlow or Keras.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from reprlib import repr as shown
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from ablation.errors import InputError, nearest
from ablation.models.families.base import Family, NetworkSettings


def _families() -> dict[str, Family]:
    modules = (name for _, name, _ in iter_modules(__path__) if name != "base")
    families = (import_module(f"{__name__}.{name}").FAMILY for name in sorted(modules))
    return {family.name: family for family in families}


FAMILIES: dict[str, Family] = _families()
"""All families by name."""

ARCHITECTURES: dict[str, Family] = {
    name: family for family in FAMILIES.values() for name in family.names
}
"""The family of each architecture."""


def family_of(name: str) -> Family | None:
    """Return the family of an architecture; None if it is unknown."""
    return ARCHITECTURES.get(name)


def resolve_network(name: str, options: Mapping[str, Any]) -> NetworkSettings:
    """Return all settings of a network, from the name of an architecture and options.

    Args:
        name: one of `ARCHITECTURES`.
        options: options of its family; None means not given.

    Raises:
        InputError: the name, an option or a value is wrong, or they do not fit together.
    """
    family = family_of(name)
    if family is None:
        raise InputError(f"unknown architecture {shown(name)}{nearest(name, ARCHITECTURES)}")
    for option in options:
        if reason := refused_option(name, option):
            raise InputError(f"architecture {name}: {reason}")
    try:
        given = family.check_options(options)
        # Set explicitly, because defaults are left out of the plan file.
        settings = {**family.names[name], **given, "family": family.name}
        if settings.get("weights") == "none":
            settings["weights"] = None
        return family.settings.model_validate(settings)
    except ValidationError as error:
        raise InputError(f"architecture {name}: {_first(error)}") from None


def network_settings(values: Mapping[str, Any] | NetworkSettings) -> NetworkSettings:
    """Return settings as the model of their family.

    Raises:
        ValueError: the family is unknown, or a setting is wrong.
    """
    if isinstance(values, NetworkSettings):
        return values
    name = values.get("family")
    if name not in FAMILIES:
        raise ValueError(f"unknown family {shown(name)}{nearest(name, FAMILIES)}")
    try:
        return FAMILIES[name].settings.model_validate(dict(values))
    except ValidationError as error:
        raise ValueError(_first(error)) from None


Network = Annotated[SerializeAsAny[NetworkSettings], BeforeValidator(network_settings)]
"""Type of a field with the settings of a network of any family."""


def refused_option(name: str, option: str, others: Iterable[str] = ()) -> str | None:
    """Return why an option is refused for an architecture; None if it is allowed.

    Args:
        name: name of the architecture; an unknown one accepts the options of all families.
        option: name of the option.
        others: other keys to suggest.
    """
    own = family_of(name)
    owners = [family.name for family in FAMILIES.values() if option in family.options.model_fields]
    if (own.name in owners) if own else owners:
        return None
    if own and option in own.settings.model_fields:
        return f"'{option}' follows from the name; leave it out"
    families = [own] if own else FAMILIES.values()
    taken = [key for family in families for key in family.options.model_fields]
    if own and owners:
        return (
            f"'{option}' is an option of {' and '.join(owners)} networks; {name} is of the family "
            f"{own.name}: {', '.join(taken)}"
        )
    return f"unknown option {shown(option)}{nearest(option, [*taken, *others])}"


def option_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of the options of all families, by option.

    An option of several families accepts the values of any of them.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, family in FAMILIES.items():
        for option, schema in family.options.model_json_schema()["properties"].items():
            found.setdefault(option, {})[name] = schema
    return {
        option: next(iter(schemas.values()))
        if len({repr(schema) for schema in schemas.values()}) == 1
        else {
            "anyOf": list(schemas.values()),
            "description": " ".join(f"{f}: {s['description']}" for f, s in schemas.items()),
        }
        for option, schemas in found.items()
    }


def _first(error: ValidationError) -> str:
    """Return the first error as one line."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    return f"{'.'.join(map(str, first['loc']))}: {message}, not {shown(first['input'])}"

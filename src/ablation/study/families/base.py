"""What a family of networks is to a study: names, options and the settings that they resolve to."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)

Weights = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    """Every setting that decides a network; equal records mean equal networks.

    A family's settings are the fields of a subclass, each with its limits and a description, and
    plain values, fit for JSON. Two names mean something to comparisons: ``depth`` (a whole
    number) is the factor ``depth``, and ``kind`` (``residual`` or ``plain``) the factor
    ``shortcut``.
    """

    model_config = STRICT

    family: str = Field(description="The family of the network.")
    weights: Weights | None = Field(
        default=None,
        description=(
            "Weights to start from: `none` for random ones, or the path of an HDF5 weights file."
        ),
    )

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.weights == "imagenet":
            self.expect_imagenet_weights()
        return self

    def expect_imagenet_weights(self) -> None:
        """Raise a ValueError where ``weights: imagenet`` does not fit: here, always."""
        raise ValueError(
            f"there are no weights 'imagenet' for {self.family} networks; give the path of a file"
        )


def _as_given(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Resolve options by the defaults of the settings alone."""
    del name
    return given


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        names: the architectures that a study may name.
        about: what they are and where they come from, in a sentence or two.
        settings: the model of its resolved settings.
        resolve: from a name and the options given, the settings but ``family``; what it leaves
            out takes the default in ``settings``. May raise InputError.
        own_options: the model of what a study may say, where that is not the settings: each
            field may be left out.
    """

    names: tuple[str, ...]
    about: str
    settings: type[Settings]
    resolve: Callable[[str, dict[str, Any]], dict[str, Any]] = _as_given
    own_options: type[BaseModel] | None = None

    @cached_property
    def options(self) -> type[BaseModel]:
        """The model of its options: fields alone, as what goes together is told by the settings."""
        if self.own_options is not None:
            return self.own_options
        fields: dict[str, Any] = {
            name: (field.annotation, field)
            for name, field in self.settings.model_fields.items()
            if name != "family"
        }
        return create_model(f"{self.settings.__name__}Options", __config__=STRICT, **fields)

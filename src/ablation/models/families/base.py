"""What a family of networks is: names, settings and a builder."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

if TYPE_CHECKING:
    import keras

    from ablation.models.parts import Parts

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)

Weights = Annotated[str, Field(min_length=1)]


class NetworkSettings(BaseModel):
    """Every setting of a network: networks are equal exactly where their settings are.

    A family subclasses it and overrides ``family`` with its name, as a literal and as the default.
    Comparisons read two settings by name: ``depth`` (a whole number) is the factor ``depth``, and
    ``kind`` (``residual`` or ``plain``) is the factor ``shortcut``.
    """

    model_config = STRICT

    family: str = Field(description="The family of the network.")
    weights: Weights | None = Field(
        default=None,
        description=(
            "Initial weights: `none` for random ones, `imagenet` for those of keras.applications, "
            "if the network has them, or the path of an HDF5 weights file."
        ),
    )

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.weights == "imagenet":
            self.check_imagenet_weights()
        return self

    def check_imagenet_weights(self) -> None:
        """Raise ValueError if ``weights: imagenet`` does not fit the network."""
        raise ValueError(
            f"there are no weights 'imagenet' for {self.family} networks; give the path of a file"
        )

    def check_channels(self, channels: int) -> None:
        """Raise InputError if the network does not take images with so many channels."""


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        names: the architectures that a study can name, each with the settings that it stands for.
            Settings that it leaves out have the default of ``settings``.
        about: what the networks are and where they come from, in a sentence or two.
        settings: the model of the settings.
        build: returns the network, of the settings, the symbolic images (float32, of shape (batch,
            height, width, channels)), the number of classes and the `Parts` that carry seed and
            precision: a functional model from the images to float32 probabilities. The report
            groups layers whose names begin with ``stem``, ``stage1_block1``, … or ``head``.
        fixed: settings that follow from the name and are no options.
    """

    names: Mapping[str, Mapping[str, Any]]
    about: str
    settings: type[NetworkSettings]
    build: "Callable[[Any, Any, int, Parts], keras.Model]"
    fixed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the family."""
        return str(self.settings.model_fields["family"].default)

    @property
    def module(self) -> str:
        """The module that defines it."""
        return self.settings.__module__

    @cached_property
    def options(self) -> type[BaseModel]:
        """The model of the options that a study can give: None means that one is not given."""
        fields: dict[str, Any] = {}
        for name, field in self.settings.model_fields.items():
            if name not in ("family", *self.fixed):
                option = copy(field)
                option.default = None if field.is_required() else field.default
                fields[name] = (field.annotation | None, option)  # type: ignore[operator]
        return create_model(f"{self.settings.__name__}Options", __config__=STRICT, **fields)

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that are given, each checked by itself.

        Raises:
            pydantic.ValidationError: an option or a value is wrong.
        """
        checked = self.options.model_validate(dict(options)).model_dump(exclude_unset=True)
        return {option: value for option, value in checked.items() if value is not None}

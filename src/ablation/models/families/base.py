"""The interface of families of networks."""

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
    """All settings of a network.

    A family makes a subclass with its name as type (a literal) and default of ``family``. Two
    settings are factors of comparisons: ``depth`` (an integer) is the factor ``depth``, ``kind``
    (``residual`` or ``plain``) the factor ``shortcut``.
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
            f"no weights 'imagenet' for {self.family} networks; give the path of a file"
        )

    def check_channels(self, channels: int) -> None:
        """Raise InputError if the network does not accept images with this number of channels."""


@dataclass(frozen=True)
class Size:
    """What decides the memory that a network needs.

    Attributes:
        weights: number of all weights, including the moving statistics of batch norm.
        activations: number of values per image that training keeps for the backward pass: the
            outputs of convolutions and of activation functions.
        largest: number of values per image of the largest output of a layer.
    """

    weights: int
    activations: int
    largest: int


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        names: the architectures, each with its settings; others have the default of ``settings``.
        about: a description of the networks with their source.
        settings: the model of the settings.
        build: called with the settings, symbolic images (float32, of shape (batch, height, width,
            channels)), the number of classes, and the `Parts` with seed and precision. Returns a
            functional model from the images to float32 probabilities. The report groups layers
            whose names begin with ``stem``, ``stage1_block1``, … or ``head``.
        size: called with the settings, the shape of an image (height, width, channels) and the
            number of classes. Returns the `Size` of the network that ``build`` builds, without
            TensorFlow.
        fixed: settings that follow from the name and are not options.
    """

    names: Mapping[str, Mapping[str, Any]]
    about: str
    settings: type[NetworkSettings]
    build: "Callable[[Any, Any, int, Parts], keras.Model]"
    size: Callable[[Any, tuple[int, int, int], int], Size]
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
        """The model of the options; None means that an option is not given."""
        fields: dict[str, Any] = {}
        for name, field in self.settings.model_fields.items():
            if name not in ("family", *self.fixed):
                option = copy(field)
                option.default = None if field.is_required() else field.default
                fields[name] = (field.annotation | None, option)  # type: ignore[operator]
        return create_model(f"{self.settings.__name__}Options", __config__=STRICT, **fields)

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given options after checking each of them.

        Raises:
            pydantic.ValidationError: an option or a value is wrong.
        """
        checked = self.options.model_validate(dict(options)).model_dump(exclude_unset=True)
        return {option: value for option, value in checked.items() if value is not None}

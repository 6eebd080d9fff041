"""The registry of augmentation steps.

A step is a function, decorated with :func:`step`, in a file in :mod:`ablation.augmentation.steps`.
Its keyword-only parameters, with annotations and defaults, are the parameters in studies; its
docstring is their documentation.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from ablation.errors import InputError, nearest

Images: TypeAlias = Any  # float32 [batch, height, width, channels]; TensorFlow carries no types
Targets: TypeAlias = Any  # float32 [batch, classes], rows that sum to one
Draws: TypeAlias = Any  # float32 [batch, draws of the step], uniform in [0, 1)
Augmented: TypeAlias = tuple[Images, Targets]
Size: TypeAlias = tuple[int, int]  # height and width in pixels
Kind = Literal["geometric", "colour"]

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=10)]
Ratio = Annotated[float, Field(ge=0.1, le=1)]
# Outside these bounds a Beta distribution is 0-or-1, or one half, to within a pixel.
Concentration = Annotated[float, Field(ge=0.01, le=100)]
Fill = Literal["zero", "reflect"]

Function = Callable[..., Augmented]


@dataclass(frozen=True)
class Step:
    """A registered step.

    Attributes:
        name: its name in a pipeline.
        function: called as ``function(images, targets, draws, **parameters)``; a step that crops
            gets the output size as a fourth argument. Returns images and targets. It has no state
            and uses no random numbers except the draws.
        parameters: the model of its parameters, in the order of the signature.
        documentation: what the step does and its source, in Markdown.
        draws: number of random numbers per image; the same for all parameters, so that pipelines
            that differ in a parameter use the same draws.
        kind: geometric, colour or None.
        needs_colour: whether it needs images with three channels.
        mixes_labels: whether it mixes the labels of several images.
        moves_pixels: whether it only moves pixels, within an image or from one to another, or makes
            them black. At the beginning of a pipeline it gets images as uint8, which is faster.
        crops: whether it crops the stored image to the input size of the network.
        has_probability: whether it has a parameter ``probability``, which the function does not
            get; the pipeline draws for each image whether the step is applied. Such a step must
            not change targets.
        idle: values of parameters with which it has no effect.
        ordered: two parameters; the first must not be larger than the second.
        prepare: called as ``prepare(draws, **parameters)`` with the NumPy table of the step's draws
            of an epoch; returns the draws that the function gets.
        check_size: called as ``check_size(given, returned, **parameters)`` with the sizes of input
            and output images (None if unknown); raises InputError if the step cannot be applied.
    """

    name: str
    function: Function
    parameters: type[BaseModel]
    documentation: str
    draws: int = 0
    kind: Kind | None = None
    needs_colour: bool = False
    mixes_labels: bool = False
    moves_pixels: bool = False
    crops: bool = False
    has_probability: bool = False
    idle: Mapping[str, float] = field(default_factory=dict)
    ordered: tuple[str, str] | None = None
    prepare: Callable[..., Any] | None = None
    check_size: Callable[..., None] | None = None

    @property
    def module(self) -> str:
        """Full name of the module that defines the step."""
        return self.function.__module__

    def schema(self, parameter: str) -> dict[str, Any]:
        """Return the JSON Schema of a parameter."""
        schema: dict[str, Any] = self.parameters.model_json_schema()["properties"][parameter]
        return schema

    def allowed(self, parameter: str) -> str:
        """Return the allowed values of a parameter as text, such as ``a number from 0 to 1``."""
        schema = self.schema(parameter)
        if "enum" in schema:
            *others, last = schema["enum"]
            return f"{', '.join(others)} or {last}"
        kind = "a whole number" if schema["type"] == "integer" else "a number"
        return f"{kind} from {written(schema['minimum'])} to {written(schema['maximum'])}"

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of a call in order, including defaults.

        Raises:
            InputError: a parameter is unknown, missing or out of its range.
        """
        fields = self.parameters.model_fields
        for name in given:
            if name not in fields:
                hint = nearest(name, fields) or "; it takes no parameters"
                raise InputError(f"'{self.name}' has no parameter '{shortened(name)}'{hint}")
        for name, info in fields.items():
            if info.is_required() and name not in given:
                raise InputError(f"'{self.name}' needs {name}, {self.allowed(name)}")
        try:
            values = self.parameters.model_validate(given).model_dump()
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            hint = nearest(given[name], self.schema(name).get("enum", ()))
            raise InputError(
                f"{name} must be {self.allowed(name)}, not {shortened(written(given[name]))}"
                f"{hint if hint.startswith('; did') else ''}"
            ) from None
        if self.ordered is not None:
            low, high = self.ordered
            if values[low] > values[high]:
                raise InputError(
                    f"{low} must be at most {high}, but {written(values[low])} is above "
                    f"{written(values[high])}"
                )
        return values


STEPS: dict[str, Step] = {}


def step(*, probability: float | None = None, **properties: Any) -> Callable[[Function], Function]:
    """Register a function as a step under its own name.

    Each parameter needs an annotation with both bounds or with its choices, and an entry in the
    section ``Args`` of the docstring.

    Args:
        probability: default of the parameter ``probability`` of a step that is applied at random;
            None if the step does not have it.
        properties: further attributes of :class:`Step`.

    Raises:
        InputError: the declaration is incomplete.
    """

    def register(function: Function) -> Function:
        name = function.__name__
        documentation, described = _documentation(function)
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {}
        for key, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                continue
            for found, missing in ((hints, "annotation"), (described, "entry under Args")):
                if key not in found:
                    raise InputError(f"step {name}: {key}: needs an {missing}")
            fields[key] = (
                hints[key],
                Field(default=_default(parameter), description=described[key]),
            )
        if probability is not None:
            chance = "Probability that the step is applied to an image."
            fields["probability"] = (Share, Field(default=probability, description=chance))
        model = create_model(name, __config__=ConfigDict(allow_inf_nan=False), **fields)
        has_probability = probability is not None
        made = Step(
            name, function, model, documentation, has_probability=has_probability, **properties
        )
        if made.kind not in (None, *get_args(Kind)):
            raise InputError(
                f"step {name}: kind '{made.kind}': must be {' or '.join(get_args(Kind))}"
            )
        for key in fields:
            schema = made.schema(key)
            if "enum" not in schema and not {"minimum", "maximum"} <= set(schema):
                raise InputError(
                    f"step {name}: {key}: the annotation needs both bounds, ge and le, or choices"
                )
        STEPS[name] = made
        return function

    return register


class StepCall(BaseModel):
    """A step with all its parameters: one element of a resolved pipeline.

    Raises:
        InputError: the step is unknown, or a parameter unknown, missing or out of its range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    parameters: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @field_validator("step")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in STEPS:
            raise InputError(f"unknown step '{name}'{nearest(name, STEPS)}")
        return name

    @field_validator("parameters")
    @classmethod
    def _complete(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return STEPS[info.data["step"]].complete(given)

    @property
    def definition(self) -> Step:
        """The step."""
        return STEPS[self.step]

    @property
    def changes_nothing(self) -> bool:
        """Whether the parameters are such that images and labels do not change."""
        idle = self.definition.idle
        return self.parameters.get("probability") == 0 or (
            bool(idle) and all(self.parameters[name] == value for name, value in idle.items())
        )

    def __str__(self) -> str:
        """Return the shortest text of the call in a pipeline."""
        arguments = []
        for name, info in self.definition.parameters.model_fields.items():
            value = written(self.parameters[name])
            if info.is_required():
                arguments.append(value)
            elif self.parameters[name] != info.default:
                arguments.append(f"{name}={value}")
        return f"{self.step}({', '.join(arguments)})" if arguments else self.step


Pipeline: TypeAlias = tuple[StepCall, ...]


def written(value: Any) -> str:
    """Return a value as in a pipeline: 1.0 as ``1``."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def shortened(text: str) -> str:
    """Return a text without its middle if it is long, for a message."""
    return text if len(text) <= 80 else f"{text[:60]} … {text[-10:]}"


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is parameter.empty else parameter.default


def _documentation(function: Function) -> tuple[str, dict[str, str]]:
    """Split a docstring into its paragraphs and the descriptions of ``Args``."""
    paragraphs, described = [], {}
    for block in (inspect.getdoc(function) or "").split("\n\n"):
        title, _, body = block.partition("\n")
        if title == "Args:":
            for entry in re.split(r"\n(?=\S)", dedent(body)):
                name, _, description = entry.partition(":")
                described[name] = " ".join(description.split())
        else:
            paragraphs.append(" ".join(block.split()))
    return "\n\n".join(paragraphs).replace("``", "`"), described

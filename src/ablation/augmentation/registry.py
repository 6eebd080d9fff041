"""What an augmentation step is, how a file declares one, and how a pipeline refers to it.

A step is a function in a file of its own in :mod:`ablation.augmentation.steps`, decorated with
:func:`step`. Its keyword-only parameters, with their annotations and defaults, are the parameters
that a study may give; its docstring is their documentation.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Annotated, Any, Literal, TypeAlias, get_type_hints

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
        function: called as ``function(images, targets, draws, **parameters)``, or with the size to
            cut out as a fourth argument where the step crops; returns images and targets. It has no
            state and no random numbers but the draws.
        parameters: the model of its parameters, in the order of the signature.
        documentation: paragraphs in Markdown: what the step does and its source.
        draws: how many random numbers an image needs; the same for all parameters, so that
            pipelines that differ in a parameter share their decisions.
        kind: geometric, colour or neither.
        needs_colour: it is defined on images with three channels only.
        mixes_labels: it mixes the labels of several images.
        crops: it cuts the size that the network sees out of the stored image.
        by_chance: it has a parameter ``probability`` that the function does not get; the pipeline
            draws for each image whether the step is applied. Such a step changes no targets.
        idle: values of parameters with which it changes nothing.
        ordered: two parameters of which the first must not be larger than the second.
        prepare: called as ``prepare(draws, **parameters)`` on the whole NumPy table of the step's
            draws; returns what the function gets instead.
        check_size: called as ``check_size(given, returned, **parameters)`` with the size of the
            images that the step is given and returns (None where it is not known); raises
            InputError where the step makes no sense on them.
    """

    name: str
    function: Function
    parameters: type[BaseModel]
    documentation: str
    draws: int = 0
    kind: Kind | None = None
    needs_colour: bool = False
    mixes_labels: bool = False
    crops: bool = False
    by_chance: bool = False
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
        """Return the values of a parameter in words, such as ``a number from 0 to 1``."""
        schema = self.schema(parameter)
        if "enum" in schema:
            *others, last = schema["enum"]
            return f"{', '.join(others)} or {last}"
        kind = "a whole number" if schema["type"] == "integer" else "a number"
        return f"{kind} from {written(schema['minimum'])} to {written(schema['maximum'])}"

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of a call, in order, with defaults for those not given.

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
        probability: of a step that is applied by chance: the default of its parameter
            ``probability``.
        properties: further attributes of :class:`Step`.
    """

    def register(function: Function) -> Function:
        name = function.__name__
        documentation, described = _documentation(function)
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            key: (hints[key], Field(default=_default(parameter), description=described[key]))
            for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        if probability is not None:
            chance = "Chance that the step is applied to an image."
            fields["probability"] = (Share, Field(default=probability, description=chance))
        model = create_model(name, __config__=ConfigDict(allow_inf_nan=False), **fields)
        by_chance = probability is not None
        STEPS[name] = Step(name, function, model, documentation, by_chance=by_chance, **properties)
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
        """The step that is called."""
        return STEPS[self.step]

    @property
    def changes_nothing(self) -> bool:
        """Whether the parameters are such that images and labels stay as they are."""
        idle = self.definition.idle
        return self.parameters.get("probability") == 0 or (
            bool(idle) and all(self.parameters[name] == value for name, value in idle.items())
        )

    def __str__(self) -> str:
        """Write the call as in a pipeline, as short as possible."""
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
    """Write a value as a pipeline does: 1.0 as ``1``."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def shortened(text: str) -> str:
    """Cut the middle out of a long text that a message shows."""
    return text if len(text) <= 80 else f"{text[:60]} … {text[-10:]}"


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is parameter.empty else parameter.default


def _documentation(function: Function) -> tuple[str, dict[str, str]]:
    """Split a docstring into its paragraphs and the descriptions in its section ``Args``."""
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

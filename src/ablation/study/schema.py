"""The form of a study file and of ``config/config.yaml``, as typed models.

The JSON Schema under ``workflow/schemas/`` is generated from these models, so every field carries
its description.
"""

import unicodedata
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from ablation.data.settings import DataSettings
from ablation.errors import nearest
from ablation.study.architectures import (
    check_options,
    family_of,
    option_schemas,
    refused_option,
)
from ablation.study.loading import shortened
from ablation.study.metrics import COMPARABLE, TEST_ACCURACY, refused_measure

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
NAME_LENGTH = 80  # a path component, with room for a suffix
MAX_SEED = 2**31 - 1


def _readable(text: str) -> str:
    """Refuse text that a page cannot hold: control characters, and what is no character at all."""
    for one in text:
        if (unicodedata.category(one) == "Cc" and one not in "\n\t") or one in "\ufffe\uffff":
            raise PydanticCustomError(
                "text",
                "holds the control character {shown}; write plain text",
                {"shown": repr(one)},
            )
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "must not be blank")
    return text


Readable = Annotated[str, AfterValidator(_readable)]
Text = Annotated[Readable, Field(min_length=1), AfterValidator(_not_blank)]

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Strict(BaseModel):
    """A block of a configuration file: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        # Before pydantic's own check, because its message cannot name the nearest right key.
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    hint = nearest(key, cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key",
                        "{reason}",
                        {"key": key, "reason": f"unknown key {shortened(repr(key))}{hint}"},
                    )
        return data


class Named(Strict):
    """A block that may be written as its name alone."""

    name: Name = Field(description="The label in tables, figures and paths.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors accept both forms."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        name = {"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_LENGTH}
        return {"anyOf": [name, schema], "description": schema.get("description", "")}


class Dataset(DataSettings, Named):
    """A data set and how its images are prepared. A name alone means the source of that name."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        data = {"name": data} if isinstance(data, str) else data
        if isinstance(data, dict) and data.get("source") is None and "name" in data:
            data = {**data, "source": data["name"]}
        return data

    @field_validator("held_out")
    @classmethod
    def _holds_something_out(cls, share: float) -> float:
        if not share:
            raise PydanticCustomError(
                "order", "must be greater than 0; with `validation: test` nothing is held out"
            )
        return share

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors know that the source may be left out, and that something is held out."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        block = schema["anyOf"][-1]
        block["required"] = ["name"]
        held_out = block["properties"]["held_out"]
        held_out["exclusiveMinimum"] = held_out.pop("minimum")
        return schema


class Model(Named):
    """A network: a known architecture, with options. A name alone means that architecture."""

    model_config = ConfigDict(extra="allow")  # the options, which the family checks

    architecture: str | None = Field(
        default=None,
        description="An architecture, of which the reference lists all, by families; the other "
        "keys are options of its family. Default: the name.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of its family that are given."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            architecture = str(data.get("architecture") or data.get("name"))
            for key in data:
                own = key in cls.model_fields
                if not own and (reason := refused_option(architecture, key, cls.model_fields)):
                    raise PydanticCustomError(
                        "unknown_key", "{reason}", {"key": key, "reason": reason}
                    )
        return data

    @model_validator(mode="after")
    def _options_are_right(self) -> Self:
        family = family_of(self.architecture or self.name)
        if family is not None:  # otherwise the plan tells that there is no such architecture
            check_options(family, self.options)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors know the options of every family."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        block = schema["anyOf"][-1]
        block["properties"] |= option_schemas()
        block["additionalProperties"] = False
        return schema


class EarlyStopping(Strict):
    """Stop when a validation measure no longer improves."""

    monitor: Literal["val_loss", "val_accuracy"] = Field(
        default="val_loss", description="The measure that is watched."
    )
    patience: Annotated[int, Field(ge=1)] = Field(
        default=5, description="Epochs without improvement before training stops."
    )
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Smaller improvements do not count."
    )
    restore_best: bool = Field(
        default=False,
        description="Take the weights of the best epoch in the end, stopped early or not.",
    )


class Training(Strict):
    """How a network is trained: stochastic gradient descent and its schedule."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Passes over the training images (whole batches)."
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=128, description="Images a step."
    )
    shuffle: Literal["examples", "batches"] = Field(
        default="examples",
        description="`examples` are put in a new order every epoch; `batches` keeps the same "
        "examples together in every epoch and puts only the batches in a new order, as the second "
        "and third notebook did.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Field(
        default=0.1, description="The highest learning rate of the schedule."
    )
    schedule: Literal["constant", "step", "cosine"] = Field(
        default="constant",
        description="`step` multiplies by `step_factor` at each of `step_at`; `cosine` falls to "
        "0 at the end (Loshchilov & Hutter 2017, without restarts). Set anew every step.",
    )
    step_at: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.5, 0.75],
        description="Where `step` falls, as shares of the training, rising.",
    )
    step_factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="What `step` multiplies by."
    )
    warmup_epochs: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="Epochs over which the learning rate first rises linearly from 0."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.9, description="Of SGD.")
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum.")
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Coefficient of the weight in its own decay; 1e-4 is the residual-network "
        "paper's.",
    )
    weight_decay_kind: Literal["coupled", "decoupled"] = Field(
        default="coupled",
        description="`coupled` adds `weight_decay · w` to the gradient after clipping, as the "
        "papers do; `decoupled` subtracts `learning_rate · weight_decay · w` from the weight.",
    )
    weight_decay_on: Literal["kernels", "all"] = Field(
        default="kernels",
        description="`kernels` leaves out biases and batch norm's scale and offset.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Gradients longer than this are shortened to it."
    )
    clip_scope: Literal["tensor", "global"] = Field(
        default="tensor",
        description="`tensor` measures each weight's gradient alone (Keras' clipnorm), `global` "
        "all of them together.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="Off unless given; `{}` takes its defaults."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="`bfloat16` computes in mixed precision; weights stay float32.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.step_at != sorted(set(self.step_at)) or not self.step_at:
            raise PydanticCustomError("order", "step_at must be rising, for example [0.5, 0.75]")
        if self.warmup_epochs >= self.epochs:
            raise PydanticCustomError("order", "warmup_epochs must be less than epochs")
        if self.nesterov and not self.momentum:
            raise PydanticCustomError("order", "nesterov needs a momentum above 0")
        return self


def _patch_of(model: type[Strict], name: str) -> type[Strict]:
    """A copy of a model in which every key may be left out and nothing is filled in."""
    fields: dict[str, Any] = {}
    for key, info in model.model_fields.items():
        patch = copy(info)
        patch.default, patch.default_factory = None, None
        fields[key] = (info.annotation, patch)
    return create_model(name, __base__=Strict, __doc__="The keys to change.", **fields)


if TYPE_CHECKING:

    class TrainingPatch(Training):
        """The keys to change."""

else:
    TrainingPatch = _patch_of(Training, "TrainingPatch")


class Arms(Strict):
    """Arms of the grid: all those that match every key given."""

    dataset: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Name of a data set, or several."
    )
    model: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Name of a model, or several."
    )
    augmentation: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Label of an augmentation, or several."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.given():
            keys = list(type(self).model_fields)
            raise PydanticCustomError(
                "empty", f"names no cell: give {', '.join(keys[:-1])} or {keys[-1]}"
            )
        return self

    def given(self) -> dict[str, list[Any]]:
        """Return the keys that are given, each with the list of its values."""
        values = {key: getattr(self, key) for key in type(self).model_fields}
        return {
            key: value if isinstance(value, list) else [value]
            for key, value in values.items()
            if value is not None
        }


class Cells(Arms):
    """Cells of the grid: all those that match every key given."""

    seed: Seed | Annotated[list[Seed], Field(min_length=1)] | None = Field(
        default=None, description="A seed, or several."
    )


class Override(Strict):
    """Other training settings for some cells. Later overrides win."""

    where: Cells = Field(description="The cells that are meant.")
    training: TrainingPatch = Field(description="The settings to change.")


class Baseline(Strict):
    """What the arms are compared with: the same cell with these names put in.

    Not another data set: differences are paired by test image.
    """

    model: Name | None = Field(default=None, description="Compare with this model.")
    augmentation: Name | None = Field(default=None, description="Compare with this augmentation.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise PydanticCustomError("empty", "is empty: give model or augmentation")
        return self


class Reference(Baseline):
    """What an arm is compared with: the arm itself with these names put in."""

    experiment: Name | None = Field(
        default=None,
        description="Take it from this experiment of the study (kind `budget`: the same cell, "
        "trained for longer or shorter).",
    )


Factor = Literal["dataset", "model", "augmentation", "depth", "shortcut"]


def _comparable(name: str) -> str:
    reason = refused_measure(name)
    if reason is not None:
        raise PydanticCustomError("text", "{reason}", {"reason": reason})
    return name


Measure = Annotated[
    str, AfterValidator(_comparable), WithJsonSchema({"type": "string", "enum": COMPARABLE})
]


class Comparison(Strict):
    """A comparison that the experiment shall answer, besides those with its baseline."""

    kind: Literal["arm", "budget", "factor"] = Field(
        description="`arm`: A against B; `budget`: A against B at an epoch, or at different "
        "training lengths; `factor`: main effects and interactions of a factorial grid."
    )
    arm: Arms | None = Field(
        default=None,
        description="A (`arm`, `budget`): each cell that matches is compared with its reference.",
    )
    reference: Reference | None = Field(
        default=None, description="B (`arm`, `budget`): the same cell with these names put in."
    )
    epoch: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Of `budget`: compare validation accuracy after this epoch. Without it, cells "
        "that were trained for different numbers of epochs are compared on the test split.",
    )
    measure: Measure = Field(
        default=TEST_ACCURACY,
        description="Of `arm`: the metric that is compared. Without values for each image, as "
        "only test accuracy has them, the test over the seeds alone decides.",
    )
    margin: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Of `arm`: a difference that does not matter, in the unit of the metric "
        "(percentage points for shares). Default: the study's margin for test accuracy; for other "
        "metrics none, and nothing is called the same.",
    )
    factors: (
        Annotated[list[Factor], Field(min_length=2, max_length=3)]
        | Annotated[
            dict[Name, Annotated[dict[Name, Arms], Field(min_length=2)]],
            Field(min_length=2, max_length=3),
        ]
        | None
    ) = Field(
        default=None,
        description="Of `factor`: two or three of `dataset`, `model`, `augmentation`, `depth` and "
        "`shortcut` (the latter two told by the models), or factors of your own, each a name with "
        "its levels, the first of which is the reference: `{cutmix: {without: {augmentation: "
        "[none, flip]}, with: {augmentation: [cutmix, flip+cutmix]}}, ...}`.",
    )
    where: Arms | None = Field(
        default=None, description="Of `factor`: only these cells. Default: all."
    )
    effects: Literal["all", "main", "interactions"] = Field(
        default="all",
        description="Of `factor`: which effects are compared, the main effects of the factors, "
        "their interactions, or both.",
    )
    claim: Name | None = Field(
        default=None,
        description="The claim that this comparison tests, one of the experiment's `claims`. Of "
        "`factor`: the interactions test it.",
    )
    says: Literal["better", "worse", "same", "different"] | None = Field(
        default=None, description="What the claim says A is, against B."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = {key for key in self.model_fields_set if getattr(self, key) is not None} - {"kind"}
        if {"epoch", "measure"} <= given:
            raise PydanticCustomError(
                "empty",
                "with an epoch, validation accuracy is compared; leave out measure or epoch",
            )
        needed, allowed = {
            "arm": ({"arm", "reference"}, {"measure", "margin", "claim", "says"}),
            "budget": ({"arm", "reference"}, {"epoch", "claim", "says"}),
            "factor": ({"factors"}, {"where", "effects", "claim", "says"}),
        }[self.kind]
        for key in sorted(needed - given):
            raise PydanticCustomError("empty", f"kind {self.kind} needs the key '{key}'")
        for key in sorted(given - needed - allowed):
            raise PydanticCustomError("empty", f"kind {self.kind} takes no '{key}'")
        if self.kind == "arm" and self.reference and self.reference.experiment:
            raise PydanticCustomError(
                "empty", "kind arm compares within the experiment; kind budget takes another one"
            )
        if isinstance(self.factors, list) and len(set(self.factors)) < len(self.factors):
            raise PydanticCustomError("empty", "a factor stands twice")
        if (self.claim is None) != (self.says is None):
            raise PydanticCustomError("empty", "claim and says go together")
        if self.claim and self.factors and len(self.factors) != 2:
            raise PydanticCustomError(
                "empty", "a claim is tested by the interaction of two factors"
            )
        if self.claim and self.effects == "main":
            raise PydanticCustomError(
                "empty", "a claim is tested by the interaction, which effects: main leaves out"
            )
        return self


class Claim(Strict):
    """A claim that somebody made and that comparisons of the experiment test."""

    text: Annotated[Text, Field(max_length=500)] = Field(description="The claim, as a sentence.")
    source: Annotated[Text, Field(max_length=300)] = Field(description="Who made it, and where.")


class Experiment(Strict):
    """One question and the grid of runs that shall answer it."""

    question: Annotated[Text, Field(max_length=1000)] = Field(
        description="The question, as the report prints it."
    )
    datasets: Annotated[list[Dataset], Field(min_length=1)] = Field(
        description="Names, or blocks with a source, a size and a way of resizing."
    )
    models: Annotated[list[Model], Field(min_length=1)] = Field(
        description="Names of architectures, or blocks with options."
    )
    augmentations: (
        Annotated[dict[Name, str], Field(min_length=1)] | Annotated[list[Name], Field(min_length=1)]
    ) = Field(
        default={"none": ""},
        description="Label: pipeline, such as `flip | crop(4) | cutmix`; or a list of named arms.",
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="One run of every cell for each."
    )
    final_seeds: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="How many seeds the experiment shall have in the end, if that is decided "
        "before its results are looked at; no fewer than `seeds` names. With all of them, an "
        "analysis that is the only one has the whole error probability. Without it, a fifth is "
        "kept for seeds that are added after a look.",
    )
    baseline: Baseline | None = Field(default=None, description="What every arm is compared with.")
    comparisons: list[Comparison] = Field(
        default=[],
        description="Further comparisons. Plain networks are always compared with the residual "
        "networks that differ in the shortcut alone.",
    )
    claims: dict[Name, Claim] = Field(
        default={},
        description="Claims by name. A comparison with `claim` and `says` tests one; a claim "
        "holds where all of its comparisons come out as it says.",
    )
    revisits: Name | None = Field(
        default=None,
        description="Another experiment of the study whose question this one asks better. Its "
        "comparisons test that one's claims, and the report tells which of them survive.",
    )
    narrative: (
        Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]+$")] | None
    ) = Field(
        default=None,
        description="File with a text about the experiment that the report shows: Markdown with "
        "Jinja2 expressions. Its path is relative to the study file.",
    )
    training: Training = Field(description="How every network is trained.")
    validation: Literal["held-out", "test"] = Field(
        default="held-out",
        description="`held-out` validates on a share of the training split; `test` on the test "
        "split while training on the whole training split, which makes test scores optimistic.",
    )
    keep_weights: bool = Field(
        default=False, description="Keep `model.weights.h5` of every run of this experiment."
    )
    overrides: list[Override] = Field(default=[], description="Other settings for some cells.")
    exclude: list[Cells] = Field(default=[], description="Cells that are not run.")

    @field_validator("final_seeds")
    @classmethod
    def _has_room_for_the_seeds(cls, final: int | None, found: ValidationInfo) -> int | None:
        seeds = len(found.data.get("seeds", []))
        if final is not None and final < seeds:
            raise PydanticCustomError(
                "order",
                "{reason}",
                {"reason": f"is {final}, but seeds names {seeds}: give {seeds} or more"},
            )
        return final


class Study(Strict):
    """A study: experiments, each a question with its grid."""

    title: Annotated[Text, Field(max_length=300)] = Field(description="The report's title.")
    description: Annotated[Readable, Field(max_length=10_000)] = Field(
        default="", description="What a reader should know first, as plain text."
    )
    margin: Annotated[float, Field(gt=0, le=50)] = Field(
        default=0.5,
        description="Percentage points of accuracy that do not matter: arms whose interval lies "
        "within them are called the same.",
    )
    rubric: Name | None = Field(
        default=None,
        description="What the study is graded on: config/rubrics/NAME.yaml. The report says of "
        "each criterion whether it is met.",
    )
    include: list[Name] = Field(
        default=[],
        description="Other studies whose experiments are part of this one as well, in front of "
        "its own. Runs are shared.",
    )
    experiments: dict[Name, Experiment] = Field(default={}, description="Name: experiment.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.experiments and not self.include:
            raise PydanticCustomError("empty", "has no experiments: give experiments or include")
        return self


class Config(Strict):
    """``config/config.yaml``: which study, and what belongs to this machine."""

    study: Name = Field(
        default="quickstart", description="The study to run: config/studies/NAME.yaml."
    )
    data_dir: str | None = Field(
        default=None,
        max_length=1000,
        pattern=r"^[^\x00-\x1f]+$",
        description="Where TensorFlow Datasets keeps its data. Default: TFDS_DATA_DIR, then "
        "~/tensorflow_datasets.",
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=2,
        description="CPU threads of one training job. Part of every run's identity, because "
        "the last bits of a result depend on it.",
    )
    environment: Literal["cpu", "gpu"] = Field(
        default="cpu",
        description="Which of `envs/*.yaml` training jobs take under `--sdm conda`.",
    )
    runs_per_device: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="How many runs may share one GPU of this machine. More than one needs a card "
        "with memory for them.",
    )
    simulated_devices: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0,
        description="Pretend that this machine has so many devices, to try how runs are spread "
        "over them; training then uses what is there. 0: none is pretended.",
    )
    recheck: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = Field(
        default=None,
        description="Id of the run that `snakemake recheck` repeats. Default: of the finished runs "
        "the one that took least time.",
    )
    prune: Literal["list", "remove"] = Field(
        default="list",
        description="What `snakemake prune` does with results that no study asks for.",
    )

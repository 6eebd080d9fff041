"""Typed models of a study file and of ``config/config.yaml``.

The JSON Schemas in ``workflow/schemas/`` and the reference in ``config/README.md`` are generated
from these models and the descriptions of their fields.
"""

import re
import unicodedata
from collections.abc import Iterable
from copy import copy
from keyword import iskeyword
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
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
from pydantic_core import CoreSchema

from ablation.augmentation.pipelines import NONE
from ablation.augmentation.registry import STEPS
from ablation.data.settings import DataSettings
from ablation.errors import InputError, nearest, shown_value
from ablation.models.families import family_of, option_schemas, refused_option
from ablation.strict import Strict, refusal
from ablation.study.metrics import COMPARABLE, TEST_ACCURACY, refused_measure
from ablation.training.settings import Training

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
NAME_LENGTH = 80  # a path component, with space for a suffix
MAX_SEED = 2**31 - 1


def one_of(what: str, known: Iterable[str]) -> AfterValidator:
    """Return a validator that refuses an unknown word and suggests the nearest known one."""
    words = list(known)

    def check(word: str) -> str:
        if word not in words:
            raise refusal(f"there is no {what} '{word}'{nearest(word, words)}")
        return word

    return AfterValidator(check)


def _name(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text) or len(text) > NAME_LENGTH:
        raise refusal(
            f"{shown_value(text)} is not a name: a name starts with a letter or digit, contains "
            "only letters, digits, '.', '_', '+' and '-', and has at most "
            f"{NAME_LENGTH} characters"
        )
    return text


def _readable(text: str) -> str:
    """Refuse control characters and noncharacters, which an HTML page cannot contain."""
    for one in text:
        if (unicodedata.category(one) == "Cc" and one not in "\n\t") or one in "\ufffe\uffff":
            raise refusal(f"contains the control character {one!r}; write plain text")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refusal("must not be blank")
    return text


def _pipeline_name(name: str) -> str:
    """Check that a name can be used in a pipeline and is not taken."""
    problem = ""
    if not (name.isascii() and name.isidentifier()) or iskeyword(name):
        problem = "is not an identifier: use letters, digits and _, and begin with a letter"
    elif name in STEPS or name == NONE:
        problem = "is the name of a step; choose another name"
    if problem:
        raise refusal(f"{shown_value(name)} {problem}")
    return name


Readable = Annotated[str, AfterValidator(_readable)]
Text = Annotated[Readable, Field(min_length=1), AfterValidator(_not_blank)]

NAME_SCHEMA = {"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_LENGTH}
Name = Annotated[str, AfterValidator(_name), WithJsonSchema(NAME_SCHEMA)]
PipelineName = Annotated[str, AfterValidator(_pipeline_name)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class NotEmpty(Strict):
    """A block with at least one key."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise refusal(f"is empty: give {' or '.join(type(self).model_fields)}")
        return self


class Named(Strict):
    """A block that can be written as its name only."""

    name: Name = Field(description="The label in tables, figures and paths.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Accept both forms in the schema."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [NAME_SCHEMA, schema], "description": schema.get("description", "")}


class Dataset(DataSettings, Named):
    """A data set and the preparation of its images. Just a name selects the source of that name."""

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
            raise refusal("must be greater than 0; with `validation: test` nothing is held out")
        return share

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Make the source optional and ``held_out`` positive in the schema."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        block = schema["anyOf"][-1]
        block["required"] = ["name"]
        held_out = block["properties"]["held_out"]
        held_out["exclusiveMinimum"] = held_out.pop("minimum")
        return schema


class Model(Named):
    """A network: an architecture and its options. Just a name selects that architecture."""

    model_config = ConfigDict(extra="allow")  # options, checked by the family

    architecture: str | None = Field(
        default=None,
        description="An architecture from the reference. The other keys are options of its "
        "family. Default: the name.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of its family that are given."""
        return dict(self.model_extra or {})

    @classmethod
    def _refused(cls, key: str, data: dict[str, Any]) -> str | None:
        """Return why an option is refused; None if the family has it."""
        architecture = str(data.get("architecture") or data.get("name"))
        return refused_option(architecture, key, cls.model_fields)

    @model_validator(mode="after")
    def _options_are_right(self) -> Self:
        family = family_of(self.architecture or self.name)
        if family is not None:  # an unknown architecture is refused by the plan
            family.check_options(self.options)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the options of all families to the schema."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        block = schema["anyOf"][-1]
        block["properties"] |= option_schemas()
        block["additionalProperties"] = False
        return schema


def _resolved_precision(precision: str) -> str:
    """Resolve ``auto``, which is not part of a run's settings."""
    if precision != "auto":
        return precision
    # Imported here, because most studies do not need it.
    from ablation.study.precision import auto_precision  # noqa: PLC0415

    try:
        return auto_precision()
    except InputError as error:
        raise refusal(f"{error}; or give float32 or bfloat16 instead of auto") from None


Precision = Annotated[Literal["float32", "bfloat16", "auto"], AfterValidator(_resolved_precision)]


class DeclaredTraining(Training):
    """Training settings: stochastic gradient descent with a learning rate schedule."""

    precision: Precision = Field(  # type: ignore[assignment]
        default="float32",
        description="`bfloat16` trains in mixed precision with float32 weights. `auto` selects "
        "`bfloat16` if the machine that plans the study computes it in hardware, otherwise "
        "`float32`. Runs have the selected precision in their identity.",
    )


def _patch_of(model: type[Strict], name: str) -> type[Strict]:
    """Return a copy of a model in which all keys are optional and have no default."""
    fields: dict[str, Any] = {}
    for key, info in model.model_fields.items():
        patch = copy(info)
        patch.default, patch.default_factory = None, None
        fields[key] = (info.annotation, patch)
    return create_model(name, __base__=Strict, __doc__="The keys to change.", **fields)


if TYPE_CHECKING:

    class TrainingPatch(DeclaredTraining):
        """The keys to change."""

else:
    TrainingPatch = _patch_of(DeclaredTraining, "TrainingPatch")


class Arms(NotEmpty):
    """Arms of the grid: all that match every given key."""

    dataset: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Name of a data set, or a list of names."
    )
    model: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Name of a model, or a list of names."
    )
    augmentation: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="Label of an augmentation, or a list of labels."
    )

    def given(self) -> dict[str, list[Any]]:
        """Return the keys that are given, each with the list of its values."""
        values = {key: getattr(self, key) for key in type(self).model_fields}
        return {
            key: value if isinstance(value, list) else [value]
            for key, value in values.items()
            if value is not None
        }


class Cells(Arms):
    """Cells of the grid: all that match every given key."""

    seed: Seed | Annotated[list[Seed], Field(min_length=1)] | None = Field(
        default=None, description="A seed, or a list of seeds."
    )


class Override(Strict):
    """Different training settings for some cells. Later overrides take precedence."""

    where: Cells = Field(description="The cells to change.")
    training: TrainingPatch = Field(description="The training settings to change.")


class Baseline(NotEmpty):
    """The reference of the arms: the same cell with these names replaced.

    The data set is always the same, because differences are paired by test image.
    """

    model: Name | None = Field(default=None, description="Name of the model to compare with.")
    augmentation: Name | None = Field(
        default=None, description="Label of the augmentation to compare with."
    )


class Reference(Baseline):
    """The reference of an arm: the same arm with these names replaced."""

    experiment: Name | None = Field(
        default=None,
        description="Another experiment of the study that contains the reference. For kind "
        "`budget`: the same cell, trained for a different number of epochs.",
    )


Factor = Literal["dataset", "model", "augmentation", "depth", "shortcut"]


def _comparable(name: str) -> str:
    if reason := refused_measure(name):
        raise refusal(reason)
    return name


Measure = Annotated[
    str, AfterValidator(_comparable), WithJsonSchema({"type": "string", "enum": COMPARABLE})
]


class Comparison(Strict):
    """A comparison in addition to those with the baseline."""

    kind: Literal["arm", "budget", "factor"] = Field(
        description="`arm` compares A with B; `budget` compares A with B after a given epoch, or "
        "after training for different numbers of epochs; `factor` computes main effects and "
        "interactions of a factorial design."
    )
    arm: Arms | None = Field(
        default=None,
        description="For `arm` and `budget`: A. Each matching cell is compared with its reference.",
    )
    reference: Reference | None = Field(
        default=None,
        description="For `arm` and `budget`: B, the same cell with these names replaced.",
    )
    epoch: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For `budget`: epoch after which validation accuracy is compared. Default: "
        "cells trained for different numbers of epochs are compared by test accuracy.",
    )
    measure: Measure = Field(
        default=TEST_ACCURACY,
        description="For `arm`: the metric to compare. Only test accuracy has a value per image; "
        "other metrics are tested over the seeds only.",
    )
    margin: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="For `arm`: largest difference that is negligible, in the unit of the metric "
        "(percentage points for shares). Default: the margin of the study for test accuracy, and "
        "none for other metrics, so that no verdict is `same`.",
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
        description="For `factor`: two or three of `dataset`, `model`, `augmentation`, `depth` "
        "and `shortcut`, or your own factors with their levels, of which the first is the "
        "reference: `{cutmix: {without: {augmentation: [none, flip]}, with: {augmentation: "
        "[cutmix, flip+cutmix]}}, ...}`.",
    )
    where: Arms | None = Field(
        default=None, description="For `factor`: the cells to include. Default: all."
    )
    effects: Literal["all", "main", "interactions"] = Field(
        default="all",
        description="For `factor`: the effects to compare, either main effects, interactions or "
        "both.",
    )
    claim: Name | None = Field(
        default=None,
        description="One of the `claims` of the experiment, which this comparison tests. For "
        "`factor`, the interactions test it.",
    )
    says: Literal["better", "worse", "same", "different"] | None = Field(
        default=None, description="The claimed result of A compared with B."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = {key for key in self.model_fields_set if getattr(self, key) is not None} - {"kind"}
        if {"epoch", "measure"} <= given:
            raise refusal(
                "with an epoch, validation accuracy is compared; leave out measure or epoch",
            )
        needed, allowed = {
            "arm": ({"arm", "reference"}, {"measure", "margin", "claim", "says"}),
            "budget": ({"arm", "reference"}, {"epoch", "claim", "says"}),
            "factor": ({"factors"}, {"where", "effects", "claim", "says"}),
        }[self.kind]
        for key in sorted(needed - given):
            raise refusal(f"kind {self.kind} needs the key '{key}'")
        for key in sorted(given - needed - allowed):
            raise refusal(f"kind {self.kind} takes no '{key}'")
        if self.kind == "arm" and self.reference and self.reference.experiment:
            raise refusal("kind arm compares within the experiment; kind budget takes another one")
        if isinstance(self.factors, list) and len(set(self.factors)) < len(self.factors):
            raise refusal("a factor is given twice")
        if (self.claim is None) != (self.says is None):
            raise refusal("claim and says go together")
        if self.claim and self.factors and len(self.factors) != 2:
            raise refusal("a claim is tested by the interaction of two factors")
        if self.claim and self.effects == "main":
            raise refusal("a claim is tested by the interaction, which effects: main leaves out")
        return self


class Claim(Strict):
    """A claim with its source, which comparisons of the experiment test."""

    text: Annotated[Text, Field(max_length=500)] = Field(description="The claim, as a sentence.")
    source: Annotated[Text, Field(max_length=300)] = Field(
        description="The author of the claim and the publication."
    )


class Experiment(Strict):
    """A question and the grid of runs that answers it."""

    question: Annotated[Text, Field(max_length=1000)] = Field(
        description="The question, as printed in the report."
    )
    datasets: Annotated[list[Dataset], Field(min_length=1)] = Field(
        description="Names of data sets, or blocks with settings."
    )
    models: Annotated[list[Model], Field(min_length=1)] = Field(
        description="Names of architectures, or blocks with options."
    )
    augmentations: (
        Annotated[dict[Name, str], Field(min_length=1)] | Annotated[list[Name], Field(min_length=1)]
    ) = Field(
        default={"none": ""},
        description="Pipelines by label, such as `{crop: flip | crop(4)}`, or a list of names of "
        "`pipelines` and of steps that require no parameter.",
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        description="Random seeds. Every cell is run once per seed."
    )
    final_seeds: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="Planned number of seeds, if fixed before any result is seen; at least as "
        "many as in `seeds`. A single analysis of all of them then uses the whole error "
        "probability. Default: a fifth of the error probability is reserved for seeds that are "
        "added later.",
    )
    baseline: Baseline | None = Field(default=None, description="The reference of every arm.")
    comparisons: list[Comparison] = Field(
        default=[],
        description="Additional comparisons. Plain networks are always compared with residual "
        "networks that differ only in the shortcuts.",
    )
    claims: dict[Name, Claim] = Field(
        default={},
        description="Claims by name. Comparisons with `claim` and `says` test them; a claim "
        "holds if all of its comparisons have the claimed result.",
    )
    revisits: Name | None = Field(
        default=None,
        description="Another experiment of the study whose claims are tested again by the "
        "comparisons of this one. The report lists which of them still hold.",
    )
    narrative: (
        Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f]+$")] | None
    ) = Field(
        default=None,
        description="Path of a text about the experiment for the report, relative to the study "
        "file: Markdown with Jinja2 expressions.",
    )
    training: DeclaredTraining = Field(description="Training settings of all networks.")
    validation: Literal["held-out", "test"] = Field(
        default="held-out",
        description="`held-out` validates on a share of the training split. `test` validates on "
        "the test split and trains on the whole training split, which makes test scores "
        "optimistic.",
    )
    keep_weights: bool = Field(
        default=False, description="Whether to keep `model.weights.h5` of every run."
    )
    overrides: list[Override] = Field(
        default=[], description="Different training settings for some cells."
    )
    exclude: list[Cells] = Field(default=[], description="Cells that are not run.")

    @field_validator("final_seeds")
    @classmethod
    def _is_not_below_the_seeds(cls, final: int | None, found: ValidationInfo) -> int | None:
        seeds = len(found.data.get("seeds", []))
        if final is not None and final < seeds:
            raise refusal(f"is {final}, but seeds names {seeds}: give {seeds} or more")
        return final


class Study(Strict):
    """A study: a collection of experiments."""

    title: Annotated[Text, Field(max_length=300)] = Field(description="The title of the report.")
    description: Annotated[Readable, Field(max_length=10_000)] = Field(
        default="", description="An introduction for the reader, as plain text."
    )
    margin: Annotated[float, Field(gt=0, le=50)] = Field(
        default=0.5,
        description="Largest difference of accuracy that is negligible, in percentage points. "
        "Arms whose confidence interval lies within it get the verdict `same`.",
    )
    rubric: Name | None = Field(
        default=None,
        description="Name of the rubric `config/rubrics/NAME.yaml`. The report shows which of "
        "its criteria are met.",
    )
    include: list[Name] = Field(
        default=[],
        description="Names of other studies whose experiments are added before those of this "
        "one. Runs are shared.",
    )
    pipelines: dict[PipelineName, str] = Field(
        default={},
        description="Named pipelines, to be used like steps in the pipelines of this file. Names "
        "consist of letters, digits and `_`.",
    )
    experiments: dict[Name, Experiment] = Field(default={}, description="Experiments by name.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.experiments and not self.include:
            raise refusal("has no experiments: give experiments or include")
        return self


class Config(Strict):
    """``config/config.yaml``: the study to run and the settings of this machine."""

    study: Name = Field(
        default="quickstart", description="The study to run: `config/studies/NAME.yaml`."
    )
    data_dir: str | None = Field(
        default=None,
        max_length=1000,
        pattern=r"^[^\x00-\x1f]+$",
        description="Data folder of TensorFlow Datasets. Default: `TFDS_DATA_DIR`, or "
        "`~/tensorflow_datasets`.",
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=2,
        description="CPU threads per training job. They are part of the identity of a run, "
        "because they change the last bits of its results.",
    )
    environment: Literal["cpu", "gpu"] = Field(
        default="cpu",
        description="The environment of training jobs with `--sdm conda`, `envs/*.yaml`, and the "
        "image of all jobs with `--sdm apptainer`, `envs/*.sif`.",
    )
    runs_per_device: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Number of runs that share one GPU. More than one needs enough GPU memory.",
    )
    runtime: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Minutes that a training job may take on a cluster, whose queues may have a "
        "limit. An interrupted job resumes after its last epoch. Default: twice the estimate from "
        "finished runs, or a day if there are none of the same network.",
    )
    warm_start: bool = Field(
        default=True,
        strict=False,  # the command line gives text
        description="Whether jobs on this machine share one import of TensorFlow: they are forked "
        "from a process that has imported it.",
    )
    recheck: Annotated[str, Field(pattern="^[0-9a-f]{8}$")] | None = Field(
        default=None,
        description="Id of the run that `snakemake recheck` repeats. Default: the fastest "
        "finished run.",
    )
    prune: Literal["list", "remove"] = Field(
        default="list",
        description="Whether `snakemake prune` lists or removes results that belong to no study.",
    )

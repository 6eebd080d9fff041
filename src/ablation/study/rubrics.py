"""The schema of rubrics: criteria with checks of the results of a study.

A rubric is a file ``config/rubrics/NAME.yaml``, which a study names with the key ``rubric``.
`ablation.analysis.rubric` evaluates the checks.
"""

from itertools import product
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from ablation.augmentation.registry import STEPS
from ablation.models.families import ARCHITECTURES, FAMILIES, resolve_network
from ablation.models.families.resnet import Form, Kind
from ablation.strict import Strict, refusal
from ablation.study.metrics import METRICS
from ablation.study.schema import Name, NotEmpty, Text, one_of

KINDS_OF_AUGMENTATION = ("none", "basic", "geometric", "colour")


class Network(NotEmpty):
    """All networks with the given settings."""

    family: Annotated[Name, one_of("family", FAMILIES)] | None = Field(
        default=None, description="A family of networks, such as `resnet`."
    )
    kind: Kind | None = Field(default=None, description="With or without shortcut connections.")
    depth: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Layers with weights."
    )
    form: Form | None = Field(
        default=None, description="Four stages (`imagenet`) or three (`cifar`)."
    )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are given."""
        return self.model_dump(exclude_none=True)

    def __str__(self) -> str:
        """Return the settings as in ``kind=plain,depth=34``."""
        return ",".join(f"{key}={value}" for key, value in self.settings.items())


Architecture = Annotated[Name, one_of("architecture", ARCHITECTURES)]
Augmentation = Annotated[Name, one_of("augmentation", [*KINDS_OF_AUGMENTATION, *STEPS])]
Metric = Annotated[Name, one_of("metric", [metric.name for metric in METRICS])]
Datasets = Name | Annotated[list[Name], Field(min_length=1)]
Models = Architecture | Network | Annotated[list[Architecture | Network], Field(min_length=1)]
Augmentations = Augmentation | Annotated[list[Augmentation], Field(min_length=1)]

DATASET = (
    "The source of a data set, such as `cats_vs_dogs`, or the name of one with local images; "
    "or a list of these. Default: any."
)
MODEL = (
    "An architecture, such as `resnet34`, for all networks of its family, kind, depth and form; "
    "a block of such settings; or a list of these. Default: any."
)
AUGMENTATION = (
    "A step, such as `cutmix`, for all pipelines that contain it; `basic` (`geometric` or "
    "`colour`) for steps of this kind without mixing; `none` for no step; or a list of these. "
    "Default: any."
)


class Wanted(NamedTuple):
    """Cells of a check; None means any."""

    dataset: str | None
    model: str | Network | None
    augmentation: str | None

    @property
    def settings(self) -> dict[str, Any]:
        """The required settings of the network."""
        if self.model is None:
            return {}
        if isinstance(self.model, Network):
            return self.model.settings
        return resolve_network(self.model, {}).model_dump(include=set(Network.model_fields))


class Check(Strict):
    """A check of all cells that match every given key.

    If a key has several values, the check must hold for each of them.
    """

    dataset: Datasets | None = Field(default=None, description=DATASET)
    model: Models | None = Field(default=None, description=MODEL)
    augmentation: Augmentations | None = Field(default=None, description=AUGMENTATION)

    needs: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        for key in self.needs:
            if getattr(self, key) is None:
                raise refusal(f"the key '{key}' is missing")
        return self

    def listed(self, key: Literal["dataset", "model", "augmentation"]) -> list[Any]:
        """Return the values of a key as a list; None means any value."""
        value = getattr(self, key)
        return value if isinstance(value, list) else [value]

    def wanted(self) -> list[Wanted]:
        """Return each combination of the values given."""
        keys = (self.listed(key) for key in ("dataset", "model", "augmentation"))
        return [Wanted(*values) for values in product(*keys)]


KIND = "The kind of the check."


class NetworkCheck(Check):
    """The networks exist and have the right number of parameters.

    The numbers of all and of trainable parameters in the record of a run equal those of a separate
    count from the blocks of Table 1 of He et al. (2015), with the head, shortcuts and biases of the
    study. Requires ``model``. Supports residual and plain networks only.
    """

    check: Literal["network"] = Field(description=KIND)
    needs: ClassVar[tuple[str, ...]] = ("model",)

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        families = {one.settings.get("family", "resnet") for one in self.wanted()}
        for family in sorted(families - {"resnet"}):
            raise refusal(f"supports residual and plain networks only, not the family {family}")
        return self


class LossFalls(Check):
    """The training loss of every run falls steadily.

    It ends below its first value and is never above its lowest value so far by more than ``rise``.
    """

    check: Literal["loss_falls"] = Field(description=KIND)
    rise: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05,
        description="Largest rise, as a share of the range of the loss (highest minus lowest "
        "epoch).",
    )
    epochs: Annotated[int, Field(ge=2)] = Field(
        default=3, description="With fewer epochs the check is not decided."
    )


class Converges(Check):
    """Training has converged.

    All runs of a cell have finished with finite losses, and the training loss of each ended at most
    at ``loss``. The mean validation accuracy of the runs is well above chance and has settled
    (``change``). With a learning rate that ends at 0, this means convergence for this budget. With
    fewer than four epochs the check is not decided.
    """

    check: Literal["converges"] = Field(description=KIND)
    loss: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.9,
        description="Largest final training loss, as a share of that of the first epoch. With "
        "mixed labels the loss cannot fall far.",
    )
    change: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01,
        description="Largest difference of the mean validation accuracy, as a share, between the "
        "last fifth of the epochs (at least two) and the same number of epochs before.",
    )


class Table(Check):
    """An ablation table exists.

    The arms (each `model` with each `augmentation`) are in one experiment on one data set, have no
    other differences, have a common finished seed, and were trained for the same number of epochs.
    """

    check: Literal["table"] = Field(description=KIND)
    metric: Metric = Field(description="The metric in the table, such as `val_accuracy_last`.")

    @model_validator(mode="after")
    def _has_arms(self) -> Self:
        if len(self.listed("model")) * len(self.listed("augmentation")) < 2:
            raise refusal("a table needs at least two arms: give several models or augmentations")
        return self


class BestArm(Check):
    """The best augmentation of a network is known.

    By the verdicts of the comparisons, one arm is better than or the same as every other arm,
    directly or through an arm in between, and better than at least one. With ``augmentation``, only
    arms of these kinds count for ``at_least``.
    """

    check: Literal["best_arm"] = Field(description=KIND)
    at_least: Annotated[int, Field(ge=2)] = Field(
        default=3,
        description="Minimum number of augmentations of a network on a data set, in one "
        "experiment.",
    )


class Pictures(Check):
    """The gallery of the report shows the augmentations. Requires ``augmentation``."""

    check: Literal["pictures"] = Field(description=KIND)
    needs: ClassVar[tuple[str, ...]] = ("augmentation",)


class ArmsCompared(Check):
    """Augmentations are compared systematically.

    For one network and data set, all runs with these augmentations and all seeds have finished, and
    each augmentation is compared with the same reference or is that reference. Requires
    ``augmentation``.
    """

    check: Literal["comparison"] = Field(description=KIND)
    decided: bool = Field(default=False, description="Whether all verdicts must be decided.")
    needs: ClassVar[tuple[str, ...]] = ("augmentation",)


class Criterion(Strict):
    """A criterion: met if all of its checks are met."""

    question: Annotated[Text, Field(max_length=1000)] = Field(
        description="The criterion, as printed in the report."
    )
    checks: Annotated[
        list[
            Annotated[
                NetworkCheck | LossFalls | Converges | Table | BestArm | Pictures | ArmsCompared,
                Field(discriminator="check"),
            ]
        ],
        Field(min_length=1),
    ] = Field(description="The checks of the criterion.")


class Rubric(Strict):
    """A rubric: criteria for grading a study."""

    criteria: Annotated[list[Criterion], Field(min_length=1)] = Field(
        description="The criteria, numbered from 1 in the report."
    )

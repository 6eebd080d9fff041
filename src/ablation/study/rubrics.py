"""The form of a rubric: criteria in words, each with checks that the results of a study answer.

A rubric stands in ``config/rubrics/NAME.yaml``; a study names it with the key ``rubric``.
`ablation.analysis.rubric` answers the checks.
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
    """Networks by their settings: all that have every setting given."""

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
        """Write the settings as in ``kind=plain,depth=34``."""
        return ",".join(f"{key}={value}" for key, value in self.settings.items())


Architecture = Annotated[Name, one_of("architecture", ARCHITECTURES)]
Augmentation = Annotated[Name, one_of("augmentation", [*KINDS_OF_AUGMENTATION, *STEPS])]
Metric = Annotated[Name, one_of("metric", [metric.name for metric in METRICS])]
Datasets = Name | Annotated[list[Name], Field(min_length=1)]
Models = Architecture | Network | Annotated[list[Architecture | Network], Field(min_length=1)]
Augmentations = Augmentation | Annotated[list[Augmentation], Field(min_length=1)]

DATASET = (
    "The source of a data set, such as `cats_vs_dogs`, or the name of one with local images; "
    "or several. Default: any."
)
MODEL = (
    "An architecture, such as `resnet34`, which stands for all networks of its family, kind, depth "
    "and form; a block of such settings; or several of them. Default: any."
)
AUGMENTATION = (
    "A step, such as `cutmix`, which stands for all pipelines that have it; `basic` (`geometric` "
    "or `colour`) for steps of this kind without mixing; `none` for no step; or several. "
    "Default: any."
)


class Wanted(NamedTuple):
    """Cells that a check looks for; None means any."""

    dataset: str | None
    model: str | Network | None
    augmentation: str | None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the network has to have."""
        if self.model is None:
            return {}
        if isinstance(self.model, Network):
            return self.model.settings
        return resolve_network(self.model, {}).model_dump(include=set(Network.model_fields))


class Check(Strict):
    """A check, and the cells that it looks at: all that match every key given.

    Where a key has several values, the check has to hold for each.
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
        """Return the values of a key as a list; any value is None."""
        value = getattr(self, key)
        return value if isinstance(value, list) else [value]

    def wanted(self) -> list[Wanted]:
        """Return each combination of the values given."""
        keys = (self.listed(key) for key in ("dataset", "model", "augmentation"))
        return [Wanted(*values) for values in product(*keys)]


KIND = "The kind of the check."


class NetworkCheck(Check):
    """The networks are there, and their parameters are counted right.

    The parameters that a run counted, in all and trainable, equal those of a separate count from
    the blocks of the paper's Table 1 (He et al. 2015), for the head, the shortcuts and the biases
    that the study asks for. It needs ``model``, and counts residual and plain networks only.
    """

    check: Literal["network"] = Field(description=KIND)
    needs: ClassVar[tuple[str, ...]] = ("model",)

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        families = {one.settings.get("family", "resnet") for one in self.wanted()}
        for family in sorted(families - {"resnet"}):
            raise refusal(f"counts residual and plain networks only, not the family {family}")
        return self


class LossFalls(Check):
    """The training loss of every run falls steadily.

    It ends below where it began and never stands above its lowest value so far by more than
    ``rise``. Measured from the lowest value so far, several small rises count as the one that they
    add up to.
    """

    check: Literal["loss_falls"] = Field(description=KIND)
    rise: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05,
        description="The largest rise, as a share of the loss's own range (highest less lowest "
        "epoch), so that it means the same for every data set.",
    )
    epochs: Annotated[int, Field(ge=2)] = Field(
        default=3, description="Fewer epochs decide nothing."
    )


class Converges(Check):
    """Training has converged.

    All runs of a cell have finished with finite losses; the training loss of each ended at no more
    than ``loss``; in the mean over the runs, validation accuracy is well above chance and has
    settled (``change``). A learning rate that ends at 0 settles any run: converged then means at
    this budget. With fewer than four epochs nothing is decided.
    """

    check: Literal["converges"] = Field(description=KIND)
    loss: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.9,
        description="Largest training loss at the end, as a share of that of the first epoch. "
        "Mixed labels keep a loss from falling far.",
    )
    change: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01,
        description="Largest difference, as a share of the images, between the mean validation "
        "accuracy of the last fifth of the epochs (at least two) and that of as many before.",
    )


class Table(Check):
    """There is an ablation table.

    The arms (each of `model` with each of `augmentation`) stand in one experiment on one data set,
    differ in nothing else, have a seed that all of them have finished, and were trained for the
    same number of epochs.
    """

    check: Literal["table"] = Field(description=KIND)
    metric: Metric = Field(description="The metric in the table, such as `val_accuracy_last`.")

    @model_validator(mode="after")
    def _has_arms(self) -> Self:
        if len(self.listed("model")) * len(self.listed("augmentation")) < 2:
            raise refusal("a table has two arms at least: give several values of model or "
                "augmentation",
            )  # fmt: skip
        return self


class BestArm(Check):
    """The best augmentation of a network is known.

    The verdicts of the comparisons put one arm above every other: better than it, directly or
    through an arm in between, or the same as it, and better than at least one. With
    ``augmentation``, only arms of these kinds count for ``at_least``.
    """

    check: Literal["best_arm"] = Field(description=KIND)
    at_least: Annotated[int, Field(ge=2)] = Field(
        default=3,
        description="Augmentations that one network meets on one data set, in one experiment.",
    )


class Pictures(Check):
    """The report's gallery shows pictures of the augmentations; it needs ``augmentation``."""

    check: Literal["pictures"] = Field(description=KIND)
    needs: ClassVar[tuple[str, ...]] = ("augmentation",)


class ArmsCompared(Check):
    """Augmentations are compared systematically.

    One network on one data set has finished all of them with every seed of the experiment, and
    each is compared with the same reference, or is that reference. It needs ``augmentation``.
    """

    check: Literal["comparison"] = Field(description=KIND)
    decided: bool = Field(default=False, description="Whether no comparison may be open.")
    needs: ClassVar[tuple[str, ...]] = ("augmentation",)


class Criterion(Strict):
    """A criterion: met if all of its checks are met."""

    question: Annotated[Text, Field(max_length=1000)] = Field(
        description="The criterion in words, as the report prints it."
    )
    checks: Annotated[
        list[
            Annotated[
                NetworkCheck | LossFalls | Converges | Table | BestArm | Pictures | ArmsCompared,
                Field(discriminator="check"),
            ]
        ],
        Field(min_length=1),
    ] = Field(description="What has to hold.")


class Rubric(Strict):
    """A rubric: what a study is graded on."""

    criteria: Annotated[list[Criterion], Field(min_length=1)] = Field(
        description="The criteria, numbered from 1 in the report."
    )

"""Published accuracies, and which cells of a study they may stand beside.

The figures and their settings are in ``published.yaml``. A figure stands beside a cell only where
both are the same network on the same images with the same arm:

- network: the same family and the same settings, but for those that can be named as differences;
  so of residual and plain networks the same kind, depth, form, width and stem;
- data: the same source, all of it (no ``limit``), at the same height and width;
- arm: the same mixing steps with the same parameters, and the same kinds of steps before them
  (``flip | crop(2)`` matches ``flip | crop(4)``, ``flip`` alone does not). Steps that can do
  nothing, such as ``crop(0)``, do not count, nor does ``clip``, and the order of steps that do not
  mix does not either. Where this project has no step for what was published, the figure matches
  what is geometric, coloured or both alike.

Whatever else differs is named beside the figure.
"""

from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipelines import format_pipeline
from ablation.augmentation.registry import Kind, Pipeline, StepCall
from ablation.data.settings import Pixels
from ablation.data.sources import source_name, source_of
from ablation.errors import InputError, nearest
from ablation.models.families import resolve_network
from ablation.models.families.base import NetworkSettings
from ablation.strict import Strict
from ablation.study.grid import Run
from ablation.study.loading import read_yaml
from ablation.study.plan import Plan
from ablation.study.schema import TrainingPatch
from ablation.study.validation import validate

FILE = Path(__file__).with_name("published.yaml")
PUBLISHED_COLUMNS = (
    "experiment", "dataset", "model", "augmentation", "published", "own", "difference",
    "source", "setting", "differences_in_setting",
)  # fmt: skip
NONE_KNOWN = "none known"

Text = Annotated[str, Field(min_length=1)]

_ARCHITECTURE_WORDS = {
    "projection": "shortcut projection",
    "stride_on": "strided convolution of bottleneck blocks",
    "bias": "convolution biases",
    "initializer": "initial kernels",
    "norm_momentum": "batch norm momentum",
    "norm_epsilon": "batch norm epsilon",
    "padding": "padding",
    "scaling": "pixel scaling",
    "weights": "starting weights",
}
_TRAINING_WORDS = {
    "batch_size": "batch size",
    "shuffle": "shuffled",
    "learning_rate": "learning rate",
    "momentum": "momentum",
    "nesterov": "Nesterov momentum",
    "weight_decay": "weight decay",
    "clip_norm": "gradient clipping",
    "precision": "precision",
}


class Arm(Strict):
    """An augmentation as published: a pipeline, or words where this project has no steps for it."""

    pipeline: str | None = Field(default=None, description="The steps.")
    words: Text | None = Field(default=None, description="What was done, without a pipeline.")
    kinds: list[Kind] = Field(default=[], description="The kinds of steps in the words.")
    mixing: str = Field(default="", description="The steps that mix, with words.")
    unstated: list[str] = Field(default=[], description="Parameters of mixing that are not known.")
    notes: list[Text] = Field(default=[], description="What no step expresses.")

    @model_validator(mode="after")
    def _is_one_arm(self) -> Self:
        if (self.pipeline is None) == (self.words is None):
            raise PydanticCustomError("empty", "an arm has either a pipeline or words")
        if self.pipeline is not None and (self.kinds or self.mixing):
            raise PydanticCustomError("empty", "kinds and mixing go with words, not a pipeline")
        try:
            steps = self.steps
        except InputError as error:
            raise PydanticCustomError("empty", str(error)) from None
        if self.words is not None and len(steps) != len(mixing_steps(steps)):
            raise PydanticCustomError("empty", "mixing holds a step that does not mix")
        return self

    @property
    def steps(self) -> Pipeline:
        """The steps that can be expressed, resolved."""
        return parse_pipeline(self.mixing if self.pipeline is None else self.pipeline)

    @property
    def told(self) -> str:
        """What was done."""
        return self.words or format_pipeline(self.steps)


class Figure(Strict):
    """A published number, with what in its setting is its own."""

    architecture: str = Field(description="A name that a study may give.")
    arm: str = Field(description="One of the publication's arms.")
    error: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent, as printed."
    )
    accuracy: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent, as printed."
    )
    training: TrainingPatch | None = Field(default=None, description="What differs for this one.")
    runs: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Instead of runs.")
    take: Literal["mean", "best"] = Field(default="mean", description="Which of several runs.")
    notes: list[Text] = Field(default=[], description="What no setting expresses.")

    @model_validator(mode="after")
    def _has_one_value(self) -> Self:
        if (self.error is None) == (self.accuracy is None):
            raise PydanticCustomError("empty", "a figure has either an error or an accuracy")
        return self

    @property
    def percent(self) -> float:
        """Accuracy in percent; of an error, 100 less it."""
        value = self.accuracy if self.error is None else 100 - self.error
        assert value is not None  # the validator has seen to it
        return round(value, 6)


class Publication(Strict):
    """Figures of one table, with the setting that they share."""

    source: Text = Field(description="Paper and table.")
    dataset: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="Name in TensorFlow Datasets."
    )
    image_size: Pixels = Field(description="Side in pixels.")
    resize: Literal["stretch", "crop", "pad"] | None = Field(
        default=None, description="How images came to their size."
    )
    options: dict[str, Any] = Field(default={}, description="Of every architecture.")
    unstated: list[str] = Field(
        default=[], description="Settings of the networks that are not known."
    )
    arms: Annotated[dict[str, Arm], Field(min_length=1)] = Field(description="Label: arm.")
    training: TrainingPatch = Field(description="What is known of the training.")
    held_out: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Share of the training split that was not trained on."
    )
    measured: Text = Field(description="What the figures are.")
    runs: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Behind a figure.")
    epoch: Literal["last epoch", "best epoch", "median of the last ten epochs"] | None = Field(
        default=None, description="Which epoch was scored."
    )
    notes: list[Text] = Field(default=[], description="What no setting expresses.")
    figures: Annotated[list[Figure], Field(min_length=1)] = Field(description="The numbers.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for figure in self.figures:
            if figure.arm not in self.arms:
                hint = nearest(figure.arm, self.arms)
                raise PydanticCustomError("empty", f"no arm '{figure.arm}'{hint}")
            try:
                settings = self.network(figure).model_dump()
            except InputError as error:
                raise PydanticCustomError("empty", str(error)) from None
            for setting in self.unstated:
                if setting not in settings:
                    hint = nearest(setting, settings)
                    raise PydanticCustomError("empty", f"unknown setting '{setting}'{hint}")
        return self

    def network(self, figure: Figure) -> NetworkSettings:
        """Return the network of a figure."""
        return resolve_network(figure.architecture, self.options)

    def settings(self, figure: Figure) -> dict[str, Any]:
        """Return what is known of the training of a figure, by the keys of a study's training."""
        return _given(self.training) | (_given(figure.training) if figure.training else {})


def _given(training: TrainingPatch) -> dict[str, Any]:
    """The keys that are given, each with a whole value."""
    return {key: training.model_dump()[key] for key in training.model_fields_set}


class Publications(Strict):
    """The content of ``published.yaml``."""

    publications: Annotated[list[Publication], Field(min_length=1)] = Field(
        description="Tables, each with its setting."
    )


@cache
def read_published(file: Path = FILE) -> list[Publication]:
    """Read the published figures.

    Raises:
        InputError: the file is missing or something in it is wrong; the message names the place.
    """
    document = read_yaml(file)
    return validate(Publications, document, document.data).publications


def published_table(plan: Plan, cells: pd.DataFrame) -> pd.DataFrame:
    """Put published accuracies beside the cells of a study that they may be compared with.

    Args:
        plan: the study.
        cells: a row a cell, with experiment, dataset, model, augmentation, finished (runs) and
            test_accuracy (mean over seeds, 0 to 1, NaN where no run has finished).

    Returns:
        A row for each cell and figure, in the order of the study and of the file: the columns
        of `PUBLISHED_COLUMNS`. Accuracies are 0 to 1; ``difference`` is own less published, both
        NaN where the cell has no finished run. ``differences_in_setting`` names what differs
        besides, parted by semicolons, or says `NONE_KNOWN`. No row where nothing matches.

    Raises:
        InputError: the data file is wrong.
        KeyError: a cell of the plan is not among the cells.
    """
    publications = read_published()
    figures = [
        (publication, figure) for publication in publications for figure in publication.figures
    ]
    rows = []
    by_cell = {
        tuple(row[key] for key in ("experiment", "dataset", "model", "augmentation")): row
        for row in cells.to_dict("records")
    }
    for experiment in plan.experiments:
        one_run: dict[tuple[str, str, str], Run] = {}
        for run in experiment.runs:
            one_run.setdefault(run.cell, run)
        for cell, run in one_run.items():
            measured = by_cell[(experiment.name, *cell)]
            own = float(measured["test_accuracy"])
            for publication, figure in figures:
                if not stands_beside(publication, figure, run):
                    continue
                published = round(figure.percent / 100, 8)
                differences = setting_differences(
                    publication, figure, run, int(measured["finished"])
                )
                rows.append(
                    {
                        "experiment": experiment.name,
                        "dataset": run.dataset,
                        "model": run.model,
                        "augmentation": run.augmentation,
                        "published": published,
                        "own": own,
                        "difference": own - published,
                        "source": publication.source,
                        "setting": tell_setting(publication, figure),
                        "differences_in_setting": "; ".join(differences) or NONE_KNOWN,
                    }
                )
    return pd.DataFrame(rows, columns=list(PUBLISHED_COLUMNS))


def stands_beside(publication: Publication, figure: Figure, run: Run) -> bool:
    """Tell whether a figure may stand beside a run's cell; the module says when."""
    data, network = run.data.settings, publication.network(figure)
    known = source_of(data.source).known(data.source)
    size = data.image_size or (known and known.size)
    return (
        source_name(data.source) == publication.dataset
        and data.limit is None
        and data.train_share == 1
        and size == (publication.image_size, publication.image_size)
        and _layout(run.settings.model) == _layout(network)
        and same_arm(publication.arms[figure.arm], run.settings.augmentation)
    )


def _layout(network: NetworkSettings) -> dict[str, Any]:
    """The settings of a network in which it may not differ from a published one."""
    return network.model_dump(exclude=set(_ARCHITECTURE_WORDS))


def same_arm(arm: Arm, steps: Iterable[StepCall]) -> bool:
    """Tell whether resolved steps are a published arm, but for what is named as a difference."""
    own, published = effective_steps(steps), effective_steps(arm.steps)

    def stated(mixing: list[StepCall]) -> list[tuple[str, dict[str, Any]]]:
        return [
            (step.step, {k: v for k, v in step.parameters.items() if k not in arm.unstated})
            for step in mixing
        ]

    if stated(mixing_steps(own)) != stated(mixing_steps(published)):
        return False
    if arm.pipeline is None:
        return step_kinds(own) == set(arm.kinds)
    return _basic_steps(own) == _basic_steps(published)


def setting_differences(
    publication: Publication, figure: Figure, run: Run, finished: int
) -> list[str]:
    """Name every known setting in which a run differs from a published figure.

    Args:
        publication, figure: what was published.
        run: a run of the cell.
        finished: finished runs of the cell.
    """
    own = run.settings.training.model_dump()
    published = publication.settings(figure)
    return [
        *_training_differences(own, published),
        *_arm_differences(publication.arms[figure.arm], run.settings.augmentation),
        *_network_differences(publication, figure, run.settings.model),
        *_data_differences(publication, run),
        *_score_differences(publication, figure, own, finished),
        *(
            f"in the publication {note}"
            for note in (*publication.notes, *publication.arms[figure.arm].notes, *figure.notes)
        ),
    ]


def tell_setting(publication: Publication, figure: Figure) -> str:
    """Return how a figure was measured, in words."""
    settings = publication.settings(figure)
    parts = [f"{settings['epochs']} epochs"] if "epochs" in settings else []
    parts += [
        f"{_TRAINING_WORDS[key]} {_plain(settings[key])}"
        for key in ("batch_size", "learning_rate", "momentum", "weight_decay")
        if key in settings
    ]
    if "schedule" in settings:
        parts.append(f"schedule {_schedule(settings)}")
    parts.append(f"augmentation {publication.arms[figure.arm].told}")
    parts.append(publication.measured)
    if publication.epoch:
        parts.append(publication.epoch)
    if runs := figure.runs or publication.runs:
        parts.append(_runs(runs, figure.take))
    return "; ".join(parts)


def effective_steps(steps: Iterable[StepCall]) -> list[StepCall]:
    """Return the steps that can change an image or a label, in order."""
    return [step for step in steps if step.step != "clip" and not step.changes_nothing]


def mixing_steps(steps: Iterable[StepCall]) -> list[StepCall]:
    """Return the steps that mix images and labels, in order."""
    return [step for step in steps if step.definition.mixes_labels]


def step_kinds(steps: Iterable[StepCall]) -> set[Kind]:
    """Return the kinds of the steps that can change an image."""
    return {kind for step in effective_steps(steps) if (kind := step.definition.kind) is not None}


def _basic_steps(steps: Iterable[StepCall]) -> list[str]:
    return sorted(step.step for step in steps if not step.definition.mixes_labels)


def _training_differences(own: dict[str, Any], published: dict[str, Any]) -> list[str]:
    found = []
    if "epochs" in published and own["epochs"] != published["epochs"]:
        plural = "epoch" if own["epochs"] == 1 else "epochs"
        found.append(f"{own['epochs']} {plural} instead of {published['epochs']}")
    for key, words in _TRAINING_WORDS.items():
        if key in published and own[key] != published[key]:
            found.append(_instead(words, own[key], published[key]))
    if published.get("weight_decay") and own["weight_decay"]:  # how a decay of 0 works is idle
        for key, words in (
            ("weight_decay_kind", "kind of weight decay"),
            ("weight_decay_on", "weight decay on"),
        ):
            if key in published and own[key] != published[key]:
                found.append(_instead(words, own[key], published[key]))
    if "schedule" in published and _schedule(own) != _schedule(published):
        found.append(_instead("schedule", _schedule(own), _schedule(published)))
    if "early_stopping" in published:
        mine, theirs = (_stopping(settings["early_stopping"]) for settings in (own, published))
        if mine != theirs:
            found.append(f"{mine} instead of {theirs}")
    return found


def _arm_differences(arm: Arm, steps: Pipeline) -> list[str]:
    own = format_pipeline(steps)
    if arm.pipeline is None:
        return [_instead("augmentation", own, arm.told)]
    if _one_order(effective_steps(steps)) == _one_order(effective_steps(arm.steps)):
        return []
    return [_instead("augmentation", own, arm.told)]


def _one_order(steps: list[StepCall]) -> list[StepCall]:
    """Put a flip and a crop beside each other in one order: they commute."""
    ordered: list[StepCall] = []
    for commute, group in groupby(steps, lambda step: step.step in ("flip", "crop")):
        together = list(group)
        ordered += sorted(together, key=str) if commute else together
    return ordered


def _network_differences(
    publication: Publication, figure: Figure, network: NetworkSettings
) -> list[str]:
    own, published = network.model_dump(), publication.network(figure).model_dump()
    return [
        _instead(words, _told(key, own[key]), _told(key, published[key]))
        for key, words in _ARCHITECTURE_WORDS.items()
        if key in own and key not in publication.unstated and own[key] != published[key]
    ]


def _told(key: str, value: Any) -> Any:
    return "random" if key == "weights" and value is None else value


def _data_differences(publication: Publication, run: Run) -> list[str]:
    found = []
    data = run.data.settings
    if publication.resize and data.image_size and data.resize != publication.resize:
        found.append(_instead("resizing", data.resize, publication.resize))
    if publication.held_out is not None and data.held_out != publication.held_out:
        found.append(
            f"{100 * data.held_out:g} % of the training split held out for validation instead "
            f"of {100 * publication.held_out:g} %"
        )
    return found


def _score_differences(
    publication: Publication, figure: Figure, own: dict[str, Any], finished: int
) -> list[str]:
    found = []
    stopping = own["early_stopping"]
    epoch = "best epoch" if stopping and stopping["restore_best"] else "last epoch"
    if publication.epoch and epoch != publication.epoch:
        found.append(f"{epoch} instead of {publication.epoch}")
    runs = figure.runs or publication.runs
    if runs and finished:
        mine, theirs = _runs(finished, "mean"), _runs(runs, figure.take)
        if mine != theirs:
            found.append(f"{mine} instead of {theirs}")
    return found


def _runs(number: int, take: str) -> str:
    return "one run" if number == 1 else f"the {take} of {number} runs"


def _schedule(settings: dict[str, Any]) -> str:
    told = str(settings["schedule"])
    if told == "step":
        at = ", ".join(f"{share:g}" for share in settings["step_at"])
        told = f"step (×{settings['step_factor']:g} at {at} of the training)"
    warmup = settings.get("warmup_epochs", 0)
    return f"{told} after {warmup:g} epochs of warm-up" if warmup else told


def _stopping(settings: dict[str, Any] | None) -> str:
    if settings is None:
        return "no early stopping"
    told = f"early stopping on {settings['monitor']} with patience {settings['patience']}"
    return f"{told}, which restores the best epoch" if settings["restore_best"] else told


def _instead(words: str, own: Any, published: Any) -> str:
    return f"{words} {_plain(own)} instead of {_plain(published)}"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

"""The runs of a study: the grid with all settings resolved."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ablation.augmentation.registry import Pipeline
from ablation.data.settings import DataSettings
from ablation.identity import identity
from ablation.models.families.base import NetworkSettings
from ablation.study.schema import Dataset, Experiment
from ablation.training.settings import RunSettings, Training

IMAGENET_WEIGHTS = "results/weights/resnet50-imagenet-notop.h5"


@dataclass(frozen=True)
class PreparedData:
    """A data set in the form in which runs read it.

    Attributes:
        dataset: its label.
        settings: its settings; ``stored_size`` is None if it equals ``image_size``, ``held_out``
            is 0 if validation uses the test split.
    """

    dataset: str
    settings: DataSettings

    @cached_property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return identity(self.settings)[:8]

    @property
    def folder(self) -> str:
        """Its folder, relative to the working directory."""
        size = self.settings.stored_size or self.settings.image_size
        shape = "x".join(map(str, size)) if size else "native"
        return f"results/data/{self.dataset}/{shape}-{self.settings.resize}-{self.id}"


@dataclass(frozen=True)
class Run:
    """One cell of the grid with one seed.

    Attributes:
        dataset, model, augmentation: the labels of the cell.
        settings: all settings.
        data: the prepared data.
    """

    dataset: str
    model: str
    augmentation: str
    settings: RunSettings
    data: PreparedData

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.settings.seed

    @property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return self.settings.id

    @property
    def folder(self) -> str:
        """Folder of its files, relative to the working directory."""
        return (
            f"results/runs/{self.dataset}/{self.model}/{self.augmentation}/"
            f"seed-{self.seed}-{self.id}"
        )

    @property
    def checkpoints(self) -> str:
        """Folder of its checkpoints, relative to the working directory."""
        return self.folder.replace("results/runs/", "results/checkpoints/", 1)

    @property
    def log(self) -> str:
        """The log of its training, relative to the working directory."""
        return self.folder.replace("results/runs/", "results/logs/train/", 1) + ".log"

    @property
    def weights_file(self) -> str | None:
        """The file of pretrained weights; None without one."""
        weights = self.settings.model.weights
        return IMAGENET_WEIGHTS if weights == "imagenet" else weights

    @property
    def cell(self) -> tuple[str, str, str]:
        """Dataset, model and augmentation."""
        return (self.dataset, self.model, self.augmentation)


def prepared_data(dataset: Dataset, validation: str = "held-out") -> PreparedData:
    """Resolve a data set's block.

    Args:
        dataset: the block.
        validation: as in the experiment.
    """
    values = dataset.model_dump(exclude={"name"})
    if values["stored_size"] == values["image_size"]:
        values["stored_size"] = None
    if validation == "test":
        values["held_out"] = 0.0
    return PreparedData(dataset.name, DataSettings.model_validate(values))


def expand(
    experiment: Experiment,
    networks: dict[str, NetworkSettings],
    pipelines: dict[str, Pipeline],
    threads: int,
) -> list[Run]:
    """Return the runs of an experiment: the product of all lists without excluded cells.

    Args:
        experiment: its block.
        networks: settings of the networks, by name of the model.
        pipelines: resolved pipelines, by label of the augmentation.
        threads: CPU threads of a training job.

    Raises:
        pydantic.ValidationError: training settings do not fit together after an override.
    """
    runs = []
    datasets = {
        dataset.name: prepared_data(dataset, experiment.validation)
        for dataset in experiment.datasets
    }
    for dataset, model, label, seed in product(datasets, networks, pipelines, experiment.seeds):
        cell = {"dataset": dataset, "model": model, "augmentation": label, "seed": seed}
        if any(_matches(cell, cells.given()) for cells in experiment.exclude):
            continue
        settings = RunSettings(
            dataset=datasets[dataset].settings,
            model=networks[model],
            augmentation=pipelines[label],
            training=_training(experiment, cell),
            validation=experiment.validation,
            seed=seed,
            threads=threads,
        )
        runs.append(Run(dataset, model, label, settings, datasets[dataset]))
    return runs


def _training(experiment: Experiment, cell: dict[str, Any]) -> Training:
    values = experiment.training.model_dump()
    for override in experiment.overrides:
        if _matches(cell, override.where.given()):
            values |= override.training.model_dump(exclude_unset=True)
    return Training.model_validate(values)


def _matches(cell: dict[str, Any], wanted: dict[str, list[Any]]) -> bool:
    return all(cell[key] in values for key, values in wanted.items())

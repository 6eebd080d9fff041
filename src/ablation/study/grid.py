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

IMAGENET_WEIGHTS = "weights/resnet50-imagenet-notop.h5"
"""Keras' weights of ResNet-50, relative to the folder of results."""


@dataclass(frozen=True)
class PreparedData:
    """A data set in the form in which runs read it.

    Attributes:
        dataset: its label.
        settings: its settings; ``stored_size`` is None if it equals ``image_size``, ``held_out``
            is 0 if validation uses the test split.
        results: the folder of results, relative to the working directory.
    """

    dataset: str
    settings: DataSettings
    results: str = "results"

    @cached_property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return identity(self.settings)[:8]

    @property
    def name(self) -> str:
        """Its label, form and id: ``DATASET/FORM-ID``."""
        size = self.settings.stored_size or self.settings.image_size
        shape = "x".join(map(str, size)) if size else "native"
        return f"{self.dataset}/{shape}-{self.settings.resize}-{self.id}"

    @property
    def folder(self) -> str:
        """Its folder, relative to the working directory."""
        return f"{self.results}/data/{self.name}"

    @property
    def log(self) -> str:
        """The log of its preparation, relative to the working directory."""
        return f"{self.results}/logs/prepare/{self.name}.log"


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
    def name(self) -> str:
        """Cell, seed and id: ``DATASET/MODEL/AUGMENTATION/seed-SEED-ID``."""
        return f"{self.dataset}/{self.model}/{self.augmentation}/seed-{self.seed}-{self.id}"

    @property
    def folder(self) -> str:
        """Folder of its files, relative to the working directory."""
        return f"{self.data.results}/runs/{self.name}"

    @property
    def checkpoints(self) -> str:
        """Folder of its checkpoints, relative to the working directory."""
        return f"{self.data.results}/checkpoints/{self.name}"

    @property
    def log(self) -> str:
        """The log of its training, relative to the working directory."""
        return f"{self.data.results}/logs/train/{self.name}.log"

    @property
    def weights_file(self) -> str | None:
        """The file of pretrained weights, relative to the working directory; None without one."""
        weights = self.settings.model.weights
        return f"{self.data.results}/{IMAGENET_WEIGHTS}" if weights == "imagenet" else weights

    @property
    def cell(self) -> tuple[str, str, str]:
        """Dataset, model and augmentation."""
        return (self.dataset, self.model, self.augmentation)


def prepared_data(
    dataset: Dataset, validation: str = "held-out", results: str = "results"
) -> PreparedData:
    """Resolve a data set's block.

    Args:
        dataset: the block.
        validation: as in the experiment.
        results: the folder of results.
    """
    values = dataset.model_dump(exclude={"name"})
    if values["stored_size"] == values["image_size"]:
        values["stored_size"] = None
    if validation == "test":
        values["held_out"] = 0.0
    return PreparedData(dataset.name, DataSettings.model_validate(values), results)


def expand(
    experiment: Experiment,
    networks: dict[str, NetworkSettings],
    pipelines: dict[str, Pipeline],
    threads: int,
    results: str,
) -> list[Run]:
    """Return the runs of an experiment: the product of all lists without excluded cells.

    Args:
        experiment: its block.
        networks: settings of the networks, by name of the model.
        pipelines: resolved pipelines, by label of the augmentation.
        threads: CPU threads of a training job.
        results: the folder of results.

    Raises:
        pydantic.ValidationError: training settings do not fit together after an override.
    """
    runs = []
    datasets = {
        dataset.name: prepared_data(dataset, experiment.validation, results)
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

"""From a study to its runs: the full grid, every setting resolved, every run identified."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ablation.models.families.base import NetworkSettings
from ablation.study.schema import Dataset, Experiment, Training, both_sides

IMAGENET_WEIGHTS = "results/weights/resnet50-imagenet-notop.h5"


def canonical_json(settings: Any) -> str:
    """Write settings in the one form that is hashed: sorted keys, no spaces, ASCII."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(settings: Any) -> str:
    """Return the SHA-256 of settings in their canonical form, in hex."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()


@dataclass(frozen=True)
class PreparedData:
    """A data set in the one form in which runs read it.

    Attributes:
        dataset: its label.
        settings: everything that decides its content: the keys of a ``Dataset`` but its name,
            with sizes as None or [height, width]; ``stored_size`` is None where it is
            ``image_size``; ``held_out`` is 0 where the test split serves for validation.
    """

    dataset: str
    settings: dict[str, Any]

    @cached_property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return identity(self.settings)[:8]

    @property
    def folder(self) -> str:
        """Where it lies, relative to the working directory."""
        size = self.settings["stored_size"] or self.settings["image_size"]
        shape = "x".join(map(str, size)) if size else "native"
        return f"results/data/{self.dataset}/{shape}-{self.settings['resize']}-{self.id}"


@dataclass(frozen=True)
class Run:
    """One cell of the grid with one seed.

    Attributes:
        dataset, model, augmentation: the labels of the cell.
        seed: the run's seed.
        settings: everything that decides the result, as plain values.
        data: the prepared data that it reads.
    """

    dataset: str
    model: str
    augmentation: str
    seed: int
    settings: dict[str, Any]
    data: PreparedData

    @cached_property
    def settings_json(self) -> str:
        """The settings in the form that is hashed."""
        return canonical_json(self.settings)

    @cached_property
    def id(self) -> str:
        """First eight hex digits of the hash of the settings."""
        return identity(self.settings)[:8]

    @property
    def folder(self) -> str:
        """Where its files lie, relative to the working directory."""
        return (
            f"results/runs/{self.dataset}/{self.model}/{self.augmentation}/"
            f"seed-{self.seed}-{self.id}"
        )

    @property
    def checkpoints(self) -> str:
        """Where its checkpoints lie until it is done, relative to the working directory."""
        return self.folder.replace("results/runs/", "results/checkpoints/", 1)

    @property
    def weights_file(self) -> str | None:
        """The file of pretrained weights that it starts from, if any."""
        weights: str | None = self.settings["model"].get("weights")
        return IMAGENET_WEIGHTS if weights == "imagenet" else weights

    @property
    def cell(self) -> tuple[str, str, str]:
        """Dataset, model and augmentation."""
        return (self.dataset, self.model, self.augmentation)


def prepared_data(dataset: Dataset, validation: str = "held-out") -> PreparedData:
    """Resolve a data set's block.

    Args:
        dataset: the block.
        validation: as the experiment has it.
    """
    sizes = {
        key: value if value is None else both_sides(value)
        for key, value in (("image_size", dataset.image_size), ("stored_size", dataset.stored_size))
    }
    if sizes["stored_size"] == sizes["image_size"]:
        sizes["stored_size"] = None
    settings = dataset.model_dump(exclude={"name"}) | {"source": dataset.source or dataset.name}
    if validation == "test":
        settings["held_out"] = 0
    return PreparedData(dataset.name, settings | sizes)


def expand(
    experiment: Experiment,
    architectures: Mapping[str, NetworkSettings],
    pipelines: dict[str, list[dict[str, Any]]],
    threads: int,
) -> list[Run]:
    """Return the runs of an experiment: the full product, less what is excluded.

    Args:
        experiment: its block.
        architectures: the network of each model's name.
        pipelines: resolved steps of each augmentation's label.
        threads: CPU threads of a training job.

    Raises:
        pydantic.ValidationError: an override makes training settings that do not fit together.
    """
    runs = []
    datasets = {
        dataset.name: prepared_data(dataset, experiment.validation)
        for dataset in experiment.datasets
    }
    for dataset, model, label, seed in product(
        datasets, architectures, pipelines, experiment.seeds
    ):
        cell = {"dataset": dataset, "model": model, "augmentation": label, "seed": seed}
        if any(_matches(cell, cells.given()) for cells in experiment.exclude):
            continue
        settings = {
            "dataset": datasets[dataset].settings,
            "model": architectures[model].model_dump(mode="json"),
            "augmentation": pipelines[label],
            "training": _training(experiment, cell).model_dump(),
            "validation": experiment.validation,
            "seed": seed,
            "threads": threads,
        }
        runs.append(Run(dataset, model, label, seed, settings, datasets[dataset]))
    return runs


def _training(experiment: Experiment, cell: dict[str, Any]) -> Training:
    values = experiment.training.model_dump()
    for override in experiment.overrides:
        if _matches(cell, override.where.given()):
            values |= override.training.model_dump(exclude_unset=True)
    return Training.model_validate(values)


def _matches(cell: dict[str, Any], wanted: dict[str, list[Any]]) -> bool:
    return all(cell[key] in values for key, values in wanted.items())

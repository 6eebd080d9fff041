"""Memory and time that jobs need, for schedulers. Does not import TensorFlow.

Memory is in MB (10⁶ bytes) and time in minutes, as Snakemake's resources ``mem_mb`` and
``runtime``. Memory includes the files that a job maps, because Slurm may count them, and Snakemake
itself, which starts the job. The constants are measured (``benchmarks/memory.py``).
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ablation.data.expected import expected_shape
from ablation.models.families import FAMILIES
from ablation.models.families.base import NetworkSettings
from ablation.study.grid import PreparedData, Run

SNAKEMAKE = 180
CUDA = 4000  # a training job on a GPU, without weights and images; not measured
FLOAT32 = 4e-6  # MB of a value
DECODING = 1300  # of the largest image file in one thread, or of the buffer that TFDS sorts in
ASSUMED = (10_000, 224, 224)  # number, height and width of images about which nothing is known
ASSUMED_CLASSES = 100


@dataclass(frozen=True)
class DataSize:
    """The size of a data set.

    Attributes:
        number: number of images.
        stored: height, width and channels of the stored images.
        seen: the same of the input of the network.
        classes: number of classes.
        evaluated: number of test and validation images.
    """

    number: int
    stored: tuple[int, int, int]
    seen: tuple[int, int, int]
    classes: int
    evaluated: int

    @property
    def memory(self) -> float:
        """MB of the file of images, which is mapped and read as a whole."""
        return self.number * math.prod(self.stored) / 1e6


def size_of(data: PreparedData) -> DataSize:
    """Return the size of a data set as prepared or, before, as its settings let expect."""
    file = f"{data.folder}/description.json"
    if os.path.exists(file):  # noqa: PTH110 (Path takes a multiple of the time, for every run)
        with suppress(OSError, ValueError, LookupError, TypeError):  # damaged, to be made again
            return _prepared(file)
    return _expected(data)


@cache
def _prepared(file: str) -> DataSize:
    description = json.loads(Path(file).read_bytes())
    number, *stored = description["shape"]
    return DataSize(
        number,
        tuple(stored),
        (*(description["settings"]["image_size"] or stored[:2]), stored[2]),
        len(description["class_names"]),
        number - sum(description["counts"]["train"]),
    )


@cache
def _expected(data: PreparedData) -> DataSize:
    *shape, channels = expected_shape(data.settings)
    number, height, width = (one or other for one, other in zip(shape, ASSUMED, strict=True))
    seen = data.settings.image_size or (height, width)
    return DataSize(
        number, (height, width, channels), (*seen, channels), ASSUMED_CLASSES, number // 3
    )


def training_memory(run: Run, environment: Literal["cpu", "gpu"]) -> float:
    """Return the MB that the training of a run needs."""
    training = run.settings.training
    return _training_memory(
        size_of(run.data),
        run.settings.model,
        training.batch_size,
        training.evaluation_batch,
        FLOAT32 / 2 if training.precision == "bfloat16" else FLOAT32,
        environment,
    )


# The runs of a study have few different arguments, and Snakemake asks for each run.
@cache
def _training_memory(
    data: DataSize,
    network: NetworkSettings,
    batch: int,
    evaluation_batch: int,
    value: float,
    environment: Literal["cpu", "gpu"],
) -> float:
    """Return the MB that training needs.

    A step holds the activations of a batch, an evaluation two outputs of a layer at a time. They
    are added, because the allocator keeps part of what a step has freed. Weights exist up to eight
    times: with momentum, gradients, and copies for kernels, checkpoints and early stopping. A batch
    of images exists up to four times while it is augmented. The predictions of all images exist
    twice, as batches and as one array.
    """
    size = FAMILIES[network.family].size(network, data.seen, data.classes)
    steps = value * (1.25 * batch * size.activations + 2.5 * evaluation_batch * size.largest)
    return (
        SNAKEMAKE
        + (CUDA if environment == "gpu" else 800 + steps)
        + 8 * FLOAT32 * size.weights
        + 4 * FLOAT32 * evaluation_batch * math.prod(data.seen)
        + 2 * FLOAT32 * data.number * data.classes
        + data.memory
    )


def recheck_memory(runs: Iterable[Run], environment: Literal["cpu", "gpu"]) -> float:
    """Return the MB that training any of the runs again needs."""
    return 100 + max(training_memory(run, environment) for run in runs)


def preparation_memory(data: PreparedData) -> float:
    """Return the MB that the preparation of a data set needs."""
    return SNAKEMAKE + 800 + DECODING + size_of(data).memory


def models_memory(runs: Iterable[Run]) -> float:
    """Return the MB that the description of the networks of runs needs."""
    weights = []
    for network, data in {(run.settings.model, run.data) for run in runs}:
        size = size_of(data)
        weights.append(FAMILIES[network.family].size(network, size.seen, size.classes).weights)
    return SNAKEMAKE + 800 + 3 * FLOAT32 * max(weights)


def gallery_memory(data: Iterable[PreparedData]) -> float:
    """Return the MB that the gallery of data sets needs, which tries many draws of each step."""
    return SNAKEMAKE + 800 + 250 * FLOAT32 * max(math.prod(size_of(one).stored) for one in data)


def analysis_memory(runs: Iterable[Run]) -> float:
    """Return the MB that the analysis of runs needs.

    It holds the probabilities of the test and validation images of all runs in float64, and those
    of the test images also after temperature scaling.
    """
    memory: float = SNAKEMAKE + 300
    for data, number in Counter(run.data for run in runs).items():
        size = size_of(data)
        memory += number * (0.2 + 6 * FLOAT32 * size.evaluated * size.classes)
    return memory

"""How long a run will train, from the times of finished runs on this machine."""

import csv
import heapq
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.progress.machine import Machine, machine_of
from ablation.progress.states import RunState
from ablation.study.grid import Run
from ablation.training.records import OUTPUTS, OtherFormatError, read_record
from ablation.training.settings import RunSettings

# What changes the values that a network computes with, but not how much it computes.
NOT_OF_SPEED = {"initializer", "norm_momentum", "norm_epsilon", "weights"}


@dataclass(frozen=True)
class Images:
    """The images that a run trains on.

    Attributes:
        count: number of images.
        shape: height, width, channels.
    """

    count: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Timed:
    """A finished run and what it took.

    Attributes:
        settings: the run's settings.
        images: what it trained on.
        epochs: how many epochs it was trained for.
        epoch_seconds: median time of an epoch, without the first if there are more.
        overhead: seconds beyond that times the epochs: building the network, what the first
            epoch takes longer, the evaluation in the end. Without the start of Python.
    """

    settings: RunSettings
    images: Images
    epochs: int
    epoch_seconds: float
    overhead: float


@dataclass(frozen=True)
class Past:
    """The finished runs of all studies.

    Attributes:
        timed: those that this machine trained.
        elsewhere: the other machines that have trained some, as text.
        unreadable: folders whose files are damaged.
    """

    timed: list[Timed]
    elsewhere: list[str]
    unreadable: list[str]


@dataclass(frozen=True)
class Estimate:
    """How long a run is going to train.

    Attributes:
        seconds: all of it; None where nothing is known.
        epoch_seconds: one epoch of it.
        basis: ``same``: from runs that do the same work; ``scaled``: from runs of the same
            network, by the number of images or pixels; ``none``.
        detail: what differs, or what is not known; empty for ``same``.
    """

    seconds: float | None
    epoch_seconds: float | None
    basis: str
    detail: str = ""

    @property
    def text(self) -> str:
        """Basis and detail."""
        return f"{self.basis}: {self.detail}" if self.detail else self.basis


def read_past(machine: Machine, results: Path = Path("results")) -> Past:
    """Read the times of every finished run.

    Args:
        machine: the machine whose runs count.
        results: the results folder.
    """
    timed, elsewhere, unreadable = [], set(), []
    for file in sorted(results.glob("runs/*/*/*/seed-*/run.json")):
        folder = file.parent
        if not all((folder / name).is_file() for name in OUTPUTS):
            continue  # not finished, or being deleted
        try:
            record = read_record(folder)
            with (folder / "timing.csv").open(newline="") as lines:
                seconds = [float(row["seconds"]) for row in csv.DictReader(lines)]
            if not seconds:
                continue
            others = [machine_of(attempt) for attempt in record["attempts"]]
            if not all(map(machine.matches, others)):
                elsewhere |= {other.name for other in others if not machine.matches(other)}
                continue
            median = statistics.median(seconds[1:] or seconds)
            timed.append(
                Timed(
                    RunSettings.model_validate(record["settings"]),
                    Images(record["data"]["train"], _shape(record["data"]["shape"])),
                    len(seconds),
                    median,
                    max(0.0, record["seconds"] - median * len(seconds)),
                )
            )
        except OtherFormatError:
            continue  # of no use to this version
        except (InputError, OSError, ValueError, KeyError, TypeError):
            unreadable.append(str(folder))
    return Past(timed, sorted(elsewhere), unreadable)


def images_of(run: Run, past: Past) -> Images | None:
    """Return what a run will train on, from its prepared data or a run that has used the same.

    None where neither is there.

    Raises:
        InputError: the description of the prepared data is damaged.
    """
    file = Path(run.data.folder) / "description.json"
    if file.is_file():
        try:
            description = json.loads(file.read_text())
            splits = ["train", "validation"] if run.settings.validation == "test" else ["train"]
            count = sum(sum(description["counts"][split]) for split in splits)
            return Images(count, _shape(description["shape"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: cannot be read ({error!r}); delete {file.parent} and run snakemake again"
            ) from None
    for other in past.timed:
        theirs, own = other.settings, run.settings
        if (theirs.dataset, theirs.validation) == (own.dataset, own.validation):
            return other.images
    return None


def estimate(settings: RunSettings, images: Images | None, timed: Iterable[Timed]) -> Estimate:
    """Estimate how long a run will train.

    Taken are runs of the same network, precision and number of threads; of these, the nearest in
    image size, then batch size, number of images, augmentation. An epoch takes the median of
    theirs, times the ratio of pixels and the ratio of images; what a run takes beyond its epochs
    is not scaled. A run of a single epoch, whose time is mostly that of building the network's
    graph, counts for others of a single epoch only. A run that stops early takes less.

    Args:
        settings: the run's settings.
        images: what it trains on; None if that is not known.
        timed: finished runs of this machine.
    """
    epochs = settings.training.epochs
    alike = [
        other
        for other in timed
        if _work(other.settings) == _work(settings) and (other.epochs > 1 or epochs == 1)
    ]
    if not alike:
        return Estimate(None, None, "none", "new network")
    if images is None:
        return Estimate(None, None, "none", "data not prepared")

    def distance(other: Timed) -> tuple[float, float, float, bool]:
        return (
            abs(math.log(_pixels(images) / _pixels(other.images))),
            abs(math.log(settings.training.batch_size / other.settings.training.batch_size)),
            abs(math.log(images.count / other.images.count)),
            other.settings.augmentation != settings.augmentation,
        )

    least = min(map(distance, alike))
    nearest = [other for other in alike if distance(other) == least]
    epoch = statistics.median(
        other.epoch_seconds
        * (_pixels(images) / _pixels(other.images))
        * (images.count / other.images.count)
        for other in nearest
    )
    overhead = statistics.median(other.overhead for other in nearest)
    names = ("image size", "batch size", "number of images")
    differs = [name for name, far in zip(names, least, strict=False) if far]
    return Estimate(
        epochs * epoch + overhead,
        epoch,
        "scaled" if differs else "same",
        ", ".join(differs),
    )


def seconds_left(state: RunState, expected: Estimate, now: float) -> float | None:
    """Return the seconds that a run still needs; None where that is not known.

    A running one goes on at the pace of its own epochs, except the first. One that has a
    checkpoint does not train its epochs again, nor one that was resumed those before.

    Args:
        state: how far it is.
        expected: the estimate for all of it.
        now: seconds since 1970.
    """
    if state.status == "done":
        return 0.0
    if state.status != "running":
        return _from_there(state.kept, expected)
    since = max(0.0, now - state.updated) if state.updated and not state.waiting else 0.0
    if state.epoch_seconds is not None:
        pace = state.epoch_seconds
        if state.epoch == state.resumed + 1 and expected.epoch_seconds is not None:
            pace = expected.epoch_seconds
        return max(0.0, pace * (state.epochs - state.epoch) - since)
    left = _from_there(state.resumed, expected)
    return None if left is None else max(0.0, left - since)


def _from_there(epoch: int, expected: Estimate) -> float | None:
    """Seconds of a run that goes on after an epoch."""
    if expected.seconds is None or expected.epoch_seconds is None:
        return None
    return max(0.0, expected.seconds - epoch * expected.epoch_seconds)


def makespan(begun: Sequence[float], waiting: Sequence[float], at_once: int) -> float:
    """Return after how many seconds all runs are through.

    Args:
        begun: seconds that each run under way still needs.
        waiting: seconds of those that wait, in the order in which they start.
        at_once: how many train at a time, 1 or more.
    """
    lanes = [*begun, *[0.0] * (at_once - len(begun))]
    heapq.heapify(lanes)
    for seconds in waiting:
        heapq.heapreplace(lanes, lanes[0] + seconds)
    return max(lanes)


def _work(settings: RunSettings) -> Any:
    """What two runs must share for the time of one to hold for the other."""
    network = settings.model.model_dump(exclude=NOT_OF_SPEED)
    return network, settings.training.precision, settings.threads


def _shape(array: Sequence[int]) -> tuple[int, int, int]:
    _, height, width, channels = array
    return height, width, channels


def _pixels(images: Images) -> int:
    return images.shape[0] * images.shape[1]

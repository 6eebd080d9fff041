"""Estimates of training time, from finished runs on this machine."""

import csv
import heapq
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ablation.errors import InputError
from ablation.progress.machine import Machine, machine_of
from ablation.progress.states import RunState
from ablation.study.grid import Run
from ablation.training.records import OUTPUTS, OtherFormatError, read_record
from ablation.training.settings import RunSettings

# Settings of networks that do not change the training time.
NOT_OF_SPEED = {"initializer", "norm_momentum", "norm_epsilon", "weights"}


@dataclass(frozen=True)
class Images:
    """The training images of a run.

    Attributes:
        count: number of images.
        shape: height, width, channels.
    """

    count: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Timed:
    """A finished run and its times.

    Attributes:
        settings: the run's settings.
        images: its training images.
        epochs: number of epochs that were trained.
        epoch_seconds: median time of an epoch, without the first if there are more.
        overhead: seconds besides the epochs: building the network, the slower first epoch, the
            evaluation; without the start of Python.
    """

    settings: RunSettings
    images: Images
    epochs: int
    epoch_seconds: float
    overhead: float

    @cached_property
    def work(self) -> Any:
        """The settings that must be equal for the times of two runs to be comparable."""
        return _work(self.settings)


@dataclass(frozen=True)
class Past:
    """The finished runs of all studies.

    Attributes:
        timed: runs that this machine trained.
        elsewhere: names of other machines that trained runs.
        unreadable: folders of runs with damaged files.
    """

    timed: list[Timed]
    elsewhere: list[str]
    unreadable: list[str]


@dataclass(frozen=True)
class Estimate:
    """The estimated training time of a run.

    Attributes:
        seconds: seconds in total; None if unknown.
        epoch_seconds: seconds per epoch; None if unknown.
        basis: ``same``: from runs with the same work; ``scaled``: from runs of the same network,
            scaled by the number of images or pixels; ``none``.
        detail: what differs or is missing; empty for ``same``.
    """

    seconds: float | None
    epoch_seconds: float | None
    basis: str
    detail: str = ""

    @property
    def text(self) -> str:
        """Basis and detail."""
        return f"{self.basis}: {self.detail}" if self.detail else self.basis


def read_past(machine: Machine | None, results: Path) -> Past:
    """Read the times of all finished runs.

    Args:
        machine: the machine whose runs count; None for the runs of all machines.
        results: the results folder.
    """
    timed, elsewhere, unreadable = [], set(), []
    for file in sorted(results.glob("runs/*/*/*/seed-*/run.json")):
        folder = file.parent
        if not all((folder / name).is_file() for name in OUTPUTS):
            continue  # not finished
        try:
            record = read_record(folder)
            with (folder / "timing.csv").open(newline="") as lines:
                seconds = [float(row["seconds"]) for row in csv.DictReader(lines)]
            if not seconds:
                continue
            others = [machine_of(attempt) for attempt in record["attempts"]]
            if machine is not None and not all(map(machine.matches, others)):
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
            continue
        except (InputError, OSError, ValueError, KeyError, TypeError):
            unreadable.append(str(folder))
    return Past(timed, sorted(elsewhere), unreadable)


def images_of(run: Run, past: Past) -> Images | None:
    """Return the training images of a run, from its prepared data or a run with the same data.

    None if neither exists.

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
    """Estimate the training time of a run.

    The estimate uses runs with the same network, precision and number of threads, and of these the
    nearest in image size, then batch size, number of images, augmentation. The time per epoch is
    the median of theirs, times the ratio of pixels and the ratio of images; the overhead is not
    scaled. Runs of a single epoch, whose time is mostly that of building the graph, are used only
    for runs of a single epoch. Early stopping is not considered.

    Args:
        settings: settings of the run.
        images: training images; None if unknown.
        timed: finished runs of this machine.
    """
    epochs, work = settings.training.epochs, _work(settings)
    alike = [other for other in timed if other.work == work and (other.epochs > 1 or epochs == 1)]
    if not alike:
        return Estimate(None, None, "none", "no comparable run")
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


def minutes_to_request(run: Run, results: Path) -> float | None:
    """Return the minutes that the training of a run may take: twice the estimate, and the start.

    The runs of all machines count, because a scheduler may choose any. None if there is no run with
    the same network.

    Args:
        run: the run.
        results: the folder of results, with the finished runs.
    """
    past = _all_past(results)
    seconds = estimate(run.settings, images_of(run, past), past.timed).seconds
    return None if seconds is None else 2 * seconds / 60 + 10


@cache
def _all_past(results: Path) -> Past:
    return read_past(None, results)


def seconds_left(state: RunState, expected: Estimate, now: float) -> float | None:
    """Return the seconds that a run still needs; None if unknown.

    For a running one they follow from its own epochs, except the first. Epochs in its checkpoint
    are not counted.

    Args:
        state: state of the run.
        expected: estimate for the whole run.
        now: current time, in seconds since 1970.
    """
    if state.status == "done":
        return 0.0
    if state.status != "running":
        return _seconds_after(state.kept, expected)
    since = max(0.0, now - state.updated) if state.updated and not state.waiting else 0.0
    if state.epoch_seconds is not None:
        pace = state.epoch_seconds
        if state.epoch == state.resumed + 1 and expected.epoch_seconds is not None:
            pace = expected.epoch_seconds
        return max(0.0, pace * (state.epochs - state.epoch) - since)
    left = _seconds_after(state.resumed, expected)
    return None if left is None else max(0.0, left - since)


def _seconds_after(epoch: int, expected: Estimate) -> float | None:
    """Return the seconds that a run needs after an epoch."""
    if expected.seconds is None or expected.epoch_seconds is None:
        return None
    return max(0.0, expected.seconds - epoch * expected.epoch_seconds)


def makespan(begun: Sequence[float], waiting: Sequence[float], at_once: int) -> float:
    """Return the number of seconds until all runs are finished.

    Args:
        begun: remaining seconds of each running run.
        waiting: seconds of the other runs, in the order in which they start.
        at_once: number of runs that train at once, at least 1.
    """
    lanes = [*begun, *[0.0] * (at_once - len(begun))]
    heapq.heapify(lanes)
    for seconds in waiting:
        heapq.heapreplace(lanes, lanes[0] + seconds)
    return max(lanes)


def _work(settings: RunSettings) -> Any:
    network = settings.model.model_dump(exclude=NOT_OF_SPEED)
    return network, settings.training.precision, settings.threads


def _shape(array: Sequence[int]) -> tuple[int, int, int]:
    _, height, width, channels = array
    return height, width, channels


def _pixels(images: Images) -> int:
    return images.shape[0] * images.shape[1]

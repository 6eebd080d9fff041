"""Which machine this is, told without TensorFlow as the records of the runs tell it."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Machine:
    """What decides how fast a machine trains.

    Attributes:
        processor: name of the processor.
        gpus: names of the cards, each once and sorted; empty where there is none.
    """

    processor: str
    gpus: tuple[str, ...]

    @property
    def name(self) -> str:
        """Processor and cards in words."""
        return " with ".join(filter(None, [self.processor, ", ".join(self.gpus)]))

    def matches(self, other: "Machine") -> bool:
        """Whether times on the other machine hold here.

        A job may have seen some of several cards only.
        """
        return (
            self.processor == other.processor
            and bool(self.gpus) == bool(other.gpus)
            and set(other.gpus) <= set(self.gpus)
        )


def this_machine() -> Machine:
    """Return the machine that this runs on, with the cards that a job started here would see."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Numbers below 0 and an empty value hide all cards. Which of several are shown is not looked
    # at: those of one machine are nearly always alike.
    hidden = shown is not None and not re.match(r"\s*(\d|GPU|MIG)", shown)
    return Machine(processor_name(), () if hidden else gpu_names())


def machine_of(record: dict[str, Any]) -> Machine:
    """Return the machine that a run was trained on.

    Args:
        record: the content of its ``run.json``, or one of the attempts that it tells of.
    """
    environment = record["environment"]
    return Machine(environment["processor"], tuple(sorted(set(environment["gpus"]))))


def processor_name(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as `ablation.training.environment` records it."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_names(folder: Path = Path("/proc/driver/nvidia/gpus")) -> tuple[str, ...]:
    """Return the names of NVIDIA's cards as the driver tells them, each once and sorted."""
    names = set()
    for file in folder.glob("*/information"):
        for line in file.read_text().splitlines():
            if line.startswith("Model:"):
                names.add(line.partition(":")[2].strip())
    return tuple(sorted(names))

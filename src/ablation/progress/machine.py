"""Which machine this is, named as in the records of the runs, without TensorFlow."""

import os
from dataclasses import dataclass
from typing import Any

from ablation.training.devices import VISIBLE, named
from ablation.training.hardware import gpu_names, processor_name


@dataclass(frozen=True)
class Machine:
    """What decides how fast a machine trains.

    Attributes:
        processor: name of the processor.
        gpus: names of the GPUs, each once and sorted; empty where there is none.
    """

    processor: str
    gpus: tuple[str, ...]

    @property
    def name(self) -> str:
        """Processor and GPUs in words."""
        return " with ".join(filter(None, [self.processor, ", ".join(self.gpus)]))

    def matches(self, other: "Machine") -> bool:
        """Whether times on the other machine hold here.

        A job may have seen some of several GPUs only.
        """
        return (
            self.processor == other.processor
            and bool(self.gpus) == bool(other.gpus)
            and set(other.gpus) <= set(self.gpus)
        )


def this_machine() -> Machine:
    """Return the machine that this runs on, with the GPUs that a job started here would see."""
    # Which of several GPUs are visible is not looked at: those of one machine are mostly alike.
    hidden = VISIBLE in os.environ and not named(os.environ[VISIBLE])
    return Machine(processor_name(), () if hidden else gpu_names())


def machine_of(record: dict[str, Any]) -> Machine:
    """Return the machine that a run was trained on.

    Args:
        record: the content of its ``run.json``, or one of the attempts that it tells of.
    """
    environment = record["environment"]
    return Machine(environment["processor"], tuple(sorted(set(environment["gpus"]))))

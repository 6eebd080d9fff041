"""The machine, named as in the records of runs. Does not import TensorFlow."""

from dataclasses import dataclass
from typing import Any

from ablation.training.devices import hidden
from ablation.training.hardware import gpu_names, processor_name


@dataclass(frozen=True)
class Machine:
    """The hardware that decides how fast a machine trains.

    Attributes:
        processor: name of the processor.
        gpus: names of the GPUs, each once, sorted; empty without GPUs.
    """

    processor: str
    gpus: tuple[str, ...]

    @property
    def name(self) -> str:
        """Processor and GPUs as text."""
        return " with ".join(filter(None, [self.processor, ", ".join(self.gpus)]))

    def matches(self, other: "Machine") -> bool:
        """Return whether times of the other machine apply to this one.

        The other one may list only some of the GPUs.
        """
        return (
            self.processor == other.processor
            and bool(self.gpus) == bool(other.gpus)
            and set(other.gpus) <= set(self.gpus)
        )


def this_machine() -> Machine:
    """Return this machine, with the GPUs that a job started here can use."""
    # Which of several GPUs are visible is ignored, as GPUs of a machine are mostly equal.
    return Machine(processor_name(), () if hidden() else gpu_names())


def machine_of(record: dict[str, Any]) -> Machine:
    """Return the machine that a run was trained on.

    Args:
        record: the content of ``run.json``, or one of its attempts.
    """
    environment = record["environment"]
    return Machine(environment["processor"], tuple(sorted(set(environment["gpus"]))))

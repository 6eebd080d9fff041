"""Differences between the environments of a study's runs that may change their results."""

from collections.abc import Callable, Mapping
from typing import Any

from ablation.analysis.runs import RunResult
from ablation.study.comparisons import CellKey, Comparison
from ablation.training.code import LOOP

Record = Mapping[str, Any]
Aspect = Callable[[Record, Record], str | None]


def _device(attempt: Record) -> str:
    return "GPU" if "GPU" in attempt["device"].upper() else "CPU"


def unused_gpu(attempt: Record) -> bool:
    """Return whether a GPU was reserved for an attempt that trained on the CPU."""
    return attempt["reserved"] is not None and _device(attempt) == "CPU"


def _gpus(attempt: Record) -> str | None:
    """Return the available graphics processors if the attempt used one."""
    names = sorted(set(attempt["environment"]["gpus"]))
    return " or ".join(names) if names and _device(attempt) == "GPU" else None


def _variables(attempt: Record) -> str:
    variables = sorted(attempt["environment"]["variables"].items())
    return " ".join(f"{name}={value}" for name, value in variables) or "none"


def _version(package: str) -> Aspect:
    return lambda _, attempt: attempt["environment"]["packages"].get(package)


ASPECTS: dict[str, Aspect] = {
    "device": lambda _, attempt: _device(attempt),
    "graphics processor": lambda _, attempt: _gpus(attempt),
    "processor": lambda _, attempt: attempt["environment"]["processor"],
    "threads": lambda record, _: str(record["threads"]["inter_op"]),
    "TensorFlow": _version("tensorflow"),
    "Keras": _version("keras"),
    "NumPy": _version("numpy"),
    "environment variables": lambda _, attempt: _variables(attempt),
    "training code": lambda record, _: record["code"][LOOP],
}
"""Aspects of an environment, each with its value for the record of a run and of an attempt."""


def values_of(aspect: str, result: RunResult) -> set[str]:
    """Return the values of an aspect in all attempts of a run."""
    values = (ASPECTS[aspect](result.record, attempt) for attempt in result.record["attempts"])
    return {value for value in values if value is not None}


def confounded(comparison: Comparison, values: Mapping[CellKey, set[str]]) -> bool:
    """Return whether both sides of a comparison have values, but none in common.

    Args:
        comparison: the comparison.
        values: values of an aspect by cell.
    """
    weights = comparison.weights
    sides: list[set[str]] = [
        set().union(*(values.get(s, set()) for s, w in weights.items() if sign * w > 0))
        for sign in (1, -1)
    ]
    return all(sides) and not sides[0] & sides[1]

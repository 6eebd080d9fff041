"""What the runs of one study do not have in common, though it may change their last bits."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablation.analysis.runs import RunResult
from ablation.study.comparisons import Comparison, Source
from ablation.study.plan import Plan

NAMED = 3  # runs or comparisons that a warning names
ROUNDING = (
    "Which one is used may change the last bits of what is computed, and training enlarges that"
)
COMPUTING = "Each of them may compute something else"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Aspect:
    """Something that may change the numbers of a run whose settings and seed stay the same.

    Attributes:
        name, plural: what it is called.
        why: what it may change.
        of: its value for an attempt of a run, from the run's record and the attempt's; None if
            the attempt has none.
    """

    name: str
    plural: str
    why: str
    of: Callable[[Record, Record], str | None]


def _device(attempt: Record) -> str:
    return "GPU" if "GPU" in attempt["device"].upper() else "CPU"


def _cards(attempt: Record) -> str | None:
    """The graphics processors that an attempt could choose from, if it trained on one."""
    names = sorted(set(attempt["environment"]["gpus"]))
    return " or ".join(names) if names and _device(attempt) == "GPU" else None


def _variables(attempt: Record) -> str:
    variables = sorted(attempt["environment"]["variables"].items())
    return " ".join(f"{name}={value}" for name, value in variables) or "none"


def _version(title: str, package: str) -> Aspect:
    return Aspect(
        f"version of {title}",
        f"{title} versions",
        ROUNDING,
        lambda _, attempt: attempt["environment"]["packages"].get(package),
    )


ASPECTS = (
    Aspect("device", "kinds of device", ROUNDING, lambda _, attempt: _device(attempt)),
    Aspect(
        "graphics processor", "graphics processors", ROUNDING, lambda _, attempt: _cards(attempt)
    ),
    Aspect(
        "processor", "processors", ROUNDING, lambda _, attempt: attempt["environment"]["processor"]
    ),
    Aspect(
        "number of threads",
        "numbers of threads",
        ROUNDING,
        lambda record, _: str(record["threads"]["intra_op"]),
    ),
    _version("TensorFlow", "tensorflow"),
    _version("Keras", "keras"),
    _version("NumPy", "numpy"),
    Aspect(
        "setting of environment variables",
        "settings of environment variables",
        ROUNDING,
        lambda _, attempt: _variables(attempt),
    ),
    Aspect(
        "version of the training code",
        "versions of the training code",
        COMPUTING,
        lambda record, _: record["code"],
    ),
)


def resumed_runs(results: Iterable[RunResult]) -> int:
    """Return how many runs have taken more than one attempt."""
    return sum(len(result.record["attempts"]) > 1 for result in results)


def warnings_of(plan: Plan, by_folder: Mapping[str, RunResult]) -> list[str]:
    """Return a sentence for everything that the runs of a study mix.

    Every attempt of a run counts. Where no value is common to both sides of a comparison, it is
    said to be confounded; these come first.

    Args:
        plan: the study.
        by_folder: the runs that are there.
    """
    found = [
        (aspect, {folder: _values(aspect, run.record) for folder, run in by_folder.items()})
        for aspect in ASPECTS
    ]
    mixed = [one for one in found if len(set().union(*one[1].values())) > 1]
    confounded = [_confounded(aspect, plan, values, by_folder) for aspect, values in mixed]
    return [
        *filter(None, confounded),
        *(_mixed(aspect, values, by_folder) for aspect, values in mixed),
    ]


def _values(aspect: Aspect, record: Record) -> set[str]:
    values = (aspect.of(record, attempt) for attempt in record["attempts"])
    return {value for value in values if value is not None}


def _mixed(
    aspect: Aspect, values: Mapping[str, set[str]], by_folder: Mapping[str, RunResult]
) -> str:
    counts = Counter(value for of_run in values.values() for value in of_run)
    shares = ", ".join(f"{value} ({_runs(counts[value])})" for value in sorted(counts))
    text = (
        f"The runs of this study mix {aspect.plural}: {shares}. {aspect.why}, so that differences "
        "between runs that differ in it are not due to their settings and seeds alone."
    )
    changed = [_name(by_folder[folder]) for folder, of_run in values.items() if len(of_run) > 1]
    if changed:
        text += (
            f" {_runs(len(changed))} changed it when going on after an interruption, and "
            f"{'counts' if len(changed) == 1 else 'count'} with each: {_some(changed, '; ')}."
        )
    return text


def _confounded(
    aspect: Aspect,
    plan: Plan,
    values: Mapping[str, set[str]],
    by_folder: Mapping[str, RunResult],
) -> str | None:
    of_source: dict[Source, set[str]] = {}
    for experiment in plan.experiments:
        for run in experiment.runs:
            if run.folder in by_folder and not by_folder[run.folder].diverged:
                of_source.setdefault((experiment.name, run.cell), set()).update(values[run.folder])
    names = [
        f"{comparison.arm.label} against {comparison.reference.label} (experiment "
        f"{experiment.name}, data {comparison.dataset})"
        for experiment in plan.experiments
        for comparison in experiment.comparisons
        if _disjoint(comparison, of_source)
    ]
    if not names:
        return None
    those = "this comparison" if len(names) == 1 else f"these {len(names)} comparisons"
    return (
        f"Confounded: in {those} no {aspect.name} is common to both sides, so that a difference "
        f"may come from it as well as from what is compared: {_some(names, '; ')}."
    )


def _disjoint(comparison: Comparison, of_source: Mapping[Source, set[str]]) -> bool:
    """Whether what is added and what is subtracted have no value in common."""
    weights: dict[Source, float] = {}
    for sign, side in ((1, comparison.arm), (-1, comparison.reference)):
        for weight, source in side.terms:
            weights[source] = weights.get(source, 0.0) + sign * weight
    sides = [
        set().union(*(of_source.get(s, set()) for s, w in weights.items() if sign * w > 0))
        for sign in (1, -1)
    ]
    return all(sides) and not sides[0] & sides[1]


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _name(result: RunResult) -> str:
    run = result.run
    return f"{run.model} on {run.dataset}, {run.augmentation}, seed {run.seed}"


def _some(names: Sequence[str], between: str) -> str:
    more = len(names) - NAMED
    return between.join(names[:NAMED]) + (f"{between}and {more} more" if more > 0 else "")

"""Claims, tested by the verdicts of comparisons."""

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from ablation.analysis.results import Row
from ablation.analysis.tables import TABLES
from ablation.study.plan import Plan, PlannedExperiment
from ablation.study.schema import Claim

HOLDS = "holds"
CONTRADICTED = "contradicted"
SMALL = "not by more than the margin"
OPEN = "open"
NOT_TESTED = "not tested"
CONCLUSIONS = {
    HOLDS: "survives",
    CONTRADICTED: "does not survive",
    SMALL: SMALL,
    OPEN: "undecided",
    NOT_TESTED: "not tested here",
}
"""Conclusion on a claim that another experiment revisits, by its status there."""

_CONSISTENT = {
    "better": {"better"},
    "worse": {"worse"},
    "same": {"same"},
    "different": {"better", "worse"},
}
_OF_COMPARISON = (
    "dataset", "arm", "reference", "measure", "epoch", "verdict", "difference", "ci_low",
    "ci_high", "seeds", "near_chance",
)  # fmt: skip


def part_status(says: str, verdict: str) -> str:
    """Return the status of a claim in one of its comparisons.

    ``holds``, ``contradicted`` or ``open``; for a claimed difference that is within the margin,
    ``not by more than the margin``.

    Args:
        says: claimed outcome: ``better``, ``worse``, ``same`` or ``different``.
        verdict: verdict of the comparison; any but better, worse and same is open.
    """
    if verdict in _CONSISTENT[says]:
        return HOLDS
    if verdict in _CONSISTENT["different"]:
        return CONTRADICTED
    return SMALL if verdict == "same" else OPEN


def claim_status(parts: Collection[str]) -> str:
    """Return the status of a claim from that of its parts; ``not tested`` without parts."""
    if not parts:
        return NOT_TESTED
    return next(status for status in (CONTRADICTED, SMALL, OPEN, HOLDS) if status in parts)


def claims_table(plan: Plan, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each experiment, claim and comparison that tests it.

    An experiment that revisits another also has a row, without a part, for each claim of the other
    that it does not test. Claims of the same name are the same claim.

    Args:
        plan: the study.
        comparisons: table of its comparisons.
    """
    by_name = {experiment.name: experiment for experiment in plan.experiments}
    tested = {name: _parts(one, comparisons) for name, one in by_name.items()}
    rows = []
    for name, experiment in by_name.items():
        for claim, (origin, stated) in _claims(experiment, by_name).items():
            parts = tested[name].get(claim, [])
            status = _status(parts)
            row: Row = {
                "experiment": name,
                "claim": claim,
                "text": stated.text,
                "source": stated.source,
                "stated_in": origin,
                "status": status,
            }
            if origin != name:
                row["status_there"] = _status(tested[origin].get(claim, []))
                row["conclusion"] = CONCLUSIONS[status]
            rows += [{**row, "part": i, **part} for i, part in enumerate(parts, 1)] or [row]
    return TABLES["claims"].frame(rows)


def _claims(
    experiment: PlannedExperiment, by_name: Mapping[str, PlannedExperiment]
) -> dict[str, tuple[str, Claim]]:
    """Return each claim that an experiment states or revisits, with the experiment stating it."""
    found = {name: (experiment.name, claim) for name, claim in experiment.block.claims.items()}
    origin = experiment.block.revisits
    if origin is not None:
        found |= {name: (origin, claim) for name, claim in by_name[origin].block.claims.items()}
    return found


def _parts(experiment: PlannedExperiment, comparisons: pd.DataFrame) -> dict[str, list[Row]]:
    """Return the parts of each claim: the comparisons of an experiment that test it."""
    rows = comparisons[comparisons["experiment"] == experiment.name].to_dict("records")
    found: dict[str, list[Row]] = {}
    for comparison, row in zip(experiment.comparisons, rows, strict=True):
        for claim, says in comparison.claims:
            part = {key: row[key] for key in _OF_COMPARISON}
            if row["basis"] == "images":  # not about the methods, as claims are
                part |= {"ci_low": math.nan, "ci_high": math.nan}
            part |= {"says": says, "part_status": part_status(says, row["verdict"])}
            found.setdefault(claim, []).append(part)
    return found


def _status(parts: Sequence[Row]) -> str:
    return claim_status([part["part_status"] for part in parts])

"""Claims: what somebody has said, held against the verdicts of the comparisons that test it."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

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
"""What becomes of a claim where another experiment asks its question again, by status there."""

_MEANT = {
    "better": {"better"},
    "worse": {"worse"},
    "same": {"same"},
    "different": {"better", "worse"},
}
_OF_COMPARISON = (
    "dataset", "arm", "reference", "measure", "epoch", "verdict", "difference", "ci_low",
    "ci_high", "seeds", "near_chance",
)  # fmt: skip
Part = dict[str, Any]


def part_status(says: str, verdict: str) -> str:
    """Return what one comparison says of a claim.

    It ``holds``, is ``contradicted`` or ``open``. A difference that is claimed but lies within the
    margin contradicts nothing: it is ``not by more than the margin``.

    Args:
        says: what the claim says of the arm: ``better``, ``worse``, ``same`` or ``different``.
        verdict: of the comparison; whatever is neither better nor worse nor same leaves it open.
    """
    if verdict in _MEANT[says]:
        return HOLDS
    if verdict in _MEANT["different"]:
        return CONTRADICTED
    return SMALL if verdict == "same" else OPEN


def claim_status(parts: Collection[str]) -> str:
    """Return the status of a claim from those of its parts; without any it is ``not tested``."""
    if not parts:
        return NOT_TESTED
    return next(status for status in (CONTRADICTED, SMALL, OPEN, HOLDS) if status in parts)


def claims_table(plan: Plan, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each experiment, claim and comparison that tests it.

    An experiment that revisits another has a row without a part for each claim of that one that it
    does not test. A claim that both state under one name is the same claim.

    Args:
        plan: the study.
        comparisons: the table of its comparisons.
    """
    by_name = {experiment.name: experiment for experiment in plan.experiments}
    tested = {name: _parts(one, comparisons) for name, one in by_name.items()}
    rows = []
    for name, experiment in by_name.items():
        for claim, (home, stated) in _claims(experiment, by_name).items():
            parts = tested[name].get(claim, [])
            status = _judged(parts)
            row: Part = {
                "experiment": name,
                "claim": claim,
                "text": stated.text,
                "source": stated.source,
                "stated_in": home,
                "status": status,
            }
            if home != name:
                row["status_there"] = _judged(tested[home].get(claim, []))
                row["conclusion"] = CONCLUSIONS[status]
            rows += [{**row, "part": i, **part} for i, part in enumerate(parts, 1)] or [row]
    return TABLES["claims"].frame(rows)


def _claims(
    experiment: PlannedExperiment, by_name: Mapping[str, PlannedExperiment]
) -> dict[str, tuple[str, Claim]]:
    """Every claim that an experiment has to do with, and which experiment states it."""
    found = {name: (experiment.name, claim) for name, claim in experiment.block.claims.items()}
    home = experiment.block.revisits
    if home is not None:
        found |= {name: (home, claim) for name, claim in by_name[home].block.claims.items()}
    return found


def _parts(experiment: PlannedExperiment, comparisons: pd.DataFrame) -> dict[str, list[Part]]:
    """What the comparisons of an experiment say of claims, by claim."""
    rows = comparisons[comparisons["experiment"] == experiment.name].to_dict("records")
    found: dict[str, list[Part]] = {}
    for comparison, row in zip(experiment.comparisons, rows, strict=True):
        for claim, says in comparison.claims:
            part = {key: row[key] for key in _OF_COMPARISON}
            if row["basis"] == "images":  # what it covers is not what a claim is about
                part |= {"ci_low": math.nan, "ci_high": math.nan}
            part |= {"says": says, "part_status": part_status(says, row["verdict"])}
            found.setdefault(claim, []).append(part)
    return found


def _judged(parts: Sequence[Part]) -> str:
    """Status of a claim."""
    return claim_status([part["part_status"] for part in parts])

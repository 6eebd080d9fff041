"""Claims: what somebody has said, held against the verdicts of the comparisons that test it."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from ablation.analysis.findings import LISTED, Finding, Sentence, count, join, points
from ablation.analysis.tables import CELL, diagnostics_rows
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

CLAIM_COLUMNS = (
    "experiment", "claim", "part", "text", "source", "stated_in", "dataset", "arm", "reference",
    "measure", "epoch", "says", "verdict", "difference", "low", "high", "seeds", "part_status",
    "status", "status_there", "conclusion", "near_chance",
)  # fmt: skip

_MEANT = {
    "better": {"better"},
    "worse": {"worse"},
    "same": {"same"},
    "different": {"better", "worse"},
}
_OF_COMPARISON = (
    "dataset", "arm", "reference", "measure", "epoch", "verdict", "difference", "low", "high",
    "seeds", "near_chance",
)  # fmt: skip
_SAID = {
    "better": "is more accurate than",
    "worse": "is less accurate than",
    "same": "is as accurate as",
    "different": "differs from",
}
_FOUND = {
    "better": "it is more accurate",
    "worse": "it is less accurate",
}

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
        comparisons: the comparisons of all its experiments, as `comparisons_table` makes them.

    Returns:
        The columns of `CLAIM_COLUMNS`: ``stated_in`` is the experiment that states the claim, the
        revisited one if there is one; ``status_there`` and ``conclusion`` are empty unless the
        claim is of a revisited experiment. Differences are shares.
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
    table = pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))
    return table.astype(
        {**dict.fromkeys(("part", "epoch", "seeds"), "Int64"),
         **dict.fromkeys(("difference", "low", "high"), float)}
    )  # fmt: skip


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
    for comparison in experiment.comparisons:
        row = rows[0]
        rows = rows[len(comparison.kinds) :]  # a row for each kind of the comparison
        for claim, says in comparison.claims:
            part = {key: row[key] for key in _OF_COMPARISON}
            if row["basis"] == "images":  # what it covers is not what a claim is about
                part |= {"low": math.nan, "high": math.nan}
            part |= {"says": says, "part_status": part_status(says, row["verdict"])}
            found.setdefault(claim, []).append(part)
    return found


def _judged(parts: Sequence[Part]) -> str:
    """Status of a claim."""
    return claim_status([part["part_status"] for part in parts])


def claim_counts(claims: pd.DataFrame) -> pd.DataFrame:
    """Return rows for the diagnostics: how many claims of an experiment have which status.

    ``claims, STATUS`` counts those that it tests, ``revisited, CONCLUSION`` those of the experiment
    that it revisits.
    """
    rows: list[dict[str, Any]] = []
    for experiment, of_experiment in claims.groupby("experiment", sort=False):
        once = of_experiment.drop_duplicates("claim")
        named = {**dict.fromkeys(CELL, ""), "experiment": experiment}
        for what, column, values, chosen in (
            ("claims", "status", (HOLDS, CONTRADICTED, SMALL, OPEN), once[once["part"].notna()]),
            ("revisited", "conclusion", CONCLUSIONS.values(), once[once["conclusion"].notna()]),
        ):
            if len(chosen):
                rows += [
                    {
                        **named,
                        "diagnosis": f"{what}, {value}",
                        "count": int((chosen[column] == value).sum()),
                        "of": len(chosen),
                    }
                    for value in values
                ]
    return diagnostics_rows(rows)


def claim_findings(experiment: str, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return what is to be said of the claims that an experiment tests, and of those it revisits.

    Args:
        experiment: its name.
        tables: every table of the study.
    """
    claims = tables["claims"]
    own = claims[claims["experiment"] == experiment]
    tested = own[own["part"].notna()]
    found = []
    if len(tested):
        found.append(_counted(experiment, tested, tables))
    against = tested[tested["part_status"] == CONTRADICTED]
    if len(against):
        found.append(_contradictions(experiment, against, tables))
    if own["conclusion"].notna().any():
        found.append(survival(experiment, tables))
    return found


def survivals(tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """Return a sentence for the summary on each experiment that revisits claims of another."""
    claims = tables["claims"]
    revisiting = claims.loc[claims["conclusion"].notna(), "experiment"]
    return [survival(name, tables, summary=True) for name in dict.fromkeys(revisiting)]


def survival(
    experiment: str, tables: Mapping[str, pd.DataFrame], *, summary: bool = False
) -> Finding:
    """Return how many claims of the revisited experiment survive.

    Args:
        experiment: the one that revisits.
        tables: every table of the study.
        summary: whether the sentence stands away from the experiment's own section.
    """
    claims = tables["claims"]
    rows = claims[(claims["experiment"] == experiment) & claims["conclusion"].notna()]
    once = rows.drop_duplicates("claim")
    home = once["stated_in"].iloc[0]
    say = Sentence(tables, experiment)
    of = say("diagnostics", "of", count, diagnosis=f"revisited, {CONCLUSIONS[HOLDS]}")
    where = f"by experiment {experiment}" if summary else "here"
    said = []
    for status, one, many in (
        (HOLDS, "survives", "survive"),
        (CONTRADICTED, "is contradicted", "are contradicted"),
        (SMALL, "is no larger than the margin", "are no larger than the margin"),
        (OPEN, "remains open (not refuted)", "remain open (not refuted)"),
        (NOT_TESTED, f"is not tested {where}", f"are not tested {where}"),
    ):
        conclusion = CONCLUSIONS[status]
        if (once["conclusion"] == conclusion).any():
            number = say("diagnostics", "count", count, diagnosis=f"revisited, {conclusion}")
            said.append(f"{number} {one if number == '1' else many}")
    noun = "claim" if of == "1" else "claims"
    asked = f"Experiment {experiment} asks again: of" if summary else "Of"
    text = f"{asked} {of} {noun} of experiment {home}, {join(said)}."
    return Finding("answer" if summary else "survives", "survival", text, tuple(say.sources))


def _counted(experiment: str, tested: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> Finding:
    """How many of the claims that an experiment tests have which status."""
    once = tested.drop_duplicates("claim")
    say = Sentence(tables, experiment)
    of = say("diagnostics", "of", count, diagnosis=f"claims, {HOLDS}")
    said = []
    for status, one, many in (
        (HOLDS, "holds", "hold"),
        (CONTRADICTED, "is contradicted", "are contradicted"),
        (SMALL, "holds by no more than the margin", "hold by no more than the margin"),
        (OPEN, "is open", "are open"),
    ):
        names = once.loc[once["status"] == status, "claim"]
        if len(names):
            number = say("diagnostics", "count", count, diagnosis=f"claims, {status}")
            listed = f" ({', '.join(map(_quoted, names))})" if len(names) <= LISTED else ""
            said.append(f"{number} {one if number == '1' else many}{listed}")
    text = f"Of {of} {'claim' if of == '1' else 'claims'} tested here, {join(said)}."
    if (once["status"] == OPEN).any():
        text += " Open is not refuted: no verdict has settled it yet."
    near = tested[(tested["part_status"] == OPEN) & tested["near_chance"].astype(bool)]
    claims = dict.fromkeys(near.loc[near["status"] == OPEN, "claim"])
    if claims:
        listed = f" ({', '.join(map(_quoted, claims))})" if len(claims) <= LISTED else ""
        text += (
            f" Where all arms of a comparison are near chance{listed}, equal accuracies are no "
            "evidence."
        )
    return Finding("claims", "claims", text, tuple(say.sources))


def _contradictions(
    experiment: str, against: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> Finding:
    """What contradicts the claims of an experiment."""
    say = Sentence(tables, experiment)
    several = len(set(_of(tables["cells"], experiment)["dataset"])) > 1
    told = []
    for row in against.head(LISTED).to_dict("records"):
        where = {"claim": row["claim"], "part": int(row["part"])}
        on = f" on {row['dataset']}" if several else ""
        after = ""
        if not pd.isna(row["epoch"]):
            after = f" after epoch {say('claims', 'epoch', count, **where)}"
        told.append(
            f"{_quoted(row['claim'])} says that {row['arm']} {_SAID[row['says']]} "
            f"{row['reference']}{on}{after}, and {_FOUND[row['verdict']]} "
            f"({say('claims', 'difference', points, **where)} points, interval "
            f"{say('claims', 'low', points, **where)} to "
            f"{say('claims', 'high', points, **where)})"
        )
    more = "; the table has others" if len(against) > LISTED else ""
    text = f"What contradicts: {'; '.join(told)}{more}."
    return Finding("claims", "contradictions", text, tuple(say.sources))


def _of(table: pd.DataFrame, experiment: str) -> pd.DataFrame:
    return table[table["experiment"] == experiment]


def _quoted(name: str) -> str:
    return f"‘{name}’"

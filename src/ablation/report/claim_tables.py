"""Tables of claims: what somebody has said, and what the comparisons of a study say of it."""

import math

import pandas as pd

from ablation.report.cells import told_difference
from ablation.report.model import Cell, Column, Download, Numbering, Table
from ablation.report.part import Row
from ablation.report.tables import VERDICTS
from ablation.report.text import OPTIMISTIC, number

SAYS = {**VERDICTS, "different": "different"}
CLAIM_COLUMNS = (Column("Claim"), Column("What it says", prose=True), Column("Made by", prose=True))
IS_OPEN = (
    "open: a comparison that the claim rests on is open or has no result; that does not refute it."
)


def claims_table(
    experiment: str, claims: pd.DataFrame, numbering: Numbering, optimistic: bool
) -> Table | None:
    """Tabulate every comparison that tests a claim; None if none does.

    Args:
        experiment: its name.
        claims: its rows of ``claims.csv``.
        numbering: gives the number.
        optimistic: whether the test split was used for validation.
    """
    tested = claims[claims["part"].notna()]
    if tested.empty:
        return None
    rows = tested.to_dict("records")
    several = len(set(tested["dataset"])) > 1
    anchor = numbering.anchor("claims", experiment)
    mark = " †" * optimistic
    return Table(
        id=anchor,
        number=numbering.table(),
        caption=f"Claims that experiment {experiment} tests, and what it found.",
        columns=[
            *CLAIM_COLUMNS,
            Column("Status"),
            Column("Compared", prose=True),
            Column("Said"),
            Column("Found"),
            Column(f"Difference, points (interval){mark}", numeric=True),
            Column("Seeds", numeric=True),
            Column("This comparison"),
        ],
        rows=[
            [
                *_claim(row),
                Cell(row["status"]),
                Cell(_compared(row, several)),
                Cell(SAYS[row["says"]]),
                Cell(VERDICTS[row["verdict"]]),
                Cell(told_difference(row), row["difference"]),
                Cell(number(row["seeds"], 0), row["seeds"]),
                Cell(row["part_status"]),
            ]
            for row in rows
        ],
        notes=[
            "A claim holds if every comparison of it does, and is contradicted if one comparison "
            "contradicts it; not by more than the margin: the arms of a comparison are the same; "
            f"{IS_OPEN}",
            *[OPTIMISTIC] * optimistic,
        ],
        downloads=[Download.of_rows(anchor, claims, "CSV")],
    )


def survival_table(experiment: str, claims: pd.DataFrame, numbering: Numbering) -> Table | None:
    """Tabulate what becomes of the claims of a revisited experiment; None if it states none.

    Args:
        experiment: the one that revisits.
        claims: its rows of ``claims.csv``.
        numbering: gives the number.
    """
    once = claims[claims["conclusion"] != ""].drop_duplicates("claim")
    if once.empty:
        return None
    home = once["stated_in"].iloc[0]
    return Table(
        id=numbering.anchor("survival", experiment),
        number=numbering.table(),
        caption=f"What survives of the claims of experiment {home} in experiment {experiment}.",
        columns=[
            *CLAIM_COLUMNS,
            Column(f"As measured in {home}"),
            Column("Here"),
            Column("Conclusion"),
        ],
        rows=[
            [
                *_claim(row),
                Cell(row["status_there"]),
                Cell(row["status"]),
                Cell(row["conclusion"]),
            ]
            for row in once.to_dict("records")
        ],
        notes=[
            "survives: holds here; does not survive: contradicted here; not by more than the "
            "margin: the arms are the same here; undecided: open here. "
            f"{IS_OPEN.capitalize()}",
        ],
    )


def _claim(row: Row) -> list[Cell]:
    return [Cell(row["claim"]), Cell(row["text"]), Cell(row["source"])]


def _compared(row: Row, several: bool) -> str:
    """Name a comparison: what with what, where and when."""
    text = f"{row['arm']} against {row['reference']}"
    if several:
        text += f" on {row['dataset']}"
    if math.isfinite(row["epoch"]):
        text += f", validation accuracy after epoch {row['epoch']:.0f}"
    return text

"""Write the verdicts in ``docs/published-ablations.md`` from the scores in ``docs/published``.

``docs/published/tables.yaml`` has reference, margin and source of the tables, and the claims. With
``--check`` nothing is written; it fails if the page is out of date.
"""

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from ablation.analysis.claims import CONTRADICTED, HOLDS, OPEN, SMALL, claim_status
from ablation.analysis.judge import judge, read_scores
from ablation.errors import InputError
from ablation.study.loading import read_yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/published"
PAGE = ROOT / "docs/published-ablations.md"
BLOCK = "<!-- generated: {name} -->\n{text}<!-- end: {name} -->"
OUTCOMES = ("better", "worse", "same", "open")
COLUMNS = (
    "data", "arm", "seeds", "sd", "difference", "interval", "p", "verdict", "on these images",
)  # fmt: skip


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    try:
        write(check=check)
    except InputError as error:
        sys.exit(f"error: {error}")


def write(*, check: bool) -> None:
    """Write the page, or check that it is up to date.

    Raises:
        InputError: scores are wrong, a block is missing, or the checked page is out of date.
    """
    text = PAGE.read_text(encoding="utf-8")
    made = with_verdicts(text)
    if not check:
        PAGE.write_text(made, encoding="utf-8")
    elif made != text:
        raise InputError(f"{PAGE.relative_to(ROOT)} is out of date: run 'make docs'")


def with_verdicts(text: str) -> str:
    """Return the text of the page with new generated blocks."""
    all_groups = groups()
    blocks = {name: group_block(group) for name, group in all_groups.items()}
    blocks["summary"] = summary(all_groups)
    for name, block in blocks.items():
        pattern = re.escape(BLOCK).replace(r"\{name\}", re.escape(name)).replace(r"\{text\}", ".*?")
        new = BLOCK.format(name=name, text=block).replace("\\", r"\\")
        text, found = re.subn(pattern, new, text, flags=re.S)
        if found != 1:
            raise InputError(f"{PAGE.relative_to(ROOT)} has {found} blocks '{name}' instead of one")
    return text


def groups() -> dict[str, dict]:
    """Return the groups of tables, with scores and verdicts of each table."""
    found = read_yaml(FOLDER / "tables.yaml").data["groups"]
    for group in found.values():
        for name, table in group["tables"].items():
            table["scores"] = read_scores(FOLDER / f"{name}.csv")
            table["verdicts"] = verdicts(table["scores"], group["reference"], group["margin"])
    return found


def verdicts(scores: pd.DataFrame, reference: str, margin: float) -> pd.DataFrame:
    """Return the result of `judge`, with the verdict for these images in `here`."""
    over_both = judge(scores, reference, margin)
    over_seeds = judge(scores.drop(columns="images"), reference, margin)
    spread = scores.groupby("arm")["accuracy"].std()
    return over_both.assign(here=over_seeds["verdict"], spread=over_both["arm"].map(spread))


def group_block(group: dict) -> str:
    """Return sources, verdicts and claims of a group as Markdown."""
    tables = group["tables"].values()
    lines = [*wrapped(f"Source: {group['source']}. Repository `{group['repository']}`:"), ""]
    for table in tables:
        where = f"- {table['data']}: {table['files']}, at `{table['commit'][:12]}`"
        lines += wrapped(where, subsequent_indent="  ")
    lines += ["", *header(*COLUMNS)]
    for table in tables:
        for row in table["verdicts"].itertuples():
            lines.append(
                f"| {table['data']} | {row.arm} − {row.reference} | {row.seeds} "
                f"| {100 * row.spread:.2f} | {points(row.difference)} "
                f"| {points(row.ci_low)} to {points(row.ci_high)} | {p_value(row.p)} "
                f"| {row.verdict} | {row.here} |"
            )
    lines += ["", *header("claim", "comparisons", "over seeds and images", "on these images")]
    for claim in group["claims"]:
        parts = [
            (expected, row)
            for name in claim["tables"]
            for row in group["tables"][name]["verdicts"].itertuples()
            for arm, expected in claim["expects"].items()
            if row.arm == arm
        ]
        both, here = (
            claim_status([part_status(expected, getattr(row, column)) for expected, row in parts])
            for column in ("verdict", "here")
        )
        lines.append(f"| {claim['text']} | {len(parts)} | {both} | {here} |")
    return "\n".join(lines) + "\n"


def part_status(expected: list[str], verdict: str) -> str:
    """Return the status of a claim in one comparison.

    Args:
        expected: verdicts that are consistent with the claim.
        verdict: verdict of the comparison.
    """
    if verdict == "open":
        return OPEN
    if verdict in expected:
        return HOLDS
    return SMALL if verdict == "same" else CONTRADICTED


def summary(all_groups: dict[str, dict]) -> str:
    """Return the counts of verdicts of each table as Markdown."""
    tables = [table for group in all_groups.values() for table in group["tables"].values()]
    lines = header("data", "arms", "runs an arm", "images", *OUTCOMES, "open on these images")
    totals = dict.fromkeys((*OUTCOMES, "here"), 0)
    for table in tables:
        scores, found = table["scores"], table["verdicts"]
        counts = {one: int((found["verdict"] == one).sum()) for one in OUTCOMES}
        counts["here"] = int((found["here"] == "open").sum())
        totals = {one: totals[one] + counts[one] for one in totals}
        lines.append(
            f"| {table['data']} | {scores['arm'].nunique()} "
            f"| {scores.groupby('arm').size().min()} | {scores['images'].min():,} | "
            f"{' | '.join(map(str, counts.values()))} |"
        )
    lines.append(f"| all | | | | {' | '.join(map(str, totals.values()))} |")
    return "\n".join(lines) + "\n"


def header(*names: str) -> list[str]:
    """Return the head of a Markdown table."""
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]


def wrapped(text: str, **options: Any) -> list[str]:
    """Return the lines of a wrapped paragraph."""
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False, **options)


def points(share: float) -> str:
    """Return a difference in percentage points, with its sign."""
    return f"{100 * share:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """Return a p-value with three digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


if __name__ == "__main__":
    main()

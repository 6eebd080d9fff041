"""Writes ``docs/results.md``: every table of a study, its columns, the metrics and the thresholds.

With ``--check`` nothing is written; it fails if the page is behind the code.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablation.analysis.checks import CHECKS
from ablation.analysis.interpretations import INTERPRETATIONS
from ablation.analysis.tables import TABLES, Column
from ablation.analysis.thresholds import THRESHOLDS
from ablation.study.metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs/results.md"
INTRODUCTION = """\
# The tables of a study

<!-- This page is written by `make docs`. -->

The analysis of a study writes these tables as `results/{study}/NAME.csv`. Shares lie between 0 and
1, differences are of shares; a text or number that does not apply is empty. Comma-separated, UTF-8,
one header line.
"""


def main() -> None:
    """Write the page, or say that it is behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"error: docs/{PAGE.name} is behind the code: run make docs")


def page() -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION]
    for table in TABLES.values():
        rows: list[tuple[str, str, str]] = []
        for one in table.declared:
            if isinstance(one, Column):
                rows.append((f"`{one.name}`", one.unit, one.meaning))
            elif one.mean:
                meaning = "Each metric: mean over the seeds, and standard deviation (n - 1)."
                rows.append(("`METRIC`, `METRIC_sd`", "as the metric", meaning))
            else:
                rows.append(("`METRIC`", "as the metric", "Each metric."))
        parts.append(f"## {table.name}\n\n{table.meaning}\n\n")
        parts.append(markdown(("column", "unit", "what it holds"), rows))
    parts.append("## Metrics\n\n")
    parts.append(
        markdown(
            ("metric", "unit", "better", "what it is"),
            ((f"`{m.name}`", m.unit, m.direction or "", m.definition) for m in METRICS),
        )
    )
    parts.append("## Checks\n\nThe values of the column `check` of the table `checks`.\n\n")
    parts.append(
        markdown(
            ("check", "of each", "threshold"),
            ((f"`{one.name}`", one.scope, code(one.threshold)) for one in CHECKS),
        )
    )
    listed = ", ".join(f"`{one.name}`" for one in INTERPRETATIONS)
    parts.append(f"## Interpretations\n\nThe values of the column `interpretation`: {listed}.\n\n")
    parts.append(
        "## Thresholds\n\nBeside these, the table `thresholds` has the study's `margin` and the "
        "number of `experiments` that share the level.\n\n"
    )
    parts.append(
        markdown(
            ("threshold", "value", "unit", "what it decides"),
            (
                (f"`{name}`", f"{one.value:g}", one.unit, one.meaning)
                for name, one in THRESHOLDS.items()
            ),
        )
    )
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def code(name: str | None) -> str:
    """Return a name as code, or nothing."""
    return f"`{name}`" if name else ""


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()

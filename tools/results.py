"""Write ``docs/results.md``: tables of a study with columns, metrics, checks and thresholds.

With ``--check`` nothing is written; it fails if the page is out of date.
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

The analysis of a study writes these tables as `results/{study}/NAME.csv`: comma-separated, UTF-8,
one header line. A `share` is between 0 and 1; a `difference` is between two shares. Values that do
not apply are empty.
"""


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"error: docs/{PAGE.name} is out of date: run 'make docs'")


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
        parts.append(markdown(("column", "unit", "meaning"), rows))
    parts.append("## Metrics\n\n")
    parts.append(
        markdown(
            ("metric", "unit", "better", "definition"),
            ((f"`{m.name}`", m.unit, m.direction or "", m.definition) for m in METRICS),
        )
    )
    parts.append("## Checks\n\nThe values of the column `check` of the table `checks`.\n\n")
    parts.append(
        markdown(
            ("check", "scope", "threshold"),
            ((f"`{one.name}`", one.scope, code(one.threshold)) for one in CHECKS),
        )
    )
    listed = ", ".join(f"`{one.name}`" for one in INTERPRETATIONS)
    parts.append(f"## Interpretations\n\nThe values of the column `interpretation`: {listed}.\n\n")
    parts.append(
        "## Thresholds\n\nThe table `thresholds` also has the `margin` of the study and the number "
        "of `experiments` that share the level.\n\n"
    )
    parts.append(
        markdown(
            ("threshold", "value", "unit", "meaning"),
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

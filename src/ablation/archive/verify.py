"""Verification of an archive, without its checkout and without TensorFlow."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ablation.analysis.tables import TABLES
from ablation.archive.files import check_hashes, names, read_about, unpack
from ablation.archive.recompute import recompute
from ablation.archive.rerun import rerun
from ablation.errors import InputError, visible
from ablation.study.code import analysis_code, report_code
from ablation.study.comparisons import Comparison
from ablation.study.plan import Plan
from ablation.study.plan_file import read_plan


def verify(file: Path, repeat: str | None = None) -> bool:
    """Verify an archive, and print its claims and a line for each finding.

    Checks all hashes, computes the tables from the files of the runs, renders the report, and
    compares them with those of the archive.

    Args:
        file: the archive.
        repeat: id of a run to train again, too.

    Returns:
        Whether everything agrees.

    Raises:
        InputError: the file is no archive, or the run cannot be trained here.
    """
    with TemporaryDirectory(prefix="ablation-") as place:
        tree, again = Path(place, "archive"), Path(place, "again")
        findings = unpack(file, tree)
        about = read_about(tree)
        findings += check_hashes(tree)
        if not findings:
            print(f"{len(names(tree))} files: all agree with both lists of hashes")
        plan = None
        try:
            differences = recompute(tree, again)
            plan = read_plan(tree / "results" / about["study"] / "plan.json")
        except Exception as error:  # an archive can contain anything
            reason = error if isinstance(error, InputError) else repr(error)
            differences = [f"cannot be computed again: {str(reason).partition('; ')[0]}"]
        code = (about.get("analysis_code"), about.get("report_code"))
        if differences and code != (analysis_code(), report_code()):
            print(f"note: made with another version of ablation ({about.get('version')})")
        if plan is not None:
            if not differences:
                print(f"tables and report: follow from the files of {len(plan.runs)} runs")
            print("\n".join(["", *map(visible, evidence(plan, again)), ""]))
            if repeat is not None:
                differences += rerun(plan, tree, repeat, Path(place, "rerun"))
        findings += differences
    for finding in findings:
        print(visible(f"FINDING {finding}"))
    print(f"{file}: {f'{len(findings)} finding(s)' if findings else 'verified'}")
    return not findings


def evidence(plan: Plan, results: Path) -> Iterator[str]:
    """Yield the claims of a report with the rows and the runs that they rest on.

    Args:
        plan: the study.
        results: its tables.
    """
    comparisons, claims = (TABLES[name].read(results) for name in ("comparisons", "claims"))
    sentences = pd.read_csv(results / "findings.csv", dtype=str, keep_default_na=False)
    sentences = sentences[sentences["part"] == "answer"].drop_duplicates("text")
    for experiment in plan.experiments:
        of = experiment.name
        yield f"{of}: {experiment.block.question}"
        yield from (f"  {text}" for text in sentences.loc[sentences["scope"] == of, "text"])
        rows = comparisons[comparisons["experiment"] == of]
        for comparison, (line, row) in zip(experiment.comparisons, _lines(rows), strict=True):
            yield f"  {_verdict(row)}"
            runs = " ".join(_runs(plan, comparison))
            yield f"    comparisons.csv line {line}; runs {runs}"
        for _, parts in claims[claims["experiment"] == of].groupby("claim", sort=False):
            (line, row), *others = _lines(parts)
            lines = ", ".join(str(number) for number, _ in [(line, row), *others])
            yield f"  claim “{row['text']}” ({row['source'] or 'this study'}): {row['status']}"
            yield f"    claims.csv line {lines}"


def _lines(rows: pd.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    """Return each row with its line in the file."""
    records: list[Any] = rows.to_dict("records")
    return [(int(index) + 2, row) for index, row in zip(rows.index, records, strict=True)]


def _verdict(row: dict[str, Any]) -> str:
    measure = row["measure"] if pd.isna(row["epoch"]) else f"{row['measure']} {row['epoch']}"
    numbers = f"{row['difference']:+.4g} ({row['ci_low']:+.4g} to {row['ci_high']:+.4g})"
    return (
        f"{row['verdict'] or 'no verdict'}: {row['arm']} against {row['reference']} on "
        f"{row['dataset']}, {measure} {numbers}, {row['seeds']} seeds"
    )


def _runs(plan: Plan, comparison: Comparison) -> list[str]:
    """Return the ids of the runs of a comparison."""
    return [
        run.id
        for experiment in plan.experiments
        for run in experiment.runs
        if (experiment.name, run.cell) in comparison.sources
    ]

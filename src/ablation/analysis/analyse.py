"""From the files of a study's runs to its tables and ``analysis.json``."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ablation.analysis import cells as made
from ablation.analysis.checks import checks_table
from ablation.analysis.claims import claims_table
from ablation.analysis.description import describe_study
from ablation.analysis.interpretations import interpretations_table
from ablation.analysis.looks import Looks, Sight
from ablation.analysis.mistakes import write_mistakes
from ablation.analysis.next_steps import next_steps_table
from ablation.analysis.published import published_table
from ablation.analysis.results import StudyResults, read_results
from ablation.analysis.rubric import rubric_checks
from ablation.analysis.runs import RunResult
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import OPEN
from ablation.analysis.thresholds import chance, threshold_rows
from ablation.analysis.verdicts import compare, experiment_level
from ablation.storage import atomically
from ablation.study.plan import Plan


def analyse(plan: Plan, folder: Path, *, partial: bool = False, looks: Path | None = None) -> None:
    """Analyse the runs of a study.

    Writes the tables as CSV, ``analysis.json`` (what was asked, settings and provenance) and
    ``mistakes.npz`` (test images that networks get wrong), each whole or as before. Records the
    look at these runs.

    Args:
        plan: the study.
        folder: where the files go.
        partial: take the runs that are there; the tables name those that are missing.
        looks: record of the looks at the study; ``looks.csv`` in ``folder`` by default.

    Raises:
        InputError: a run's files are missing (unless partial), not what its settings ask for, or
            have changed since they were written; or a table cannot be written.
    """
    found = read_results(plan, partial=partial)
    looked = Looks(looks or folder / "looks.csv", _seen(plan, found.by_folder))
    results = replace(found, looks=looked)
    make_tables(results)
    names = [experiment.name for experiment in plan.experiments]
    analysis = describe_study(
        plan,
        results.by_folder,
        levels=_levels(results),
        looks={name: len(looked.of(name)) for name in names},
        missing=len(results.missing) if partial else None,
    )
    for name, table in results.tables.items():
        _write(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_mistakes(results, folder / "mistakes.npz")
    text = json.dumps(analysis, indent=2, allow_nan=False)
    _write(folder / "analysis.json", f"{text}\n")
    looked.record(int((results.tables["comparisons"]["verdict"] == OPEN).sum()))


def make_tables(results: StudyResults) -> None:
    """Make every table of a study, in the order in which one needs another."""
    plan, tables = results.plan, results.tables
    tables["runs"] = made.runs_table(results)
    tables["curves"] = made.curves_table(results)
    tables["epochs"] = made.epochs_table(tables["runs"], tables["curves"])
    tables["cells"] = made.cells_table(results, tables["runs"])
    tables["comparisons"] = compare(plan, results.by_folder, results.looks)
    tables["claims"] = claims_table(plan, tables["comparisons"])
    tables["classes"] = made.classes_table(results)
    tables["class_effects"] = made.class_effects_table(results, _levels(results))
    tables["confusion"] = made.confusion_table(results)
    tables["calibration"] = made.calibration_table(results)
    tables["checks"] = checks_table(results)
    tables["thresholds"] = TABLES["thresholds"].frame(
        threshold_rows(plan.study.margin / 100, plan.comparing)
    )
    tables["interpretations"] = interpretations_table(results)
    tables["next_steps"] = next_steps_table(results)
    tables["published"] = TABLES["published"].frame(published_table(plan, tables["cells"]))
    records = {folder: result.record for folder, result in results.by_folder.items()}
    by_chance = {folder: chance(result.val_label) for folder, result in results.by_folder.items()}
    tables["rubric_checks"] = TABLES["rubric_checks"].frame(
        rubric_checks(plan, tables, records, by_chance)
    )


def _levels(results: StudyResults) -> dict[str, float]:
    """By experiment, the level of all its comparisons at this look."""
    return {
        experiment.name: experiment_level(results.plan, experiment, results.looks)
        for experiment in results.plan.experiments
    }


def _seen(plan: Plan, by_folder: Mapping[str, RunResult]) -> dict[str, Sight]:
    """What there is to see of the experiments that compare anything."""
    seen = {}
    for experiment in plan.experiments:
        if experiment.comparisons:
            there = [run for run in experiment.runs if run.folder in by_folder]
            seeds, final = experiment.block.seeds, experiment.block.final_seeds
            found = sorted({run.seed for run in there})
            runs = len(experiment.runs) // len(seeds) * len(found)
            more = final is None and len(found) < len(seeds)
            seen[experiment.name] = Sight(
                tuple(found),
                (runs - len(there), runs) if len(there) < runs else None,
                final,
                len(seeds) if more else None,
            )
    return seen


def _write(path: Path, text: str) -> None:
    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8", newline="\n")

    atomically(path, write)

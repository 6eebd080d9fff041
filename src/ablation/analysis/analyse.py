"""Analysis of a study: its tables and ``analysis.json``, from the files of its runs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ablation.analysis import cells
from ablation.analysis.checks import checks_table
from ablation.analysis.claims import claims_table
from ablation.analysis.description import describe_study
from ablation.analysis.interpretations import interpretations_table
from ablation.analysis.looks import Look, Looks
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

    Writes the tables as CSV, ``analysis.json`` (questions, settings and provenance) and
    ``mistakes.npz`` (misclassified test images); each file is replaced atomically. Records the look
    at these runs.

    Args:
        plan: the study.
        folder: folder of the files.
        partial: analyse the finished runs; the tables list the missing ones.
        looks: record of the looks at the study; by default ``looks.csv`` in ``folder``.

    Raises:
        InputError: files of a run are missing (unless partial), of other settings, or have changed
            since they were written; or a file cannot be written.
    """
    found = read_results(plan, partial=partial)
    record = Looks(looks or folder / "looks.csv", _current_looks(plan, found.by_folder))
    results = replace(found, looks=record)
    make_tables(results)
    names = [experiment.name for experiment in plan.experiments]
    analysis = describe_study(
        plan,
        results.by_folder,
        levels=_levels(results),
        looks={name: len(record.of(name)) for name in names},
        missing=len(results.missing) if partial else None,
    )
    for name, table in results.tables.items():
        _write(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_mistakes(results, folder / "mistakes.npz")
    text = json.dumps(analysis, indent=2, allow_nan=False)
    _write(folder / "analysis.json", f"{text}\n")
    record.record(int((results.tables["comparisons"]["verdict"] == OPEN).sum()))


def make_tables(results: StudyResults) -> None:
    """Make every table of a study; later tables use earlier ones."""
    plan, tables = results.plan, results.tables
    tables["runs"] = cells.runs_table(results)
    tables["curves"] = cells.curves_table(results)
    tables["epochs"] = cells.epochs_table(tables["runs"], tables["curves"])
    tables["cells"] = cells.cells_table(results, tables["runs"])
    tables["comparisons"] = compare(plan, results.by_folder, results.looks)
    tables["claims"] = claims_table(plan, tables["comparisons"])
    tables["classes"] = cells.classes_table(results)
    tables["class_effects"] = cells.class_effects_table(results, _levels(results))
    tables["confusion"] = cells.confusion_table(results)
    tables["calibration"] = cells.calibration_table(results)
    tables["checks"] = checks_table(results)
    tables["thresholds"] = TABLES["thresholds"].frame(
        threshold_rows(plan.study.margin / 100, plan.comparing)
    )
    tables["interpretations"] = interpretations_table(results)
    tables["next_steps"] = next_steps_table(results)
    tables["published"] = TABLES["published"].frame(published_table(plan, tables["cells"]))
    records = {folder: result.record for folder, result in results.by_folder.items()}
    chance_accuracy = {
        folder: chance(result.val_label) for folder, result in results.by_folder.items()
    }
    tables["rubric_checks"] = TABLES["rubric_checks"].frame(
        rubric_checks(plan, tables, records, chance_accuracy)
    )


def _levels(results: StudyResults) -> dict[str, float]:
    """Return the level of all comparisons of each experiment at the current look."""
    return {
        experiment.name: experiment_level(results.plan, experiment, results.looks)
        for experiment in results.plan.experiments
    }


def _current_looks(plan: Plan, by_folder: Mapping[str, RunResult]) -> dict[str, Look]:
    """Return the current look at each experiment with comparisons."""
    looks = {}
    for experiment in plan.experiments:
        if experiment.comparisons:
            finished = [run for run in experiment.runs if run.folder in by_folder]
            seeds, final = experiment.block.seeds, experiment.block.final_seeds
            found = sorted({run.seed for run in finished})
            runs = len(experiment.runs) // len(seeds) * len(found)
            more = final is None and len(found) < len(seeds)
            looks[experiment.name] = Look(
                tuple(found),
                (runs - len(finished), runs) if len(finished) < runs else None,
                final,
                len(seeds) if more else None,
            )
    return looks


def _write(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8", newline="\n")

    atomically(path, write)

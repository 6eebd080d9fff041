"""Next steps that would strengthen the results of a study, with their training time."""

from collections.abc import Iterable

import pandas as pd

from ablation.analysis.results import Row, StudyResults
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import OPEN
from ablation.analysis.thresholds import threshold
from ablation.study.plan import PlannedExperiment

STEPS = (
    "finish_runs", "stabilize", "seeds_for_verdicts", "longer_training", "more_seeds", "new_seeds",
)  # fmt: skip
"""Most useful first."""


def next_steps_table(results: StudyResults) -> pd.DataFrame:
    """Return the next steps, ordered by usefulness, then by training time.

    Args:
        results: the study, with its tables of cells, comparisons and checks.
    """
    rows = [row for experiment in results.plan.experiments for row in _steps(results, experiment)]
    rows.sort(key=lambda row: (STEPS.index(row["step"]), row.get("seconds") or 0.0))
    return TABLES["next_steps"].frame(rows)


def _steps(results: StudyResults, experiment: PlannedExperiment) -> Iterable[Row]:
    cells = results.rows("cells", experiment.name)
    compared = [row for row in results.rows("comparisons", experiment.name) if row["verdict"]]
    checks = {
        row["check"]: row for row in results.rows("checks", experiment.name) if not row["model"]
    }
    planned, seeds = len(experiment.runs), len(experiment.block.seeds)
    runs = results.rows("runs", experiment.name)  # including diverged ones
    seconds = pd.Series([row["seconds"] for row in runs], dtype=float).mean()

    def step(name: str, runs: int, longer: float = 1.0, **values: object) -> Row:
        time = runs * seconds * longer
        return {
            "experiment": experiment.name,
            "step": name,
            **values,
            "runs": runs,
            "seconds": time,
        }

    unfinished = sum(row["failed"] + row["missing"] for row in cells)
    if unfinished:
        yield step("finish_runs", unfinished, count=unfinished, of=planned)
    diverged = sum(row["diverged"] for row in cells)
    if diverged:
        yield step("stabilize", planned, count=diverged, of=planned)
    enough = int(threshold("seeds_for_verdicts"))
    if experiment.comparisons and seeds < enough:
        yield step("seeds_for_verdicts", (enough - seeds) * len(cells), needed=enough)
    if "longer_budget" in checks:
        still = checks["still_improving"]
        yield step(
            "longer_training", planned, threshold("longer_budget"),
            count=still["count"], of=still["of"], needed=int(checks["longer_budget"]["value"]),
        )  # fmt: skip
    undecided = [row for row in compared if row["verdict"] == OPEN]
    numbers = [int(row["seeds_needed"]) for row in undecided if pd.notna(row["seeds_needed"])]
    if numbers and seeds >= enough:
        needed = min(numbers)
        common = {"count": numbers.count(needed), "of": len(undecided), "needed": needed}
        if "level_spent" in checks:
            yield step("new_seeds", needed * len(cells), **common)
        else:
            yield step("more_seeds", (needed - seeds) * len(cells), **common)

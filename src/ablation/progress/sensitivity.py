"""The smallest differences that the seeds of a study detect."""

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablation.analysis.effects import ComparisonDesign
from ablation.analysis.looks import Look, level_of
from ablation.analysis.pooling import FREQUENT
from ablation.analysis.power import detectable_factor
from ablation.analysis.testing import SEEDS_FOR_VERDICTS, family_level
from ablation.progress.terminal import Part, table
from ablation.storage import UNREADABLE
from ablation.study.comparisons import CellKey, Comparison, cells_of
from ablation.study.grid import Run
from ablation.study.plan import Plan, PlannedExperiment

Factor = Callable[[PlannedExperiment, int], float]  # of a comparison of an experiment, for n seeds


@dataclass(frozen=True)
class Sensitivity:
    """The smallest differences that an experiment detects with 80 % power.

    Attributes:
        experiment: its name.
        seeds: smallest and largest number of seeds that the cells of a comparison share.
        comparisons: number of its comparisons.
        factor: of the comparison with the fewest seeds, in standard deviations of the paired
            differences; None below three seeds.
        spread: standard deviation of the paired differences in the finished runs, as a share;
            None if unknown.
        spread_of: source of the spread, as text.
    """

    experiment: str
    seeds: tuple[int, int]
    comparisons: int
    factor: float | None
    spread: float | None
    spread_of: str

    @property
    def points(self) -> float | None:
        """The smallest difference in percentage points of accuracy, if the spread is known."""
        if self.factor is None or self.spread is None:
            return None
        return 100 * self.factor * self.spread


def sensitivities(plan: Plan, done: Collection[str], factor: Factor) -> list[Sensitivity]:
    """Return the sensitivity of each experiment with comparisons.

    Args:
        plan: the study.
        done: folders of the finished runs.
        factor: the smallest difference in standard deviations of the paired differences, for
            a comparison of an experiment and a number of seeds, at least three.
    """
    runs: dict[CellKey, dict[int, Run]] = {}
    for experiment in plan.experiments:
        for run in experiment.runs:
            runs.setdefault((experiment.name, run.cell), {})[run.seed] = run
    scores: dict[tuple[str, int | None], float] = {}

    def score(run: Run, epoch: int | None) -> float:
        key = (run.folder, epoch)
        if key not in scores:
            scores[key] = accuracy(run, epoch) if run.folder in done else math.nan
        return scores[key]

    found = []
    for experiment in plan.experiments:
        shared = [_shared_seeds(c, runs) for c in experiment.comparisons]
        shared = [seeds for seeds in shared if seeds]
        if not shared:
            continue
        counts = [len(seeds) for seeds in shared]
        of_cells = [
            {
                source: {seed: score(run, one.epoch) for seed, run in runs[source].items()}
                for source in one.sources
            }
            for one in experiment.comparisons
        ]
        spread, spread_of = pooled_spread(experiment.comparisons, of_cells)
        found.append(
            Sensitivity(
                experiment.name,
                (min(counts), max(counts)),
                experiment.questions,
                factor(experiment, min(counts)) if min(counts) >= SEEDS_FOR_VERDICTS else None,
                spread,
                spread_of,
            )
        )
    return found


def accuracy(run: Run, epoch: int | None) -> float:
    """Return a finished run's test accuracy, or its validation accuracy after an epoch.

    0 to 1; NaN for a run that diverged, stopped before that epoch or is damaged.
    """
    folder = Path(run.folder)
    try:
        if json.loads((folder / "run.json").read_text())["status"] == "diverged":
            return math.nan
        if epoch is not None:
            with (folder / "history.csv").open(newline="") as lines:
                rows = {
                    int(row["epoch"]): float(row["val_accuracy"]) for row in csv.DictReader(lines)
                }
            return rows.get(epoch, math.nan)
        with np.load(folder / "predictions.npz", allow_pickle=False) as file:
            return float((file["probability"].argmax(axis=1) == file["label"]).mean())
    except UNREADABLE:  # reported by the analysis
        return math.nan


def pooled_spread(
    comparisons: list[Comparison], scores: Sequence[Mapping[CellKey, Mapping[int, float]]]
) -> tuple[float | None, str]:
    """Return the standard deviation of paired differences over seeds, pooled, and its source.

    It is computed from the differences of comparisons with at least two seeds; without such, from
    the spreads of single cells, assuming independence. None if no cell has two seeds.

    Args:
        comparisons: the comparisons.
        scores: for each comparison, accuracy by seed of each of its cells; NaN if unknown.
    """
    paired, single = [], []
    for one, of_cells in zip(comparisons, scores, strict=True):
        weights = one.weights
        finite = {
            source: {seed: value for seed, value in values.items() if math.isfinite(value)}
            for source, values in of_cells.items()
        }
        seeds = set.intersection(*(set(values) for values in finite.values()))
        differences = [
            sum(weight * finite[source][seed] for source, weight in weights.items())
            for seed in seeds
        ]
        if len(differences) > 1:
            paired.append((len(differences) - 1, statistics.variance(differences)))
        own = {source: list(v.values()) for source, v in finite.items() if len(v) > 1}
        if own:
            freedom = sum(len(values) - 1 for values in own.values())
            within = sum((len(v) - 1) * statistics.variance(v) for v in own.values()) / freedom
            single.append((freedom, within * sum(w * w for w in weights.values())))
    if paired:
        return _pool(paired), f"differences of {sum(f + 1 for f, _ in paired)} pairs"
    if single:
        return _pool(single), "single arms"
    return None, ""


def factor_of(plan: Plan) -> Factor:
    """Return the factor that the analysis uses for two arms at the first look.

    The level of the study is divided among experiments with comparisons, and among the comparisons
    of each.
    """

    def factor(experiment: PlannedExperiment, seeds: int) -> float:
        level = family_level(plan.comparing) / experiment.questions
        cells = Counter(dataset for dataset, _, _ in cells_of(experiment))
        others = min(cells.values()) - 2
        design = ComparisonDesign(
            (1.0, -1.0) + (0.0,) * others,
            (False, others + 1 >= FREQUENT) + (False,) * others,
            1.0,
            math.inf,
        )
        first = Look(tuple(range(seeds)), final=experiment.block.final_seeds)
        return detectable_factor(design, seeds, level_of([first], level))

    return factor


def sensitivity_parts(found: list[Sensitivity]) -> list[Part]:
    """Show the smallest differences that the seeds of a study detect."""
    if not found:
        return ["The study has no comparisons: no experiment has a baseline or comparisons."]
    rows = []
    for one in found:
        least, most = one.seeds
        rows.append(
            [
                one.experiment,
                str(least) if least == most else f"{least}-{most}",
                str(one.comparisons),
                "-" if one.factor is None else f"{one.factor:.1f} sd",
                "-" if one.points is None else _points(one.points),
                one.spread_of or "-",
            ]
        )
    header = ["experiment", "seeds", "comparisons", "smallest", "in accuracy", "spread from"]
    parts: list[Part] = [
        "The smallest difference that the seeds detect with 80 % power, in standard deviations "
        "of the paired differences over the seeds and, if these are known from finished runs, "
        "in percentage points (none: more than 100):",
        table(header, rows, right=[1, 2, 3, 4]),
    ]
    few = [one.experiment for one in found if one.factor is None]
    if few:
        parts.append(f"Fewer than {SEEDS_FOR_VERDICTS} seeds ({', '.join(few)}) give no verdicts.")
    return parts


def _points(points: float) -> str:
    return f"{points:.2f} points" if points <= 100 else "none"


def _shared_seeds(comparison: Comparison, runs: Mapping[CellKey, Mapping[int, Run]]) -> set[int]:
    return set.intersection(*(set(runs[source]) for source in comparison.sources))


def _pool(variances: list[tuple[int, float]]) -> float:
    """Return the standard deviation of variances pooled by degrees of freedom."""
    freedom = sum(f for f, _ in variances)
    return math.sqrt(sum(f * variance for f, variance in variances) / freedom)

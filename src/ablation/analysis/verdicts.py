"""The comparisons of a study, with a verdict for each."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ablation.analysis import power
from ablation.analysis.effects import CellScores, Effect, effects
from ablation.analysis.looks import Looks
from ablation.analysis.results import Row, StudyResults
from ablation.analysis.runs import RunResult
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import OPEN, Decision, decide, family_level
from ablation.analysis.thresholds import chance, near_chance, threshold
from ablation.study.comparisons import REVERSED, CellKey, Comparison, Outcome
from ablation.study.metrics import METRICS, TEST_ACCURACY, VAL_ACCURACY, Metric
from ablation.study.plan import Plan, PlannedExperiment

NO_VERDICT = ""  # both sides share no finished seed
LARGEST = {"share": 1.0, "difference": 2.0}  # possible difference of metrics of a unit

LevelAt = Callable[[int | None], float]  # level of a family by seeds; None for the current look

_BY_NAME = {metric.name: metric for metric in METRICS}


def compare(
    plan: Plan, by_folder: Mapping[str, RunResult], looks: Looks | None = None
) -> pd.DataFrame:
    """Return the table of a study's comparisons.

    Args:
        plan: the study.
        by_folder: finished runs by folder; the others count as not run yet.
        looks: the looks at the study; None for the level of a single look.
    """
    scores = all_scores(plan, by_folder)
    rows: list[Row] = []
    for experiment in plan.experiments:
        found = effects(experiment.comparisons, scores)
        rows += _rows(plan, experiment, found, _level_at(plan, experiment, looks))
    return TABLES["comparisons"].frame(rows)


def all_scores(
    plan: Plan, by_folder: Mapping[str, RunResult]
) -> dict[Outcome, dict[CellKey, CellScores]]:
    """Return the scores of every cell of a study, by outcome of its comparisons."""
    cells = {
        (name, cell): results
        for name, of_experiment in StudyResults(plan, by_folder).cells.items()
        for cell, results in of_experiment.items()
    }
    outcomes = {one.outcome for experiment in plan.experiments for one in experiment.comparisons}
    return {
        outcome: {source: _cell_scores(results, outcome) for source, results in cells.items()}
        for outcome in outcomes
    }


def experiment_level(
    plan: Plan, experiment: PlannedExperiment, looks: Looks | None, seeds: int | None = None
) -> float:
    """Return the level of all comparisons of an experiment.

    Args:
        plan: the study.
        experiment: the experiment.
        looks: the looks at the study.
        seeds: number of seeds of the next look; None for the current look.
    """
    questions = max(1, experiment.questions)
    level = family_level(plan.comparing) / questions
    if looks is not None:
        level = looks.level(experiment.name, level, seeds)
    return level * questions


def _level_at(plan: Plan, experiment: PlannedExperiment, looks: Looks | None) -> LevelAt:
    return lambda seeds: experiment_level(plan, experiment, looks, seeds)


def margin_of(comparison: Comparison, plan: Plan) -> float | None:
    """Return the margin of a comparison in the unit of the metric; None without a margin.

    The margin of a share is declared in percentage points.
    """
    if comparison.margin is not None:
        metric = _BY_NAME[comparison.measure]
        return comparison.margin / (100 if metric.unit in LARGEST else 1)
    return plan.study.margin / 100 if comparison.measure in (TEST_ACCURACY, VAL_ACCURACY) else None


def _cell_scores(every: Sequence[RunResult], outcome: Outcome) -> CellScores:
    measure, epoch = outcome
    results = [result for result in every if not result.diverged]
    correct: dict[int, np.ndarray] = {}
    labels = [result.label for result in results]
    images: float = max(map(len, labels), default=0)
    if epoch is not None:  # a run that stopped early has no accuracy at a later epoch
        results = [result for result in results if epoch <= len(result.history)]
        labels = [result.val_label for result in results]
        images = max(map(len, labels), default=0)
        values = [float(result.validated.iloc[epoch - 1]) for result in results]
    elif measure == TEST_ACCURACY:
        correct = {result.run.seed: result.correct for result in results}
        values = [float(right.mean()) for right in correct.values()]
    else:
        images = math.inf
        values = [result.metrics[measure] for result in results]
    accuracies = values if images < math.inf else [result.accuracy for result in results]
    by_seed = {result.run.seed: value for result, value in zip(results, values, strict=True)}
    data = results[0].run.data if results else None
    return CellScores(
        {seed: value for seed, value in by_seed.items() if math.isfinite(value)},
        images,
        correct,
        data=data.folder if data else "",
        source=data.settings.source if data else "",
        near_chance=bool(labels) and near_chance(float(np.mean(accuracies)), chance(labels[0])),
        diverged=any(result.diverged for result in every),
        lower_is_better=epoch is None and _BY_NAME[measure].direction == "lower",
    )


def _rows(
    plan: Plan, experiment: PlannedExperiment, found: Sequence[Effect | None], level: LevelAt
) -> list[Row]:
    """Return a row for each comparison of an experiment; together they are one family."""
    pairs = list(zip(experiment.comparisons, found, strict=True))
    tests = {
        place: effect.test
        for place, (_, effect) in enumerate(pairs)
        if effect is not None and effect.test is not None
    }
    questions = [experiment.comparisons[place].question for place in tests]
    decided = decide(list(tests.values()), questions, level(None))
    decisions = dict(zip(tests, decided, strict=True))
    rows = []
    for place, (comparison, effect) in enumerate(pairs):
        margin = margin_of(comparison, plan)
        row = {"experiment": experiment.name, **_comparison_columns(comparison), "margin": margin}
        metric = _BY_NAME.get(comparison.measure)
        if effect is None:
            row |= {"seeds": 0, "verdict": NO_VERDICT}
        else:
            row |= _effect_columns(effect, metric)
        if effect is not None and place in decisions:
            row |= _verdict_columns(effect, decisions[place], metric, margin)
            row |= _mde_columns(comparison, effect, metric, level(None) / experiment.questions)
            if decisions[place].verdict(_limit(margin)) == OPEN and not effect.near_chance:
                row["seeds_needed"] = power.seeds_needed(
                    effect, lambda seeds: level(seeds) / experiment.questions, margin or 0.0
                )
        rows.append(row)
    return rows


def _comparison_columns(comparison: Comparison) -> Row:
    row: Row = {
        "kinds": " ".join(comparison.kinds),
        "dataset": comparison.dataset,
        "arm": comparison.arm.label,
        "reference": comparison.reference.label,
        "measure": comparison.measure,
        "epoch": comparison.epoch,
        "factors": " × ".join(comparison.factors),
    }
    row["level"], row["reference_level"] = comparison.levels
    row["condition"], row["reference_condition"] = comparison.conditions
    for side, contrast in (("arm", comparison.arm), ("reference", comparison.reference)):
        if contrast.cell is not None:
            row |= {f"{side}_model": contrast.cell[1], f"{side}_augmentation": contrast.cell[2]}
    return row


def _effect_columns(effect: Effect, metric: Metric | None) -> Row:
    row: Row = {
        "seeds": effect.seeds,
        "difference": effect.difference,
        "verdict": OPEN,
        "sign_agreement": effect.sign_agreement,
        "prob_superiority": 1 - effect.superiority if _is_lower(metric) else effect.superiority,
        "arm_value": effect.arm,
        "reference_value": effect.reference,
        "near_chance": effect.near_chance,
        "failing": effect.failing,
        "by_seed": " ".join(f"{value:.6g}" for value in effect.by_seed),
    }
    if effect.image_error:
        low, high = effect.image_low, effect.image_high
        row |= {"image_ci_low": low, "image_ci_high": high, "ci_low": low, "ci_high": high}
        row |= {"ci_level": threshold("interval"), "basis": "images"}
    return row


def _verdict_columns(
    effect: Effect, decision: Decision, metric: Metric | None, margin: float | None
) -> Row:
    """Return the columns that need at least three seeds."""
    assert effect.test is not None
    verdict = decision.verdict(_limit(margin))
    # Networks that learned nothing are equal whatever is compared. Failing runs are rare, so a mean
    # over few seeds does not show their cost.
    if verdict == "same" and (effect.near_chance or effect.failing):
        verdict = OPEN
    if _is_lower(metric):
        verdict = REVERSED.get(verdict, verdict)
    known = math.isfinite(decision.low)  # no interval at level 0
    missed = threshold("failures_missed")
    return {
        "ci_low": decision.low if known else None,
        "ci_high": decision.high if known else None,
        "ci_level": decision.confidence if known else None,
        "p": effect.test.p,
        "p_adjusted": decision.p,
        "verdict": verdict,
        "basis": "seeds",
        "failure_rate": 1 - missed ** (1 / effect.seeds) if verdict == "same" else None,
    }


def _limit(margin: float | None) -> float:
    """Return the margin for a verdict; without a margin, no verdict is `same`."""
    return -math.inf if margin is None else margin


def _is_lower(metric: Metric | None) -> bool:
    """Return whether lower values are better; None stands for accuracies at an epoch."""
    return metric is not None and metric.direction == "lower"


def _mde_columns(
    comparison: Comparison, effect: Effect, metric: Metric | None, level: float
) -> Row:
    """Return the minimum detectable effect with its interval."""
    largest = LARGEST.get(metric.unit if metric else "share", math.inf)
    # an interaction is a difference of differences
    largest *= 2 ** max(0, len(comparison.factors) - 1)
    found = power.detectable(effect, level)
    sizes = [min(size, largest) for size in found] if found else [None] * 3
    return dict(zip(("mde", "mde_low", "mde_high"), sizes, strict=True))

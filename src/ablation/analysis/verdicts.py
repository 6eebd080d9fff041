"""The comparisons of a study: from its runs to a verdict on each pair and metric."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis import power
from ablation.analysis.effects import Effect, Scores, effects
from ablation.analysis.looks import Looks
from ablation.analysis.results import StudyResults
from ablation.analysis.runs import RunResult
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import OPEN, Decision, decide, family_level
from ablation.analysis.thresholds import chance, near_chance, threshold
from ablation.study.comparisons import REVERSED, Comparison, Outcome, Source
from ablation.study.metrics import METRICS, TEST_ACCURACY, VAL_ACCURACY, Metric
from ablation.study.plan import Plan, PlannedExperiment

NO_VERDICT = ""  # no seed has finished on both sides
LARGEST = {"share": 1.0, "difference": 2.0}  # difference that a metric of this unit may have

Row = dict[str, Any]
Level = Callable[[int | None], float]  # of a family at this look (None), or with so many seeds

_BY_NAME = {metric.name: metric for metric in METRICS}


def compare(
    plan: Plan, by_folder: Mapping[str, RunResult], looks: Looks | None = None
) -> pd.DataFrame:
    """Return the table of a study's comparisons.

    Args:
        plan: the study.
        by_folder: its runs by folder; what is missing counts as not run yet.
        looks: the looks at it; by default the level is that of a study that is looked at once.
    """
    scores = all_scores(plan, by_folder)
    rows: list[Row] = []
    for experiment in plan.experiments:
        found = effects(experiment.comparisons, scores)
        rows += _rows(plan, experiment, found, _level(plan, experiment, looks))
    return TABLES["comparisons"].frame(rows)


def all_scores(
    plan: Plan, by_folder: Mapping[str, RunResult]
) -> dict[Outcome, dict[Source, Scores]]:
    """Return how every cell of a study did, by what its comparisons compare."""
    cells = {
        (name, cell): results
        for name, of_experiment in StudyResults(plan, by_folder).cells.items()
        for cell, results in of_experiment.items()
    }
    outcomes = {one.outcome for experiment in plan.experiments for one in experiment.comparisons}
    return {
        outcome: {source: _score(results, outcome) for source, results in cells.items()}
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
        seeds: at a next look with so many seeds, instead of at this one.
    """
    questions = max(1, experiment.questions)
    by_itself = family_level(plan.comparing) / questions
    if looks is not None:
        by_itself = looks.level(experiment.name, by_itself, seeds)
    return by_itself * questions


def _level(plan: Plan, experiment: PlannedExperiment, looks: Looks | None) -> Level:
    return lambda seeds: experiment_level(plan, experiment, looks, seeds)


def margin_of(comparison: Comparison, plan: Plan) -> float | None:
    """Return the difference that does not matter, in the unit of the metric; None if there is none.

    Shares are declared in percentage points.
    """
    if comparison.margin is not None:
        metric = _BY_NAME[comparison.measure]
        return comparison.margin / (100 if metric.unit in LARGEST else 1)
    return plan.study.margin / 100 if comparison.measure in (TEST_ACCURACY, VAL_ACCURACY) else None


def _score(every: Sequence[RunResult], outcome: Outcome) -> Scores:
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
    return Scores(
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
    plan: Plan, experiment: PlannedExperiment, found: Sequence[Effect | None], level: Level
) -> list[Row]:
    """A row for each comparison of an experiment; all of them are one family."""
    pairs = list(zip(experiment.comparisons, found, strict=True))
    judged = {
        place: effect.estimate
        for place, (_, effect) in enumerate(pairs)
        if effect is not None and effect.estimate is not None
    }
    questions = [experiment.comparisons[place].question for place in judged]
    decided = decide(list(judged.values()), questions, level(None))
    decisions = dict(zip(judged, decided, strict=True))
    rows = []
    for place, (comparison, effect) in enumerate(pairs):
        margin = margin_of(comparison, plan)
        row = {"experiment": experiment.name, **_declared(comparison), "margin": margin}
        metric = _BY_NAME.get(comparison.measure)
        if effect is None:
            row |= {"seeds": 0, "verdict": NO_VERDICT}
        else:
            row |= _found(effect, metric)
        if effect is not None and place in decisions:
            row |= _judged(effect, decisions[place], metric, margin)
            row |= _reach(comparison, effect, metric, level(None) / experiment.questions)
            if decisions[place].verdict(_limit(margin)) == OPEN and not effect.near_chance:
                row["seeds_needed"] = power.seeds_needed(
                    effect, lambda seeds: level(seeds) / experiment.questions, margin or 0.0
                )
        rows.append(row)
    return rows


def _declared(comparison: Comparison) -> Row:
    """What is compared."""
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


def _found(effect: Effect, metric: Metric | None) -> Row:
    """What a comparison found, without a verdict."""
    row: Row = {
        "seeds": effect.seeds,
        "difference": effect.difference,
        "verdict": OPEN,
        "sign_agreement": effect.agree,
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


def _judged(effect: Effect, decision: Decision, metric: Metric | None, margin: float | None) -> Row:
    """The verdict on an effect, from three seeds on."""
    assert effect.estimate is not None
    verdict = decision.verdict(_limit(margin))
    # Networks that learned nothing are equal whatever is compared, and runs that fail are rare, so
    # that a mean over few seeds hides how much they cost.
    if verdict == "same" and (effect.near_chance or effect.failing):
        verdict = OPEN
    if _is_lower(metric):
        verdict = REVERSED.get(verdict, verdict)
    known = math.isfinite(decision.low)  # at level 0 there is no interval
    missed = threshold("failures_missed")
    return {
        "ci_low": decision.low if known else None,
        "ci_high": decision.high if known else None,
        "ci_level": decision.confidence if known else None,
        "p": effect.estimate.p,
        "p_adjusted": decision.p,
        "verdict": verdict,
        "basis": "seeds",
        "failure_rate": 1 - missed ** (1 / effect.seeds) if verdict == "same" else None,
    }


def _limit(margin: float | None) -> float:
    """The margin; without one nothing is the same."""
    return -math.inf if margin is None else margin


def _is_lower(metric: Metric | None) -> bool:
    """Whether lower values are better; at an epoch, accuracies are compared."""
    return metric is not None and metric.direction == "lower"


def _reach(comparison: Comparison, effect: Effect, metric: Metric | None, level: float) -> Row:
    """How small a difference the comparison finds."""
    largest = LARGEST.get(metric.unit if metric else "share", math.inf)
    # An interaction is a difference of differences.
    largest *= 2 ** max(0, len(comparison.factors) - 1)
    found = power.detectable(effect, level)
    sizes = [min(size, largest) for size in found] if found else [None] * 3
    return dict(zip(("mde", "mde_low", "mde_high"), sizes, strict=True))

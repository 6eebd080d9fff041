"""Classes: how accurate each arm is on each, and which classes an arm helps and harms."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import confusion_matrix

from ablation.analysis.effects import INTERVAL
from ablation.analysis.runs import RunResult
from ablation.analysis.testing import LEVEL, SEEDS_FOR_VERDICTS, holm, t_test, together
from ablation.study.comparisons import Comparison, Source

EFFECT_COLUMNS = (
    "kinds", "dataset", "arm", "reference", "class", "images", "seeds", "difference", "ci_low",
    "ci_high", "p", "p_adjusted", "verdict",
)  # fmt: skip


def class_accuracies(results: Sequence[RunResult]) -> pd.DataFrame:
    """Return the accuracy of a cell on each class.

    Args:
        results: the cell's runs, none of them diverged, at least one.

    Returns:
        A row a class: ``class``, ``images``, ``accuracy`` (mean over seeds), ``accuracy_sd``.
    """
    names = results[0].record["class_names"]
    images = np.bincount(results[0].label, minlength=len(names))
    shares = np.array([_by_class(r.correct, r.label, len(names)) for r in results])
    return pd.DataFrame(
        {
            "class": names,
            "images": images,
            "accuracy": shares.mean(axis=0),
            "accuracy_sd": shares.std(axis=0, ddof=1) if len(results) > 1 else np.nan,
        }
    )


def confusions(results: Sequence[RunResult]) -> pd.DataFrame:
    """Return how often a cell took one class for another, summed over its runs.

    Args:
        results: the cell's runs, none of them diverged, at least one.

    Returns:
        ``true``, ``predicted`` (class names), ``count`` (above 0), ``share`` (of the true class).
    """
    names = results[0].record["class_names"]
    every = list(range(len(names)))
    counts = sum(confusion_matrix(r.label, r.answer, labels=every) for r in results)
    true, predicted = np.nonzero(counts)
    found = counts[true, predicted]
    return pd.DataFrame(
        {
            "true": [names[i] for i in true],
            "predicted": [names[i] for i in predicted],
            "count": found,
            "share": found / counts.sum(axis=1)[true],
        }
    )


def class_effects(
    comparisons: Sequence[Comparison],
    results: Mapping[Source, Sequence[RunResult]],
    level: float,
) -> pd.DataFrame:
    """Return which classes arms help and harm against their references.

    From three seeds on, a paired t-test over the seeds and the test over seeds and images together
    (`testing.together`) have to find an effect; Holm's correction is over all classes of all
    comparisons given. With fewer seeds nothing is claimed, and intervals are over the images.

    Args:
        comparisons: of the test accuracies of single cells, each pair once.
        results: the runs of their cells, diverged ones left out.
        level: how often all of this together may claim something where there is nothing.

    Returns:
        A row for each comparison and class, with the columns `EFFECT_COLUMNS`; the verdict is
        ``helped``, ``harmed`` or ``unclear``.
    """
    parts = []
    for comparison in comparisons:
        arm, reference = (
            {r.run.seed: r for r in results[side.terms[0][1]]}
            for side in (comparison.arm, comparison.reference)
        )
        seeds = sorted(arm.keys() & reference.keys())
        if not seeds:
            continue
        label = arm[seeds[0]].label
        names = arm[seeds[0]].record["class_names"]
        paired = np.array([arm[s].correct.astype(float) - reference[s].correct for s in seeds])
        found = _effects_by_class(paired, label, len(names)).assign(
            kinds=" ".join(comparison.kinds),
            dataset=comparison.dataset,
            arm=comparison.arm.label,
            reference=comparison.reference.label,
            seeds=len(seeds),
            **{"class": names},
        )
        parts.append(found)
    if not parts:
        return pd.DataFrame(columns=list(EFFECT_COLUMNS))
    table = _judge(pd.concat(parts, ignore_index=True), level)
    return table[list(EFFECT_COLUMNS)]


def _judge(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add the verdict on each class: corrected p-value, interval and verdict."""
    tested = table["p"].notna().to_numpy()
    p, at = np.full((2, len(table)), math.nan)
    p[tested], at[tested] = holm(table.loc[tested, "p"].to_numpy(), level)
    half = np.maximum(
        table["seed_error"] * stats.t.isf(at / 2, table["seeds"] - 1),
        table["error"] * stats.t.isf(at / 2, table["freedom"]),
    )
    half = np.where(np.isnan(at), table["image_reach"], half)
    half = np.where(at == 0, math.nan, half)  # at level 0 there is no interval
    claimed = p <= LEVEL
    return table.assign(
        ci_low=table["difference"] - half,
        ci_high=table["difference"] + half,
        p_adjusted=p,
        verdict=np.where(claimed, np.where(table["difference"] > 0, "helped", "harmed"), "unclear"),
    )


def _by_class(values: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Means of values over the examples of each class; NaN for a class without any."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.bincount(label, values, minlength=classes) / np.bincount(label, minlength=classes)
        )


def _effects_by_class(paired: np.ndarray, label: np.ndarray, classes: int) -> pd.DataFrame:
    """The effect on each class and its errors, from differences [seeds, images]; a row a class."""
    seeds = len(paired)
    images = np.bincount(label, minlength=classes)
    count = np.maximum(images, 2)
    shares = np.array([_by_class(of_seed, label, classes) for of_seed in paired])
    mean, by_image = shares.mean(axis=0), paired.mean(axis=0)
    least = 1 / np.maximum(images, 1)
    variance = (_by_class(by_image**2, label, classes) - mean**2) / (count - 1)
    image_error = np.maximum(np.sqrt(np.maximum(variance, 0)), least)
    found = pd.DataFrame(
        {
            "images": images,
            "difference": mean,
            "image_reach": stats.norm.ppf((1 + INTERVAL) / 2) * image_error,
        }
    )
    if seeds < SEEDS_FOR_VERDICTS:
        return found.assign(seed_error=math.nan, error=math.nan, freedom=math.nan, p=math.nan)
    freedom = seeds - 1
    seed_error = np.maximum(shares.std(axis=0, ddof=1), least) / math.sqrt(seeds)
    rest = paired - by_image - shares[:, label] + mean[label]
    shared = _by_class((rest**2).sum(axis=0), label, classes) / freedom / (count - 1) / seeds
    error, of_error = together(seed_error, freedom, image_error, shared, count)
    p = np.maximum(t_test(mean / seed_error, freedom), t_test(mean / error, of_error))
    return found.assign(
        seed_error=seed_error,
        error=error,
        freedom=of_error,
        p=np.where(images > 0, p, 1.0),
    )

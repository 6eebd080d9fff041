"""Accuracy of each arm on each class, and effects on single classes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import confusion_matrix

from ablation.analysis.effects import INTERVAL
from ablation.analysis.runs import RunResult
from ablation.analysis.testing import LEVEL, SEEDS_FOR_VERDICTS, combined_error, holm, t_test
from ablation.study.comparisons import CellKey, Comparison

EFFECT_COLUMNS = (
    "kinds", "dataset", "arm", "reference", "class", "images", "seeds", "difference", "ci_low",
    "ci_high", "p", "p_adjusted", "verdict",
)  # fmt: skip


def class_accuracies(results: Sequence[RunResult]) -> pd.DataFrame:
    """Return the accuracy of a cell on each class.

    Args:
        results: runs of the cell, at least one, without diverged ones.

    Returns:
        A row for each class: ``class``, ``images``, ``accuracy`` (mean over seeds) and
        ``accuracy_sd``.
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
    """Return the nonzero entries of the confusion matrix of a cell, summed over its runs.

    Args:
        results: runs of the cell, at least one, without diverged ones.

    Returns:
        Columns ``true``, ``predicted`` (class names), ``count``, ``share`` (of the true class).
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
    results: Mapping[CellKey, Sequence[RunResult]],
    level: float,
) -> pd.DataFrame:
    """Return the effects of arms on single classes.

    With three seeds or more, an effect is significant in a paired t-test over the seeds and in the
    test over seeds and images (`testing.combined_error`), with Holm's correction over all classes
    and comparisons. With fewer seeds all verdicts are ``unclear``, and intervals are over the
    images.

    Args:
        comparisons: comparisons of the test accuracies of single cells, without duplicates.
        results: runs of each cell, without diverged ones.
        level: family-wise error rate.

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
    table = _add_verdicts(pd.concat(parts, ignore_index=True), level)
    return table[list(EFFECT_COLUMNS)]


def _add_verdicts(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add corrected p-value, interval and verdict of each class."""
    tested = table["p"].notna().to_numpy()
    p, at = np.full((2, len(table)), math.nan)
    p[tested], at[tested] = holm(table.loc[tested, "p"].to_numpy(), level)
    half = np.maximum(
        table["seed_error"] * stats.t.isf(at / 2, table["seeds"] - 1),
        table["error"] * stats.t.isf(at / 2, table["df"]),
    )
    half = np.where(np.isnan(at), table["image_half_width"], half)
    half = np.where(at == 0, math.nan, half)  # no interval at level 0
    claimed = p <= LEVEL
    return table.assign(
        ci_low=table["difference"] - half,
        ci_high=table["difference"] + half,
        p_adjusted=p,
        verdict=np.where(claimed, np.where(table["difference"] > 0, "helped", "harmed"), "unclear"),
    )


def _by_class(values: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Return the mean over the examples of each class; NaN for a class without examples."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.bincount(label, values, minlength=classes) / np.bincount(label, minlength=classes)
        )


def _effects_by_class(paired: np.ndarray, label: np.ndarray, classes: int) -> pd.DataFrame:
    """Return the effect on each class with its errors, from differences [seeds, images]."""
    seeds = len(paired)
    images = np.bincount(label, minlength=classes)
    count = np.maximum(images, 2)
    shares = np.array([_by_class(of_seed, label, classes) for of_seed in paired])
    mean, by_image = shares.mean(axis=0), paired.mean(axis=0)
    one_image = 1 / np.maximum(images, 1)
    variance = (_by_class(by_image**2, label, classes) - mean**2) / (count - 1)
    image_error = np.maximum(np.sqrt(np.maximum(variance, 0)), one_image)
    found = pd.DataFrame(
        {
            "images": images,
            "difference": mean,
            "image_half_width": stats.norm.ppf((1 + INTERVAL) / 2) * image_error,
        }
    )
    if seeds < SEEDS_FOR_VERDICTS:
        return found.assign(seed_error=math.nan, error=math.nan, df=math.nan, p=math.nan)
    df = seeds - 1
    seed_error = np.maximum(shares.std(axis=0, ddof=1), one_image) / math.sqrt(seeds)
    rest = paired - by_image - shares[:, label] + mean[label]
    squares = _by_class((rest**2).sum(axis=0), label, classes)
    seed_image_variance = squares / df / (count - 1) / seeds
    error, combined_df = combined_error(seed_error, df, image_error, seed_image_variance, count)
    p = np.maximum(t_test(mean / seed_error, df), t_test(mean / error, combined_df))
    return found.assign(
        seed_error=seed_error,
        error=error,
        df=combined_df,
        p=np.where(images > 0, p, 1.0),
    )

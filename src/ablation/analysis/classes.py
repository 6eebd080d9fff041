"""Classes: how accurate each arm is on each, and which classes an arm helps and harms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import confusion_matrix

from ablation.analysis.effects import (
    INTERVAL,
    SEEDS_FOR_METHODS,
    holm,
    sign_test,
    t_test,
    together,
)
from ablation.analysis.runs import RunResult
from ablation.study.comparisons import Comparison, Source

EFFECT_COLUMNS = (
    "kind", "dataset", "arm", "reference", "class", "images", "seeds", "difference", "low",
    "high", "p", "p_holm", "verdict",
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

    The tests are those of ``effects.effect``, on the images of one class; Holm's correction is
    over all classes of all comparisons given.

    Args:
        comparisons: of single cells on the test split.
        results: the runs of their cells, diverged ones left out.
        level: how often all of this together may claim something where there is nothing.

    Returns:
        A row a comparison, kind and class: ``kind``, ``dataset``, ``arm``, ``reference``,
        ``class``, ``images``, ``seeds``, ``difference``, ``low``, ``high``, ``p``, ``p_holm``,
        ``verdict`` (``helped``, ``harmed`` or ``unclear``).
    """
    rows: list[dict[str, Any]] = []
    questions: list[Any] = []
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
        found = _effects_by_class(paired, label, len(names))
        for position, name in enumerate(names):
            row = {key: values[position] for key, values in found.items()}
            for kind in comparison.kinds:
                questions.append((comparison.question, name))
                rows.append(
                    {
                        "kind": kind,
                        "dataset": comparison.dataset,
                        "arm": comparison.arm.label,
                        "reference": comparison.reference.label,
                        "class": name,
                        "seeds": len(seeds),
                        **row,
                    }
                )
    table = pd.DataFrame(rows, columns=[*EFFECT_COLUMNS, "sure"])
    table["p_holm"] = holm(table["p"].tolist(), questions)
    claimed = (table["p_holm"] <= level) & table["sure"].astype(bool)
    table["verdict"] = np.where(
        claimed, np.where(table["difference"] > 0, "helped", "harmed"), "unclear"
    )
    return table[list(EFFECT_COLUMNS)]


def _by_class(values: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Means of values over the examples of each class; NaN for a class without any."""
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.bincount(label, values, minlength=classes) / np.bincount(label, minlength=classes)
        )


def _effects_by_class(paired: np.ndarray, label: np.ndarray, classes: int) -> dict[str, Any]:
    """The effect on each class, from differences [seeds, images], as `effects.effect` has it."""
    seeds = len(paired)
    images = np.bincount(label, minlength=classes)
    count = np.maximum(images, 2)
    shares = np.array([_by_class(of_seed, label, classes) for of_seed in paired])
    mean, by_image = shares.mean(axis=0), paired.mean(axis=0)
    least = 1 / np.maximum(images, 1)
    variance = (_by_class(by_image**2, label, classes) - mean**2) / (count - 1)
    image_error = np.maximum(np.sqrt(np.maximum(variance, 0)), least)
    reach = stats.norm.ppf((1 + INTERVAL) / 2) * image_error
    if seeds >= SEEDS_FOR_METHODS:
        seed_error = np.maximum(shares.std(axis=0, ddof=1), least) / np.sqrt(seeds)
        half = stats.t.ppf((1 + INTERVAL) / 2, seeds - 1) * seed_error
        rest = paired - by_image - shares[:, label] + mean[label]
        shared = _by_class((rest**2).sum(axis=0), label, classes) / (seeds - 1) / (count - 1)
        error, freedom = together(seed_error, image_error, shared / seeds, seeds, count)
        p = np.maximum(t_test(mean / seed_error, seeds - 1), t_test(mean / error, freedom))
        sure = np.full(classes, fill_value=True)
    else:
        half = reach
        p = np.array([sign_test(by_image[label == c]) for c in range(classes)])
        if seeds > 1:
            p = np.maximum(p, 2 * stats.norm.sf(np.abs(mean) / image_error))
        sure = (np.abs(mean) > reach) & (np.sign(shares) == np.sign(mean)).all(axis=0)
    return {
        "images": images,
        "difference": mean,
        "low": mean - half,
        "high": mean + half,
        "p": np.where(images > 0, p, 1.0),
        "sure": sure,
    }

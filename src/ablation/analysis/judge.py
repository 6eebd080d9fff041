"""Verdicts on runs made elsewhere, from a table of arm, seed and accuracy."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ablation.analysis.pooling import (
    ARMS_TO_POOL,
    FREQUENT,
    ROUNDING,
    VarianceEstimate,
    pooled_variances,
)
from ablation.analysis.testing import (
    OPEN,
    SEEDS_FOR_VERDICTS,
    DifferenceTest,
    decide,
    difference_test,
)
from ablation.errors import InputError, nearest
from ablation.storage import atomically

MARGIN = 0.5  # percentage points
DECIMALS = 10  # significant decimals of an accuracy
COLUMNS = (
    "arm", "reference", "seeds", "difference", "ci_low", "ci_high", "p", "verdict",
)  # fmt: skip


def judge(scores: pd.DataFrame, reference: str, margin: float = MARGIN) -> pd.DataFrame:
    """Compare each arm with a reference over seeds.

    Variances over seeds are pooled over the arms (`ablation.analysis.pooling`). If the number of
    images is known, a test over seeds and images is required in addition
    (`ablation.analysis.testing.combined_error`). Holm's method corrects the larger p-value of both
    tests. For ``better`` and ``worse``, a paired t-test over the seeds at 6 % is also required,
    which controls the error if one arm is far noisier than the others. With two arms, the paired
    t-test is the only test over seeds.

    Args:
        scores: a row for each run, with the columns arm, seed, accuracy (a share, 0 to 1) and, if
            known, images (of the test split).
        reference: arm that the others are compared with.
        margin: largest difference that does not matter, in percentage points.

    Returns:
        A row for each comparison, in the order of the arms: arm, reference, seeds (of both),
        difference, ci_low and ci_high (shares), p (corrected) and verdict. The verdict is better or
        worse if p is at most 5 %, or equivalently if the interval excludes zero; same if the
        interval lies within the margin; otherwise open. With fewer than three seeds it is open,
        without interval and p.

    Raises:
        InputError: a column is missing, a value is wrong, or there is nothing to compare.
    """
    table = _checked(scores, reference, margin)
    images = {arm: _images(scores, arm) for arm in table}
    unit = 1 / min(images.values()) or _unit(table)
    pooled = _pooled(table, reference, 1 / unit)
    arms = [arm for arm in table if arm != reference]
    seeds = {arm: [seed for seed in table[reference] if seed in table[arm]] for arm in arms}
    judged = [arm for arm in arms if len(seeds[arm]) >= SEEDS_FOR_VERDICTS]
    tests = [
        _test(table[arm], table[reference], (images[arm], images[reference]), unit, pooled.get(arm))
        for arm in judged
    ]
    decisions = dict(zip(judged, decide(tests, judged), strict=True))
    rows = []
    for arm in arms:
        differences = [table[arm][seed] - table[reference][seed] for seed in seeds[arm]]
        row: dict[str, object] = {
            "arm": arm,
            "reference": reference,
            "seeds": len(differences),
            "difference": np.mean(differences) if differences else math.nan,
            "verdict": OPEN,
        }
        if arm in decisions:
            found = decisions[arm]
            row |= {"ci_low": found.low, "ci_high": found.high, "p": found.p}
            row["verdict"] = found.verdict(margin / 100)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def notes(scores: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Return remarks on a result of `judge`, one sentence each."""
    remarks = []
    if "images" not in scores:
        remarks.append(
            "the number of test images is not given, so the verdicts hold for these images only"
        )
    judged = verdicts[verdicts["seeds"] >= SEEDS_FOR_VERDICTS]
    seeds = scores.groupby(scores["arm"].astype(str))["seed"].agg(set)
    pooled = [seeds[arm] for arm in {*judged["arm"], *judged["reference"]}]
    shared = len(set.intersection(*pooled)) if pooled else 0
    if len(pooled) >= ARMS_TO_POOL and shared < SEEDS_FOR_VERDICTS:
        remarks.append(
            f"only {shared} seeds are common to all arms, so each comparison uses the paired t-test"
        )
    elif len(pooled) >= ARMS_TO_POOL and any(len(of) > shared for of in pooled):
        remarks.append(f"variances are estimated from the {shared} seeds that all arms have")
    few = verdicts.loc[verdicts["seeds"] < SEEDS_FOR_VERDICTS, "arm"]
    if len(few):
        remarks.append(
            f"fewer than {SEEDS_FOR_VERDICTS} seeds in common with the reference give no verdict: "
            f"{', '.join(few)}"
        )
    return remarks


def read_scores(file: Path) -> pd.DataFrame:
    """Read scores for `judge` from a CSV file.

    Raises:
        InputError: the file cannot be read as CSV.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with a field too many
            table = pd.read_csv(
                file,
                dtype=str,
                keep_default_na=False,  # an arm may be called None
                na_values=[""],
                index_col=False,
            )
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{file}: cannot be read as CSV: {str(reason).strip()}") from None
    table.columns = table.columns.str.strip()
    table = table.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    for column in {"seed", "accuracy", "images"} & set(table):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (numbers.notna() == table[column].notna()).all():  # seeds 0 and 0.0 are one
            table[column] = numbers
    return table


def write_verdicts(verdicts: pd.DataFrame, file: Path) -> None:
    """Write a result of `judge` to a CSV file.

    Raises:
        InputError: the file cannot be written.
    """
    file = file.resolve()
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: is not a file that can be written")
    atomically(file, lambda temporary: verdicts.to_csv(temporary, index=False, lineterminator="\n"))


def _checked(scores: pd.DataFrame, reference: str, margin: float) -> dict[str, dict[object, float]]:
    """Return the accuracy of each arm by seed, after checking all arguments."""
    for column in ("arm", "seed", "accuracy"):
        if column not in scores:
            raise InputError(
                f"scores: there is no column '{column}'{nearest(column, map(str, scores))}"
            )
    for column in map(str, scores):
        if column != "images" and column.strip().lower() in ("images", "image", "n_images"):
            raise InputError(f"scores: the column '{column}' must be called 'images'")
    if not 0 <= margin <= 100:
        raise InputError(f"margin: {margin} is not a number of percentage points, 0 to 100")
    table: dict[str, dict[object, float]] = {}
    for line, (arm, seed, value) in enumerate(
        scores[["arm", "seed", "accuracy"]].itertuples(index=False), start=2
    ):
        where = f"scores, line {line}"
        if pd.isna(arm) or pd.isna(seed) or pd.isna(value):
            raise InputError(f"{where}: arm, seed or accuracy is empty")
        accuracy = pd.to_numeric(value, errors="coerce")
        if not 0 <= accuracy <= 1:
            raise InputError(f"{where}: accuracy: {str(value)[:60]} is not a share, 0 to 1")
        if seed in table.setdefault(str(arm), {}):
            raise InputError(f"{where}: arm '{arm}' has seed {seed} twice")
        table[str(arm)][seed] = float(accuracy)
    if reference not in table:
        raise InputError(f"reference: there is no arm '{reference}'{nearest(reference, table)}")
    if len(table) == 1:
        raise InputError(f"scores: there is no arm beside '{reference}' to compare")
    return table


def _images(scores: pd.DataFrame, arm: str) -> float:
    """Return the smallest number of test images of an arm's runs; infinite if unknown."""
    if "images" not in scores:
        return math.inf
    column = scores.loc[scores["arm"].astype(str) == arm, "images"]
    images = pd.to_numeric(column, errors="coerce")
    if not ((images >= 2) & (images % 1 == 0)).all():
        raise InputError(f"scores: images of arm '{arm}' are not whole numbers from 2")
    return float(images.min())


def _test(
    arm: Mapping[object, float],
    reference: Mapping[object, float],
    images: tuple[float, float],
    unit: float,
    pooled: VarianceEstimate | None,
) -> DifferenceTest:
    """Return the tests of the difference over the seeds of both arms.

    Args:
        arm, reference: accuracy by seed.
        images: number of test images of both; infinite if unknown.
        unit: resolution of the accuracies, at least one test image.
        pooled: pooled variance of the difference over seeds; None without a pool.
    """
    pairs = np.array([(arm[seed], reference[seed]) for seed in reference if seed in arm])
    differences = pairs[:, 0] - pairs[:, 1]
    if math.isinf(max(images)):
        return difference_test(differences, pooled, images=1 / unit)
    # the predictions are unknown, so arms are treated as independent over the images
    means = pairs.mean(axis=0)
    squared = sum(p * (1 - p) / number for p, number in zip(means, images, strict=True))
    over_images = max(math.sqrt(squared), unit)
    return difference_test(differences, pooled, image_error=over_images, images=min(images))


def _unit(table: Mapping[str, Mapping[object, float]]) -> float:
    """Return the unit of the last decimal of the accuracies.

    The variance of equal rounded accuracies is not zero.
    """
    # 95.7 / 100 is not 0.957 to the last bit
    values = [round(value, DECIMALS) for of_arm in table.values() for value in of_arm.values()]
    decimals = (len(np.format_float_positional(value).partition(".")[2]) for value in values)
    return max(10.0 ** -max(decimals), ROUNDING)


def _pooled(
    table: Mapping[str, Mapping[object, float]], reference: str, images: float
) -> dict[str, VarianceEstimate]:
    """Return the pooled variance of each difference to the reference; empty without a pool.

    Arms with fewer than three seeds in common with the reference are left out.
    """
    arms = [
        arm for arm, of in table.items()
        if len(of.keys() & table[reference].keys()) >= SEEDS_FOR_VERDICTS
    ]  # fmt: skip
    shared = [seed for seed in table[reference] if all(seed in table[arm] for arm in arms)]
    if len(arms) < ARMS_TO_POOL or len(shared) < SEEDS_FOR_VERDICTS:
        return {}
    accuracy = np.array([[table[arm][seed] for seed in shared] for arm in arms])
    is_reference = np.array([arm == reference for arm in arms])
    frequent = is_reference & (len(arms) - 1 >= FREQUENT)
    variances = pooled_variances(accuracy, frequent, images)
    found = {}
    for arm in arms:
        if arm != reference:
            weights = 1.0 * (np.array(arms) == arm) - is_reference
            found[arm] = variances.of_contrast(weights, weights[None])
    return found

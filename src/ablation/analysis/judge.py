"""Verdicts on accuracies of runs made elsewhere: a table of arm, seed and accuracy is enough."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ablation.analysis.pooling import ARMS_TO_POOL, OFTEN, ROUNDING, Spread, pooled_variances
from ablation.analysis.testing import OPEN, SEEDS_FOR_VERDICTS, Estimate, decide, estimate
from ablation.errors import InputError, nearest
from ablation.storage import atomically

MARGIN = 0.5  # percentage points
DECIMALS = 10  # of an accuracy that count
COLUMNS = (
    "arm", "reference", "seeds", "difference", "ci_low", "ci_high", "p", "verdict",
)  # fmt: skip


def judge(scores: pd.DataFrame, reference: str, margin: float = MARGIN) -> pd.DataFrame:
    """Compare each arm with a reference over seeds.

    The error of a difference over seeds comes from variances that are pooled over the arms
    (`ablation.analysis.pooling`), with Satterthwaite's degrees of freedom; where the number of
    images is known, the error over seeds and images together decides (Clark 1973, The
    Language-as-Fixed-Effect Fallacy). Of both tests the larger p-value counts. Holm's method
    corrects it over the comparisons. For a verdict of better or worse a paired t-test over the
    seeds has to agree at the level of 6 %, which keeps the error where one arm is far noisier than
    the others. With two arms, the paired t-test is the only one over seeds.

    Args:
        scores: the columns arm, seed, accuracy (a share, 0 to 1) and, if it is known, images (of
            the test split); a row a run.
        reference: the arm that the others are compared with.
        margin: percentage points that do not matter.

    Returns:
        A row a comparison, in the order of the arms: arm, reference, seeds (that both have),
        difference, ci_low and ci_high (shares), p (corrected), verdict. Interval and p-value decide
        alike: the verdict is better or worse where p is at most 5 % and the interval, at the level
        that Holm's method leaves to the comparison, excludes zero; same where the interval lies
        within the margin; open otherwise. Below three seeds it is open, without interval or p.

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
    estimates = [
        _estimate(
            table[arm], table[reference], (images[arm], images[reference]), unit, pooled.get(arm)
        )
        for arm in judged
    ]
    decisions = dict(zip(judged, decide(estimates, judged), strict=True))
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
    """Return what has to be said of a result of `judge`, a sentence each."""
    said = []
    if "images" not in scores:
        said.append(
            "the number of test images is not given, so the verdicts speak of these images alone"
        )
    judged = verdicts[verdicts["seeds"] >= SEEDS_FOR_VERDICTS]
    seeds = scores.groupby(scores["arm"].astype(str))["seed"].agg(set)
    pooled = [seeds[arm] for arm in {*judged["arm"], *judged["reference"]}]
    shared = len(set.intersection(*pooled)) if pooled else 0
    if len(pooled) >= ARMS_TO_POOL and shared < SEEDS_FOR_VERDICTS:
        said.append(
            f"only {shared} seeds are common to all arms, so each comparison uses the paired t-test"
        )
    elif len(pooled) >= ARMS_TO_POOL and any(len(of) > shared for of in pooled):
        said.append(f"variances are estimated from the {shared} seeds that all arms have")
    few = verdicts.loc[verdicts["seeds"] < SEEDS_FOR_VERDICTS, "arm"]
    if len(few):
        said.append(
            f"fewer than {SEEDS_FOR_VERDICTS} seeds in common with the reference give no verdict: "
            f"{', '.join(few)}"
        )
    return said


def read_scores(file: Path) -> pd.DataFrame:
    """Read a CSV file of scores for `judge`.

    Raises:
        InputError: it cannot be read as CSV.
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
    """Write a result of `judge` as CSV.

    Raises:
        InputError: the file cannot be written.
    """
    file = file.resolve()
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: is not a file that can be written")
    atomically(file, lambda part: verdicts.to_csv(part, index=False, lineterminator="\n"))


def _checked(scores: pd.DataFrame, reference: str, margin: float) -> dict[str, dict[object, float]]:
    """Return accuracy by seed of each arm."""
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
    """The number of test images of an arm, the least if its runs differ; infinite if unknown."""
    if "images" not in scores:
        return math.inf
    column = scores.loc[scores["arm"].astype(str) == arm, "images"]
    images = pd.to_numeric(column, errors="coerce")
    if not ((images >= 2) & (images % 1 == 0)).all():
        raise InputError(f"scores: images of arm '{arm}' are not whole numbers from 2")
    return float(images.min())


def _estimate(
    arm: Mapping[object, float],
    reference: Mapping[object, float],
    images: tuple[float, float],
    unit: float,
    pooled: Spread | None,
) -> Estimate:
    """Estimate the difference of an arm and the reference over the seeds that both have.

    Args:
        arm, reference: accuracy by seed.
        images: number of test images of both, infinite if it is not known.
        unit: that accuracies are given in, at least one test image.
        pooled: how much the difference varies from seed to seed, if all arms tell that.
    """
    pairs = np.array([(arm[seed], reference[seed]) for seed in reference if seed in arm])
    differences = pairs[:, 0] - pairs[:, 1]
    if math.isinf(max(images)):
        return estimate(differences, pooled, images=1 / unit)
    # Which images each arm gets wrong is not known: the arms are taken as independent.
    means = pairs.mean(axis=0)
    squared = sum(p * (1 - p) / number for p, number in zip(means, images, strict=True))
    over_images = max(math.sqrt(squared), unit)
    return estimate(differences, pooled, image_error=over_images, images=min(images))


def _unit(table: Mapping[str, Mapping[object, float]]) -> float:
    """What accuracies are rounded to, by the decimals that they are given with.

    Where rounded accuracies are equal, their variance is not zero.
    """
    # 95.7 / 100 is 0.957, though not to the last bit
    values = [round(value, DECIMALS) for of_arm in table.values() for value in of_arm.values()]
    decimals = (len(np.format_float_positional(value).partition(".")[2]) for value in values)
    return max(10.0 ** -max(decimals), ROUNDING)


def _pooled(
    table: Mapping[str, Mapping[object, float]], reference: str, images: float
) -> dict[str, Spread]:
    """How much each arm less the reference varies from seed to seed; none without a pool.

    Arms with fewer than three seeds in common with the reference tell nothing.
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
    often = is_reference & (len(arms) - 1 >= OFTEN)
    variances = pooled_variances(accuracy, often, images)
    found = {}
    for arm in arms:
        if arm != reference:
            weights = 1.0 * (np.array(arms) == arm) - is_reference
            found[arm] = variances.of_contrast(weights, weights[None])
    return found

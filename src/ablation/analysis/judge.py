"""Verdicts on accuracies of runs made elsewhere: a table of arm, seed and accuracy is enough."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ablation.analysis.effects import LEVEL, SEEDS_FOR_METHODS, t_test, together
from ablation.analysis.pooling import ROUNDING, Variance, pooled_variances
from ablation.errors import InputError, nearest, visible
from ablation.storage import atomically

PAIRED_LEVEL = 0.06  # of the paired t-test that has to agree, for each comparison by itself
FEWEST_TO_POOL = 3  # arms
MARGIN = 0.5  # percentage points
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
    arms = [arm for arm in table if arm != reference]
    images = {arm: _images(scores, arm) for arm in table}
    variances = _variances(table, reference, min(images.values()))
    tests = [
        _test(table[arm], table[reference], (images[arm], images[reference]), variances.get(arm))
        for arm in arms
    ]
    rows = []
    for arm, test, (p, level) in zip(arms, tests, _corrected(tests), strict=True):
        half = test.half_width(level)
        low, high = test.difference - half, test.difference + half
        if p <= LEVEL:
            verdict = "better" if test.difference > 0 else "worse"
        else:
            verdict = "same" if max(-low, high) <= margin / 100 else "open"
        rows.append((arm, reference, test.seeds, test.difference, low, high, p, verdict))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def notes(scores: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Return what has to be said of a result of `judge`, a sentence each."""
    said = []
    if "images" not in scores:
        said.append(
            "the number of test images is not given, so the verdicts speak of these images alone"
        )
    few = verdicts.loc[verdicts["seeds"] < SEEDS_FOR_METHODS, "arm"]
    if len(few):
        said.append(
            f"fewer than {SEEDS_FOR_METHODS} seeds in common with the reference give no verdict: "
            f"{', '.join(few)}"
        )
    return said


def read_scores(file: Path) -> pd.DataFrame:
    """Read a CSV file of scores for `judge`.

    Raises:
        InputError: it cannot be read as CSV.
    """
    try:
        return pd.read_csv(file, dtype={"arm": str, "seed": str}, skipinitialspace=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{file}: cannot be read as CSV: {reason}") from None


def write_verdicts(verdicts: pd.DataFrame, file: Path) -> None:
    """Write a result of `judge` as CSV.

    Raises:
        InputError: the file cannot be written.
    """
    atomically(file, lambda part: verdicts.to_csv(part, index=False, lineterminator="\n"))


def _checked(scores: pd.DataFrame, reference: str, margin: float) -> dict[str, dict[object, float]]:
    """Return accuracy by seed of each arm."""
    for column in ("arm", "seed", "accuracy"):
        if column not in scores:
            raise InputError(
                f"scores: there is no column '{column}'{nearest(column, map(str, scores))}"
            )
    if not 0 <= margin <= 100:
        raise InputError(f"margin: {margin} is not a number of percentage points, 0 to 100")
    table: dict[str, dict[object, float]] = {}
    for line, (arm, seed, value) in enumerate(
        scores[["arm", "seed", "accuracy"]].itertuples(index=False), start=2
    ):
        where = f"scores, line {line}"
        if pd.isna(arm) or pd.isna(seed):
            raise InputError(f"{where}: arm or seed is empty")
        accuracy = pd.to_numeric(value, errors="coerce")
        if not 0 <= accuracy <= 1:
            raise InputError(f"{where}: accuracy: {visible(str(value))} is not a share, 0 to 1")
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
    if not (images >= 1).all():
        raise InputError(f"scores: images of arm '{arm}' are not whole numbers from 1")
    return float(images.min())


@dataclass(frozen=True)
class _Test:
    """The difference of an arm and the reference, with the tests that have to find it.

    Attributes:
        seeds: that both have.
        difference: mean over these, as a share.
        errors: standard error and degrees of freedom of each test at the corrected level; none
            below three seeds.
        paired: those of the paired t-test, which is held against a level of its own.
    """

    seeds: int
    difference: float
    errors: tuple[tuple[float, float], ...]
    paired: tuple[float, float]

    @property
    def p(self) -> float:
        """The larger of the p-values at the corrected level."""
        return max(float(t_test(self.difference / error, of)) for error, of in self.errors)

    @property
    def paired_p(self) -> float:
        """The p-value of the paired t-test."""
        error, freedom = self.paired
        return float(t_test(self.difference / error, freedom))

    def half_width(self, level: float) -> float:
        """Half of the interval that excludes zero where every test finds a difference."""
        tests = [(*test, level) for test in self.errors] + [(*self.paired, PAIRED_LEVEL)]
        return max(error * float(stats.t.isf(at / 2, freedom)) for error, freedom, at in tests)


def _test(
    arm: Mapping[object, float],
    reference: Mapping[object, float],
    images: tuple[float, float],
    variances: tuple[Variance, Variance] | None,
) -> _Test:
    """Compare an arm with the reference; the variances are those of both, if they are pooled."""
    seeds = [seed for seed in reference if seed in arm]
    of_arm, of_reference = (np.array([one[seed] for seed in seeds]) for one in (arm, reference))
    count = len(seeds)
    if count < SEEDS_FOR_METHODS:
        difference = float((of_arm - of_reference).mean()) if count else math.nan
        return _Test(count, difference, (), (math.nan, math.nan))
    least = max(1 / min(images), ROUNDING)
    paired = (
        max(float((of_arm - of_reference).std(ddof=1)), least) / math.sqrt(count),
        float(count - 1),
    )
    error, freedom = paired
    if variances is not None:
        total = sum(one.value for one in variances)
        error = math.sqrt(total / count)
        freedom = total**2 / sum(one.value**2 / one.freedom for one in variances)
    errors = [(error, freedom)]
    if math.isfinite(max(images)):
        # Which images each arm gets wrong is not known: the arms are taken as independent.
        means = (float(of_arm.mean()), float(of_reference.mean()))
        squared = sum(p * (1 - p) / number for p, number in zip(means, images, strict=True))
        over_images = max(math.sqrt(squared), least)
        error, freedom = map(float, together(error, over_images, 0.0, freedom + 1, min(images)))
        errors.append((error, freedom))
    return _Test(count, float((of_arm - of_reference).mean()), tuple(errors), paired)


def _variances(
    table: Mapping[str, Mapping[object, float]], reference: str, images: float
) -> dict[str, tuple[Variance, Variance]]:
    """The pooled variances of each arm and the reference; none where they cannot be pooled."""
    arms = [reference, *(arm for arm in table if arm != reference)]
    shared = [seed for seed in table[reference] if all(seed in one for one in table.values())]
    if len(arms) < FEWEST_TO_POOL or len(shared) < SEEDS_FOR_METHODS:
        return {}
    accuracy = np.array([[table[arm][seed] for seed in shared] for arm in arms])
    of_reference, *others = pooled_variances(accuracy, images)
    return {arm: (own, of_reference) for arm, own in zip(arms[1:], others, strict=True)}


def _corrected(tests: Sequence[_Test]) -> list[tuple[float, float]]:
    """Return for each test its corrected p-value and the level that it is held against."""
    found = [(math.nan, math.nan)] * len(tests)
    order = sorted((i for i, test in enumerate(tests) if test.errors), key=lambda i: tests[i].p)
    level, largest, stopped = math.nan, 0.0, False
    for rank, i in enumerate(order):
        left = len(order) - rank
        level = level if stopped else LEVEL / left
        stopped = stopped or tests[i].p > level
        largest = max(largest, min(left * tests[i].p, 1.0))
        found[i] = (max(largest, tests[i].paired_p * LEVEL / PAIRED_LEVEL), level)
    return found

"""Error and power of the decision rule, compared with paired t-tests and common practice.

Accuracies are simulated without images, so only the variances over seeds matter: arms with equal
and unequal variances, effects of the seed on several arms, heavy tails, failing runs, grids, and
growing studies. Printed, in percent of the studies:

- false positives (family-wise error rate);
- the smallest difference found with 80 % power, in standard deviations of the paired differences;
- false positives at any of seven looks, after 3, 4, 5, 6, 8, 10 and 12 seeds;
- how often an arm with failing runs is called the same.

    python benchmarks/rules.py [--studies N] [--seed S] [--quick] [--figure FILE]
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from ablation.analysis.looks import Look, level_of
from ablation.analysis.pooling import ARMS_TO_POOL, FREQUENT, pooled_variances
from ablation.analysis.testing import LEVEL, Decision, DifferenceTest, decide, difference_test

STUDIES, QUICK_STUDIES = 4000, 200  # in each condition
POWER = 0.8
LOOKS = (3, 4, 5, 6, 8, 10, 12)  # seeds at each look
FAILS = 8.0  # loss of a failing run, in standard deviations of an arm with spread 1
FAR = 50.0  # difference of differing arms, in the same unit
MARGIN = 1.0  # in the same unit


@dataclass(frozen=True)
class Condition:
    """A condition of simulated studies.

    Attributes:
        name: name in the tables.
        seeds: runs of each cell.
        spreads: standard deviation of each cell; the reference first.
        form: ``baseline``: every cell is compared with the first; ``pairs``: all pairs; or a grid
            such as ``2x3``, with the baseline, main effects and interactions.
        shared: share of the variance that is an effect of the seed on all cells.
        by_row: share of the variance that is an effect of the seed on a row of a grid.
        differing: number of arms, from the last, that differ from the others by `FAR`.
        failing: share of the runs that lose `FAILS`.
        tails: degrees of freedom of Student's t distribution of the runs; None: normal.
    """

    name: str
    seeds: int
    spreads: tuple[float, ...]
    form: str = "baseline"
    shared: float = 0.0
    by_row: float = 0.0
    differing: int = 0
    failing: float = 0.0
    tails: float | None = None

    def __str__(self) -> str:
        """Describe the condition in one line."""
        form = "" if self.form == "baseline" else f" ({self.form})"
        return f"{self.seeds} seeds · {len(self.spreads)} arms{form} · {self.name}"


def draw(random: np.random.Generator, condition: Condition) -> np.ndarray:
    """Draw the accuracies of a study [cells, seeds]."""
    shape = (len(condition.spreads), condition.seeds)
    if condition.tails is None:
        own = random.standard_normal(shape)
    else:
        variance = condition.tails / (condition.tails - 2)
        own = random.standard_t(condition.tails, shape) / math.sqrt(variance)
    common = random.standard_normal((1, condition.seeds))
    if condition.by_row:
        rows = int(condition.form.split("x")[0])
        of_rows = random.standard_normal((rows, condition.seeds))
        common = np.repeat(of_rows, len(own) // rows, axis=0)
    shared = condition.shared or condition.by_row
    drawn = math.sqrt(1 - shared) * own + math.sqrt(shared) * common
    drawn *= np.array(condition.spreads)[:, None]
    drawn[len(drawn) - condition.differing :] += FAR
    return np.asarray(drawn - FAILS * (random.random(shape) < condition.failing))


class Comparisons(NamedTuple):
    """The comparisons of a study.

    Attributes:
        weights: weights of the cells [comparisons, cells].
        kinds: 0 pair, 1 main effect of rows, 2 of columns, 3 interaction [comparisons].
    """

    weights: np.ndarray
    kinds: np.ndarray


def contrasts(form: str, cells: int) -> Comparisons:
    """Return the comparisons of a form."""
    one = np.eye(cells)
    baseline = [one[i] - one[0] for i in range(1, cells)]
    if form == "baseline":
        return Comparisons(np.array(baseline), np.zeros(cells - 1))
    if form == "pairs":
        pairs = np.array([one[j] - one[i] for i, j in combinations(range(cells), 2)])
        return Comparisons(pairs, np.zeros(len(pairs)))
    rows, columns = map(int, form.split("x"))
    cell = one.reshape(rows, columns, cells)
    by_row, by_column = cell.mean(axis=1), cell.mean(axis=0)
    found = [
        baseline,
        [by_row[i] - by_row[0] for i in range(1, rows)],
        [by_column[j] - by_column[0] for j in range(1, columns)],
        [
            cell[i, j] - cell[0, j] - cell[i, 0] + cell[0, 0]
            for i in range(1, rows)
            for j in range(1, columns)
        ],
    ]
    return Comparisons(np.concatenate(found), np.repeat(range(4), list(map(len, found))))


def tests(accuracy: np.ndarray, comparisons: Comparisons) -> list[DifferenceTest]:
    """Return the tests of the rule, as `effects.effects` and `judge.judge` do without images."""
    cells, (weights, kinds) = len(accuracy), comparisons
    frequent = np.count_nonzero(weights[kinds == 0], axis=0) >= FREQUENT
    if cells < ARMS_TO_POOL:
        return [difference_test(differences, None) for differences in weights @ accuracy]
    variances = pooled_variances(accuracy, frequent, math.inf)
    families = [weights[kinds == kind] for kind in kinds]
    return [
        difference_test(differences, variances.of_contrast(one, family))
        for one, family, differences in zip(weights, families, weights @ accuracy, strict=True)
    ]


def by_rule(accuracy: np.ndarray, comparisons: Comparisons, level: float = LEVEL) -> list[Decision]:
    """Return the decisions of the rule."""
    found = tests(accuracy, comparisons)
    return decide(found, range(len(found)), level)


def rule(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    """Return which differences the rule finds [comparisons]."""
    return np.array([found.p <= LEVEL for found in by_rule(accuracy, comparisons)])


def paired_tests(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    """Return which differences paired t-tests find with Holm's method [comparisons]."""
    return _by_holm(_paired_p(accuracy, comparisons))


def _by_holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    claimed = np.zeros(len(p), dtype=bool)
    claimed[order] = np.logical_and.accumulate(p[order] * (len(p) - np.arange(len(p))) <= LEVEL)
    return claimed


def one_variance(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    """Return which differences t-tests with one variance find with Holm's method [comparisons]."""
    cells, seeds = accuracy.shape
    residual = accuracy - accuracy.mean(axis=1, keepdims=True) - accuracy.mean(axis=0)
    residual += accuracy.mean()
    df = (cells - 1) * (seeds - 1)
    variance = (residual**2).sum() / df
    error = np.sqrt((comparisons.weights**2).sum(axis=1) * variance / seeds)
    p = 2 * stats.t.sf(np.abs((comparisons.weights @ accuracy).mean(axis=1)) / error, df)
    return _by_holm(p)


def uncorrected(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    """Return which paired t-tests have p < 5 %, without correction [comparisons]."""
    return _paired_p(accuracy, comparisons) < LEVEL


def _paired_p(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    differences, seeds = comparisons.weights @ accuracy, accuracy.shape[1]
    t = differences.mean(axis=1) / differences.std(axis=1, ddof=1) * math.sqrt(seeds)
    return np.asarray(2 * stats.t.sf(np.abs(t), seeds - 1))


def above_one_deviation(accuracy: np.ndarray, comparisons: Comparisons) -> np.ndarray:
    """Return which pairs have non-overlapping ``mean ± standard deviation`` [comparisons]."""
    apart = np.abs(comparisons.weights @ accuracy.mean(axis=1))
    both = np.abs(comparisons.weights) @ accuracy.std(axis=1, ddof=1)
    return (apart > both) & (comparisons.kinds == 0)


RULES: dict[str, Callable[[np.ndarray, Comparisons], np.ndarray]] = {
    "rule": rule,
    "paired tests": paired_tests,
    "one variance": one_variance,
    "uncorrected t": uncorrected,
    "± do not overlap": above_one_deviation,
}


def error(condition: Condition, studies: int, seed: int) -> dict[str, float]:
    """Return the share of studies with false positives, by rule."""
    random = np.random.default_rng(seed)
    comparisons = contrasts(condition.form, len(condition.spreads))
    cells = np.arange(len(condition.spreads))
    true = comparisons.weights @ (cells >= len(cells) - condition.differing)
    claims = dict.fromkeys(RULES, 0)
    for _ in range(studies):
        accuracy = draw(random, condition)
        for name, claim in RULES.items():
            claims[name] += claim(accuracy, comparisons)[true == 0].any()
    return {name: count / studies for name, count in claims.items()}


def smallest(condition: Condition, studies: int, seed: int) -> dict[str, float]:
    """Return the difference that the last comparison finds with 80 % power, by rule.

    In standard deviations of its difference over seeds.
    """
    random = np.random.default_rng(seed)
    comparisons = contrasts(condition.form, len(condition.spreads))
    level = LEVEL / len(comparisons.weights)
    unit = math.sqrt(float((comparisons.weights[-1] ** 2 * np.array(condition.spreads) ** 2).sum()))
    needed: dict[str, list[float]] = {"rule": [], "paired tests": []}
    for _ in range(studies):
        found = tests(draw(random, condition), comparisons)[-1]
        paired_error, df = found.paired
        needed["rule"].append(found.half_width(level) - found.difference)
        half = paired_error * float(stats.t.isf(level / 2, df))
        needed["paired tests"].append(half - found.difference)
    return {name: float(np.quantile(of, POWER)) / unit for name, of in needed.items()}


def looked_at(condition: Condition, studies: int, seed: int) -> dict[str, float]:
    """Return the share of null studies with false positives at any look."""
    random = np.random.default_rng(seed)
    comparisons = contrasts(condition.form, len(condition.spreads))
    count = len(comparisons.weights)
    levels = {
        "at 5 % each time": [LEVEL] * len(LOOKS),
        "undeclared": _levels(count, None),
        "final number declared": _levels(count, LOOKS[-1]),
    }
    claims = dict.fromkeys(levels, 0)
    for _ in range(studies):
        accuracy = draw(random, replace(condition, seeds=LOOKS[-1]))
        tested = [tests(accuracy[:, :seeds], comparisons) for seeds in LOOKS]
        for name, of_looks in levels.items():
            claims[name] += any(
                decision.p <= LEVEL
                for found, level in zip(tested, of_looks, strict=True)
                for decision in decide(found, range(count), level)
            )
    return {name: number / studies for name, number in claims.items()}


def _levels(comparisons: int, final: int | None) -> list[float]:
    """Return the level of all comparisons at each look."""
    looks = [Look(tuple(range(seeds)), final=final) for seeds in LOOKS]
    return [
        comparisons * level_of(looks[:number], LEVEL / comparisons)
        for number in range(1, len(looks) + 1)
    ]


def called_the_same(condition: Condition, studies: int, seed: int) -> dict[str, float]:
    """Return how often the last arm, which has failing runs, is called the same, as shares.

    Its other runs are as good as those of the reference. With a spread of 0.2, a failing run loses
    40 standard deviations, and the margin is 5.
    """
    random = np.random.default_rng(seed)
    comparisons = contrasts(condition.form, len(condition.spreads))
    same: dict[str, list[bool]] = {"no failure seen": [], "a failure seen": []}
    for _ in range(studies):
        accuracy = draw(random, replace(condition, failing=0.0))
        fails = random.random(condition.seeds) < condition.failing
        accuracy[-1] -= FAILS * fails
        verdict = by_rule(accuracy, comparisons)[-1].verdict(MARGIN)
        same["a failure seen" if fails.any() else "no failure seen"].append(verdict == "same")
    return {name: float(np.mean(of)) if of else math.nan for name, of in same.items()}


def conditions() -> list[Condition]:
    """Return the conditions for false positives."""
    found = []
    for seeds in (3, 5, 8):
        for arms in (2, 3, 4, 6, 12):
            alike = (1.0,) * arms
            found.append(Condition("alike", seeds, alike))
            found.append(Condition("reference 5 times as noisy", seeds, (5.0, *alike[1:])))
            found.append(Condition("reference a fifth as noisy", seeds, (0.2, *alike[1:])))
            found.append(Condition("another 5 times as noisy", seeds, (*alike[1:], 5.0)))
        for arms in (6, 12):
            alike, half = (1.0,) * arms, (1.0,) * (arms // 2)
            found += [
                Condition("two 4 times as noisy", seeds, (*alike[2:], 4.0, 4.0)),
                Condition("three 8 times as noisy", seeds, (*alike[3:], 8.0, 8.0, 8.0)),
                Condition("half 4 times as noisy", seeds, (*half, *(4.0,) * len(half))),
                Condition("half a fifth as noisy", seeds, (*half, *(0.2,) * len(half))),
                Condition("another 20 times as noisy", seeds, (*alike[1:], 20.0)),
                Condition("seeds shared by 80 %", seeds, alike, shared=0.8),
                Condition("one run in ten fails", seeds, alike, failing=0.1),
                Condition("heavy tails", seeds, alike, tails=2.5),
            ]
        for form, arms in (("pairs", 4), ("pairs", 6), ("2x2", 4), ("2x3", 6), ("3x4", 12)):
            alike, half = (1.0,) * arms, (1.0,) * (arms // 2)
            found += [
                Condition("alike", seeds, alike, form),
                Condition("first 5 times as noisy", seeds, (5.0, *alike[1:]), form),
                Condition("last 5 times as noisy", seeds, (*alike[1:], 5.0), form),
                Condition("two 8 times as noisy", seeds, (*alike[2:], 8.0, 8.0), form),
                Condition("half 4 times as noisy", seeds, (*half, *(4.0,) * len(half)), form),
            ]
        for form, rows, columns in (("2x3", 2, 3), ("4x3", 4, 3), ("6x2", 6, 2)):
            alike = (1.0,) * rows * columns
            noisy = (*alike[columns:], *(3.0,) * columns)
            found += [
                Condition("seeds shared in rows by 90 %", seeds, alike, form, by_row=0.9),
                Condition("the same, last row 3 times as noisy", seeds, noisy, form, by_row=0.9),
            ]
        for arms in (6, 12):
            alike, half = (1.0,) * (arms - 3), (1.0,) * (arms // 2)
            found += [
                Condition("half differ", seeds, half + half, differing=arms // 2),
                Condition("two 3 times as noisy, others differ", seeds, (1.0, 3.0, 3.0, *alike),
                          differing=arms - 3),
                Condition("the same, reference quiet", seeds, (0.2, 3.0, 3.0, *alike),
                          differing=arms - 3),
            ]  # fmt: skip
    return found


SMALLEST = [
    *(Condition("alike", seeds, (1.0,) * arms) for arms in (2, 3, 4, 6, 12) for seeds in (3, 5, 8)),
    *(
        Condition("another 5 times as noisy", seeds, (1.0, 5.0, 1.0, 1.0, 1.0, 1.0))
        for seeds in (3, 5, 8)
    ),
    *(
        Condition("an interaction", seeds, (1.0,) * 6, "2x3")
        for seeds in (3, 5, 8)
    ),
]  # fmt: skip
LOOKED_AT = [
    Condition("alike", LOOKS[-1], (1.0,) * 2),
    Condition("alike", LOOKS[-1], (1.0,) * 6),
    Condition("reference 5 times as noisy", LOOKS[-1], (5.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
    Condition("half 4 times as noisy", LOOKS[-1], (1.0, 1.0, 1.0, 4.0, 4.0, 4.0)),
]
SOMETIMES = [
    Condition("last arm fails 1 in 10", seeds, (0.2,) * 6, failing=0.1) for seeds in (3, 5, 8, 12)
]
Measure = Callable[[Condition, int, int], Mapping[str, float]]
DESIGN: dict[str, tuple[Measure, Sequence[Condition], float]] = {
    "false positives, %": (error, conditions(), 100),
    "smallest difference found with 80 % power, standard deviations": (smallest, SMALLEST, 1),
    "false positives at any of seven looks, %": (looked_at, LOOKED_AT, 100),
    "called the same although runs fail, %": (called_the_same, SOMETIMES, 100),
}


def _run(job: tuple[str, Condition, int, int]) -> Mapping[str, float]:
    table, condition, studies, seed = job
    measure, _, scale = DESIGN[table]
    return {name: scale * value for name, value in measure(condition, studies, seed).items()}


def run_design(studies: int, seed: int, *, quick: bool = False) -> dict[str, pd.DataFrame]:
    """Run every condition in two processes; return a table for each measure.

    Args:
        studies: simulated studies in each condition.
        seed: seed of the simulation.
        quick: run only every fourth condition for false positives.
    """
    jobs = []
    for name, (measure, of_measure, _) in DESIGN.items():
        chosen = of_measure[::4] if quick and measure is error else of_measure
        jobs += [(name, condition, studies, seed) for condition in chosen]
    with ProcessPoolExecutor(2) as processes:
        found = list(processes.map(_run, jobs))
    return {
        name: pd.DataFrame(
            {str(job[1]): row for job, row in zip(jobs, found, strict=True) if job[0] == name}
        ).T
        for name in DESIGN
    }


def draw_figure(tables: Mapping[str, pd.DataFrame], file: Path) -> None:
    """Draw the false positives of each condition, and the smallest difference found."""
    errors, sizes = (tables[name] for name in list(DESIGN)[:2])
    colours = {"rule": "#0b6fa4", "paired tests": "#888888"}
    with mpl.rc_context({"svg.hashsalt": "verdicts", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, colour in colours.items():
            left.plot(np.sort(errors[name]), color=colour, label=name, linewidth=1.8)
        left.axhline(100 * LEVEL, color="black", linewidth=0.8, linestyle="--")
        left.set(ylim=(0, 7), xlabel="conditions, sorted", ylabel="studies with a false claim, %")
        left.legend(frameon=False)
        for name, colour in colours.items():
            for arms, line in ((6, "-"), (12, "--")):
                rows = [str(Condition("alike", seeds, (1.0,) * arms)) for seeds in (3, 5, 8)]
                right.plot(
                    (3, 5, 8), sizes.loc[rows, name], line, color=colour, marker="o",
                    markersize=4, label=f"{name}, {arms} arms",
                )  # fmt: skip
        right.set(
            yscale="log", xticks=(3, 5, 8), xlabel="seeds",
            ylabel="difference found 4 times in 5,\nstandard deviations",
        )  # fmt: skip
        ticks = (1, 2, 5, 10)
        right.set_yticks(ticks, map(str, ticks))
        right.set_yticks([], minor=True)
        right.legend(frameon=False, fontsize=8)
        figure.savefig(file, metadata={"Date": None, "Creator": None})


def main() -> int:
    """Print the tables; return 1 if false positives exceed 5 % beyond the simulation error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, help=f"in each condition (default: {STUDIES})")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a few conditions, in a minute")
    parser.add_argument("--figure", type=Path, help="draw error and power as SVG")
    given = parser.parse_args()
    began = time.perf_counter()
    studies = given.studies or (QUICK_STUDIES if given.quick else STUDIES)
    tables = run_design(studies, given.seed, quick=given.quick)
    print(f"{studies} studies in each condition; seed {given.seed}")
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(2).to_string()}")
    if given.figure:
        draw_figure(tables, given.figure)
    allowed = 100 * (LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / studies))
    first, _, third, _ = tables.values()
    beyond = first.index[first["rule"] > allowed].tolist()
    spent = third[["undeclared", "final number declared"]]
    beyond += third.index[(spent > allowed).any(axis=1)].tolist()
    print(f"\n{time.perf_counter() - began:.0f} s")
    print("Falls short:" if beyond else "Nothing falls short.", *beyond, sep="\n  ")
    return int(bool(beyond))


if __name__ == "__main__":
    sys.exit(main())

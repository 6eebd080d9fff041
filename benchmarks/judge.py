"""How often `ablation judge` claims a difference where there is none, and what it finds.

Accuracies are drawn from normal distributions. Printed, for each condition: how many studies
without any difference claim one (the family error, to be held at 5 %), and how many find the
difference of one arm, by the rule and by paired t-tests with Holm's method.

    python benchmarks/judge.py [--studies N] [--seed S]
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablation.analysis.judge import judge

SPREAD = 0.006  # standard deviation of a network's accuracy over seeds
EFFECT = 3.0  # of the last arm, in standard deviations of the paired differences
REFERENCE = "a0"


@dataclass(frozen=True)
class Condition:
    """What simulated studies are like.

    Attributes:
        name: for the table.
        seeds: runs of each arm.
        spreads: of each arm, in units of `SPREAD`; the reference first.
        shared: share of the variance that is the seed's, alike for all arms.
        failing: share of the runs that lose five points.
    """

    name: str
    seeds: int
    spreads: Sequence[float]
    shared: float = 0.0
    failing: float = 0.0


CONDITIONS = [
    *(Condition(f"{arms} arms", seeds, [1.0] * arms) for arms in (3, 6, 12) for seeds in (3, 5, 8)),
    Condition("reference 5 times as noisy", 3, [5, 1, 1, 1, 1, 1]),
    Condition("another arm 5 times as noisy", 3, [1, 5, 1, 1, 1, 1]),
    Condition("another arm 20 times as noisy", 5, [1, 20, 1, 1, 1, 1]),
    Condition("half the arms 4 times as noisy", 3, [1, 4, 4, 4, 1, 1]),
    Condition("seeds shared by all arms", 3, [1] * 6, shared=0.8),
    Condition("one run in ten fails", 5, [1] * 6, failing=0.1),
]


def draw(random: np.random.Generator, condition: Condition, effect: float) -> np.ndarray:
    """Return accuracies [arms, seeds], with an effect of the last arm as a share."""
    spreads = SPREAD * np.array(condition.spreads)[:, None]
    shape = (len(condition.spreads), condition.seeds)
    own = math.sqrt(1 - condition.shared) * random.standard_normal(shape)
    common = math.sqrt(condition.shared) * random.standard_normal((1, condition.seeds))
    accuracy = 0.5 + spreads * (own + common)
    accuracy -= 0.05 * (random.random(shape) < condition.failing)
    accuracy[-1] += effect
    return accuracy


def by_rule(accuracy: np.ndarray) -> np.ndarray:
    """Whether each arm but the reference is called better or worse."""
    arms, seeds = accuracy.shape
    scores = pd.DataFrame(
        {
            "arm": np.repeat([f"a{i}" for i in range(arms)], seeds),
            "seed": np.tile(np.arange(seeds), arms),
            "accuracy": accuracy.ravel(),
        }
    )
    return judge(scores, REFERENCE)["verdict"].isin(["better", "worse"]).to_numpy()


def by_paired_tests(accuracy: np.ndarray) -> np.ndarray:
    """Whether each arm but the reference differs by paired t-tests with Holm's method."""
    p = stats.ttest_rel(accuracy[1:], accuracy[:1], axis=1).pvalue
    return np.asarray(multipletests(p, method="holm")[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="in each condition")
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "rule": by_rule,
        "paired t": by_paired_tests,
    }
    print(
        f"{words.studies} studies a condition; the effect is {EFFECT:g} standard deviations of the "
        "paired differences"
    )
    print(f"{'condition':32} {'seeds':>5}  {'false claims, %':>20}  {'found, %':>20}")
    print(f"{'':38}  {'rule':>10}{'paired t':>10}  {'rule':>10}{'paired t':>10}")
    for condition in CONDITIONS:
        random = np.random.default_rng(words.seed)
        size = EFFECT * SPREAD * math.sqrt(2)
        null = [draw(random, condition, 0.0) for _ in range(words.studies)]
        real = [draw(random, condition, size) for _ in range(words.studies)]
        false = [100 * np.mean([rule(one).any() for one in null]) for rule in rules.values()]
        found = [100 * np.mean([rule(one)[-1] for one in real]) for rule in rules.values()]
        cells = "".join(f"{rate:10.1f}" for rate in false), "".join(f"{x:10.1f}" for x in found)
        print(f"{condition.name:32} {condition.seeds:5}  {cells[0]}  {cells[1]}", flush=True)


if __name__ == "__main__":
    main()

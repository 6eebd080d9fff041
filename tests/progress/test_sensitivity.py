"""What the seeds of a study could detect."""

import math
import re
import statistics

import pytest

from ablation.analysis.effects import ComparisonDesign
from ablation.analysis.power import detectable_factor
from ablation.analysis.testing import LEVEL
from ablation.progress.sensitivity import (
    accuracy,
    factor_of,
    sensitivities,
    sensitivity_parts,
)
from ablation.progress.terminal import plain
from ablation.study.comparisons import cells_of


def two(experiment, seeds):
    """A factor that tells what it was asked for."""
    return 10.0 * seeds


def finish(place, right):
    for (augmentation, seed), count in right.items():
        place.finish(place.run(augmentation, seed), right=count)
    return {place.run(*key).folder for key in right}


def test_before_anything_has_run_only_the_factor_is_known(place):
    (found,) = sensitivities(place.plan, set(), two)
    assert (found.experiment, found.seeds, found.comparisons) == ("first", (3, 3), 2)
    assert (found.factor, found.spread, found.points) == (30.0, None, None)


def test_the_spread_is_that_of_the_paired_differences(place):
    done = finish(
        place,
        {("none", 0): 4, ("none", 1): 6, ("none", 2): 8, ("flip", 0): 5, ("flip", 1): 9},
    )
    (found,) = sensitivities(place.plan, done, two)
    spread = statistics.stdev([0.1, 0.3])
    assert found.spread == pytest.approx(spread)
    assert found.points == pytest.approx(100 * 30 * spread)
    assert found.spread_of == "differences of 2 pairs"


def test_no_difference_of_more_than_100_points_is_named(place):
    right = {("none", 0): 4, ("none", 1): 6, ("flip", 0): 5, ("flip", 1): 9}
    (found,) = sensitivities(place.plan, finish(place, right), two)
    assert found.points > 100
    text = plain(sensitivity_parts([found]))
    assert re.search(r"30\.0 sd +none +differences of 2 pairs$", text, re.MULTILINE)


def test_spreads_of_several_comparisons_are_pooled_by_degrees_of_freedom(place):
    right = {("none", seed): 5 for seed in range(3)}
    right |= {("flip", 0): 5, ("flip", 1): 7, ("flip", 2): 9, ("crop", 0): 5, ("crop", 1): 6}
    (found,) = sensitivities(place.plan, finish(place, right), two)
    pooled = (2 * statistics.variance([0, 0.2, 0.4]) + statistics.variance([0, 0.1])) / 3
    assert found.spread == pytest.approx(math.sqrt(pooled))
    assert found.spread_of == "differences of 5 pairs"


def test_failing_pairs_the_arms_alone_tell_as_if_independent(place):
    done = finish(place, {("flip", 0): 5, ("flip", 1): 7, ("none", 2): 5})
    (found,) = sensitivities(place.plan, done, two)
    assert found.spread == pytest.approx(math.sqrt(2) * statistics.stdev([0.5, 0.7]))
    assert found.spread_of == "single arms"


def test_a_diverged_run_tells_nothing(place):
    run = place.run("none", 0)
    place.finish(run, status="diverged")
    assert math.isnan(accuracy(run, None))


def test_accuracy_of_an_epoch_is_on_validation(place):
    run = place.run("none", 0)
    place.finish(run, right=3)
    assert accuracy(run, None) == 0.3
    assert accuracy(run, 2) == 0.2
    assert math.isnan(accuracy(run, 9))  # it stopped before


def test_seeds_count_that_both_arms_have(place):
    place.edit("baseline:", "exclude: [{augmentation: flip, seed: 2}]\n    baseline:")
    (found,) = sensitivities(place.plan, set(), two)
    assert (found.seeds, found.factor) == ((2, 3), None)
    text = plain(sensitivity_parts([found]))
    assert "  2-3  " in text
    assert "Fewer than 3 seeds (first) give no verdicts." in text


def test_a_study_that_compares_nothing_says_so(place):
    place.edit("    baseline: {augmentation: none}\n", "")
    assert "has no comparisons" in plain(sensitivity_parts(sensitivities(place.plan, set(), two)))


def test_the_table_tells_points_where_it_can(place):
    done = finish(place, {("none", 0): 5, ("none", 1): 5, ("flip", 0): 5, ("flip", 1): 6})
    text = plain(sensitivity_parts(sensitivities(place.plan, done, lambda experiment, seeds: 2.0)))
    assert "2.0 sd" in text
    assert f"{100 * 2 * statistics.stdev([0, 0.1]):.2f} points" in text
    assert "no verdicts" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_analysis_shares_its_level_out(place):
    """More comparisons or experiments, larger differences; as many as the analysis would have."""
    (experiment,) = place.plan.experiments
    others = (0.0,) * (len(cells_of(experiment)) - 2)
    sample = ComparisonDesign((1.0, -1.0, *others), (False,) * (2 + len(others)), 1.0, math.inf)
    first_look = 0.8 * LEVEL  # a fifth is left for later looks
    assert factor_of(place.plan)(experiment, 3) == detectable_factor(sample, 3, first_look / 2)
    text = (place.folder / "config/studies/mine.yaml").read_text()
    place.study(text + text.partition("experiments:\n")[2].replace("first", "second"))
    both = place.plan
    assert factor_of(both)(both.experiments[1], 5) == detectable_factor(sample, 5, first_look / 4)

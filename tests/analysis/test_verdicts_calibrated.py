"""Verdicts on simulated studies with known differences: a short form of the benchmark.

Seeds are fixed. A limit is violated if the whole exact interval of a rate is beyond it, so random
variation rarely violates it. Wrong rules do, which is tested as well.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablation.analysis import effects, power, testing

BENCHMARK = Path(__file__).parents[2] / "benchmarks/verdicts.py"


@pytest.fixture(scope="module")
def verdicts():
    spec = importlib.util.spec_from_file_location("benchmark_of_verdicts", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def without_power(monkeypatch):
    """Leave the minimum detectable effects out of the tables; they take most of the time."""
    monkeypatch.setattr(power, "detectable", lambda *given: None)
    monkeypatch.setattr(power, "seeds_needed", lambda *given: None)


def rates(counts):
    return {measure: hits / studies for (_, _, measure), (hits, studies) in counts.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.003), (5, 0.03)])
def test_false_positives_are_rare(verdicts, seeds, spread):
    condition = replace(verdicts.BASE, seeds=seeds, spread=spread)
    counts = verdicts.null_studies(condition, 100, [1, seeds])
    assert verdicts.falls_short(counts) == []
    found = rates(counts)
    assert found["verdicts"] <= 0.08
    assert found["highest mean wins"] > 0.5
    assert found["paired t, uncorrected"] > 0.1
    assert found["McNemar on one seed"] > 0.1


@pytest.mark.slow
def test_arms_do_not_differ_by_which_images_they_find_easy(verdicts):
    """With eight seeds the test over the seeds has false positives in every tenth study."""
    condition = replace(verdicts.BASE, seeds=8, own=0.05)
    counts = verdicts.null_studies(condition, 100, [1, 8])
    assert verdicts.falls_short(counts) == []
    assert rates(counts)["verdicts"] <= 0.08


@pytest.mark.long
def test_a_rule_without_correction_would_be_caught(verdicts, monkeypatch):
    monkeypatch.setattr(testing, "holm", lambda p, level: (p, np.full(len(p), level)))
    condition = replace(verdicts.BASE, seeds=5, spread=0.03, arms=12, images=200)
    (problem,) = verdicts.falls_short(verdicts.null_studies(condition, 100, [1, 5]))
    assert "false positives" in problem
    assert "verdicts" in problem


@pytest.mark.long
def test_intervals_that_are_too_narrow_would_be_caught(verdicts, without_power, monkeypatch):
    honest = testing.DifferenceTest.half_width
    monkeypatch.setattr(effects, "INTERVAL", 0.8)
    monkeypatch.setattr(testing.DifferenceTest, "half_width", lambda *given: honest(*given) / 3)
    problems = verdicts.falls_short(verdicts.interval_studies(verdicts.GRID, 50, [1, 3]))
    for interval in ("deciding", "over images"):
        assert any(f"{interval}: " in line for line in problems)


@pytest.mark.slow
def test_detectable_differences_are_found(verdicts):
    counts = verdicts.planted_studies(replace(verdicts.BASE, accuracy=0.8, arms=3), 80, [1])
    assert verdicts.falls_short(counts) == []
    found = rates(counts)
    assert found["found"] >= 0.7
    assert found["wrong sign"] == 0
    assert 0.3 <= found["planted upwards"] <= 0.7


@pytest.mark.long
def test_a_detectable_difference_that_is_too_small_would_be_caught(verdicts, monkeypatch):
    honest = power.detectable
    monkeypatch.setattr(
        power, "detectable", lambda *given: tuple(size / 2 for size in honest(*given))
    )
    problems = verdicts.falls_short(
        verdicts.planted_studies(replace(verdicts.BASE, accuracy=0.8, arms=3), 40, [1])
    )
    assert any(line.startswith("power") for line in problems)


@pytest.mark.slow
def test_intervals_hold_the_truth(verdicts, without_power):
    counts = verdicts.interval_studies(verdicts.GRID, 100, [1])
    assert verdicts.falls_short(counts) == []
    assert {measure for _, _, measure in counts} == {
        f"{what}: {kind}"
        for what in ("deciding", "over images")
        for kind in ("pair", "main effect", "interaction", "pair at an epoch")
    }


@pytest.mark.slow
def test_simulated_files_are_those_of_a_study(verdicts):
    """The tables equal those of a whole analysis."""
    counts = verdicts.whole_analyses(verdicts.GRID, 1, [1])
    assert list(counts.values()) == [(0, 1)]


def test_planted_accuracies_are_reached(verdicts):
    """Over many studies; images of every difficulty count, and so do bad seeds."""
    condition = replace(verdicts.BASE, seeds=4, arms=2, accuracy=0.9, spread=0.03)
    random = np.random.default_rng(1)
    with verdicts.simulated(condition) as simulation:
        second = list(simulation.sources)[1]
        means = []
        for _ in range(200):
            drawn = simulation.draw(random, {second: 0.8})
            means.append(
                [
                    [drawn[run.folder][0].mean() for run in runs]
                    for runs in simulation.sources.values()
                ]
            )
    accuracy = np.array(means)  # studies, arms, seeds
    assert accuracy.mean(axis=(0, 2)) == pytest.approx([0.9, 0.8], abs=0.005)
    binomial = np.sqrt([0.9 * 0.1, 0.8 * 0.2]) / np.sqrt(condition.images)
    spread = accuracy.std(axis=2, ddof=1)
    assert (np.sqrt((spread**2).mean(axis=0)) > 0.03 - 0.002).all()
    assert (np.sqrt((spread**2).mean(axis=0)) < np.hypot(0.03, binomial) + 0.002).all()


def test_exact_intervals(verdicts):
    """Clopper and Pearson (1934): the ends of 0 of 20 are 0 and 1 − 0.025^(1/20)."""
    assert verdicts.exact_interval(0, 20) == pytest.approx((0, 1 - 0.025 ** (1 / 20)))

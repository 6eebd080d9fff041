import numpy as np
import pytest
from scipy import stats

from ablation.analysis.effects import difference, spread


def runs(accuracies, images=1000, seed=0):
    """Runs whose right answers are drawn independently."""
    random = np.random.RandomState(seed)
    return {s: random.random(images) < a for s, a in enumerate(accuracies)}


def exactly(counts, images=1000):
    """Runs with exactly so many right answers, on the first images."""
    return {s: np.arange(images) < count for s, count in enumerate(counts)}


def test_three_seeds_give_students_interval_over_the_seeds():
    found = difference(exactly([960, 955, 970]), exactly([940, 945, 950]), comparisons=1)
    differences = np.array([0.020, 0.010, 0.020])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert (found.mean, found.low, found.high) == pytest.approx((differences.mean(), low, high))
    assert (found.seeds, found.basis, found.verdict) == (3, "seeds", "better")


@pytest.mark.parametrize(
    ("won", "lost", "verdict"),
    [(4, 0, "unclear"), (5, 0, "unclear"), (6, 0, "better"), (0, 6, "worse")],
)
def test_few_images_that_differ_take_an_exact_test(won, lost, verdict):
    """McNemar's exact test gives p = .125, .0625 and .03125 for 4, 5 and 6 images of one kind."""
    arm, reference = np.zeros(1000, bool), np.zeros(1000, bool)
    arm[:won] = True
    reference[:lost] = True
    found = difference({0: arm}, {0: reference}, comparisons=1)
    assert found.p_images == pytest.approx(2 * 0.5 ** (won + lost))
    assert found.verdict == verdict


def test_more_comparisons_widen_the_interval():
    arm, reference = exactly([960, 955, 970]), exactly([940, 945, 950])
    one, ten = (difference(arm, reference, comparisons=n) for n in (1, 10))
    differences = np.array([0.020, 0.010, 0.020])
    half = stats.t.ppf(1 - 0.025 / 10, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert ten.high - ten.mean == pytest.approx(half)
    assert (one.verdict, ten.verdict) == ("better", "unclear")


def test_two_seeds_give_an_interval_over_the_images():
    arm, reference = runs([0.95, 0.95]), runs([0.90, 0.90], seed=1)
    found = difference(arm, reference, comparisons=1)
    by_image = np.mean([arm[s].astype(float) - reference[s] for s in (0, 1)], axis=0)
    half = stats.norm.ppf(0.975) * by_image.std(ddof=1) / np.sqrt(1000)
    assert found.basis == "images"
    assert found.high - found.low == pytest.approx(2 * half)


def test_seeds_that_disagree_are_not_ranked():
    found = difference(exactly([990, 949]), exactly([900, 950]), comparisons=1)
    assert found.low > 0
    assert found.verdict == "unclear"


def test_only_seeds_that_both_have_are_compared():
    arm = exactly([960, 970, 980])
    del arm[1]
    assert difference(arm, exactly([950, 950, 950]), comparisons=1).seeds == 2
    assert difference({}, exactly([1]), comparisons=1) is None


def test_the_same_networks_are_not_ranked():
    same = exactly([950, 950, 950])
    assert difference(same, same, comparisons=1).verdict == "unclear"


def test_seeds_that_agree_to_the_image_are_no_certainty():
    found = difference(exactly([951] * 3), exactly([950] * 3), comparisons=1)
    assert found.high > found.low
    assert found.verdict == "unclear"


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_no_more_than_one_study_in_twenty_claims_a_difference_where_there_is_none(seeds):
    """Six arms of the same accuracy, whose networks differ by their seeds, as real ones do."""
    random = np.random.RandomState(seeds)
    studies, wrong = 400, 0
    for _ in range(studies):

        def arm():
            return {s: random.random(500) < 0.95 + 0.01 * random.normal() for s in range(seeds)}

        reference = arm()
        verdicts = [difference(arm(), reference, comparisons=5).verdict for _ in range(5)]
        wrong += any(verdict != "unclear" for verdict in verdicts)
    assert wrong / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def test_a_large_difference_is_found():
    found = difference(runs([0.97] * 5), runs([0.85] * 5, seed=1), comparisons=10)
    assert found.verdict == "better"
    assert difference(runs([0.85] * 5), runs([0.97] * 5, seed=1), comparisons=10).verdict == "worse"


def test_spread_leaves_out_what_is_not_a_number():
    assert spread([float("nan")]) is None
    assert spread([0.5]) == {"mean": 0.5, "sd": None, "low": 0.5, "high": 0.5, "n": 1}
    found = spread([0.4, float("nan"), 0.6])
    assert (found["mean"], found["n"]) == (0.5, 2)
    assert found["sd"] == pytest.approx(np.std([0.4, 0.6], ddof=1))

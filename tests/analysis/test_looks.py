"""Looks at a growing study: what each costs, and how they are recorded."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablation.analysis.analyse import analyse
from ablation.analysis.looks import RESERVED, Look, Looks, level_of, nominal_level
from ablation.analysis.pooling import pool
from ablation.analysis.tables import TABLES
from ablation.analysis.testing import LEVEL, PAIRED_LEVEL
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan

from ..factory import write_run


def boundaries(seeds, spent, level=LEVEL):
    """The boundary of every look, in standard deviations."""
    return [
        stats.norm.isf(nominal_level(seeds[:at], spent[:at], level) / 2)
        for at in range(1, len(seeds) + 1)
    ]


def of_seeds(seeds, final=None, missing=None):
    return Look(tuple(range(seeds)), missing, final)


def planned(seeds, more):
    return Look(tuple(range(seeds)), planned=more)


def levels(*looks):
    """The level of every look at an experiment."""
    return [level_of(looks[:at], LEVEL) for at in range(1, len(looks) + 1)]


# The level of a look


@pytest.mark.parametrize("share", [1.0, 0.8, 0.216, 1e-6])
def test_a_single_look_spends_exactly_its_share(share):
    assert nominal_level([5], [share], LEVEL) == LEVEL * share


def test_boundaries_are_those_published_for_obrien_and_fleming():
    """Five equal looks at 5 %: Lan & DeMets 1983, with the spending function of O'Brien & Fleming.

    The values are those of gsDesign (sfLDOF, one-sided 2.5 % on both sides).
    """
    shares = np.arange(1, 6) / 5
    spent = [4 * stats.norm.sf(stats.norm.isf(LEVEL / 4) / math.sqrt(t)) / LEVEL for t in shares]
    assert boundaries([1, 2, 3, 4, 5], spent) == pytest.approx(
        [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-3
    )


def test_equal_boundaries_are_pococks():
    """Two equal looks with the same level each, 2.94 %, together have 5 % (Pocock 1977)."""
    first = 0.0294
    assert nominal_level([4, 8], [first / LEVEL, 1], LEVEL) == pytest.approx(first, abs=1e-4)


def test_two_looks_are_a_normal_distribution_of_two_variables():
    """The probability to cross at one of two looks by the bivariate normal distribution."""
    bounds = boundaries([3, 5], [0.5, 1.0])
    inside = stats.multivariate_normal(cov=[[1, math.sqrt(3 / 5)], [math.sqrt(3 / 5), 1]])
    (a, b), low = bounds, [-1, -1]
    within = inside.cdf([a, b], lower_limit=np.multiply(low, [a, b]))
    assert 1 - within == pytest.approx(LEVEL, abs=1e-5)


def test_a_motion_crosses_as_often_as_is_spent():
    seeds, spent = [3, 4, 6, 8, 12], [0.8, 0.9, 0.95, 0.975, 1.0]
    bounds = boundaries(seeds, spent, 0.2)
    studies = 200_000
    steps = np.random.default_rng(1).standard_normal((studies, 12)).cumsum(axis=1)
    z = np.abs(np.stack([steps[:, count - 1] / math.sqrt(count) for count in seeds]))
    crossed = np.logical_or.accumulate(z > np.array(bounds)[:, None]).mean(axis=1)
    expected = 0.2 * np.array(spent)
    error = np.sqrt(expected * (1 - expected) / studies)
    assert np.abs(crossed - expected).max() < 4 * error.max()


def test_where_nothing_is_left_the_level_is_0():
    assert nominal_level([3, 5], [1.0, 1.0], LEVEL) == 0
    assert nominal_level([3, 5, 8], [0.5, 0.5, 1.0], LEVEL) > 0.02  # and is there again later


@pytest.mark.parametrize(
    "spent", [[0.8, 0.9, 0.95], [0.125, 0.5, 1.0], [0.001, 0.002, 1.0], [0.999, 0.9999, 1.0]]
)
def test_levels_lie_between_what_a_look_spends_and_what_is_spent_up_to_it(spent):
    seeds = [3, 6, 9]
    for at in range(3):
        level = nominal_level(seeds[: at + 1], spent[: at + 1], LEVEL)
        new = spent[at] - (spent[at - 1] if at else 0)
        assert LEVEL * new * (1 - 1e-6) <= level <= LEVEL * spent[at] * (1 + 1e-6)


def test_a_declared_number_looked_at_once_pays_nothing():
    assert levels(of_seeds(5, 5)) == [LEVEL]
    assert levels(of_seeds(7, 5)) == [LEVEL]


def test_a_look_before_the_declared_number_costs_little():
    early, last = levels(of_seeds(3, 5), of_seeds(5, 5))
    assert early == pytest.approx(LEVEL * 0.6**3)
    assert 0.9 * LEVEL < last < LEVEL


def test_an_undeclared_number_keeps_a_fifth():
    first, second, third = levels(of_seeds(3), of_seeds(5), of_seeds(8))
    assert first == (1 - RESERVED) * LEVEL == pytest.approx(0.04)
    assert LEVEL * RESERVED / 2 < second < first
    assert LEVEL * RESERVED / 4 < third < second


def test_a_look_while_runs_are_missing_leaves_the_level_to_the_whole_study():
    early, last = levels(of_seeds(5, 5, (3, 10)), of_seeds(5, 5))
    assert early == pytest.approx(LEVEL * 0.7**3)
    assert last > 0.75 * LEVEL
    early, last = levels(of_seeds(5, None, (5, 10)), of_seeds(5))
    assert early == pytest.approx(LEVEL * (1 - RESERVED) / 8)
    assert 0.036 < last < 0.04
    assert levels(planned(3, 5), of_seeds(5))[0] == pytest.approx(LEVEL * (1 - RESERVED) * 0.6**3)
    added = levels(of_seeds(3), of_seeds(5, None, (2, 10)), of_seeds(5))  # 0.512 of the next tenth
    assert added[1] > LEVEL * 0.1 * 0.512
    assert added[2] > LEVEL * 0.1 * 0.488


def test_what_was_spent_under_another_declaration_is_spent():
    assert levels(of_seeds(3, 3), of_seeds(5, 5)) == [LEVEL, 0]  # more than the declared number
    first, second, third = levels(of_seeds(3), of_seeds(5, 10), of_seeds(10, 10))
    assert first == pytest.approx(0.8 * LEVEL)
    assert 0 < second < 0.2 * LEVEL  # an eighth of what is left
    assert 0.2 * 7 / 8 * LEVEL < third < LEVEL


# The record


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Look((0, 1, 2)), "0 1 2"),
        (Look((0, 7, 1994), None, 5), "0 7 1994 of 5"),
        (Look((0, 1), planned=5), "0 1 of 5 or more"),
        (Look((0, 1), (1, 4)), "0 1 lacking 1 of 4 runs"),
        (Look((0, 1, 2), (2, 9), 5), "0 1 2 of 5 lacking 2 of 9 runs"),
        (Look((3,), (2, 3), planned=5), "3 of 5 or more lacking 2 of 3 runs"),
        (Look((), planned=3), "none of 3 or more"),
        (Look(()), "none"),
    ],
)
def test_what_was_seen_is_written_and_read(one, text):
    again = Look.parse(text)
    assert (again, str(again), str(one)) == (one, text, text)
    assert (again.final, again.planned) == (one.final, one.planned)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0 1 x", "0  1", " 0", "0 of", "0 of 0", "0 lacking 1 runs", "none 1", "-1",
     "0 1 2\n", "٣", "0 lacking 1 of 0 runs", "0 or more"],
)  # fmt: skip
def test_what_names_no_seeds_is_refused(text):
    with pytest.raises(ValueError, match="names no seeds"):
        Look.parse(text)


@pytest.fixture
def look(tmp_path):
    """A function that looks at experiments and records it."""

    def look(**current):
        looks = Looks(tmp_path / "looks.csv", current)
        looks.record(2)
        return looks

    look.file = tmp_path / "looks.csv"
    look.rows = lambda: look.file.read_text().splitlines()[1:]
    return look


def test_a_rerun_is_no_look(look):
    first = look(a=of_seeds(3))
    before = look.file.read_bytes()
    again = look(a=of_seeds(3))
    assert (first.is_new, again.is_new) == (True, False)
    assert look.file.read_bytes() == before
    assert first.level("a", LEVEL) == again.level("a", LEVEL) == 0.8 * LEVEL


def test_seeds_that_are_added_are_a_look(look):
    look(a=of_seeds(3))
    looks = look(a=of_seeds(5))
    assert looks.of("a") == [of_seeds(3), of_seeds(5)]
    header, first, second = look.file.read_text().splitlines()
    assert header == "look,time,seeds,open"
    assert first.startswith("1,20")
    assert first.endswith("Z,a: 0 1 2,2")
    assert second.endswith("Z,a: 0 1 2 3 4,2")


def test_other_seeds_are_a_look_even_if_they_are_no_more(look):
    look(a=of_seeds(3))
    looks = look(a=Look((3, 4, 5)))
    assert 0.1 * LEVEL < looks.level("a", LEVEL) < 0.8 * LEVEL


def test_going_back_to_seeds_that_were_seen_is_no_look(look):
    first, second = look(a=of_seeds(3)), look(a=of_seeds(5))
    back, forth = look(a=of_seeds(3)), look(a=of_seeds(5))
    assert (back.is_new, forth.is_new) == (False, False)
    assert back.of("a") == [of_seeds(3)]
    for one, other in ((first, back), (second, forth)):
        assert one.level("a", LEVEL) == other.level("a", LEVEL)


def test_seeds_with_missing_runs_are_not_finished_ones(look):
    look(a=of_seeds(3, missing=(2, 6)))
    assert look(a=of_seeds(3, missing=(1, 6))).is_new
    assert look(a=of_seeds(3)).is_new
    assert not look(a=of_seeds(3, missing=(1, 6))).is_new
    assert len(look.rows()) == 3


def test_seeds_that_are_only_planned_are_no_look(look):
    first = look(a=of_seeds(3))
    looks = look(a=planned(3, 5))
    assert not looks.is_new
    assert looks.level("a", LEVEL) == first.level("a", LEVEL)
    assert look(a=of_seeds(5)).level("a", LEVEL) == levels(of_seeds(3), of_seeds(5))[1]


def test_seeds_that_are_too_few_for_verdicts_cost_nothing(look):
    look(a=of_seeds(1))
    looks = look(a=of_seeds(2))
    assert looks.of("a") == []
    assert looks.level("a", LEVEL) == LEVEL
    looks = look(a=of_seeds(3))
    assert looks.of("a") == [of_seeds(3)]
    assert looks.level("a", LEVEL) == pytest.approx(0.8 * LEVEL)
    assert len(look.rows()) == 3


def test_experiments_are_counted_by_themselves(look):
    first = look(a=of_seeds(3), b=of_seeds(3, 5))
    looks = look(a=of_seeds(3), b=of_seeds(5, 5))
    assert look.rows()[1].endswith(",a: 0 1 2; b: 0 1 2 3 4 of 5,2")
    assert [len(looks.of(name)) for name in "ab"] == [1, 2]
    assert looks.level("a", LEVEL) == first.level("a", LEVEL)
    assert looks.level("b", LEVEL) == levels(of_seeds(3, 5), of_seeds(5, 5))[1]
    mixed = look(a=of_seeds(5), b=of_seeds(3, 5))  # b as at first, a as never before
    assert mixed.level("b", LEVEL) == first.level("b", LEVEL)
    assert len(mixed.of("a")) == 2


def test_an_experiment_that_is_added_has_its_whole_level(look):
    look(a=of_seeds(3))
    look(a=of_seeds(5))
    looks = look(a=of_seeds(5), b=of_seeds(3))
    assert [len(looks.of(name)) for name in "ab"] == [2, 1]
    assert looks.level("b", LEVEL) == pytest.approx(0.8 * LEVEL)


def test_a_final_number_that_is_declared_after_a_look_changes_nothing_about_it(look):
    first = look(a=of_seeds(3))
    later = look(a=of_seeds(3, 3))
    assert not later.is_new
    assert later.level("a", LEVEL) == first.level("a", LEVEL)
    assert look(a=of_seeds(5, 5)).level("a", LEVEL) == levels(of_seeds(3), of_seeds(5, 5))[1]


def test_the_level_of_the_next_look(look):
    looks = look(a=of_seeds(3, 5))
    assert looks.level("a", LEVEL, 5) == levels(of_seeds(3, 5), of_seeds(5, 5))[1]
    assert not looks.is_spent("a")
    looks = look(a=of_seeds(5, 5))
    assert looks.is_spent("a")
    assert looks.level("a", LEVEL, 8) == LEVEL  # in a separate study


def test_a_study_that_compares_nothing_records_nothing(look):
    assert not look().is_new
    assert not look.file.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"look,time,seeds,open\n1,2026-01-01T00:00:00Z,a: 0 1 x,0\n",
        b"look,time,seeds,open\n1,2026-01-01T00:00:00Z\n",
        b"look,time,seeds,open\n1,2026-01-01T00:00:00Z,0 1 2,0\n",
        b"something,else\n1,2\n",
        b"look,time,seeds,open\n1,2026-01-01T00:00:00Z,a: \xff,0\n",
        b"look,time,seeds,open\n1,2026-01-01T00:00:00Z,a: \x000,0\n",
    ],
)
def test_a_damaged_record_is_reported_and_left(look, content):
    look.file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        look(a=of_seeds(3))
    message = str(caught.value)
    assert message.startswith(f"{look.file}: not a record of looks (")
    assert message.endswith("); move the file away to count looks from now on")
    assert "\n" not in message
    assert look.file.read_bytes() == content


def test_a_record_that_cannot_be_read_is_reported(look):
    look.file.mkdir()
    with pytest.raises(InputError, match=r"looks\.csv: not a record of looks"):
        look(a=of_seeds(3))


# How often studies without any difference claim one

SEEDS = (3, 4, 5, 6, 8, 10, 12)


def least_p(studies, arms=4):
    """The smallest corrected p-value of each study at each look [looks, studies].

    Each arm but the first is compared with the first; accuracies are normal. Verdicts are by the
    tests of the analysis, without test images. The smallest corrected p-value of a study decides.
    """
    drawn = np.random.default_rng(7).standard_normal((studies, arms, max(SEEDS)))
    frequent = np.array([True] + [False] * (arms - 1))
    found = []
    for seeds in SEEDS:
        scores = drawn[:, :, :seeds]
        variances = pool(scores, frequent)
        least = np.ones(studies)
        for arm in range(1, arms):
            weights = np.zeros(arms)
            weights[[0, arm]] = -1, 1
            paired = scores[:, arm] - scores[:, 0]
            root = math.sqrt(seeds)
            spread = variances.of_contrast(weights, weights[None])
            t = np.abs(paired.mean(1)) * root / np.sqrt(spread.variance)
            pooled = 2 * stats.t.sf(t, spread.df) / (1 - spread.paired_share)
            t = np.abs(paired.mean(1)) * root / paired.std(1, ddof=1)
            own = 2 * stats.t.sf(t, seeds - 1)
            with np.errstate(divide="ignore"):
                either = np.minimum(pooled, own / spread.paired_share)
            least = np.minimum(least, np.where(own <= PAIRED_LEVEL, either, 1))
        found.append(least * (arms - 1))  # the first step of Holm's method decides
    return np.array(found)


def test_all_looks_together_keep_to_the_level():
    p = least_p(4000)
    looks = [of_seeds(seeds) for seeds in SEEDS]
    spent = (p <= np.array(levels(*looks))[:, None]).any(axis=0).mean()
    at_once = (p[-1] <= LEVEL).mean()
    unspent = (p <= LEVEL).any(axis=0).mean()
    assert spent < 0.058
    assert at_once < 0.058
    assert unspent > 0.08
    declared = [of_seeds(seeds, max(SEEDS)) for seeds in SEEDS]
    assert (p <= np.array(levels(*declared))[:, None]).any(axis=0).mean() < 0.058


# Whole analyses

STUDY = """\
title: Known answers
experiments:
  arms:
    question: Which arm?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2), mix: cutmix}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    training: {epochs: 3}
"""
IMAGES = 1000


@pytest.fixture
def grow(project):
    """A function that extends the study, runs and analyses it; each arm is as at other seeds."""

    def grow(seeds, final=None, left_out=(), partial=False, mix=950):
        text = STUDY.replace("[0, 1, 2]", str(list(range(seeds))))
        if final is not None:
            text = text.replace("    baseline:", f"    final_seeds: {final}\n    baseline:")
        project(text)
        plan = load_plan(load_config())
        for run in plan.runs.values():
            if (run.augmentation, run.seed) not in left_out and not Path(run.folder).exists():
                right = {"none": 940, "crop": 985, "mix": mix + run.seed % 2}[run.augmentation]
                right += (0, 5, 3, 1, 6)[run.seed]
                write_run(run, accuracy=right / IMAGES)
        folder = Path("results/tiny/partial" if partial else "results/tiny")
        folder.mkdir(parents=True, exist_ok=True)
        analyse(plan, folder, partial=partial, looks=Path("results/tiny/looks.csv"))
        return json.loads((folder / "analysis.json").read_text())["experiments"][0]

    return grow


def looks_table():
    return pd.read_csv("results/tiny/looks.csv", dtype=str)


def table(name, folder="results/tiny"):
    return TABLES[name].read(Path(folder))


def checks(name):
    rows = table("checks")
    return rows[rows["check"] == name]


def test_the_first_analysis_says_nothing_of_looks_and_a_rerun_is_none(grow):
    first = grow(3)
    before = {file.name: file.read_bytes() for file in Path("results/tiny").iterdir()}
    again = grow(3)
    assert {file.name: file.read_bytes() for file in Path("results/tiny").iterdir()} == before
    assert first == again
    assert len(checks("looks")) == 0
    assert (first["looks"], first["level"]) == (1, pytest.approx(0.04))
    rows = looks_table()
    assert rows["seeds"].tolist() == ["arms: 0 1 2"]
    assert rows["open"].astype(int).tolist() == [
        int((table("comparisons")["verdict"] == "open").sum())
    ]


@pytest.mark.slow
def test_seeds_that_are_added_make_the_next_look_pay(grow):
    grow(3)
    second = grow(5)
    looked = table("comparisons")
    assert (second["looks"], len(looks_table())) == (2, 2)
    of_two = 2 * level_of([of_seeds(3), of_seeds(5)], LEVEL / 2)  # comparisons
    assert second["level"] == pytest.approx(of_two)
    (row,) = checks("looks").to_dict("records")
    assert (row["count"], row["value"]) == (2, pytest.approx(of_two))
    assert len(checks("level_spent")) == 0
    Path("results/tiny/looks.csv").unlink()
    at_five = grow(5)
    at_once = table("comparisons")
    assert (at_five["looks"], len(checks("looks"))) == (1, 0)
    assert (looked["difference"] == at_once["difference"]).all()
    assert (looked["p"] == at_once["p"]).all()
    ratio = (looked["p_adjusted"] / at_once["p_adjusted"]).tolist()
    # Of crop the paired t-test decides, which has another level.
    assert ratio == pytest.approx([1, at_five["level"] / second["level"]])
    wider = (looked["ci_high"] - looked["ci_low"]) > (at_once["ci_high"] - at_once["ci_low"])
    assert wider[1]


def test_a_partial_analysis_is_a_look_that_leaves_the_level_to_the_whole(grow):
    left_out = [("mix", 3), ("mix", 4)]
    early = grow(5, final=5, left_out=left_out, partial=True)
    assert looks_table()["seeds"].tolist() == ["arms: 0 1 2 3 4 of 5 lacking 2 of 15 runs"]
    assert early["level"] == pytest.approx(LEVEL * (13 / 15) ** 3)
    whole = grow(5, final=5)
    assert (whole["looks"], len(looks_table())) == (2, 2)
    assert 0.6 * LEVEL < whole["level"] < LEVEL


@pytest.mark.slow
def test_a_partial_analysis_of_whole_seeds_of_a_study_that_shall_have_more(grow):
    seeds = [(arm, seed) for arm in ("none", "crop", "mix") for seed in (3, 4)]
    early = grow(5, left_out=seeds, partial=True)
    assert looks_table()["seeds"].tolist() == ["arms: 0 1 2 of 5 or more"]
    assert early["level"] == pytest.approx(0.8 * LEVEL * 0.6**3)
    assert 0.7 * LEVEL < grow(5)["level"] < 0.8 * LEVEL
    grow(5, partial=True)  # all is there, and has been seen
    assert len(looks_table()) == 2


def test_a_declared_number_of_seeds_that_is_reached_at_once_has_the_whole_level(grow):
    experiment = grow(3, final=3, mix=941)
    assert experiment["level"] == LEVEL
    assert checks("level_spent")["value"].tolist() == [LEVEL]
    assert table("comparisons").set_index("arm").loc["mix", "seeds_needed"] > 3


def test_where_nothing_is_left_nothing_is_claimed_and_there_is_no_interval(grow):
    grow(3, final=3)
    assert "better" in set(table("comparisons")["verdict"])
    experiment = grow(5, final=5)
    assert experiment["level"] == 0
    rows = table("comparisons")
    assert set(rows["verdict"]) == {"open"}
    assert (rows["p_adjusted"] == 1).all()
    assert rows["p"].lt(1).all()
    empty = rows[["ci_low", "ci_high", "mde", "mde_low", "mde_high"]]
    assert empty.isna().all(axis=None)
    assert rows[["image_ci_low", "image_ci_high"]].notna().all(axis=None)
    effects = table("class_effects")
    assert set(effects["verdict"]) == {"unclear"}
    assert effects[["ci_low", "ci_high"]].isna().all(axis=None)
    for name in TABLES:
        frame = table(name)
        assert not np.isinf(frame.select_dtypes(float)).any(axis=None), name
    assert checks("level_spent")["value"].tolist() == [0]
    assert rows["seeds_needed"].notna().any()  # in a separate study

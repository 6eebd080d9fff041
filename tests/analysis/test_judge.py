import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablation import cli
from ablation.analysis.judge import COLUMNS, judge, notes, read_scores
from ablation.errors import InputError


def scores(table, images=None):
    """Rows of a table of accuracies by arm, whose seeds count from 0."""
    rows = [(arm, seed, value) for arm, of in table.items() for seed, value in enumerate(of)]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "accuracy"])
    return frame if images is None else frame.assign(images=images)


def drawn(random, means, spreads, seeds):
    values = np.array(means)[:, None] + np.array(spreads)[:, None] * random.standard_normal(
        (len(means), seeds)
    )
    return scores({f"a{i}": of for i, of in enumerate(values)})


def claims(found):
    return found["verdict"].isin(["better", "worse"])


def test_two_arms_are_compared_by_the_paired_t_test():
    arm, reference = [0.91, 0.92, 0.95, 0.93], [0.90, 0.90, 0.91, 0.92]
    found = judge(scores({"base": reference, "arm": arm}), "base").iloc[0]
    expected = stats.ttest_rel(arm, reference)
    low, high = expected.confidence_interval(0.95)
    # The paired test has to be passed at 6 % as well, which is no more than 5 %.
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((low, high))
    assert (found["arm"], found["reference"], found["seeds"]) == ("arm", "base", 4)
    assert found["difference"] == pytest.approx(0.02)
    assert list(judge(scores({"base": reference, "arm": arm}), "base")) == list(COLUMNS)


@pytest.mark.slow
def test_interval_and_verdict_agree():
    random = np.random.default_rng(2)
    for _ in range(200):
        arms = int(random.integers(2, 8))
        means = 0.5 + 0.02 * random.standard_normal(arms)
        spreads = 0.01 * np.exp(random.standard_normal(arms))
        table = drawn(random, means, spreads, int(random.integers(3, 7)))
        for frame in (table, table.assign(images=2000)):
            found = judge(frame, "a0", margin=2)
            excluded = (found["ci_low"] > 0) | (found["ci_high"] < 0)
            assert (claims(found) == excluded).all()
            assert (claims(found) == (found["p"] <= 0.05)).all()
            within = (found["ci_low"] >= -0.02) & (found["ci_high"] <= 0.02)
            assert ((found["verdict"] == "same") == (within & ~excluded)).all()
            signs = np.sign(found["difference"]).map({1: "better", -1: "worse"})
            assert (found["verdict"][excluded] == signs[excluded]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "spreads", [[1] * 6, [5, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 5], [1, 1, 1, 4, 4, 4]]
)
def test_at_most_one_study_in_twenty_without_a_difference_claims_one(spreads):
    random = np.random.default_rng(3)
    studies = 300
    false = sum(
        claims(judge(drawn(random, [0.5] * 6, 0.006 * np.array(spreads), 3), "a0")).any()
        for _ in range(studies)
    )
    assert false <= stats.binom.ppf(0.999, studies, 0.05)


@pytest.mark.slow
def test_more_is_found_than_by_the_paired_t_test():
    """Six arms, three seeds, a difference of 4 standard deviations of the paired differences."""
    random = np.random.default_rng(4)
    found, paired = 0, 0
    for _ in range(300):
        table = drawn(random, [0.5] * 5 + [0.5 + 4 * 0.006 * math.sqrt(2)], [0.006] * 6, 3)
        found += claims(judge(table, "a0")).iloc[-1]
        by_arm = table.pivot(index="seed", columns="arm", values="accuracy")
        paired += stats.ttest_rel(by_arm["a5"], by_arm["a0"]).pvalue <= 0.05 / 5
    assert found > 0.8 * 300
    assert paired < 0.5 * 300


def test_one_noisy_arm_does_not_hide_what_the_others_show():
    random = np.random.default_rng(5)
    means, spreads = [0.5, 0.5, 0.5, 0.5, 0.5, 0.53], [0.006, 0.1, 0.006, 0.006, 0.006, 0.006]
    found = sum(claims(judge(drawn(random, means, spreads, 5), "a0")).iloc[-1] for _ in range(100))
    assert found > 90


def test_few_test_images_leave_a_difference_open():
    table = {"base": [0.900, 0.902, 0.901], "arm": [0.950, 0.951, 0.953]}
    assert list(judge(scores(table), "base")["verdict"]) == ["better"]
    assert list(judge(scores(table, images=10_000), "base")["verdict"]) == ["better"]
    assert list(judge(scores(table, images=100), "base")["verdict"]) == ["open"]


def test_below_three_seeds_nothing_is_decided():
    table = scores({"base": [0.5, 0.5], "arm": [0.9, 0.9]})
    (row,) = judge(table, "base").to_dict("records")
    assert (row["verdict"], row["seeds"], row["difference"]) == ("open", 2, pytest.approx(0.4))
    assert all(math.isnan(row[name]) for name in ("ci_low", "ci_high", "p"))
    assert any("fewer than 3 seeds" in note for note in notes(table, judge(table, "base")))


@pytest.mark.parametrize("arms", [2, 3, 6])
def test_accuracies_that_never_vary_are_compared(arms):
    same, more = [0.512] * 3, [0.612] * 3
    table = {"base": same, **{f"arm{i}": same for i in range(1, arms)}, "arm1": more}
    verdicts = judge(scores(table), "base").set_index("arm")["verdict"]
    assert verdicts.to_dict() == {
        "arm1": "better",
        **{f"arm{i}": "same" for i in range(2, arms)},
    }


def test_seeds_are_paired_whatever_their_order_and_only_shared_ones_count():
    table = scores({"base": [0.5, 0.6, 0.7, 0.8], "arm": [0.52, 0.61, 0.73, 0.81]})
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(judge(shuffled, "base"), judge(table, "base"))
    fewer = table[~((table["arm"] == "arm") & (table["seed"] == 3))]
    assert judge(fewer, "base")["seeds"].item() == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.rename(columns={"accuracy": "acuracy"}), "no column 'accuracy'; did you mean"),
        (lambda t: t.assign(accuracy=[91.0, *t["accuracy"][1:]]), "line 2: accuracy: 91.0 is not"),
        (lambda t: t.assign(accuracy="high"), "line 2: accuracy: high is not a share"),
        (lambda t: t.assign(seed=0), "line 3: arm 'base' has seed 0 twice"),
        (lambda t: t.assign(arm=None), "line 2: arm, seed or accuracy is empty"),
        (lambda t: t.assign(arm="base", seed=range(len(t))), "no arm beside 'base'"),
        (lambda t: t.assign(arm="other", seed=range(len(t))), "no arm 'base'"),
        (lambda t: t.assign(accuracy=None), "line 2: arm, seed or accuracy is empty"),
        (lambda t: t.assign(Images=100), "the column 'Images' must be called 'images'"),
        (lambda t: t.assign(images=0), "images of arm 'base' are not whole numbers"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(change, said):
    table = change(scores({"base": [0.5, 0.6, 0.7], "arm": [0.6, 0.7, 0.8]}))
    with pytest.raises(InputError, match=said):
        judge(table, "base")


def test_the_command_writes_what_the_function_returns(tmp_path, capsys):
    table = scores({"base": [0.5, 0.51, 0.52], "arm": [0.6, 0.62, 0.61], "more": [0.5, 0.5, 0.52]})
    table.to_csv(tmp_path / "scores.csv", index=False)
    output = tmp_path / "made/verdicts.csv"
    words = ["judge", str(tmp_path / "scores.csv"), "--reference", "base"]
    cli.main([*words, "--margin", "1", "--output", str(output)])
    pd.testing.assert_frame_equal(pd.read_csv(output), judge(table, "base", 1))
    said = capsys.readouterr().out
    assert "better" in said
    assert "note: the number of test images is not given" in said
    with pytest.raises(SystemExit, match="error: reference: there is no arm 'bas'; did you mean"):
        cli.main([*words[:3], "bas"])
    with pytest.raises(SystemExit, match=r"missing\.csv: cannot be read as CSV: No such file"):
        cli.main(["judge", str(tmp_path / "missing.csv"), "--reference", "base"])
    assert "Traceback" not in capsys.readouterr().err


def test_two_collapsed_arms_do_not_hide_the_difference_of_two_quiet_ones():
    """The mean of the variances is hundreds of times theirs; a paired t-test is not misled."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(50):
        values = drawn(random, [0.9, 0.92, 0.8, 0.5], [0.004, 0.004, 0.024, 0.1], 5)
        hits += judge(values, "a0").set_index("arm")["verdict"]["a1"] == "better"
    assert hits > 40


def test_rounded_accuracies_with_ties_are_not_sure():
    """Equal differences at three seeds are chance where accuracies are rounded to 0.1 points."""
    random = np.random.default_rng(1)
    claimed = 0
    for _ in range(200):
        values = drawn(random, [0.9] * 6, [0.001] * 6, 3)
        claimed += claims(judge(values.assign(accuracy=values["accuracy"].round(3)), "a0")).any()
    assert claimed <= 12


def test_an_arm_may_be_called_none(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("arm,seed,accuracy\n" + "".join(
        f"{arm},{seed},{value + seed / 100}\n" for arm, value in (("None", 0.5), ("NA", 0.6))
        for seed in range(3)
    ))  # fmt: skip
    assert judge(read_scores(file), "None")["arm"].tolist() == ["NA"]


def test_an_arm_with_few_seeds_does_not_take_the_pool_from_others():
    random = np.random.default_rng(2)
    values = drawn(random, [0.9] * 6, [0.001] * 6, 4)
    lonely = pd.DataFrame({"arm": ["other"], "seed": [0], "accuracy": [0.9]})
    found = judge(pd.concat([values, lonely]), "a0")
    assert found["verdict"].iloc[-1] == "open"
    pd.testing.assert_frame_equal(found.iloc[:-1], judge(values, "a0"))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ([], None),
        ([("a1", 0)], "variances are estimated from the 4 seeds that all arms have"),
        ([("a1", 0), ("a2", 1), ("a3", 2)], "only 2 seeds are common to all arms, so each"),
    ],
)
def test_a_note_says_from_which_seeds_variances_are_estimated(missing, said):
    table = drawn(np.random.default_rng(3), [0.9] * 4, [0.001] * 4, 5).assign(images=1000)
    gone = [
        (arm, int(seed)) in missing for arm, seed in zip(table["arm"], table["seed"], strict=True)
    ]
    table = table[~np.array(gone)]
    found = notes(table, judge(table, "a0"))
    assert [text for text in found if said is None or said not in text] == []
    assert len(found) == (said is not None)


def test_a_row_with_a_field_too_many_is_refused(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("arm,seed,accuracy\nbase,0,0.5,1\nbase,1,0.6,2\n")
    with pytest.raises(InputError, match=r"scores\.csv: cannot be read as CSV"):
        read_scores(file)


def test_spaces_and_the_form_of_numbers_make_no_other_seed(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("arm, seed ,accuracy\nbase ,0,0.5\nbase, 1,0.6\nother,0.0,0.5\nother,01,0.6\n")
    table = read_scores(file)
    assert set(table["arm"]) == {"base", "other"}
    assert set(table["seed"]) == {0, 1}


def test_percentages_that_were_divided_are_as_coarse_as_before():
    """95.7 / 100 is not 0.957 to the last bit."""
    percent = {"base": [95.6] * 3, "arm": [95.7] * 3, "more": [95.6, 95.7, 95.6]}
    divided = scores({arm: [value / 100 for value in of] for arm, of in percent.items()})
    rounded = divided.round({"accuracy": 3})
    pd.testing.assert_frame_equal(judge(divided, "base"), judge(rounded, "base"))
    assert set(judge(divided, "base")["verdict"]) <= {"same", "open"}


def test_the_output_replaces_neither_the_scores_nor_what_is_no_file(tmp_path):
    file = tmp_path / "scores.csv"
    scores({"base": [0.5, 0.51, 0.52], "arm": [0.6, 0.62, 0.61]}).to_csv(file, index=False)
    before = file.read_bytes()
    for output in (file, tmp_path):
        with pytest.raises(SystemExit, match="error: "):
            cli.main(["judge", str(file), "--reference", "base", "--output", str(output)])
    assert file.read_bytes() == before

"""The analysis of runs whose files are written by hand, so that the right answer is known."""

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.analyse import analyse
from ablation.analysis.records import write_record
from ablation.errors import InputError
from ablation.report.background import scope
from ablation.storage import is_sealed
from ablation.study.plan import load_config, load_plan

from ..conftest import tiny_disk, write_answers

STUDY = """\
title: Known answers
experiments:
  depth:
    question: Does depth hurt?
    datasets: [mnist5k]
    models: [resnet20, plain20, resnet56, plain56]
    seeds: [0, 1, 2]
    baseline: {model: resnet20}
    training: {epochs: 3}
  arms:
    question: Which arm?
    datasets: [mnist5k]
    models: [resnet20]
    augmentations: {none: "", crop: crop(2), mix: cutmix}
    seeds: [0, 1, 2]
    baseline: {augmentation: none}
    validation: test
    training: {epochs: 3}
"""
IMAGES = 1000


def write_run(run, right, *, confidence=0.91, **record):
    """Write a run that classifies exactly ``right`` of the test images rightly."""
    label = np.arange(IMAGES) % 10
    answer = np.where(np.arange(IMAGES) < right, label, (label + 1) % 10)
    write_answers(run, label, answer, confidence=confidence, validation=400, **record)


RIGHT = {"resnet20": 960, "plain20": 962, "resnet56": 950, "plain56": 700}


@pytest.fixture
def plan(project):
    project(STUDY)
    plan = load_plan(load_config())
    write_known(plan)
    return plan


def write_known(plan):
    for run in plan.experiments[0].runs:
        write_run(run, RIGHT[run.model] + 3 * ((run.seed + len(run.model)) % 3))
    for run in plan.experiments[1].runs:
        write_run(run, {"none": 960, "crop": 980, "mix": 961}[run.augmentation] + run.seed)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study of known answers, analysed once: its folder, plan and analysis."""
    folder = tmp_path_factory.mktemp("known")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("config/studies").mkdir(parents=True)
        Path("config/studies/tiny.yaml").write_text(STUDY)
        Path("config/config.yaml").write_text("study: tiny\n")
        plan = load_plan(load_config())
        write_known(plan)
        return folder, plan, analysed(plan)


@pytest.fixture
def known(finished, monkeypatch):
    """The analysis of the study of known answers; its tables are there to read."""
    folder, plan, analysis = finished
    monkeypatch.chdir(folder)
    return SimpleNamespace(plan=plan, analysis=analysis)


def analysed(plan, **options):
    analyse(plan, Path("results/tiny"), **options)
    return json.loads(Path("results/tiny/analysis.json").read_text())


def table(name):
    text = dict.fromkeys(
        ("experiment", "dataset", "model", "augmentation", "arm", "reference", "id", "class"), str
    )
    return pd.read_csv(
        f"results/tiny/{name}.csv", dtype=text, keep_default_na=False, na_values=[""]
    )


def texts(experiment, part, kind=None):
    return [
        f["text"] for f in experiment["findings"] if f["part"] == part and kind in (None, f["kind"])
    ]


def test_runs_csv_holds_a_row_a_run_of_every_experiment(known):
    runs = table("runs")
    assert list(runs)[:12] == [
        "experiment", "dataset", "model", "augmentation", "seed", "id", "status",
        "test_accuracy", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds",
    ]  # fmt: skip
    assert len(runs) == 4 * 3 + 3 * 3
    row = runs[(runs.model == "plain56") & (runs.seed == 0)].iloc[0]
    assert row.test_accuracy == (700 + 3 * (7 % 3)) / IMAGES
    assert (row.val_accuracy_last, row.val_accuracy_best) == (0.94, 0.95)
    assert row.val_accuracy_median5 == 0.94  # of 0.90, 0.95 and 0.94
    assert row.best_epoch_gain == pytest.approx(0.01)
    assert row.gap == pytest.approx(0.99 - row.test_accuracy)
    assert (row.epochs, row.seconds) == (3, 10.0)


def test_the_measures_of_a_run_of_known_answers(known):
    runs = table("runs")
    row = runs[(runs.experiment == "arms") & (runs.augmentation == "crop") & (runs.seed == 0)].iloc[
        0
    ]
    right, wrong = 0.98, 0.02  # shares of the images
    assert row.nll == pytest.approx(-right * np.log(0.91) - wrong * np.log(0.01), rel=1e-5)
    brier = right * (0.09**2 + 9 * 0.01**2) + wrong * (0.91**2 + 0.99**2 + 8 * 0.01**2)
    assert row.brier == pytest.approx(brier, rel=1e-5)
    assert row.ece == pytest.approx(0.98 - 0.91, rel=1e-5)
    assert row.top5_accuracy == pytest.approx(1.0, abs=0.02)
    # 380 of 400 validation images are right: the temperature makes 0.91 that share
    scaled = 0.95
    assert row.ece_scaled == pytest.approx(0.98 - scaled, abs=2e-3)
    assert row.temperature < 1


def test_comparisons_csv(known):
    compared = table("comparisons")
    assert list(compared)[:13] == [
        "experiment", "kind", "dataset", "arm", "reference", "seeds", "difference", "low", "high",
        "p", "p_holm", "detectable", "verdict",
    ]  # fmt: skip
    row = compared[(compared.arm == "plain56") & (compared.kind == "twin")].iloc[0]
    assert row.reference == "resnet56"
    paired = np.array([70.3, 70.6, 70.0]) - np.array([95.6, 95.0, 95.3])
    assert row.difference == pytest.approx(paired.mean() / 100, abs=1e-3)
    assert np.array(row.by_seed.split(), float) == pytest.approx(paired / 100)
    assert row.p < row.p_holm < 0.05
    assert row.low < row.difference < row.high < 0
    assert 0 < row.detectable_low < row.detectable < row.detectable_high
    assert (row.verdict, row.basis, row.seeds) == ("worse", "seeds", 3)
    assert set(compared[compared.experiment == "depth"].kind) == {"baseline", "twin"}


def test_tables_of_cells_classes_and_calibration(known):
    cells = table("cells")
    crop = cells[(cells.experiment == "arms") & (cells.augmentation == "crop")].iloc[0]
    assert crop.test_accuracy == pytest.approx(0.981)
    assert crop.test_accuracy_sd == pytest.approx(0.001)
    assert (crop.runs, crop.finished, crop.is_baseline) == (3, 3, False)
    classes = table("classes")
    of_cell = classes[(classes.experiment == "depth") & (classes.model == "plain56")]
    assert of_cell["class"].tolist() == [str(i) for i in range(10)]
    assert of_cell["accuracy"].mean() == pytest.approx(0.703)
    assert of_cell["images"].sum() == IMAGES
    confusion = table("confusion")
    of_cell = confusion[(confusion.experiment == "depth") & (confusion.model == "plain56")]
    assert of_cell["count"].sum() == 3 * IMAGES
    wrong = of_cell[of_cell["true"] != of_cell["predicted"]]
    assert ((wrong["predicted"] - wrong["true"]) % 10 == 1).all()  # always the next class
    calibration = table("calibration")
    of_cell = calibration[(calibration.experiment == "depth") & (calibration.model == "plain56")]
    assert of_cell.groupby("scaled")["count"].sum().tolist() == [3 * IMAGES] * 2


def test_a_class_that_an_arm_harms(known):
    """plain56 gets everything beyond image 700 wrong: all classes alike, by 25 points."""
    effects = table("class_effects")
    twin = effects[(effects.kind == "twin") & (effects.arm == "plain56")]
    assert len(twin) == 10
    assert twin["difference"].mean() == pytest.approx(-0.25, abs=0.01)
    assert set(twin["verdict"]) == {"harmed"}
    same = effects[(effects.arm == "plain20") & (effects.kind == "twin")]
    assert set(same["verdict"]) == {"unclear"}


def test_the_answer_ranks_only_what_can_be_ranked(known):
    experiment = known.analysis["experiments"][0]
    (answer,) = texts(experiment, "answer")
    assert answer.startswith(
        "Against resnet20: plain56 is less accurate, for plain20 and resnet56 the comparisons stay"
    )
    assert "against its residual twin: plain56 is less accurate" in answer
    assert answer.count(".") == 1  # one sentence
    assert any("plain56 is less accurate than resnet20: 70.30 % against 96." in t
               for t in texts(experiment, "evidence"))  # fmt: skip


TOKEN = re.compile(r"(?<![\w.])[+−]?\d+(?:\.\d+)?(?![\w]|\.\d)")


def rounded(value, shown):
    """Whether a number of the prose is that of a table, at the rounding of the prose."""
    number = float(shown.replace("−", "-"))
    decimals = len(shown.partition(".")[2])
    return any(
        abs(round(scale * float(value), decimals) - number) < 1e-9
        or abs(abs(round(scale * float(value), decimals)) - number) < 1e-9
        for scale in (1, 100)
    )


def check_prose(analysis, names):
    """Every number of the prose is cited, and each citation is what the exported table holds."""
    scopes = [("summary", analysis["summary"])]
    scopes += [(e["name"], e["findings"]) for e in analysis["experiments"]]
    numbers = 0
    for _, findings in scopes:
        for finding in findings:
            text = finding["text"]
            for name in sorted(names, key=len, reverse=True):
                text = text.replace(name, "")
            shown = [source["shown"] for source in finding["sources"]]
            assert sorted(TOKEN.findall(text)) == sorted(shown), finding["text"]
            for source in finding["sources"]:
                frame = table(source["table"])
                for key, value in source["where"].items():
                    column = frame[key]
                    frame = frame[column.isna() if value == "" else column == value]
                assert len(frame) > 0, source
                assert rounded(frame[source["column"]].iloc[0], source["shown"]), source
                assert frame[source["column"]].nunique() == 1
                numbers += 1
    return numbers


def names_in(plan):
    names = {"P(A > B)"}
    for experiment in plan.experiments:
        names |= {c.arm.label for c in experiment.comparisons}
        names |= {c.reference.label for c in experiment.comparisons}
        names |= {
            c.arm.label.rpartition(", ")[0].replace(" − ", " instead of ")
            for c in experiment.comparisons
        } - {""}
        names |= {*experiment.architectures, *experiment.pipelines, experiment.block.question}
    return names | {f"class ‘{i}’" for i in range(10)}


def test_every_number_of_the_prose_is_in_the_exported_tables(known):
    analysis = known.analysis
    assert check_prose(analysis, names_in(known.plan)) > 40


def test_a_number_that_is_in_no_table_would_be_noticed(known):
    analysis = copy.deepcopy(known.analysis)
    finding = analysis["experiments"][0]["findings"][1]
    finding["text"] = finding["text"].replace(".", " by 12.34 points.", 1)
    with pytest.raises(AssertionError):
        check_prose(analysis, names_in(known.plan))


def test_no_sentence_ranks_what_is_open(project):
    """Whatever the numbers are: simulated studies, three arms of about the same accuracy."""
    project(STUDY)
    plan = load_plan(load_config())
    random = np.random.RandomState(0)
    for _ in range(3):
        for run in plan.runs.values():
            write_run(run, 950 + random.randint(-15, 15))
        analysis = analysed(plan)
        check_prose(analysis, names_in(plan))
        for experiment in analysis["experiments"]:
            rows = table("comparisons")
            rows = rows[rows.experiment == experiment["name"]]
            open_pairs = {
                (row.arm, row.reference) for row in rows[rows.verdict == "open"].itertuples()
            }
            assert open_pairs
            for text in texts(experiment, "evidence"):
                for arm, reference in open_pairs:
                    assert not re.search(
                        f"^{re.escape(arm)} is (more|less) accurate than {re.escape(reference)}:",
                        text,
                    )


def test_problems_are_told(plan):
    runs = plan.experiments[0].runs
    write_run(runs[0], 960, loss=(1.0, 2.0, 2.5))
    write_run(runs[3], 962, status="diverged", loss=(2.0, float("nan")))
    write_run(runs[6], 900, clean=0.999)
    write_run(runs[9], 700, status="stopped_early", loss=(2.0, 1.0))
    analysis = analysed(plan)
    problems = "\n".join(texts(analysis["experiments"][0], "problem"))
    assert (
        "1 of 12 runs diverged and is left out of every mean of accuracy, which flatters the arms "
        "that lost them: plain20 (1)." in problems
    )
    assert "1 of 12 runs was stopped early" in problems
    assert "rose by more than 25 % from one epoch to the next: resnet20 (1)" in problems
    assert "Overfitting: clean training images" in problems
    assert "still improved" in problems
    assert "Calibration: confidence and accuracy differ by more than 5 points" in problems
    assert "Classes harmed: class" in problems
    check_prose(analysis, names_in(plan))
    cells = table("cells")
    cell = cells[cells.model == "plain20"].iloc[0]
    assert (cell.diverged, cell.finished) == (1, 3)
    assert "test split served as validation" in texts(analysis["experiments"][1], "problem")[0]
    open_ = "\n".join(texts(analysis["experiments"][0], "open"))
    assert "train for 6 epochs (2 times" in open_


def test_accuracies_beside_a_difference_are_of_the_same_seeds(project):
    """An arm that lost a seed is compared, and told, on the seeds that both have."""
    project(STUDY.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    plan = load_plan(load_config())
    write_known(plan)
    for run in plan.experiments[1].runs:
        if run.augmentation == "none":
            write_run(run, 900 if run.seed == 0 else 500 + run.seed)
        if run.augmentation == "crop" and run.seed == 0:
            write_run(run, 0, status="diverged", loss=(float("nan"),))
        elif run.augmentation == "crop":
            write_run(run, 802)
    experiment = analysed(plan)["experiments"][1]
    (text,) = [t for t in texts(experiment, "evidence") if t.startswith("crop is")]
    assert "80.20 % against 50.20 % of the test images, +30.00 points" in text
    assert "over the 3 seeds that both sides have finished" in text


def test_an_arm_of_which_every_run_diverged(plan):
    for run in plan.experiments[0].runs:
        if run.model == "plain56":
            write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysis = analysed(plan)
    cells = table("cells")
    assert cells[cells.model == "plain56"]["test_accuracy"].isna().all()
    compared = table("comparisons")
    lost = compared[(compared.arm == "plain56")]
    assert set(lost["verdict"]) == {"none"}
    assert lost["difference"].isna().all()
    assert "3 of 12 runs diverged" in "\n".join(texts(analysis["experiments"][0], "problem"))
    assert "plain56" not in texts(analysis["experiments"][0], "answer")[0]


def test_a_study_of_which_every_run_diverged(plan):
    for run in plan.runs.values():
        write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysis = analysed(plan)
    assert "No seed has finished on both sides" in texts(analysis["experiments"][0], "answer")[0]
    check_prose(analysis, names_in(plan))


@pytest.mark.parametrize(("seeds", "told"), [("[0, 1]", "2 seeds"), ("[7]", "1 seed")])
def test_fewer_than_three_seeds_give_no_verdict(project, seeds, told):
    project(STUDY.replace("[0, 1, 2]", seeds))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, (960 if run.model == "resnet20" else 800) + run.seed)
    analysis = analysed(plan)
    for experiment in analysis["experiments"]:
        (answer,) = texts(experiment, "answer")
        start = f"With {told} there is no verdict, so every comparison stays open; the largest diff"
        assert answer.startswith(start)
        assert "accurate" not in answer
        assert "A verdict takes at least 3 seeds" in texts(experiment, "open")[0]
    check_prose(analysis, names_in(plan))
    compared = table("comparisons")
    assert set(compared["verdict"]) == {"open"}
    assert set(compared["basis"]) == {"images"}
    missing = ["p", "p_holm", "detectable", "detectable_low", "seeds_needed", "failure_rate"]
    assert compared[missing].isna().all(axis=None)
    assert (compared["low"] == compared["image_low"]).all()
    assert set(compared["by_seed"].astype(str).str.split().str.len()) == {len(seeds.split())}
    assert set(table("class_effects")["verdict"]) == {"unclear"}
    assert table("class_effects")["p"].isna().all()
    assert table("class_effects")["low"].notna().all()


def test_the_level_is_shared_between_the_experiments(known):
    analysis = known.analysis
    # A fifth of each half is left for later looks.
    assert [e["level"] for e in analysis["experiments"]] == pytest.approx([0.02, 0.02])
    rules = table("rules").set_index("rule")["value"]
    assert (rules["level"], rules["margin"], rules["experiments"]) == (5, 0.5, 2)


def test_five_percent_is_the_line_of_every_p_value(known):
    compared, classes = table("comparisons"), table("class_effects")
    decided = compared["verdict"].isin(["better", "worse"])
    assert ((compared["p_holm"] <= 0.05) == decided).all()
    assert (((compared["low"] > 0) | (compared["high"] < 0)) == decided).all()
    decided = classes["verdict"].isin(["helped", "harmed"])
    assert ((classes["p_holm"] <= 0.05) == decided).all()
    assert (((classes["low"] > 0) | (classes["high"] < 0)) == decided).all()
    assert decided.any()
    assert not decided.all()


def test_the_extent_of_an_experiment_is_that_of_its_runs(project):
    project(
        STUDY.replace(
            "training: {epochs: 3}",
            """training: {epochs: 3}
    overrides:
      - {where: {model: plain20}, training: {epochs: 1}}
      - {where: {model: plain56}, training: {epochs: 20}}
    exclude:
      - {model: resnet56, seed: 2}""",
            1,
        )
    )
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 950)
    first, second = analysed(plan)["experiments"]
    assert scope(first) == (
        "4 models × 1 augmentation on mnist5k; 3 seeds (0, 1, 2); 1, 3, 20 epochs; 11 runs."
    )
    assert scope(second).endswith("3 epochs; 9 runs.")


def test_the_margin_is_the_studys(project):
    project(STUDY.replace("title: Known answers", "title: Known answers\nmargin: 3"))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 950 + run.seed + 10 * (run.augmentation == "mix") * (run.seed == 1))
    analysed(plan)
    compared = table("comparisons")
    assert set(compared[compared.arm == "mix"]["verdict"]) == {"same"}


def test_declared_comparisons_are_made(project):
    declared = """seeds: [0, 1, 2]
    comparisons:
      - {kind: factor, factors: [depth, shortcut]}
      - {kind: budget, arm: {model: plain56}, reference: {model: resnet56}, epoch: 2}
"""
    project(STUDY.replace("seeds: [0, 1, 2]\n", declared, 1))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, RIGHT[run.model] + 3 * ((run.seed + len(run.model)) % 3))
    analysis = analysed(plan)
    compared = table("comparisons")
    interaction = compared[compared.arm == "depth 56 − 20, with plain networks"].iloc[0]
    assert interaction.difference == pytest.approx((0.7 - 0.962) - (0.95 - 0.96), abs=0.01)
    assert interaction.verdict == "worse"
    budget = compared[compared.kind == "budget"].iloc[0]
    assert (budget.measure, budget.epoch) == ("val_accuracy", 2)
    assert budget.arm_accuracy == pytest.approx(0.95)
    assert any("Interaction of depth × shortcut: depth 56 instead of 20" in t for t in
               texts(analysis["experiments"][0], "evidence"))  # fmt: skip
    check_prose(analysis, names_in(plan))
    (grid,) = [g for g in analysis["experiments"][0]["grids"] if g["title"] == "depth × shortcut"]
    assert (grid["rows"], grid["columns"]) == (["20", "56"], ["residual", "plain"])
    assert grid["values"][1][1] == pytest.approx(0.703)


def test_many_interactions_are_counted_apart(project):
    """Five interactions and five main effects of two models by six augmentations."""
    arms = "{none: '', a: crop(1), b: crop(2), c: cutmix, d: mixup, e: crop(2) | cutmix}"
    project(
        STUDY.replace('{none: "", crop: crop(2), mix: cutmix}', arms)
        .replace("models: [resnet20]\n", "models: [resnet20, plain20]\n")
        .replace(
            "    baseline: {augmentation: none}\n    validation: test\n",
            "    comparisons: [{kind: factor, factors: [model, augmentation]}]\n",
        )
    )
    plan = load_plan(load_config())
    random = np.random.RandomState(1)
    for run in plan.runs.values():
        write_run(run, 950 + random.randint(-10, 10))
    analysis = analysed(plan)
    (answer,) = texts(analysis["experiments"][1], "answer")
    assert "interactions: for all 5 the comparisons stay open" in answer
    assert "on average over the grid: " in answer
    check_prose(analysis, names_in(plan))


def test_a_range_of_one_value_is_one_value(project):
    arms = "{none: '', a: crop(1), b: crop(2), c: cutmix, d: mixup, e: crop(2) | cutmix}"
    project(STUDY.replace('{none: "", crop: crop(2), mix: cutmix}', arms))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 960 if run.augmentation == "none" else 955)
    analysis = analysed(plan)
    (text,) = texts(analysis["experiments"][1], "evidence", "open")
    assert re.search(r"with 80 % power is \d\.\d\d points among the pairs of arms\.$", text)
    check_prose(analysis, names_in(plan))


def test_no_detectable_difference_is_more_than_everything(plan):
    for run in plan.experiments[1].runs:
        if run.augmentation == "crop":
            write_run(run, (100, 900, 500)[run.seed])
    analysed(plan)
    compared = table("comparisons")
    assert compared[compared.arm == "crop"]["detectable"].to_list() == [1.0]


def test_networks_of_the_best_epoch_are_told(project):
    project(STUDY.replace("{epochs: 3}", "{epochs: 3, early_stopping: {restore_best: true}}", 1))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 960)
    first, second = analysed(plan)["experiments"]
    assert "weights of their best epoch by val_loss" in "\n".join(texts(first, "problem"))
    assert "best epoch by" not in "\n".join(texts(second, "problem"))


def change_record(run, change):
    folder = Path(run.folder)
    record = json.loads((folder / "run.json").read_text())
    change(record)
    write_record(folder, record)


def test_mixed_versions_and_interrupted_runs_are_told(plan):
    def older(record):
        record["attempts"][0]["environment"]["packages"]["tensorflow"] = "2.20.0"
        record["attempts"][0]["environment"]["git_commit"] = "abc-dirty"
        record["attempts"][0]["environment"]["python"] = "3.12.1"

    def resumed(record):
        later = copy.deepcopy(record["attempts"][0])
        later |= {"first_epoch": 2, "started": "2026-03-01T00:00:00Z"}
        later["environment"]["processor"] = "Another processor"
        record["attempts"].append(later)

    first, second = plan.experiments[0].runs[:2]
    change_record(first, older)
    change_record(second, resumed)
    told = analysed(plan)["provenance"]
    versions, processors, dirty = sorted(told["warnings"], key=lambda text: "dirty" in text)
    if "processors" in versions:
        versions, processors = processors, versions
    assert "mix TensorFlow versions: 2.20.0 (1 run), 2.21.0 (20 runs)" in versions
    assert "mix processors: A processor (21 runs), Another processor (1 run)" in processors
    assert "1 run changed it when going on after an interruption" in processors
    assert "resnet20 on mnist5k, none, seed 1" in processors
    assert "-dirty" in dirty
    assert (told["resumed"], told["runs"]) == (1, 21)
    assert told["python"] == ["3.11.7", "3.12.1"]
    runs = table("runs")
    assert list(runs)[-1] == "attempts"
    of_experiment = runs[runs.experiment == "depth"].set_index("id")["attempts"]
    assert (of_experiment[second.id], of_experiment[first.id]) == (2, 1)


def test_the_analysis_is_sealed_and_tells_the_hashes_of_its_tables(known):
    assert is_sealed(known.analysis)
    files = {file.name for file in Path("results/tiny").glob("*.csv")} - {"looks.csv"}
    assert set(known.analysis["tables"]) == files
    assert len(files) == 14
    for name, sha256 in known.analysis["tables"].items():
        assert hashlib.sha256(Path(f"results/tiny/{name}").read_bytes()).hexdigest() == sha256


def test_a_partial_analysis_tells_what_is_missing(plan):
    gone, failed = plan.experiments[0].runs[0], plan.experiments[1].runs[4]
    for run in (gone, failed):
        shutil.rmtree(run.folder)
    log = Path("results/logs/train", *Path(failed.folder).parts[2:]).with_suffix(".log")
    log = log.parent / f"{Path(failed.folder).name}.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the sky fell\n")
    with pytest.raises(InputError, match="cannot be read"):
        analysed(plan)
    analysis = analysed(plan, partial=True)
    # the run of the baseline is shared by both experiments
    assert analysis["partial"]["text"] == (
        f"A partial report: 2 of {len(plan.runs)} runs are missing (1 failed, 1 not run yet)."
    )
    runs = table("runs").set_index("id")
    assert runs.loc[failed.id, "status"] == "failed"
    assert "the sky fell" in runs.loc[failed.id, "reason"]
    assert runs.loc[failed.id, "log"] == str(log)
    lost = runs.loc[[gone.id]]
    assert set(lost["status"]) == {"missing"}
    assert lost["test_accuracy"].isna().all()
    assert analysis["summary"][0]["kind"] == "partial"
    assert any("are not there" in t or "is not there" in t for e in analysis["experiments"]
               for t in texts(e, "problem"))  # fmt: skip
    check_prose(analysis, names_in(plan))


def test_a_damaged_run_is_told_in_a_partial_analysis(plan):
    run = plan.experiments[0].runs[0]
    os.truncate(Path(run.folder) / "predictions.npz", 3000)
    analysis = analysed(plan, partial=True)
    assert "1 of 21 runs is missing (1 failed)" in analysis["partial"]["text"]
    row = table("runs").set_index("id").loc[[run.id]].iloc[0]
    assert row["status"] == "failed"
    assert row["reason"] == (
        f"{run.folder}/predictions.npz has changed since it was written; delete {run.folder} and "
        "run snakemake again"
    )


def test_networks_that_have_learned_nothing_are_not_the_same(plan):
    for run in plan.experiments[1].runs:
        write_run(run, 110 + run.seed)
    for run in plan.experiments[0].runs:
        write_run(run, 960 + run.seed)
    analysis = analysed(plan)
    problems = "\n".join(texts(analysis["experiments"][1], "problem"))
    assert "Little learned: test accuracy is at most 20 % of the way from the share of" in problems
    assert "none (11.10 %, largest class 10.00 %)" in problems
    compared = table("comparisons").drop_duplicates(["experiment", "arm", "reference"])
    by_experiment = compared.groupby("experiment")["verdict"].unique().str.join(" ")
    assert by_experiment.to_dict() == {"arms": "open", "depth": "same"}
    assert not compared["seeds_needed"].notna().any()
    assert not texts(analysis["experiments"][1], "open", "seeds")
    check_prose(analysis, names_in(plan))


def test_an_arm_whose_runs_diverge_is_not_the_same(project):
    """What is left of it is as good as the baseline; its mean says nothing of the others."""
    project(STUDY.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 950 + run.seed)
    analysed(plan)
    assert set(table("comparisons")["verdict"]) == {"same"}
    for run in plan.experiments[1].runs:
        if run.augmentation == "crop" and run.seed == 3:
            write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysis = analysed(plan)
    compared = table("comparisons").set_index("arm")
    assert compared.loc["crop", ["verdict", "failing", "seeds"]].tolist() == ["open", True, 3]
    assert compared.loc["mix", ["verdict", "failing"]].tolist() == ["same", False]
    assert compared["seeds_needed"].isna().all()
    check_prose(analysis, names_in(plan))


def test_a_comparison_and_its_reverse_are_told_each_in_its_direction(project):
    """They ask one question, which counts once."""
    reverse = """    comparisons:
      - {kind: arm, arm: {augmentation: none}, reference: {augmentation: crop}}
    validation: test
"""
    project(STUDY.replace("    validation: test\n", reverse))
    plan = load_plan(load_config())
    write_known(plan)
    analysed(plan)
    compared = table("comparisons").set_index(["arm", "reference"])
    one, other = compared.loc[("crop", "none")], compared.loc[("none", "crop")]
    assert (one["verdict"], other["verdict"]) == ("better", "worse")
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))
    assert one["p_holm"] == other["p_holm"]


def test_nothing_to_report_is_told(plan):
    for run in plan.runs.values():
        shutil.rmtree(run.folder, ignore_errors=True)
    with pytest.raises(InputError, match="no run has finished yet"):
        analysed(plan, partial=True)


def test_every_damaged_run_is_named_at_once(plan):
    first, second = plan.experiments[0].runs[0], plan.experiments[1].runs[4]
    for run in (first, second):
        (Path(run.folder) / "history.csv").unlink()
    with pytest.raises(InputError, match=rf"{first.folder}.*\(of no use either: {second.folder}"):
        analysed(plan)


def test_of_many_damaged_runs_some_are_named(plan):
    for folder in plan.runs:
        (Path(folder) / "history.csv").unlink()
    with pytest.raises(InputError, match=r", 15 more\)$") as caught:  # of 21, one and five
        analysed(plan)
    assert str(caught.value).count("seed-") == 2 + 5


def test_a_damaged_run_ends_the_command_with_one_line(plan):
    run = plan.experiments[0].runs[0]
    with (Path(run.folder) / "timing.csv").open("a") as file:
        file.write("4,1.0,1.0\n")
    command = [sys.executable, "-m", "ablation", "analyse", "--config", "{}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {run.folder}/timing.csv has changed since it was written; delete {run.folder} "
        "and run snakemake again\n"
    )


ON_A_SMALL_DISK = """
import shutil
from pathlib import Path
from ablation.cli import main
folder = Path("results/tiny")
def files():
    return {file.name: file.read_bytes() for file in folder.glob("*.*")}
main(["analyse", "--config", "{}"])
before = files()
for free in (0, 8192, 40_000):
    ballast = Path("results/tiny/ballast")
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - free))
    try:
        main(["analyse", "--config", "{}"])
        print("written")
    except SystemExit as end:
        print(end)
    ballast.unlink()
    print(files() == before)
"""


def test_a_full_disk_leaves_the_older_tables_whole(plan):
    disk = Path("results/tiny").absolute()
    small = tiny_disk(disk, "1m")
    words = [*small, sys.executable, "-c", ON_A_SMALL_DISK]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == ("error: results/tiny/runs.csv: cannot be written: No space left on device")
    for message in said[::2]:
        assert re.fullmatch(
            r"error: results/tiny/\w+\.(csv|json): cannot be written: No space left on device",
            message,
        )
    assert said[1::2] == ["True"] * 3


def test_a_damaged_description_of_the_data_is_named(plan):
    file = Path(plan.experiments[0].runs[0].data.folder) / "description.json"
    os.truncate(file, 20)
    with pytest.raises(
        InputError, match=r"description\.json: cannot be read .*delete results/data"
    ):
        analysed(plan)


def test_runs_of_other_data_than_there_is_are_refused(plan):
    """Data that was prepared anew with other content: never mixed with runs of the old one."""
    run = plan.experiments[0].runs[0]
    file = Path(run.data.folder) / "description.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hash": "another"}))
    with pytest.raises(InputError) as refused:
        analysed(plan)
    assert str(refused.value).startswith(
        f"{run.folder} was trained on other data than {run.data.folder} holds; "
        f"delete {run.folder} and run snakemake again"
    )


def test_the_analysis_needs_no_tensorflow(plan):
    code = (
        "import sys\nfrom ablation.cli import main\n"
        "main(['analyse', '--config', '{}'])\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_study_edited_meanwhile_is_told(plan):
    from ablation.cli import main

    with pytest.raises(SystemExit, match="was edited while it ran"):
        main(["analyse", "--config", "{}", "--digest", "0" * 16])


def test_the_same_runs_give_the_same_bytes(plan):
    analysed(plan)
    before = {f.name: f.read_bytes() for f in Path("results/tiny").iterdir()}
    analysed(plan)
    assert {f.name: f.read_bytes() for f in Path("results/tiny").iterdir()} == before


CLAIMS = """\
    comparisons:
      - {kind: arm, arm: {augmentation: crop}, reference: {augmentation: none},
         claim: crops-help, says: better}
      - {kind: arm, arm: {augmentation: mix}, reference: {augmentation: none},
         claim: mixing, says: different}
"""
CLAIMED = (
    STUDY
    + f"""\
    claims:
      crops-help: {{text: Crops help., source: A paper}}
      mixing: {{text: Mixing changes something., source: A paper}}
{CLAIMS}\
  brief:
    question: And in less time?
    revisits: arms
    datasets: [mnist5k]
    models: [resnet20]
    augmentations: {{none: "", crop: crop(2), mix: cutmix}}
    seeds: [0, 1, 2]
    validation: test
{CLAIMS}\
      - {{kind: budget, arm: {{augmentation: [none, crop, mix]}}, reference: {{experiment: arms}}}}
    training: {{epochs: 2}}
"""
)


@pytest.fixture
def claimed(project):
    """A study of claims, in which crops help after three epochs and harm after two."""
    project(CLAIMED)
    plan = load_plan(load_config())
    write_known(plan)
    for run in plan.experiments[2].runs:
        right = {"none": 980, "crop": 960, "mix": 980}[run.augmentation]
        write_run(run, right + run.seed, loss=(2.0, 1.0))
    return plan


def test_claims_are_told_with_what_survives(claimed):
    analysis = analysed(claimed)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims["verdict"].tolist() == ["better", "same", "worse", "same"]
    assert claims.loc[("arms", "crops-help"), "status"] == "holds"
    again = claims.loc["brief"]
    small = "not by more than the margin"
    assert again["status_there"].tolist() == ["holds", small]
    assert again["conclusion"].tolist() == ["does not survive", small]
    assert [f["text"] for f in analysis["summary"] if f["kind"] == "survival"] == [
        "Experiment brief asks again: of 2 claims of experiment arms, 1 is contradicted and 1 is "
        "no larger than the margin."
    ]
    (budgets,) = texts(analysis["experiments"][2], "evidence", "budgets")
    assert "after 2 epochs (experiment brief) none 98.10 %, mix 98.10 %, crop 96.10 %" in budgets
    assert "none against crop is more accurate after 2 epochs" in budgets
    assert texts(analysis["experiments"][0], "claims") == []
    check_prose(analysis, names_in(claimed))


def test_claims_without_all_runs_are_open(claimed):
    for experiment, lost in ((1, "mix"), (2, "crop")):
        for run in claimed.experiments[experiment].runs:
            if run.augmentation == lost:
                shutil.rmtree(run.folder)
    analysis = analysed(claimed, partial=True)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims.loc[("arms", "mixing"), "verdict"] == "none"
    assert claims["status"].tolist() == ["holds", "open", "open", "open"]
    assert "crop without a result" in texts(analysis["experiments"][2], "evidence", "budgets")[0]
    check_prose(analysis, names_in(claimed))


def test_claims_on_diverged_arms_are_open(claimed):
    for run in claimed.experiments[2].runs:
        if run.augmentation == "crop":
            write_run(run, 0, status="diverged", loss=(2.0, float("nan")))
    analysis = analysed(claimed)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims.loc[("brief", "crops-help"), ["verdict", "status"]].tolist() == ["none", "open"]
    (text,) = texts(analysis["experiments"][2], "survives")
    assert "2 remain open (not refuted)" in text
    check_prose(analysis, names_in(claimed))

"""The analysis of runs whose files are written by hand, so that the right answer is known."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ablation.analysis.analyse import analyse
from ablation.analysis.tables import TABLES
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import write_plan
from ablation.training.records import write_record
from ablation.training.status import reporting

from .. import factory
from ..conftest import tiny_disk

pytestmark = pytest.mark.slow  # analyses or renders whole studies

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


def write_run(run, right, *, loss=(2.0, 1.0, 0.5), clean=0.99, **options):
    """Write a run that classifies exactly ``right`` of the test images correctly."""
    accuracy = [0.90, 0.95, 0.94][: len(loss)]
    history = {"loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}
    factory.write_run(
        run, accuracy=right / IMAGES, history=history, train_accuracy=clean, **options
    )


RIGHT = {"resnet20": 960, "plain20": 962, "resnet56": 950, "plain56": 700}


@pytest.fixture
def plan(project):
    project(STUDY)
    plan = load_plan(load_config())
    write_known(plan)
    write_plan(plan, Path("plan.json"))
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
    """The analysis of the study of known answers; its tables can be read."""
    folder, plan, analysis = finished
    monkeypatch.chdir(folder)
    return SimpleNamespace(plan=plan, analysis=analysis)


def analysed(plan, **options):
    analyse(plan, Path("results/tiny"), **options)
    return json.loads(Path("results/tiny/analysis.json").read_text())


def table(name):
    return TABLES[name].read(Path("results/tiny"))


def checks(name, experiment=None):
    """The rows of a check."""
    rows = table("checks")
    rows = rows[rows["check"] == name]
    return rows if experiment is None else rows[rows["experiment"] == experiment]


def interpretations(name):
    rows = table("interpretations")
    return rows[rows["interpretation"] == name]


def test_every_table_has_the_declared_columns(known):
    files = {file.name for file in Path("results/tiny").glob("*.csv")} - {"looks.csv"}
    assert files == {f"{name}.csv" for name in TABLES}
    for name, declared in TABLES.items():
        header = Path(f"results/tiny/{name}.csv").read_text().splitlines()[0]
        assert header.split(",") == [column.name for column in declared.columns]


def test_runs_csv_holds_a_row_a_run_of_every_experiment(known):
    runs = table("runs")
    assert len(runs) == 4 * 3 + 3 * 3
    row = runs[(runs.model == "plain56") & (runs.seed == 0)].iloc[0]
    assert row.test_accuracy == (700 + 3 * (7 % 3)) / IMAGES
    assert (row.val_accuracy_last, row.val_accuracy_best) == (0.94, 0.95)
    assert row.val_accuracy_median5 == 0.94  # of 0.90, 0.95 and 0.94
    assert row.best_epoch_gain == pytest.approx(0.01)
    assert row.generalization_gap == pytest.approx(0.99 - row.test_accuracy)
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
    assert row.confidence == pytest.approx(0.91)


def test_comparisons_csv(known):
    compared = table("comparisons")
    assert not compared.duplicated(["experiment", "dataset", "arm", "reference", "measure"]).any()
    row = compared[(compared.arm == "plain56") & (compared.kinds == "counterpart")].iloc[0]
    assert row.reference == "resnet56"
    paired = np.array([70.3, 70.6, 70.0]) - np.array([95.6, 95.0, 95.3])
    assert row.difference == pytest.approx(paired.mean() / 100, abs=1e-3)
    assert np.array(row.by_seed.split(), float) == pytest.approx(paired / 100)
    assert row.arm_value - row.reference_value == pytest.approx(row.difference)
    assert row.p < row.p_adjusted < 0.05
    assert row.ci_low < row.difference < row.ci_high < 0
    assert 0 < row.mde_low < row.mde < row.mde_high
    assert (row.verdict, row.basis, row.seeds, row.margin) == ("worse", "seeds", 3, 0.005)
    kinds = compared[compared.experiment == "depth"].kinds
    assert set(kinds) == {"baseline", "counterpart", "baseline counterpart"}


def test_tables_of_cells_classes_and_calibration(known):
    cells = table("cells")
    crop = cells[(cells.experiment == "arms") & (cells.augmentation == "crop")].iloc[0]
    assert crop.test_accuracy == pytest.approx(0.981)
    assert crop.test_accuracy_sd == pytest.approx(0.001)
    assert (crop.test_accuracy_min, crop.test_accuracy_max) == (0.980, 0.982)
    assert (crop.runs, crop.finished, crop.is_baseline) == (3, 3, False)
    epochs = table("epochs")
    of_cell = epochs[(epochs.experiment == "depth") & (epochs.model == "plain56")]
    assert of_cell["val_accuracy"].tolist() == pytest.approx([0.90, 0.95, 0.94])
    assert of_cell["runs"].tolist() == [3, 3, 3]
    classes = table("classes")
    of_cell = classes[(classes.experiment == "depth") & (classes.model == "plain56")]
    assert of_cell["class"].tolist() == [str(i) for i in range(10)]
    assert of_cell["accuracy"].mean() == pytest.approx(0.703)
    assert of_cell["images"].sum() == IMAGES
    confusion = table("confusion")
    of_cell = confusion[(confusion.experiment == "depth") & (confusion.model == "plain56")]
    assert of_cell["count"].sum() == 3 * IMAGES
    wrong = of_cell[of_cell["true"] != of_cell["predicted"]]
    assert (
        (wrong["predicted"].astype(int) - wrong["true"].astype(int)) % 10 == 1
    ).all()  # always the next class
    calibration = table("calibration")
    of_cell = calibration[(calibration.experiment == "depth") & (calibration.model == "plain56")]
    assert of_cell.groupby("scaled")["count"].sum().tolist() == [3 * IMAGES] * 2


def test_a_class_that_an_arm_harms(known):
    """plain56 gets everything beyond image 700 wrong: all classes alike, by 25 points."""
    effects = table("class_effects")
    found = effects[(effects.arm == "plain56") & (effects.reference == "resnet56")]
    assert len(found) == 10
    assert found["difference"].mean() == pytest.approx(-0.25, abs=0.01)
    assert set(found["verdict"]) == {"harmed"}
    same = effects[effects.arm == "plain20"]
    assert len(same) == 10
    assert set(same["verdict"]) == {"unclear"}
    assert interpretations("classes_pay").empty  # every class goes the way of the whole


def test_what_is_wrong_with_runs_is_counted(plan):
    runs = plan.experiments[0].runs
    write_run(runs[0], 960, loss=(1.0, 2.0, 2.5))
    write_run(runs[3], 962, status="diverged", loss=(2.0, float("nan")))
    write_run(runs[6], 900, clean=0.999)
    write_run(runs[9], 700, status="stopped_early", loss=(2.0, 1.0))
    analysed(plan)
    for name, model, value in (
        ("loss_jump", "resnet20", 1.0),
        ("diverged", "plain20", np.nan),
        ("stopped_early", "plain56", np.nan),
    ):
        rows = checks(name, "depth").set_index("model")
        assert list(rows.index) == ["", model]
        assert rows["count"].tolist() == [1, 1]
        assert rows["of"].tolist() == [12, 3]
        assert rows["value"].to_list() == pytest.approx([value, value], nan_ok=True)
    (of_study,) = checks("loss_jump", "").to_dict("records")
    assert (of_study["count"], of_study["of"], of_study["threshold"]) == (1, 21, 0.25)
    overfitting = checks("overfitting", "depth").set_index("model")["value"]
    assert overfitting["plain56"] == pytest.approx(0.288)
    still = checks("still_improving", "depth").iloc[0]
    assert (still["count"], still["value"], still["threshold"]) == (10, 0.5, 0.05)
    assert checks("longer_budget", "depth")["value"].tolist() == [6]
    assert len(checks("miscalibrated")) > 0
    assert checks("test_as_validation")["experiment"].tolist() == ["arms"]
    cell = table("cells").set_index("model").loc["plain20"]
    assert (cell.diverged, cell.finished) == (1, 3)
    assert checks("best_epoch_gain", "depth")["value"].tolist() == pytest.approx([0.01 * 10 / 11])
    assert checks("best_epoch_gain_largest", "depth")["value"].tolist() == pytest.approx([0.01])
    assert checks("seed_range_largest", "depth")["value"].tolist() == pytest.approx([0.053])


def test_accuracies_beside_a_difference_are_of_the_same_seeds(project):
    """An arm that lost a seed is compared on the seeds that both have."""
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
    analysed(plan)
    row = table("comparisons").set_index("arm").loc["crop"]
    values = row[["arm_value", "reference_value", "difference"]].tolist()
    assert values == pytest.approx([0.802, 0.502, 0.3])
    assert row["seeds"] == 3


def test_an_arm_of_which_every_run_diverged(plan):
    for run in plan.experiments[0].runs:
        if run.model == "plain56":
            write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysed(plan)
    cells = table("cells")
    assert cells[cells.model == "plain56"]["test_accuracy"].isna().all()
    compared = table("comparisons")
    lost = compared[(compared.arm == "plain56")]
    assert set(lost["verdict"]) == {""}
    assert lost["difference"].isna().all()
    assert checks("diverged", "depth")["count"].tolist() == [3, 3]


def test_a_study_of_which_every_run_diverged(plan):
    for run in plan.runs.values():
        write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysed(plan)
    assert set(table("comparisons")["verdict"]) == {""}
    for name in ("epochs", "classes", "class_effects", "confusion", "calibration"):
        assert len(table(name)) == 0
    assert len(table("interpretations")) == 0


@pytest.mark.parametrize("seeds", ["[0, 1]", "[7]"])
def test_fewer_than_three_seeds_give_no_verdict(project, seeds):
    project(STUDY.replace("[0, 1, 2]", seeds))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, (960 if run.model == "resnet20" else 800) + run.seed)
    analysed(plan)
    compared = table("comparisons")
    assert set(compared["verdict"]) == {"open"}
    assert set(compared["basis"]) == {"images"}
    missing = ["p", "p_adjusted", "mde", "mde_low", "seeds_needed", "failure_rate"]
    assert compared[missing].isna().all(axis=None)
    assert (compared["ci_low"] == compared["image_ci_low"]).all()
    assert set(compared["by_seed"].astype(str).str.split().str.len()) == {len(seeds.split())}
    assert set(table("class_effects")["verdict"]) == {"unclear"}
    assert table("class_effects")["p"].isna().all()
    assert table("class_effects")["ci_low"].notna().all()


def test_the_level_is_shared_between_the_experiments(known):
    analysis = known.analysis
    # A fifth of each half is left for later looks.
    assert [e["level"] for e in analysis["experiments"]] == pytest.approx([0.02, 0.02])
    thresholds = table("thresholds").set_index("threshold")["value"]
    assert thresholds[["level", "margin", "experiments"]].tolist() == [0.05, 0.005, 2]


def test_five_percent_is_the_line_of_every_p_value(known):
    compared, classes = table("comparisons"), table("class_effects")
    decided = compared["verdict"].isin(["better", "worse"])
    assert ((compared["p_adjusted"] <= 0.05) == decided).all()
    assert (((compared["ci_low"] > 0) | (compared["ci_high"] < 0)) == decided).all()
    decided = classes["verdict"].isin(["helped", "harmed"])
    assert ((classes["p_adjusted"] <= 0.05) == decided).all()
    assert (((classes["ci_low"] > 0) | (classes["ci_high"] < 0)) == decided).all()
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
    assert (first["epochs"], first["runs"]) == ([1, 3, 20], 11)
    assert (second["epochs"], second["runs"]) == ([3], 9)
    assert first["overrides"][0] == {"where": {"model": ["plain20"]}, "training": {"epochs": 1}}


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
    budget = compared[compared.kinds == "budget"].iloc[0]
    assert (budget.measure, budget.epoch) == ("val_accuracy", 2)
    assert budget.arm_value == pytest.approx(0.95)
    columns = ["factors", "level", "reference_level", "condition", "reference_condition"]
    assert interaction[columns].tolist() == [
        "depth × shortcut", "56", "20", "plain", "residual"]  # fmt: skip
    main = compared[compared.factors == "shortcut"].iloc[0]
    assert main[columns].tolist() == ["shortcut", "plain", "residual", "", ""]
    (grid,) = analysis["experiments"][0]["factorials"]
    assert grid["levels"] == [["20", "56"], ["residual", "plain"]]
    assert grid["cells"]["56|plain"] == [["plain56", "none"]]


def test_no_detectable_effect_is_more_than_everything(plan):
    for run in plan.experiments[1].runs:
        if run.augmentation == "crop":
            write_run(run, (100, 900, 500)[run.seed])
    analysed(plan)
    compared = table("comparisons")
    assert compared[compared.arm == "crop"]["mde"].to_list() == [1.0]


def test_networks_of_the_best_epoch_are_reported(project):
    project(STUDY.replace("{epochs: 3}", "{epochs: 3, early_stopping: {restore_best: true}}", 1))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 960)
    first, second = analysed(plan)["experiments"]
    assert (first["chosen_by"], second["chosen_by"]) == (["val_loss"], [])
    (row,) = checks("best_epoch_weights").to_dict("records")
    assert (row["experiment"], row["detail"]) == ("depth", "val_loss")
    assert checks("best_epoch_gain")["experiment"].tolist() == ["arms"]


def change_record(run, change):
    folder = Path(run.folder)
    record = json.loads((folder / "run.json").read_text())
    change(record)
    write_record(folder, record)


def test_mixed_versions_and_interrupted_runs_are_reported(plan):
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
    provenance = analysed(plan)["provenance"]
    mixed = checks("mixed_environments")
    assert mixed["detail"].tolist() == [
        "processor: A processor (21); Another processor (1)",
        "TensorFlow: 2.20.0 (1); 2.21.0 (20)",
    ]
    assert mixed["of"].tolist() == [21, 21]
    (changed,) = checks("changed_environment").to_dict("records")
    assert (changed["count"], changed["detail"]) == (1, "processor")
    (dirty,) = checks("uncommitted").to_dict("records")
    assert (dirty["count"], dirty["detail"]) == (1, "abc-dirty")
    assert checks("resumed", "depth")["count"].tolist() == [1, 1]
    assert (provenance["resumed"], provenance["runs"]) == (1, 21)
    assert provenance["python"] == ["3.11.7", "3.12.1"]
    runs = table("runs")
    assert list(runs)[-1] == "attempts"
    of_experiment = runs[runs.experiment == "depth"].set_index("id")["attempts"]
    assert (of_experiment[second.id], of_experiment[first.id]) == (2, 1)


def test_a_partial_analysis_lists_what_is_missing(plan):
    gone, failed = plan.experiments[0].runs[0], plan.experiments[1].runs[4]
    for run in (gone, failed):
        shutil.rmtree(run.folder)
    log = Path(failed.log)
    log.parent.mkdir(parents=True)
    log.write_text("error: the sky fell\n")
    with pytest.raises(InputError), reporting(Path(failed.checkpoints), "c", 2):
        raise InputError("the sky fell")
    with pytest.raises(InputError, match="cannot be read"):
        analysed(plan)
    analysis = analysed(plan, partial=True)
    assert analysis["partial"] == {"planned": len(plan.runs), "missing": 2}
    for name in ("failed", "missing"):
        (of_study,) = checks(name, "").to_dict("records")
        assert (of_study["count"], of_study["of"]) == (1, len(plan.runs))
    assert len(checks("running")) == 0
    runs = table("runs").set_index("id")
    assert runs.loc[failed.id, "status"] == "failed"
    assert runs.loc[failed.id, "reason"] == "the sky fell"
    assert runs.loc[failed.id, "log"] == str(log)
    lost = runs.loc[[gone.id]]
    assert set(lost["status"]) == {"missing"}
    assert lost["test_accuracy"].isna().all()
    cells = table("cells")
    assert cells[["failed", "missing"]].sum().tolist() == [1, 1]


def test_a_damaged_run_is_reported_in_a_partial_analysis(plan):
    run = plan.experiments[0].runs[0]
    os.truncate(Path(run.folder) / "predictions.npz", 3000)
    analysis = analysed(plan, partial=True)
    assert analysis["partial"]["missing"] == 1
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
    analysed(plan)
    near = checks("near_chance").set_index("augmentation")
    assert set(near["experiment"]) == {"arms"}
    row = near.loc["none"]
    assert (row["value"], row["threshold"]) == pytest.approx((0.111, 0.28))
    assert (row["count"], row["of"]) == (100, IMAGES)
    compared = table("comparisons")
    by_experiment = compared.groupby("experiment")["verdict"].unique().str.join(" ")
    assert by_experiment.to_dict() == {"arms": "open", "depth": "same"}
    assert not compared["seeds_needed"].notna().any()


def test_an_arm_whose_runs_diverge_is_not_the_same(project):
    """Its other runs are as good as the baseline."""
    project(STUDY.replace("[0, 1, 2]", "[0, 1, 2, 3]"))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 950 + run.seed)
    analysed(plan)
    assert set(table("comparisons")["verdict"]) == {"same"}
    for run in plan.experiments[1].runs:
        if run.augmentation == "crop" and run.seed == 3:
            write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysed(plan)
    compared = table("comparisons").set_index("arm")
    assert compared.loc["crop", ["verdict", "failing", "seeds"]].tolist() == ["open", True, 3]
    assert compared.loc["mix", ["verdict", "failing"]].tolist() == ["same", False]
    assert compared["seeds_needed"].isna().all()


def test_a_comparison_and_its_reverse_appear_once(project):
    reverse = """    comparisons:
      - {kind: arm, arm: {augmentation: none}, reference: {augmentation: crop}}
    validation: test
"""
    project(STUDY.replace("    validation: test\n", reverse))
    plan = load_plan(load_config())
    write_known(plan)
    analysed(plan)
    compared = table("comparisons")
    compared = compared[compared["experiment"] == "arms"].set_index(["arm", "reference"])
    assert list(compared.index) == [("crop", "none"), ("mix", "none")]
    assert compared.loc[("crop", "none"), ["kinds", "verdict"]].tolist() == [
        "baseline arm", "better"]  # fmt: skip


def test_nothing_to_report_is_an_error(plan):
    for run in plan.runs.values():
        shutil.rmtree(run.folder, ignore_errors=True)
    with pytest.raises(InputError, match="no run has finished yet"):
        analysed(plan, partial=True)


def test_every_damaged_run_is_named_at_once(plan):
    first, second = plan.experiments[0].runs[0], plan.experiments[1].runs[4]
    for run in (first, second):
        (Path(run.folder) / "history.csv").unlink()
    with pytest.raises(InputError, match=rf"{first.folder}.*\(also unusable: {second.folder}"):
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
    command = [sys.executable, "-m", "ablation", "analyse", "plan.json"]
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
main(["analyse", "plan.json"])
before = files()
for free in (0, 4096, 8192):
    ballast = Path("results/tiny/ballast")
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - free))
    try:
        main(["analyse", "plan.json"])
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
        "main(['analyse', 'plan.json'])\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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


def test_claims_and_what_survives(claimed):
    analysis = analysed(claimed)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims["verdict"].tolist() == ["better", "same", "worse", "same"]
    assert claims.loc[("arms", "crops-help"), "status"] == "holds"
    again = claims.loc["brief"]
    small = "not by more than the margin"
    assert again["status_there"].tolist() == ["holds", small]
    assert again["conclusion"].tolist() == ["does not survive", small]
    assert [e["revisits"] for e in analysis["experiments"]] == [None, None, "arms"]
    (reversal,) = interpretations("budget_reversal").to_dict("records")
    keys = ("experiment", "augmentation", "reference_augmentation", "epoch")
    assert [reversal[key] for key in keys] == ["brief", "none", "crop", 3]
    assert reversal["value"] == pytest.approx(-0.02)
    assert len(checks("budget_settings")) == 0


def test_budgets_that_differ_in_more_than_their_length_are_named(project):
    project(CLAIMED.replace("{epochs: 2}", "{epochs: 2, learning_rate: 0.3}"))
    plan = load_plan(load_config())
    write_known(plan)
    for run in plan.experiments[2].runs:
        write_run(run, 960 + run.seed)
    analysed(plan)
    (row,) = checks("budget_settings").to_dict("records")
    assert (row["experiment"], row["detail"]) == ("brief", "arms")
    assert len(interpretations("budget_reversal")) == 0


def test_claims_without_all_runs_are_open(claimed):
    for experiment, lost in ((1, "mix"), (2, "crop")):
        for run in claimed.experiments[experiment].runs:
            if run.augmentation == lost:
                shutil.rmtree(run.folder)
    analysed(claimed, partial=True)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims.loc[("arms", "mixing"), "verdict"] == ""
    assert claims["status"].tolist() == ["holds", "open", "open", "open"]


def test_claims_on_diverged_arms_are_open(claimed):
    for run in claimed.experiments[2].runs:
        if run.augmentation == "crop":
            write_run(run, 0, status="diverged", loss=(2.0, float("nan")))
    analysed(claimed)
    claims = table("claims").set_index(["experiment", "claim"])
    assert claims.loc[("brief", "crops-help"), ["verdict", "status"]].tolist() == ["", "open"]
    assert claims.loc[("brief", "mixing"), "conclusion"] == "undecided"

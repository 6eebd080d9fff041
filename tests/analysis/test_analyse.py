"""The analysis of runs whose files are written by hand, so that the right answer is known."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.analyse import analyse
from ablation.analysis.comparisons import comparisons
from ablation.analysis.runs import read_run
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan

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


def write_run(run, right, *, status="completed", loss=(2.0, 1.0, 0.5), clean=0.99):
    """Write a run that classifies exactly ``right`` of the test images rightly."""
    folder = Path(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    label = np.arange(IMAGES) % 10
    answer = np.where(np.arange(IMAGES) < right, label, (label + 1) % 10)
    probability = np.full((IMAGES, 10), 0.01, np.float32)
    probability[np.arange(IMAGES), answer] = 0.91
    if status == "diverged":
        probability[:] = np.nan
    np.savez(folder / "predictions.npz", label=label, probability=probability)
    epochs = np.arange(1, len(loss) + 1)
    accuracy = [0.90, 0.95, 0.94][: len(loss)]
    pd.DataFrame(
        {
            "epoch": epochs,
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": loss,
            "val_accuracy": accuracy,
            "learning_rate": 0.1,
        }
    ).to_csv(folder / "history.csv", index=False)
    pd.DataFrame({"epoch": epochs, "seconds": 2.0, "images_per_second": 500.0}).to_csv(
        folder / "timing.csv", index=False
    )
    record = {
        "format": 1,
        "id": run.id,
        "status": status,
        "code": "c",
        "epochs": len(loss),
        "train_accuracy_clean": None if status == "diverged" else clean,
        "class_names": [str(i) for i in range(10)],
        "data": {
            "source": "mnist5k/1.0.0",
            "hash": "h",
            "shape": [5000, 28, 28, 1],
            "train": 3600,
            "validation": 400,
            "test": IMAGES,
        },
        "threads": {"intra_op": 2, "inter_op": 2},
        "environment": {
            "python": "3.11.7",
            "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
            "git_commit": "abc",
            "system": "Linux",
            "processor": "A processor",
            "gpus": [],
        },
        "started": "2026-01-01T00:00:00Z",
        "seconds": 10.0,
    }
    (folder / "run.json").write_text(json.dumps(record))
    data = Path(run.data.folder)
    data.mkdir(parents=True, exist_ok=True)
    (data / "description.json").write_text(json.dumps({"splits": {}, "citation": ""}))


RIGHT = {"resnet20": 960, "plain20": 962, "resnet56": 950, "plain56": 700}


@pytest.fixture
def plan(project):
    project(STUDY)
    plan = load_plan(load_config())
    for run in plan.experiments[0].runs:
        write_run(run, RIGHT[run.model] + 3 * ((run.seed + len(run.model)) % 3))
    for run in plan.experiments[1].runs:
        write_run(run, {"none": 960, "crop": 980, "mix": 961}[run.augmentation] + run.seed)
    return plan


def analysed(plan):
    analyse(plan, Path("results/tiny"))
    return json.loads(Path("results/tiny/analysis.json").read_text())


def texts(experiment, part):
    return [f["text"] for f in experiment["findings"] if f["part"] == part]


def test_runs_csv_holds_a_row_a_run_of_every_experiment(plan):
    analysed(plan)
    runs = pd.read_csv("results/tiny/runs.csv", dtype={"id": str})
    assert list(runs)[:12] == [
        "experiment", "dataset", "model", "augmentation", "seed", "id", "status",
        "test_accuracy", "val_accuracy_last", "val_accuracy_best", "epochs", "seconds",
    ]  # fmt: skip
    assert len(runs) == 4 * 3 + 3 * 3
    row = runs[(runs.model == "plain56") & (runs.seed == 0)].iloc[0]
    assert row.test_accuracy == (700 + 3 * (7 % 3)) / IMAGES
    assert (row.val_accuracy_last, row.val_accuracy_best) == (0.94, 0.95)
    assert (row.epochs, row.seconds) == (3, 10.0)


def test_cells_and_differences(plan):
    analysis = analysed(plan)
    cells = {c["model"]: c for c in analysis["experiments"][0]["cells"]}
    assert cells["resnet20"]["is_baseline"]
    assert cells["resnet20"]["difference"] is None
    assert cells["plain56"]["measures"]["test_accuracy"]["mean"] == pytest.approx(0.703)
    found = cells["plain56"]["difference"]
    assert found["mean"] == pytest.approx(-0.26)
    assert (found["verdict"], found["basis"], found["seeds"]) == ("worse", "seeds", 3)
    assert cells["plain20"]["difference"]["verdict"] == "unclear"


def test_what_is_compared(plan):
    depth, arms = plan.experiments
    pairs = {(c.arm[1], c.reference[1], c.kinds) for c in comparisons(depth)}
    assert pairs == {
        ("plain20", "resnet20", ("baseline", "twin")),
        ("resnet56", "resnet20", ("baseline", "depth")),
        ("plain56", "resnet20", ("baseline",)),
        ("plain56", "resnet56", ("twin",)),
        ("plain56", "plain20", ("depth",)),
    }
    assert {c.arm[2] for c in comparisons(arms)} == {"crop", "mix"}


def test_the_answer_ranks_only_what_can_be_ranked(plan):
    analysis = analysed(plan)
    (answer,) = texts(analysis["experiments"][0], "answer")
    assert "Against the baseline: resnet56 and plain56 are less accurate; plain20 is" in answer
    assert "residual twins: plain56 is less accurate; plain20 is too close to rank" in answer
    evidence = texts(analysis["experiments"][0], "evidence")
    assert any("plain56 is less accurate than resnet20: 70.30 % against 96." in t for t in evidence)
    (close,) = [t for t in evidence if "too little to rank" in t]
    assert "plain20 against resnet20" in close


def test_every_number_of_the_prose_comes_from_the_runs(plan):
    """Percentages and points are means, differences or interval ends of the tables."""
    analysis = analysed(plan)
    known = set()
    for experiment in analysis["experiments"]:
        for cell in experiment["cells"]:
            known |= {f"{100 * m['mean']:.2f}" for m in cell["measures"].values() if m}
    for experiment in analysis["experiments"]:
        for text in texts(experiment, "evidence"):
            for number in re.findall(r"(\d+\.\d\d) % ", text):
                assert number in known


def test_problems_are_told(plan):
    runs = plan.experiments[0].runs
    write_run(runs[0], 960, loss=(1.0, 2.0, 2.5))
    write_run(runs[3], 962, status="diverged", loss=(2.0, float("nan")))
    write_run(runs[6], 900, clean=0.999)
    write_run(runs[9], 700, status="stopped_early", loss=(2.0, 1.0))
    analysis = analysed(plan)
    problems = "\n".join(texts(analysis["experiments"][0], "problem"))
    assert (
        "1 of 12 runs diverged and is left out of every mean of accuracy and loss: plain20 (1)."
        in problems
    )
    assert "1 of 12 runs was stopped early" in problems
    assert "rose by more than 25 % from one epoch to the next: resnet20 (1)" in problems
    assert "Overfitting" in problems
    assert "still improved" in problems
    assert "best epoch" in problems
    cell = next(c for c in analysis["experiments"][0]["cells"] if c["model"] == "plain20")
    assert (cell["diverged"], cell["measures"]["test_accuracy"]["n"]) == (1, 2)
    assert "test split served as validation" in texts(analysis["experiments"][1], "problem")[0]


def test_accuracies_beside_a_difference_are_of_the_same_seeds(plan):
    """An arm that lost a seed is compared, and told, on the seeds that both have."""
    for run in plan.experiments[1].runs:
        if run.augmentation == "none":
            write_run(run, 900 if run.seed == 0 else 500)
        if run.augmentation == "crop" and run.seed == 0:
            write_run(run, 0, status="diverged", loss=(float("nan"),))
        elif run.augmentation == "crop":
            write_run(run, 800)
    experiment = analysed(plan)["experiments"][1]
    (text,) = [t for t in texts(experiment, "evidence") if t.startswith("crop is")]
    assert "80.00 % against 50.00 % of the test images, +30.00 points" in text
    assert "over the 2 seeds that both have" in text
    assert "With 2 seeds" in texts(experiment, "open")[0]


def test_networks_of_one_depth_are_not_compared_by_depth(project):
    project(
        STUDY.replace(
            "models: [resnet20, plain20, resnet56, plain56]",
            "models: [resnet20, {name: b, architecture: resnet20, projection: 1x1}]",
        )
    )
    kinds = {k for c in comparisons(load_plan(load_config()).experiments[0]) for k in c.kinds}
    assert kinds == {"baseline"}


def test_an_arm_of_which_every_run_diverged(plan):
    for run in plan.experiments[0].runs:
        if run.model == "plain56":
            write_run(run, 0, status="diverged", loss=(float("nan"),))
    analysis = analysed(plan)
    cell = next(c for c in analysis["experiments"][0]["cells"] if c["model"] == "plain56")
    assert cell["measures"]["test_accuracy"] is None
    assert cell["difference"] is None
    assert "3 of 12 runs diverged" in "\n".join(texts(analysis["experiments"][0], "problem"))
    assert "plain56" not in texts(analysis["experiments"][0], "answer")[0]
    assert pd.read_csv("results/tiny/runs.csv")["test_accuracy"].isna().sum() == 3


def test_fewer_than_three_seeds_speak_of_these_networks_only(project):
    project(STUDY.replace("[0, 1, 2]", "[0, 1]"))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 960 if run.model == "resnet20" else 800)
    experiment = analysed(plan)["experiments"][0]
    assert "these trained networks" in texts(experiment, "answer")[0]
    assert "these trained networks only" in texts(experiment, "open")[0]


def test_networks_of_the_best_epoch_are_told(project):
    project(STUDY.replace("{epochs: 3}", "{epochs: 3, early_stopping: {restore_best: true}}", 1))
    plan = load_plan(load_config())
    for run in plan.runs.values():
        write_run(run, 960)
    first, second = analysed(plan)["experiments"]
    assert "weights of their best epoch by val_loss" in "\n".join(texts(first, "problem"))
    assert "best epoch by" not in "\n".join(texts(second, "problem"))


def test_mixed_versions_are_told(plan):
    folder = Path(plan.experiments[0].runs[0].folder)
    record = json.loads((folder / "run.json").read_text())
    record["environment"]["packages"]["tensorflow"] = "2.20.0"
    record["environment"]["git_commit"] = "abc-dirty"
    (folder / "run.json").write_text(json.dumps(record))
    warnings = "\n".join(analysed(plan)["provenance"]["warnings"])
    assert "mix TensorFlow versions: 2.20.0, 2.21.0" in warnings
    assert "-dirty" in warnings


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "history.csv").unlink(), "cannot be read"),
        (lambda f: (f / "predictions.npz").write_bytes(b"PK"), "cannot be read"),
        (lambda f: (f / "run.json").write_text('{"format": 1, "id": "other"}'), "another run"),
        (
            lambda f: (f / "history.csv").write_text(
                "".join((f / "history.csv").read_text().splitlines(keepends=True)[:-1])
            ),
            "do not belong together",
        ),
    ],
)
def test_damaged_files_are_named(plan, harm, message):
    run = plan.experiments[0].runs[0]
    harm(Path(run.folder))
    with pytest.raises(InputError, match=message) as caught:
        read_run(run)
    assert run.folder in str(caught.value)


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

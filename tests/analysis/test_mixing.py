"""What is said where the runs of a study were not all made alike."""

import pytest

from ablation.analysis.mixing import resumed_runs, warnings_of
from ablation.analysis.runs import RunResult
from ablation.study.plan import load_config, load_plan

STUDY = """\
title: Mixed
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8, plain8]
    augmentations: {none: "", crop: crop(2)}
    seeds: [0, 1]
    baseline: {augmentation: none}
    comparisons: [{kind: factor, factors: [model, augmentation]}]
    training: {epochs: 4}
"""
ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.3.0"},
    "processor": "Old",
    "gpus": [],
    "variables": {},
}


@pytest.fixture
def plan(project):
    project(STUDY)
    return load_plan(load_config())


def attempt(device="CPU", tensorflow="2.21.0", numpy="2.3.0", keras="3.15.1", **environment):
    packages = {"tensorflow": tensorflow, "keras": keras, "numpy": numpy}
    return {
        "device": device,
        "environment": ENVIRONMENT | {"packages": packages} | environment,
    }


def made(plan, of):
    """The study's runs; what ``of`` returns for one is its attempts, or a change of its record."""
    found = {}
    for folder, run in plan.runs.items():
        record = {"status": "completed", "code": "c", "threads": {"intra_op": 2}}
        told = of(run)
        record |= told if isinstance(told, dict) else {"attempts": told}
        record.setdefault("attempts", [attempt()])
        found[folder] = RunResult(run, record, *[None] * 6)
    return found


def test_nothing_is_said_where_all_are_alike(plan):
    same = made(plan, lambda run: [attempt(python=f"3.{11 + run.seed}.1"), attempt()])
    assert warnings_of(plan, same) == []
    assert resumed_runs(same.values()) == 8


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"attempts": [attempt(processor="New")]}, "mix processors: New (4 runs), Old (4 runs)."),
        (
            {"attempts": [attempt(tensorflow="2.20.0")]},
            "mix TensorFlow versions: 2.20.0 (4 runs), 2.21.0 (4 runs).",
        ),
        (
            {"attempts": [attempt(keras="3.14.0")]},
            "mix Keras versions: 3.14.0 (4 runs), 3.15.1 (4 runs).",
        ),
        (
            {"attempts": [attempt(numpy="2.2.0")]},
            "mix NumPy versions: 2.2.0 (4 runs), 2.3.0 (4 runs).",
        ),
        (
            {"attempts": [attempt(variables={"TF_ENABLE_ONEDNN_OPTS": "0"})]},
            "mix settings of environment variables: TF_ENABLE_ONEDNN_OPTS=0 (4 runs), "
            "none (4 runs).",
        ),
        ({"threads": {"intra_op": 8}}, "mix numbers of threads: 2 (4 runs), 8 (4 runs)."),
        ({"code": "d"}, "mix versions of the training code: c (4 runs), d (4 runs)."),
        (
            {"attempts": [attempt(device="/device:GPU:0", gpus=["A card"])]},
            "mix kinds of device: CPU (4 runs), GPU (4 runs).",
        ),
    ],
)
def test_each_kind_of_mix_is_told_with_counts_and_why(plan, other, said):
    """Over the seeds, so that every comparison has both on both sides."""
    (text,) = warnings_of(plan, made(plan, lambda run: other if run.seed else {}))
    assert text.startswith(f"The runs of this study {said} ")
    assert "not due to their settings and seeds alone" in text
    assert ("may compute something else" in text) == ("code" in other)
    assert ("last bits" in text) == ("code" not in other)


def test_graphics_processors_count_where_they_were_trained_on(plan):
    def of(run):
        return [attempt(device="/device:GPU:0", gpus=["Card A" if run.seed else "Card B"])]

    (text,) = warnings_of(plan, made(plan, of))
    assert "mix graphics processors: Card A (4 runs), Card B (4 runs)." in text
    # A card that is there and not used changes nothing.
    unused = made(plan, lambda run: [attempt(gpus=["Card A"] if run.seed else [])])
    assert warnings_of(plan, unused) == []


def test_a_run_that_changed_its_processor_counts_with_both(plan):
    def of(run):
        changed = run.cell[1:] == ("plain8", "crop") and run.seed == 1
        return [attempt(), attempt(processor="New")] if changed else [attempt()]

    (text,) = warnings_of(plan, made(plan, of))
    assert "mix processors: New (1 run), Old (8 runs)." in text
    assert text.endswith(
        "1 run changed it when going on after an interruption, and counts with each: plain8 on "
        "mnist5k, crop, seed 1."
    )


def test_of_many_that_changed_some_are_named(plan):
    (text,) = warnings_of(plan, made(plan, lambda run: [attempt(), attempt(processor="New")]))
    assert "8 runs changed it" in text
    assert text.endswith("; and 5 more.")


def test_a_processor_for_each_arm_is_confounding(plan):
    """Crop on the new one, none on the old one: three comparisons are of both at once."""

    def of(run):
        return [attempt(processor="New" if run.augmentation == "crop" else "Old")]

    confounded, mixed = warnings_of(plan, made(plan, of))
    assert confounded == (
        "Confounded: in these 3 comparisons no processor is common to both sides, so that a "
        "difference may come from it as well as from what is compared: resnet8 · crop against "
        "resnet8 · none (experiment arms, data mnist5k); plain8 · crop against plain8 · none "
        "(experiment arms, data mnist5k); augmentation crop against augmentation none "
        "(experiment arms, data mnist5k)."
    )
    assert "mix processors: New (4 runs), Old (4 runs)" in mixed


def test_one_run_in_common_ends_the_confounding(plan):
    def of(run):
        new = run.augmentation == "crop" or (run.model, run.seed) == ("resnet8", 0)
        return [attempt(processor="New" if new else "Old")]

    confounded, _ = warnings_of(plan, made(plan, of))
    assert confounded.startswith("Confounded: in this comparison no processor is common")
    assert "plain8 · crop against plain8 · none (" in confounded
    assert "resnet8" not in confounded


def test_diverged_and_missing_runs_are_on_no_side(plan):
    def of(run):
        new = run.augmentation == "crop" or run.seed == 0
        lost = run.augmentation == "none" and run.seed == 0
        return {
            "attempts": [attempt(processor="New" if new else "Old")],
            "status": "diverged" if lost else "completed",
        }

    every = made(plan, of)
    assert warnings_of(plan, every)[0].startswith("Confounded: in these 3 comparisons")
    there = {folder: one for folder, one in every.items() if not one.diverged}
    assert warnings_of(plan, there)[0].startswith("Confounded: in these 3 comparisons")
    crops = {folder: one for folder, one in there.items() if one.run.augmentation == "crop"}
    assert warnings_of(plan, crops) == []

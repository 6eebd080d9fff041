"""Every next step where it is called for, and none where nothing is left to do."""

import json

import pytest

from ablation.analysis.next_steps import STEPS

from ..factory import analysed, simulated_study

STUDY = {
    "title": "Steps",
    "experiments": {
        "arms": {
            "question": "Which?",
            "datasets": ["mnist5k"],
            "models": ["resnet8"],
            "augmentations": {"none": "", "crop": "crop(2)"},
            "seeds": [0, 1, 2],
            "baseline": {"augmentation": "none"},
            "training": {"epochs": 4},
        }
    },
}
FALLING = {"loss": [2.0, 1.0, 0.9, 0.8], "val_loss": [2.0, 1.5, 1.0, 0.8]}


@pytest.fixture
def steps(tmp_path):
    """A function that returns the rows of the next steps by name, in order."""

    def steps(seeds=(0, 1, 2), crop=0.95, spread=0.001, partial=False, **options):
        study = json.loads(json.dumps(STUDY))
        study["experiments"]["arms"]["seeds"] = list(seeds)
        plan = simulated_study(
            tmp_path, json.dumps(study),
            lambda cell, seed: crop + (seed - 1) * spread if cell[2] == "crop" else 0.9,
            **options,
        )  # fmt: skip
        _, tables = analysed(tmp_path, plan, partial=partial)
        return {row["step"]: row for row in tables["next_steps"].to_dict("records")}

    return steps


def test_nothing_is_left_to_do(steps):
    assert steps() == {}


def test_runs_that_are_missing_are_finished_first(steps):
    found = steps(
        partial=True, missing=lambda cell, seed: seed == 2,
        options=lambda cell, seed: {"history": FALLING},
    )  # fmt: skip
    assert list(found) == ["finish_runs", "longer_training"]
    assert [found["finish_runs"][key] for key in ("count", "of", "runs")] == [2, 6, 2]
    assert found["finish_runs"]["seconds"] == 20  # of ten seconds each
    assert list(found) == sorted(found, key=STEPS.index)


def test_training_is_made_stable_and_longer(steps):
    found = steps(diverged=lambda cell, seed: cell[2] == "crop")
    assert [found["stabilize"][key] for key in ("count", "of", "runs")] == [3, 6, 6]
    assert found["stabilize"]["seconds"] == 60
    found = steps(options=lambda cell, seed: {"history": FALLING})
    row = found["longer_training"]
    assert (row["count"], row["of"], row["needed"], row["seconds"]) == (6, 6, 8, 120)


def test_where_every_run_diverged_their_time_counts(steps):
    found = steps(diverged=lambda cell, seed: True)
    assert found["stabilize"]["seconds"] == 60


def test_seeds_for_verdicts_and_for_open_comparisons(steps):
    found = steps(seeds=(0, 1))
    assert (found["seeds_for_verdicts"]["needed"], found["seeds_for_verdicts"]["runs"]) == (3, 2)
    found = steps(crop=0.92, spread=0.02)
    row = found["more_seeds"]
    assert (row["count"], row["of"]) == (1, 1) and row["needed"] > 3
    assert row["runs"] == 2 * (row["needed"] - 3) and row["seconds"] == 10 * row["runs"]

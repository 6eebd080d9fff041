"""Pictures of test images that networks get wrong."""

import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from ablation.errors import InputError

from ..factory import analysed, simulated_study, write_images

STUDY = """
title: Mistakes
experiments:
  arms:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8, plain8]
    augmentations: {none: "", flip: flip}
    seeds: [0, 1, 2]
    comparisons:
      - {kind: arm, arm: {augmentation: flip}, reference: {augmentation: none}}
    training: {epochs: 3, batch_size: 10, learning_rate: 0.1}
"""
LABEL = np.arange(40) % 10


def answers(wrong):
    """Answers to the test images that take those given for the class after the true one."""
    answer = LABEL.copy()
    answer[list(wrong)] = (LABEL[list(wrong)] + 1) % 10
    return answer


def study(folder, wrong, *, side=20, size=None, channels=1, text=STUDY, **options):
    """A study whose runs get the given test images wrong; each image has its own grey."""
    plan = simulated_study(
        folder,
        text,
        lambda cell, seed: 0.0,
        options=lambda cell, seed: {
            "label": LABEL,
            "answer": wrong(cell, seed)
            if isinstance(wrong(cell, seed), np.ndarray)
            else answers(wrong(cell, seed)),
            "validation": 20,
        },
        **options,
    )
    greys = np.arange(40, dtype=np.uint8)[:, None, None, None]
    with chdir(folder):
        for run in {run.data.folder: run for run in plan.runs.values()}.values():
            write_images(run, np.tile(greys, (1, side, side, channels)), size)
    return plan


def mistakes(folder, plan):
    """The rows of pictures; of each image its number."""
    analysed(folder, plan)
    with np.load(folder / f"results/{plan.name}/mistakes.npz", allow_pickle=False) as file:
        index = json.loads(str(file["index"]))
        return {
            (entry["experiment"], entry["dataset"], *_names(entry)): (
                file[entry["key"]][:, 0, 0, 0].tolist(),
                entry["true"],
                entry["predicted"],
                file[entry["key"]].shape,
            )
            for entry in index
        }


def _names(entry):
    return [entry[f"{side}_augmentation"] for side in ("arm", "reference") if side in entry]


def test_the_first_row_shows_what_at_least_half_of_all_runs_get_wrong(tmp_path):
    # 12 runs: image 5 is wrong in all of them, 3 in nine, 8 in six, 1 in three.
    def wrong(cell, seed):
        plain, flip = cell[1] == "plain8", cell[2] == "flip"
        return [5, *([3] if plain or flip else []), *([8] if flip else []), *([1] * (plain * flip))]

    rows = mistakes(tmp_path, study(tmp_path, wrong))
    images, true, predicted, shape = rows["arms", "mnist5k"]
    assert images == [5, 3, 8]
    assert true == ["5", "3", "8"]
    assert predicted == ["6", "4", "9"]
    assert shape == (3, 20, 20, 1)


def test_a_pair_shows_what_the_arm_gets_wrong_and_the_reference_right(tmp_path):
    # Flipped, resnet8 gets 20 and 21 wrong with each seed, 3 and 4 with two of three.
    def wrong(cell, seed):
        if cell[1:] != ("resnet8", "flip"):
            return [9]
        return [9, 20, 21, *([3, 4] if seed else []), *([30] if seed == 0 else [])]

    rows = mistakes(tmp_path, study(tmp_path, wrong))
    assert [names[2:] for names in rows] == [(), ("flip", "flip"), ("flip", "none")]
    images, true, predicted, _ = rows["arms", "mnist5k", "flip", "none"]
    assert images == [20, 21, 3, 4]
    assert true == ["0", "1", "3", "4"]
    assert predicted == ["1", "2", "4", "5"]


def test_the_less_accurate_side_is_the_one_that_is_wrong(tmp_path):
    rows = mistakes(tmp_path, study(tmp_path, lambda cell, _: [1, 2] * (cell[2] == "none")))
    assert ("arms", "mnist5k", "none", "flip") in rows


def test_a_single_image_makes_no_row_of_a_pair(tmp_path):
    plan = study(tmp_path, lambda cell, seed: [7] if cell[2] == "flip" else [])
    assert list(mistakes(tmp_path, plan)) == [("arms", "mnist5k")]


def test_the_class_that_is_named_most_is_shown(tmp_path):
    def wrong(cell, seed):
        answer = LABEL.copy()
        answer[4] = 9 if seed == 0 else 2
        return answer

    rows = mistakes(tmp_path, study(tmp_path, wrong))
    assert rows["arms", "mnist5k"][2] == ["2"]


@pytest.mark.slow
def test_a_row_has_eight_images_and_an_experiment_four_pairs(tmp_path):
    augmentations = ", ".join(f"crop{i}: crop({i})" for i in range(1, 7))
    text = STUDY.replace("flip: flip", augmentations).replace(
        "    comparisons:\n      - {kind: arm, arm: {augmentation: flip}, "
        "reference: {augmentation: none}}\n",
        "    baseline: {augmentation: none}\n",
    )
    plan = study(
        tmp_path, lambda cell, _: range(0 if cell[2] == "none" else 12), text=text
    )  # fmt: skip
    rows = mistakes(tmp_path, plan)
    assert len(rows) == 5
    assert {tuple(images) for images, *_ in rows.values()} == {tuple(range(8))}


def test_decided_pairs_come_first(tmp_path):
    text = STUDY.replace("flip: flip", "flip: flip, crop: crop(2)").replace(
        "reference: {augmentation: none}}",
        "reference: {augmentation: none}}\n"
        "      - {kind: arm, arm: {augmentation: crop}, reference: {augmentation: none}}",
    )

    def wrong(cell, seed):
        if cell[2] == "crop":
            return range(20)
        return [35, 36] if cell[2] == "flip" and seed else []

    rows = mistakes(tmp_path, study(tmp_path, wrong, text=text.replace(", plain8", "")))
    assert [names[2:] for names in rows if names[2:]] == [("crop", "none"), ("flip", "none")]


def test_diverged_runs_count_for_nothing(tmp_path):
    plan = study(
        tmp_path,
        lambda cell, seed: [6, 7],
        diverged=lambda cell, seed: seed == 0 or cell[2] == "flip",
    )
    assert mistakes(tmp_path, plan)["arms", "mnist5k"][0] == [6, 7]


def test_networks_without_mistakes_and_experiments_without_runs_have_no_row(tmp_path):
    assert mistakes(tmp_path, study(tmp_path, lambda cell, seed: [])) == {}
    plan = study(tmp_path, lambda cell, seed: [1], diverged=lambda cell, seed: True)
    assert mistakes(tmp_path, plan) == {}


def test_the_centre_is_shown_as_a_network_sees_it(tmp_path):
    plan = study(tmp_path, lambda cell, seed: [2], size=(10, 12))
    with chdir(tmp_path):
        (file,) = Path().glob("results/data/*/*/images.npy")
        stored = np.load(file)
        stored[2 + 2] = np.arange(400, dtype=np.uint16).reshape(20, 20, 1) % 251
        np.save(file, stored)
    analysed(tmp_path, plan)
    with np.load(tmp_path / f"results/{plan.name}/mistakes.npz") as rows:
        np.testing.assert_array_equal(rows["images_0"][0], stored[4][5:15, 4:16])


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_reduced(tmp_path, channels):
    plan = study(tmp_path, lambda cell, seed: [2, 3], side=120, channels=channels)
    images, *_, shape = mistakes(tmp_path, plan)["arms", "mnist5k"]
    assert shape == (2, 96, 96, channels)
    assert images == [2, 3]


def test_deleted_data_has_no_pictures_and_damaged_data_is_refused(tmp_path):
    plan = study(tmp_path, lambda cell, seed: [2, 3])
    (file,) = tmp_path.glob("results/data/*/*/images.npy")
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"images\.npy"):
        analysed(tmp_path, plan)
    file.unlink()
    assert mistakes(tmp_path, plan) == {}


def test_the_same_runs_give_the_same_bytes(tmp_path):
    files = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        plan = study(folder, lambda cell, seed: [2, 3])
        analysed(folder, plan)
        files.append((folder / f"results/{plan.name}/mistakes.npz").read_bytes())
    assert files[0] == files[1]

"""What prune takes for unused, and what it leaves alone."""

from pathlib import Path

import pytest

from ablation.errors import InputError
from ablation.storage import try_lock
from ablation.study.plan import load_config, load_plan
from ablation.study.prune import prune, unused

STUDY = """\
title: Kept
experiments:
  one:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2)}
    seeds: [0]
    training: {epochs: 2}
"""
WITHOUT_CROP = STUDY.replace(", crop: crop(2)", "")


@pytest.fixture
def results(project):
    """The runs of the study by augmentation, whose folders exist."""
    project(STUDY)
    plan = load_plan(load_config())
    for run in plan.runs.values():
        for folder in (run.folder, run.checkpoints, run.data.folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "file").write_bytes(b"x" * 1000)
    return {run.augmentation: run for run in plan.runs.values()}


def found():
    return {str(folder) for folder in unused(load_config(), Path("results"))}


def test_what_no_study_uses_is_listed_then_removed(results, project, capsys):
    kept, crop = results["none"], results["crop"]
    assert found() == set()
    project(WITHOUT_CROP)
    assert found() == {crop.folder, crop.checkpoints}
    prune(load_config(), Path("results"))
    assert Path(crop.folder).is_dir()
    assert "2 folder(s) that no study uses" in capsys.readouterr().out
    prune(load_config({"prune": "remove"}), Path("results"))
    assert not Path(crop.folder).parent.exists()
    assert not Path(crop.checkpoints).parent.exists()
    assert all(Path(place).is_dir() for place in (kept.folder, kept.checkpoints, kept.data.folder))


def test_what_any_study_uses_stays(results, project):
    project(WITHOUT_CROP)
    project(STUDY, "other")
    assert found() == set()


def test_benchmarks_and_archives_stay(results, project):
    others = [Path("results/bench/bench.csv"), Path("results/archive/study.zip")]
    for file in others:
        file.parent.mkdir()
        file.touch()
    project(WITHOUT_CROP)
    prune(load_config({"prune": "remove"}), Path("results"))
    assert all(file.exists() for file in others)


def test_an_unreadable_study_stops_prune(results, project):
    project("title: [", "other")
    with pytest.raises(InputError, match=r"other\.yaml"):
        prune(load_config({"prune": "remove"}), Path("results"))
    assert Path(results["crop"].folder).is_dir()


def test_what_a_process_has_locked_stays(results, project, capsys):
    project(WITHOUT_CROP)
    crop = results["crop"]
    with Path(crop.checkpoints, ".lock").open("a") as lock:
        assert try_lock(lock)
        prune(load_config({"prune": "remove"}), Path("results"))
    assert Path(crop.folder).is_dir()
    assert capsys.readouterr().out.count("in use") == 2


@pytest.mark.parametrize(
    "place", ["results/runs/a/b/c/notes", "results/data/mnist5k/mine", "results/runs/a/b/seed-0-x"]
)
def test_other_folders_are_never_touched(results, place):
    Path(place).mkdir(parents=True)
    assert found() == set()


def test_a_link_is_not_followed(results, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = Path("results/runs/mnist5k/resnet8/none/seed-9-00000000")
    link.symlink_to(outside)
    assert found() == set()

"""Local images through Snakemake: when they are prepared again, and what follows."""

import os
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from .conftest import make_project

pytestmark = pytest.mark.workflow

STUDY = """\
title: Do local images run?
experiments:
  own:
    question: Do they?
    datasets: [{name: photos, source: image_folder, path: photos}]
    models: [{name: small, architecture: resnet8, width: 4}]
    augmentations: {none: ""}
    seeds: [0]
    training: {epochs: 1, batch_size: 10, learning_rate: 0.05}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("own") / "project")
    project.study.write_text(STUDY)
    random = np.random.RandomState(0)
    for i in range(40):
        file = project.folder / f"photos/c{i % 2}/{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8), dtype=np.uint8)).save(file)
    return project


def test_data_is_prepared_and_told_and_nothing_trained(own):
    done = own.snakemake("data")
    assert "image_folder photos: 2 classes, images of 8×8×1; 28 training, 4 validation" in (
        done.output
    )
    assert "prepared 40 of 40 images" in done.output
    assert not (own.folder / "results/runs").exists()
    (log,) = (own.folder / "results/logs/prepare/photos").glob("*.log")
    assert "prepared 40 of 40 images" in log.read_text()
    again = own.snakemake("data")
    assert "prepared 40" not in again.output
    assert "image_folder photos: 2 classes" in again.output


@pytest.fixture(scope="module")
def own_trained(own, tmp_path_factory):
    """The study with its one run finished; do not change it."""
    project = own.copy(tmp_path_factory.mktemp("own") / "trained")
    project.snakemake("--until", "train")
    return project


@pytest.fixture
def trained(own_trained, tmp_path):
    """A copy of it that a test may change."""
    project = own_trained.copy(tmp_path / "project")
    (record,) = project.folder.glob("results/runs/*/*/*/*/run.json")
    project.run = str(record.relative_to(project.folder))
    (project.data,) = project.folder.glob("results/data/photos/[!.]*")
    return project


def test_images_that_change_are_prepared_and_trained_again_others_not(trained):
    assert trained.plan(trained.run) == {}
    file = trained.folder / "photos/c0/00.png"
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    (trained.folder / "photos/README.txt").write_text("no image")
    assert trained.plan(trained.run) == {}  # the same images at another time

    new = trained.folder / "photos/c1/new.png"
    Image.new("L", (8, 8), 7).save(new)
    assert trained.plan(trained.run) == {"prepare": 1, "train": 1}
    trained.snakemake("data")
    assert trained.plan(trained.run) == {"train": 1}
    new.unlink()
    Image.open(file).save(file, compress_level=0)  # another file with the same pixels
    assert "prepared 40 of 40 images" in trained.snakemake("data").output
    assert trained.plan(trained.run) == {}


def test_a_refused_preparation_leaves_the_last_data_and_retrains_nothing(trained):
    before = {file: file.read_bytes() for file in trained.data.iterdir()}
    (trained.folder / "photos/c0/broken.png").write_bytes(b"no image")
    done = trained.snakemake("--until", "train", check=False)
    assert done.returncode != 0
    assert "1 image cannot be read: c0/broken.png: not an image of a supported format" in (
        done.output
    )
    assert {file: file.read_bytes() for file in trained.data.iterdir()} == before
    later = time.time() + 1e6  # a description of the future hides no change
    os.utime(trained.data / "description.json", (later, later))
    again = trained.snakemake("--until", "train", check=False)
    assert again.returncode != 0
    assert "1 image cannot be read: c0/broken.png" in again.output  # the fault is still there
    (trained.folder / "photos/c0/broken.png").unlink()
    assert trained.plan(trained.run) in ({}, {"prepare": 1})
    assert "Train" not in trained.snakemake("--until", "train").output


def test_data_that_was_deleted_is_prepared_for_a_new_seed_and_the_old_one_is_left(trained):
    shutil.rmtree(trained.data)
    assert trained.plan(trained.run) == {}
    trained.edit("seeds: [0]", "seeds: [0, 1]")
    done = trained.snakemake("--until", "train")
    assert re.findall(r"Train photos/small/none/seed-(\d)", done.output) == ["1"]
    assert "Prepare photos" in done.output
    assert not {"prepare", "train"} & set(trained.plan())


def test_a_run_that_is_forced_after_its_data_was_deleted_gets_it_first(trained):
    shutil.rmtree(trained.data)
    for words in (["--forcerun", "train"], ["--forcerun", trained.run], ["--force"]):
        assert trained.plan(trained.run, *words) == {"prepare": 1, "train": 1}
    # Another profile may have Snakemake compare the set of input files.
    assert trained.plan(trained.run, "--rerun-triggers", "input") == {}


@pytest.mark.long
def test_deleted_data_whose_images_have_changed_is_trained_again(trained):
    again = {"prepare": 1, "train": 1}
    shutil.rmtree(trained.data)
    Image.new("L", (8, 8), 7).save(trained.folder / "photos/c1/new.png")
    assert trained.plan(trained.run) == again
    trained.snakemake("data")
    shutil.rmtree(trained.data)  # before the run was trained on it
    assert trained.plan(trained.run) == again
    (trained.folder / "photos/c0/broken.png").write_bytes(b"no image")
    for _ in range(2):
        assert trained.snakemake("--until", "train", check=False).returncode != 0
    (trained.folder / "photos/c0/broken.png").unlink()
    assert trained.plan(trained.run) == again
    trained.snakemake("--until", "train")
    assert not {"prepare", "train"} & set(trained.plan())

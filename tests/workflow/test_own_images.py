"""Images of one's own through Snakemake: when they are prepared again, and what follows."""

import os

import numpy as np
import pytest
from PIL import Image

from .conftest import make_project

pytestmark = pytest.mark.workflow

STUDY = """\
title: Do own images run?
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


def test_images_that_change_are_prepared_and_trained_again_others_not(own):
    own.snakemake("--until", "train")
    (record,) = own.folder.glob("results/runs/*/*/*/*/run.json")
    run = str(record.relative_to(own.folder))
    (description,) = own.folder.glob("results/data/*/*/description.json")
    data = str(description.relative_to(own.folder))
    assert own.plan(run) == {}

    file = own.folder / "photos/c0/00.png"
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    (own.folder / "photos/README.txt").write_text("no image")
    assert own.plan(run) == {}  # the same images at another time

    new = own.folder / "photos/c1/new.png"
    Image.new("L", (8, 8), 7).save(new)
    assert own.plan(run) == {"prepare": 1, "train": 1}
    own.snakemake(data)
    assert own.plan(run) == {"train": 1}


def test_a_job_that_fails_does_fail(own, tmp_path):
    broken = own.copy(tmp_path / "project")
    (broken.folder / "photos/c0/00.png").write_bytes(b"no image")
    done = broken.snakemake("data", check=False)
    assert done.returncode != 0
    assert "1 image cannot be used: c0/00.png: not an image of a format that is read" in (
        done.output
    )
    assert not list((broken.folder / "results/data/photos").glob("*/description.json"))
